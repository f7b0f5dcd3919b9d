"""What a person is told after a frame, in the window, on the stage and in films: words, and the classes' colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from livesnn.console import capitalised
from livesnn.infer.reason import ADVICE
from livesnn.infer.run import Result

# They maximise the smallest distance between two of them (OKLab) on both grounds, in normal sight and in each colour
# blindness (Machado et al. 2009). A colour on light is the one on dark with 0.22 less lightness.
CLASSES_ON_DARK = (
    "#7ae9fc", "#a15aac", "#9abe64", "#6766e6", "#fdc1bd", "#86b8ee",
    "#d99cb1", "#7ae964", "#a688c2", "#ad8c56", "#6f92ff", "#b25c68",
)  # fmt: skip
CLASSES_ON_LIGHT = (
    "#249fb1", "#5d1768", "#5a7a1c", "#321c9c", "#b47d79", "#4474a6",
    "#925a6e", "#2da002", "#64487e", "#6a4c12", "#334eb4", "#6b1c2d",
)  # fmt: skip


def readable(label: str) -> str:
    """Return a class label as a person reads it: hand_clapping becomes "Hand clapping"."""
    return capitalised(label.replace("_", " "))


class Verdict(NamedTuple):
    """What the window or a film says: words, why there is no decision or "", the class's number and probability.

    ``number`` None: nothing is decided now.
    """

    words: str
    why: str = ""
    number: int | None = None
    confidence: float = 0.0


NOTHING_YET, NO_EVENTS, NOT_SURE = "Nothing yet", "No events", "Not sure"


def verdict_of(result: Result, classes: Sequence[str]) -> Verdict:
    """Return what to say of a result whose window is full; ``classes`` are those that are shown."""
    why = "" if result.reason is None else capitalised(ADVICE[result.reason])
    if result.decision is None:
        return Verdict(NOT_SURE, why, confidence=result.confidence)
    number = classes.index(result.decision) if result.decision in classes else None
    return Verdict(readable(result.decision), why, number, result.confidence)
