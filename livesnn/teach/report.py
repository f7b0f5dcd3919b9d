"""What a model has learned, how well, and what it may confuse: as numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass, field

from livesnn.card import LessonScore, ModelCard
from livesnn.console import capitalised
from livesnn.errors import ModelError
from livesnn.infer.reason import OTHER

MISSED = 0.5  # Share of a gesture, performed otherwise than in the lesson, below which that should be shown too


@dataclass(frozen=True, kw_only=True)
class Report(LessonScore):
    """What a model has learned, and how well."""

    folder: str  # The new model
    gesture: str
    windows: int  # Windows that the class was learned from
    # The class as which the model decided most of these windows before, and how many; "" and 0 if none
    resembles: str
    resembling: int
    # How unevenly events lie in the picture (see `lesson.movement`), in the clip with the least movement
    movement: float
    at_rest: bool  # Whether that is no more than people at rest have; False for models that know no people
    window_s: float = 0.0  # Length of a window; 0: windows have a fixed number of events
    restless: bool = False  # Whether somebody moved in the seconds before a take
    # Share of the lesson that is recognised where it is performed otherwise, such as "more slowly"
    otherwise: dict[str, float] = field(default_factory=dict)

    @property
    def to_add(self) -> list[str]:
        """How to show the gesture, too: the ways in which at most `MISSED` of it is recognised, worst first."""
        missed = sorted((share, way) for way, share in self.otherwise.items() if share <= MISSED)
        return [] if self.poor else [way for _, way in missed]

    @property
    def poor(self) -> bool:
        """Whether no more than half of the windows held out were decided right, so the class isn't learned."""
        return 2 * self.right <= self.kept_aside


@dataclass(frozen=True)
class Resemblance:
    """A class as which a model decided most windows of a lesson before it learned anything."""

    label: str
    resembling: int
    windows: int

    @property
    def words(self) -> str:
        """What to tell a person, with the share of windows."""
        return f"already recognised as {self.label} ({100 * self.resembling / self.windows:.0f} %)"

    @property
    def question(self) -> str:
        """What to ask a person before the model learns."""
        return f"{self.words}, go on?"


class AlreadyRecognisedError(ModelError):
    """Nothing was learned, because the model recognised the gesture already and nobody wanted to go on."""

    def __init__(self, resemblance: Resemblance) -> None:
        super().__init__(
            f"{resemblance.words}, so nothing was learned: perform another movement, or give --if-known go-on or "
            "alias"
        )
        self.resemblance = resemblance


def resemblance(gesture: str, label: str, resembling: int, windows: int) -> Resemblance | None:
    """Return as what most windows of a gesture are decided; None: as nothing known, or as this very gesture.

    ``label`` is the class of most of those that are decided, ``resembling`` their number.
    """
    known = 2 * resembling > windows and label not in (OTHER, gesture)
    return Resemblance(label, resembling, windows) if known else None


def describe_measured(measured: LessonScore, window_s: float) -> list[str]:
    """Return how well a class was learned, as clauses; ``window_s``: the length of a window, 0 where it varies."""
    held_out = f"{measured.kept_aside * window_s:g} s" if window_s else f"{measured.kept_aside} windows"
    words = [
        f"{100 * measured.share:.0f} % of the {held_out} of the lesson that were held out for a test were recognised "
        f"({measured.right} of {measured.kept_aside} windows)"
    ]
    if measured.known:
        most = sorted(((count, name) for name, count in measured.taken_from.items() if name), reverse=True)
        by_class = f": {', '.join(f'{count} of {name}' for count, name in most)}" if most else ""
        was = "was" if measured.taken < 2 else "were"
        words.append(
            f"{measured.taken or 'none'} of {measured.known} windows of other movements {was} mistaken for it"
            + by_class
        )
    return words


def describe(report: Report) -> list[str]:
    """Return what a model has learned, how well, and what it may confuse, as clauses; the first one is short."""
    words = [f"{report.gesture} {'is not learned well' if report.poor else 'is learned'}"]
    if report.at_rest:
        words.append("hardly anything moves in it, so someone who stands still may be mistaken for it")
    if resemblance(report.gesture, report.resembles, report.resembling, report.windows):
        words.append(
            f"before, {report.resembling} of the {report.windows} windows were recognised as {report.resembles}, "
            f"so {report.resembles} may now be taken for {report.gesture}"
        )
    if report.poor:
        words.append(
            "that isn't enough: show it again, always in the same way, or so that it differs more from known classes"
        )
    words += [*describe_measured(report, report.window_s), f"the lesson has {report.windows} windows"]
    if report.restless:
        words.append(f"nobody stood still right before it, so {report.gesture} may be named late when it begins")
    if ways := report.to_add:
        shown = [f"{way} ({100 * report.otherwise[way]:.0f} % is recognised so far)" for way in ways[:2]]
        words.append(f"show it {' and '.join(shown)}, too")
    return words


def describe_model(card: ModelCard) -> str:
    """Return the page of a model that was taught something, or that calls a class otherwise."""
    lines = [f"# {card.name}", "", f"{len(card.classes)} classes: {', '.join(card.classes)}.", ""]
    lines += [f"Made by `{card.command}`. The network is the one it was made from.", ""]
    for name, windows in card.taught.items():
        words = [f"learned from {windows} windows"]
        if name in card.lessons:
            words += describe_measured(card.lessons[name], card.input.window_s)
        lines += [f"## {name}", "", *(f"- {capitalised(each)}." for each in words), ""]
    if names := [f"{name} is another name for {first}" for name, first in card.renamed.items()]:
        lines += [f"{'; '.join(names)}.", ""]
    if card.taught:
        lines += ["How well it works for other people than those who taught it hasn't been measured.", ""]
    return "\n".join(lines)
