"""A class more for a trained model, from seconds of it, without torch: what a lesson is, and whether it can be given.

Light to import; the learning itself is in learn.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from livesnn.card import ModelCard
from livesnn.errors import DataError, ModelError
from livesnn.infer.model import model_folder, shipped_models
from livesnn.paths import own_models_dir
from livesnn.weights import load_card

WEIGHTS, GRAPH = "model.safetensors", "model.onnx"

SIMULATED = "gestures-sim"
"""Data set of models that know simulated people; to any other, recordings have to show what it knows."""

NOT_NAMES = ("none", "–")
"""What is said where there is no decision."""

NOISE, AT_REST = 4.0, 100.0
"""What less movement than these is, of models of simulated people. Of simulated windows noise has 0.7 to 3, people at
rest 2 to 410 (half of them below 80), people who gesture 43 to 16,000 (half of each gesture above 860); four real
gestures 1,600 to 4,100."""

MOST_SIGNS = 40
"""Of a gesture's name, which is part of a folder's."""


@dataclass(frozen=True)
class Lesson:
    """What a model has learned.

    Attributes
    ----------
    folder
        The new model.
    windows
        That the class was learned from.
    right, kept_aside
        Of its last windows, kept aside at first, how many were decided right, and how many there were.
    taken, known
        Of windows of what the model knew, how many were then taken for the new class, and how many there were.
    resembles, resembling
        What the model decided most of the class's windows as before, and how many of them; "" and 0: none.
    movement
        How unevenly events lie in the picture (`clips.movement`), of the clip in which least moves.
    at_rest
        Whether that is no more than of people at rest; False of models that know no people.
    """

    folder: str
    gesture: str
    windows: int
    right: int
    kept_aside: int
    taken: int
    known: int
    resembles: str
    resembling: int
    movement: float
    at_rest: bool

    @property
    def poor(self) -> bool:
        """Whether most of what was kept aside wasn't decided right: then it isn't learned."""
        return 2 * self.right < self.kept_aside


def check_lesson(gesture: str, model: str | Path, *, others: bool = True) -> ModelCard:
    """Return the card of a model that can be taught a gesture of this name.

    ``others``: whether there are recordings of what it knows.

    Raises
    ------
    ModelError
        There is no such model, it lacks a file, can't be taught, or has such a class; or that is no name.
    DataError
        It needs ``others``.
    """
    folder = model_folder(model)
    for file in (folder / WEIGHTS, folder / GRAPH):
        if not file.is_file():
            raise ModelError(f"{file} is missing: a model is taught that has both its files")
    card = load_card(folder / WEIGHTS)
    check_teachable(card)
    check_name(gesture, card)
    if card.dataset != SIMULATED and not others:
        raise DataError(
            f"{card.name} was trained on {card.dataset or 'recordings'}: give recordings of what it knows as --others"
        )
    return card


def check_teachable(card: ModelCard) -> None:
    """Raise ModelError unless a class can be added to such a model: its outputs are linear in its last spikes."""
    if card.network.kind != "sts_resnet" or card.readout != "membrane":
        raise ModelError(
            f"{card.name} is a {card.network.kind} that reads out {card.readout}: only an sts_resnet that reads "
            "out its membrane can be taught, such as gestures"
        )
    if missing := [layer for layer in tapped_layers(card) if layer not in card.states]:
        raise ModelError(f"the card of {card.name} names no layer {missing[0]}: copy the model again")


def tapped_layers(card: ModelCard) -> list[str]:
    """Return the layers whose spikes the read-out of an STS-ResNet is given: the last of blocks 3 and 4."""
    return [f"block{block}.{card.network.sub_blocks[block - 1]}.second" for block in (3, 4)]


def check_name(gesture: str, card: ModelCard) -> None:
    """Raise ModelError unless a class can be called so, beside a model's others, or it was taught that."""
    if gesture in card.taught:
        return
    if not gesture.strip() or not gesture.isprintable() or gesture != gesture.strip():
        raise ModelError(
            f"{gesture!r} can't name a gesture: give printable signs, without blanks around them"
        )
    if len(gesture) > MOST_SIGNS:
        raise ModelError(f"{gesture[:20]!r}… has {len(gesture)} signs: give a name of at most {MOST_SIGNS}")
    taken = {_plain(name): name for name in (*card.classes, *NOT_NAMES)}
    if known := taken.get(_plain(gesture)):
        more = f", or write it {known} to teach more of that" if known in card.taught else ""
        raise ModelError(f"{card.name} knows {known} already: give the gesture another name{more}")


def _plain(name: str) -> str:
    """Return what of a name a person tells from others."""
    return name.replace("_", " ").casefold()


def check_out(out: Path) -> None:
    """Raise ModelError unless ``out`` is free: nothing is ever overwritten."""
    if str(out).startswith("~"):
        raise ModelError(f"{out}: there is no such user's folder: give another --out")
    try:
        free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise ModelError(f"{out} can't be used ({error.strerror}): give another --out") from error
    if not free or not out.name:
        raise ModelError(f"{out} is there already: give another --out")


def own_folder(model: str | Path, gesture: str) -> Path:
    """Return where a model that was taught a gesture is kept, if nobody says where: a folder that isn't there yet.

    It has the name of no shipped model: that would be found first.
    """
    folder = model_folder(model).resolve()
    words = "-" + ("-".join(re.findall(r"[\w.]+", gesture)) or "taught")
    known = (folder / WEIGHTS).is_file() and gesture in load_card(folder / WEIGHTS).taught
    begins = re.sub(r"-\d+$", "", folder.name) if known else folder.name + words
    name = begins.encode()[:120].decode(errors="ignore").strip(".")
    names = (f"{name}-{number}" if number > 1 else name for number in count(1))
    free = (each for each in names if each not in shipped_models() and not (own_models_dir() / each).exists())
    return own_models_dir() / next(free)


def describe_lesson(lesson: Lesson) -> list[str]:
    """Return what a model has learned, how well, and what that may have cost, as clauses; the first one is short."""
    words = [
        f"{lesson.gesture} {'is not learned well' if lesson.poor else 'is learned'}",
        f"learned from {lesson.windows} windows",
        f"{lesson.right} of the last {lesson.kept_aside}, kept aside at first, were decided right",
        f"{lesson.taken} of {lesson.known} windows of all else were taken for it",
    ]
    if lesson.poor:
        words.append(
            "that is too few: show it again, for longer, or so that it differs more from what is known"
        )
    if lesson.at_rest:
        words.append(
            "hardly anything moves in it, as of people at rest: who stands still may be taken for it"
        )
    if 2 * lesson.resembling > lesson.windows and lesson.resembles not in ("other", lesson.gesture):
        words.append(
            f"before, {lesson.resembling} of the {lesson.windows} were decided as {lesson.resembles}: it is that or "
            f"looks like it, and whoever does {lesson.resembles} so may now be said to do {lesson.gesture}"
        )
    return words
