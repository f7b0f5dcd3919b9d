"""Teaching a trained model a new class: which models and names are allowed, and what was learned."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from livesnn.card import ModelCard
from livesnn.errors import DataError, ModelError
from livesnn.infer.model import model_folder, shipped_models
from livesnn.paths import own_models_dir
from livesnn.weights import GRAPH, WEIGHTS, load_card

SIMULATED = "gestures-sim"
"""Data set of models that know simulated people. Any other model needs recordings of what it knows."""

NOT_NAMES = ("none", "–")  # What is shown where there is no decision

NOISE, AT_REST = 4.0, 100.0
"""Less movement than this is noise, or a person at rest; for models of simulated people. Simulated noise has 0.7 to
3, people at rest 2 to 410 (half of them below 80), and people who gesture 43 to 16,000 (half of each gesture above
860). Four real gestures had 1,600 to 4,100."""

LONGEST_NAME = 40  # Characters in a gesture's name, which becomes part of a folder's


@dataclass(frozen=True)
class Lesson:
    """What a model has learned, and how well."""

    folder: str  # The new model
    gesture: str
    windows: int  # Windows that the class was learned from
    # Of its last windows, which were first held out, how many were decided right, and how many there were
    right: int
    kept_aside: int
    # Of windows of known classes, how many were taken for the new class, and how many there were
    taken: int
    known: int
    # The class as which the model decided most of these windows before, and how many; "" and 0 if none
    resembles: str
    resembling: int
    # How unevenly events lie in the picture (see `clips.movement`), in the clip with the least movement
    movement: float
    at_rest: bool  # Whether that is no more than people at rest have; False for models that know no people
    taken_from: dict[str, int] = field(
        default_factory=dict
    )  # How many of ``taken`` are of each class, where known

    @property
    def poor(self) -> bool:
        """Whether most of the windows held out were decided wrong, so the class isn't learned."""
        return 2 * self.right < self.kept_aside


@dataclass(frozen=True)
class Recognised:
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
    """Nothing was learned, because the model ``recognised`` the gesture already and nobody wanted to go on."""

    def __init__(self, recognised: Recognised) -> None:
        super().__init__(
            f"{recognised.words}, so nothing was learned: perform another movement, or go on with --if-known go-on"
        )
        self.recognised = recognised


def recognised_already(gesture: str, label: str, resembling: int, windows: int) -> Recognised | None:
    """Return as what most windows of a gesture are decided; None: as nothing known, or as this very gesture.

    ``label`` is the class of most of those that are decided, ``resembling`` their number.
    """
    known = 2 * resembling > windows and label not in ("other", gesture)
    return Recognised(label, resembling, windows) if known else None


def check_lesson(gesture: str, model: str | Path, *, others: bool = True) -> ModelCard:
    """Return the card of a model that can be taught a gesture of this name.

    ``others`` says whether there are recordings of what it knows; raises DataError if it needs them. Raises
    ModelError if there is no such model, it lacks a file, can't be taught, or has such a class; or the name can't be
    used.
    """
    folder = model_folder(model)
    for file in (folder / WEIGHTS, folder / GRAPH):
        if not file.is_file():
            raise ModelError(
                f"{file} is missing, and teaching needs both files of the model: copy the model again"
            )
    card = load_card(folder / WEIGHTS)
    check_teachable(card)
    check_name(gesture, card)
    if card.dataset != SIMULATED and not others:
        raise DataError(
            f"{card.name} was trained on {card.dataset or 'recordings'}: give recordings of what it knows as --others"
        )
    return card


def check_teachable(card: ModelCard) -> None:
    """Raise ModelError unless a class can be added to the model: its outputs must be linear in what they read."""
    if card.network.kind != "sts_resnet" or card.readout == "spikes":
        raise ModelError(
            f"{card.name} is a {card.network.kind} that reads out its {card.readout}: only an sts_resnet that reads "
            "out its membrane or traces can be taught, such as gestures"
        )


def check_name(gesture: str, card: ModelCard) -> None:
    """Raise ModelError unless a class can have this name beside the model's others, or was taught under it."""
    if gesture in card.taught:
        return
    if not gesture.strip() or not gesture.isprintable() or gesture != gesture.strip():
        raise ModelError(
            f"{gesture!r} isn't a valid name: give printable characters, without spaces around them"
        )
    if len(gesture) > LONGEST_NAME:
        raise ModelError(
            f"{gesture[:20]!r}… has {len(gesture)} characters: give a name of at most {LONGEST_NAME}"
        )
    taken = {_plain(name): name for name in (*card.classes, *NOT_NAMES)}
    if known := taken.get(_plain(gesture)):
        more = f", or write it {known} to teach more of it" if known in card.taught else ""
        raise ModelError(f"{card.name} knows {known} already: give the gesture another name{more}")


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()


def check_out(out: Path) -> None:
    """Raise ModelError unless ``out`` is free: nothing is overwritten."""
    if str(out).startswith("~"):
        raise ModelError(f"{out}: there is no such user: give another --out")
    try:
        parent = next(folder for folder in out.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise ModelError(f"{out} can't be made, because {parent} can't be written: give another --out")
        free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise ModelError(f"{out} can't be used ({error.strerror}): give another --out") from error
    if not free or not out.name:
        raise ModelError(f"{out} exists already: give another --out")


def own_folder(model: str | Path, gesture: str) -> Path:
    """Return a new folder in the user's models for a model that is taught a gesture.

    No shipped model has its name, since that would be found first.
    """
    folder = model_folder(model).resolve()
    words = "-" + ("-".join(re.findall(r"[\w.]+", gesture)) or "taught")
    known = (folder / WEIGHTS).is_file() and gesture in load_card(folder / WEIGHTS).taught
    begins = re.sub(r"-\d+$", "", folder.name) if known else folder.name + words
    name = begins.encode()[:120].decode(errors="ignore").strip(".")
    names = (f"{name}-{number}" if number > 1 else name for number in count(1))
    free = (each for each in names if each not in shipped_models() and not (own_models_dir() / each).exists())
    return own_models_dir() / next(free)


def _by_class(taken: dict[str, int]) -> str:
    most = sorted(((count, name) for name, count in taken.items() if name), reverse=True)
    return f" ({', '.join(f'{count} of {name}' for count, name in most)})" if most else ""


def describe_lesson(lesson: Lesson) -> list[str]:
    """Return what a model has learned, how well, and what it may confuse, as clauses; the first one is short."""
    words = [
        f"{lesson.gesture} {'is not learned well' if lesson.poor else 'is learned'}",
        f"learned from {lesson.windows} windows",
        f"{lesson.right} of the last {lesson.kept_aside} windows, held out for a test, were decided right",
        f"{lesson.taken} of {lesson.known} windows of other classes were wrongly decided as it"
        + _by_class(lesson.taken_from),
    ]
    if lesson.poor:
        words.append(
            "that isn't enough: show it again, for longer, or so that it differs more from the known classes"
        )
    if lesson.at_rest:
        words.append("hardly anything moves in it, so someone who stands still may be mistaken for it")
    if recognised_already(lesson.gesture, lesson.resembles, lesson.resembling, lesson.windows):
        words.append(
            f"before, {lesson.resembling} of the {lesson.windows} windows were decided as {lesson.resembles}: it is "
            f"that or looks like it, so {lesson.resembles} may now be taken for {lesson.gesture}"
        )
    return words
