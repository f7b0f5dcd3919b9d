"""Teaching a trained model a new class: which models and names are allowed, what was learned, and from what."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TypeVar

import msgspec

from livesnn.card import Measured, ModelCard
from livesnn.console import capitalised
from livesnn.errors import DataError, ModelError, SourceError
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.labels import labels_file
from livesnn.files import proposed_name
from livesnn.infer.decide import OTHER
from livesnn.infer.model import model_folder, shipped_models
from livesnn.json_text import decode_json
from livesnn.paths import own_models_dir
from livesnn.weights import GRAPH, WEIGHTS, load_card, load_weights

T = TypeVar("T")

SIMULATED = "gestures-sim"
"""Data set of models that know simulated people. Any other model needs recordings of what it knows."""

NOT_NAMES = ("none", "–")  # What is shown where there is no decision

NOISE, AT_REST = 4.0, 100.0
"""Less movement than this is noise, or a person at rest; for models of simulated people. Simulated noise has 0.7 to
3, people at rest 2 to 410 (half of them below 80), and people who gesture 43 to 16,000 (half of each gesture above
860). Four real gestures had 1,600 to 4,100."""

MISSED = 0.5  # Share of a gesture, performed otherwise than in the lesson, below which that should be shown too

READY_S = 3.0  # Time to get ready in front of a live source

LONGEST_NAME = 40  # Characters in a gesture's name, which becomes part of a folder's


@dataclass(frozen=True, kw_only=True)
class Lesson(Measured):
    """What a model has learned, and how well."""

    folder: str  # The new model
    gesture: str
    windows: int  # Windows that the class was learned from
    # The class as which the model decided most of these windows before, and how many; "" and 0 if none
    resembles: str
    resembling: int
    # How unevenly events lie in the picture (see `clips.movement`), in the clip with the least movement
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
            f"{recognised.words}, so nothing was learned: perform another movement, or give --if-known go-on or alias"
        )
        self.recognised = recognised


def recognised_already(gesture: str, label: str, resembling: int, windows: int) -> Recognised | None:
    """Return as what most windows of a gesture are decided; None: as nothing known, or as this very gesture.

    ``label`` is the class of most of those that are decided, ``resembling`` their number.
    """
    known = 2 * resembling > windows and label not in (OTHER, gesture)
    return Recognised(label, resembling, windows) if known else None


def check_lesson(gesture: str, model: str | Path, *, others: bool = True) -> ModelCard:
    """Return the card of a model that can be taught a gesture of this name.

    ``others`` says whether there are recordings of what it knows; raises DataError if it needs them. Raises
    ModelError if there is no such model, it lacks a file, can't be taught, or has such a class; or the name can't be
    used.
    """
    card = check_model(model_folder(model))
    check_name(gesture, card)
    if card.dataset != SIMULATED and not others:
        raise DataError(
            f"{card.name} wasn't trained on simulated people: give recordings of what it knows as --others"
        )
    return card


def check_model(folder: Path) -> ModelCard:
    """Return the card of a model that can be taught; raises ModelError if it lacks a file, or can't be taught."""
    for file in (folder / WEIGHTS, folder / GRAPH):
        if not file.is_file():
            raise ModelError(f"{file} is missing, and teaching needs both files of the model: copy the model again")
    card = load_card(folder / WEIGHTS)
    check_teachable(card)
    return card


def check_teachable(card: ModelCard) -> None:
    """Raise ModelError unless a class can be added to the model: its outputs must be linear in what they read."""
    if card.input.kind != "events":
        raise ModelError(f"{card.name} reads videos: only a model of events can be taught, such as gestures")
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
        raise ModelError(f"{gesture!r} isn't a valid name: give printable characters, without spaces around them")
    if len(gesture) > LONGEST_NAME:
        raise ModelError(f"{gesture[:20]!r}… has {len(gesture)} characters: give a name of at most {LONGEST_NAME}")
    if _plain(gesture) in NOT_NAMES:
        raise ModelError(f"{gesture!r} is shown where nothing is recognised: give the gesture another name")
    taken = {_plain(name): name for name in card.classes}
    if known := taken.get(_plain(gesture)):
        raise ModelError(f"{card.name} knows {known} already: give the gesture another name")


def as_taught(gesture: str, model: str | Path) -> str:
    """Return a gesture's name as the model has it, if it was taught one that looks alike in the window."""
    taught = {_plain(name): name for name in check_model(model_folder(model)).taught}
    return taught.get(_plain(gesture.strip()), gesture)


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()


def check_change(gesture: str, name: str, card: ModelCard) -> None:
    """Raise ModelError unless a class can be called ``name``, or removed if that is ""."""
    named = [each for each in card.classes if each != OTHER]
    if gesture not in (named if name else card.taught):
        known = ", ".join(named if name else card.taught) or "none"
        raise ModelError(f"{card.name} has no gesture {gesture} that could be changed: it has {known}")
    if name:
        check_name(name, replace(card, taught={}))
    elif len(card.taught) == 1:
        raise ModelError(f"{gesture} is all that {card.name} was taught: use the model that it was made from instead")


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


def own_folder(model: str | Path, gesture: str, name: str = "") -> Path:
    """Return a new folder in the user's models for a model that is taught a gesture, or calls it ``name``.

    No shipped model has its name, since that would be found first.
    """
    folder = model_folder(model).resolve()
    words = "-" + ("-".join(re.findall(r"[\w.]+", name or gesture)) or "taught")
    known = (folder / WEIGHTS).is_file() and gesture in load_card(folder / WEIGHTS).taught
    begins = re.sub(r"-\d+$", "", folder.name) if known else folder.name + words
    name = begins.encode()[:120].decode(errors="ignore").strip(".")
    names = (f"{name}-{number}" if number > 1 else name for number in count(1))
    free = (each for each in names if each not in shipped_models() and not (own_models_dir() / each).exists())
    return own_models_dir() / next(free)


def describe_measured(measured: Measured, window_s: float) -> list[str]:
    """Return how well a class was learned, as clauses; ``window_s``: the length of a window, 0 where it varies."""
    held_out = f"{measured.kept_aside * window_s:g} s" if window_s else f"{measured.kept_aside} windows"
    words = [
        f"{100 * measured.share:.0f} % of the {held_out} of the lesson that were held out for a test were recognised "
        f"({measured.right} of {measured.kept_aside} windows)"
    ]
    if measured.known:
        most = sorted(((count, name) for name, count in measured.taken_from.items() if name), reverse=True)
        by_class = ", ".join(f"{count} of {name}" for count, name in most)
        words.append(
            f"{measured.taken or 'none'} of {measured.known} windows of other movements "
            f"{'was' if measured.taken < 2 else 'were'} mistaken for it{f': {by_class}' * bool(by_class)}"
        )
    return words


def describe_lesson(lesson: Lesson) -> list[str]:
    """Return what a model has learned, how well, and what it may confuse, as clauses; the first one is short."""
    words = [f"{lesson.gesture} {'is not learned well' if lesson.poor else 'is learned'}"]
    if lesson.at_rest:
        words.append("hardly anything moves in it, so someone who stands still may be mistaken for it")
    if recognised_already(lesson.gesture, lesson.resembles, lesson.resembling, lesson.windows):
        words.append(
            f"before, {lesson.resembling} of the {lesson.windows} windows were recognised as {lesson.resembles}, "
            f"so {lesson.resembles} may now be taken for {lesson.gesture}"
        )
    if lesson.poor:
        words.append(
            "that isn't enough: show it again, always in the same way, or so that it differs more from known classes"
        )
    words += [*describe_measured(lesson, lesson.window_s), f"the lesson has {lesson.windows} windows"]
    if lesson.restless:
        words.append(f"nobody stood still right before it, so {lesson.gesture} may be named late when it begins")
    if ways := lesson.to_add:
        shown = [f"{way} ({100 * lesson.otherwise[way]:.0f} % is recognised so far)" for way in ways[:2]]
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


def lessons_dir() -> Path:
    """Return the folder of recorded lessons, beside the taught models; what these recordings show is upright."""
    return own_models_dir() / "lessons"


def new_recording(gesture: str) -> Path:
    """Return where the next lesson of a gesture is recorded; raises SourceError if its folder can't be made."""
    folder = lessons_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"{folder} can't be made ({error.strerror}): set LIVESNN_MODELS to another folder"
        ) from error
    first = folder / proposed_name(gesture, datetime.now())
    names = (first.with_stem(f"{first.stem}-{number}") if number > 1 else first for number in count(1))
    return next(path for path in names if not path.exists())


def forget(recording: Path) -> None:
    """Delete a recording and its labels."""
    for file in (recording, labels_file(recording)):
        file.unlink(missing_ok=True)


RECORDINGS = "lessons.json"
"""File of a taught model that names the recordings which each class was learned from."""


MOST_LISTED_BYTES = 1 << 22


@dataclass(frozen=True)
class Recordings:
    """What a class was learned from: recordings of it, and others that don't show it."""

    shown: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    denoise: bool = False  # whether noise was filtered first

    def __add__(self, more: Recordings) -> Recordings:
        shown, others = (tuple(dict.fromkeys(part)) for part in (self.shown + more.shown, self.others + more.others))
        return Recordings(shown, others, self.denoise or more.denoise)

    def each(self, named: Callable[[str], str | None]) -> Recordings:
        """Return all files by other names, without those that have none."""
        shown, others = (
            tuple(name for file in part if (name := named(file)) is not None) for part in (self.shown, self.others)
        )
        return replace(self, shown=shown, others=others)

    @property
    def there(self) -> Recordings:
        """Without the files that have gone."""
        return self.each(lambda file: file if os.path.isfile(parse_recording_path(Path(file)).file) else None)


def recordings_of(folder: Path) -> dict[str, Recordings]:
    """Return what each class of a model was learned from, as far as it was recorded.

    Files may have gone since. Raises ModelError if the list can't be read.
    """
    file = folder / RECORDINGS
    try:
        if file.exists() and (not file.is_file() or file.stat().st_size > MOST_LISTED_BYTES):
            raise ModelError(f"{file} is no list of recordings: remove it, or copy the model again")
        kept = decode_json(file.read_bytes(), dict[str, Recordings]) if file.exists() else {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{file} can't be read ({error}): remove it, or copy the model again") from error
    beside = folder.resolve().parent
    return {name: each.each(lambda file: str(beside / file)) for name, each in kept.items()}


def recordings_file(kept: Mapping[str, Recordings], beside: Path) -> bytes:
    """Return the content of `RECORDINGS`; what is below the folder ``beside`` the model is named from there."""
    begins = f"{beside.resolve()}{os.sep}"
    return msgspec.json.encode(
        {name: each.each(lambda file: file.removeprefix(begins)) for name, each in kept.items()}
    )


def change_class(gesture: str, model: str | Path, out: Path, *, name: str = "") -> None:
    """Write a model that calls a class ``name``, or lacks a taught class, into the new folder ``out``.

    Raises ModelError if it has no such class, or can't do without it; or like `check_lesson`.
    """
    # It takes half a second to import these.
    from livesnn.teach.add_class import rows_of, taught_before, write_taught
    from livesnn.teach.clips import BIAS, MOST_COMPARED, WEIGHT, Memory, with_moments

    folder = model_folder(model)
    card = check_model(folder)
    check_out(out)
    check_change(gesture, name, card)

    def changed(named: Mapping[str, T]) -> dict[str, T]:
        return {name if each == gesture else each: kept for each, kept in named.items() if name or each != gesture}

    weights, _ = load_weights(folder / WEIGHTS)
    try:
        rows_of(weights, card)
    except ModelError as error:
        raise ModelError(f"{folder / WEIGHTS}: {error}") from error
    memory = Memory.of(folder, weights, card)
    kept = changed(taught_before(folder, card, weights[WEIGHT].shape[1] + 1 if memory is None else memory.size))
    first = changed({gesture: gesture} | card.renamed)
    changed_card = replace(
        card,
        classes=tuple(changed(dict.fromkeys(card.classes))),
        taught=changed(card.taught),
        lessons=changed(card.lessons),
        renamed={each: before for each, before in first.items() if each != before},
    )
    if memory is not None and not name:
        most = min(MOST_COMPARED, card.traces.hidden // len(kept))
        weights, changed_card = with_moments(weights, card, changed_card, memory, kept, {}, most)
    else:
        left = [row for row, each in enumerate(card.classes) if name or each != gesture]
        weights |= {part: weights[part][left] for part in (WEIGHT, BIAS)}
    said = (gesture, *(("--rename", name) if name else ("--remove",)))
    write_taught(folder, out, weights, changed_card, kept, changed(recordings_of(folder)), said)
