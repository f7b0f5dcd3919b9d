"""How a recording is shown in a file: classes and their colours, the table of decisions, a live source's log of them.

Films are in export.py: this imports no OpenCV, which would slow the start of the window.
"""

from __future__ import annotations

import csv
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.console import capitalised
from livesnn.events.convert import written_whole
from livesnn.events.filters import Orientation
from livesnn.infer.decide import ADVICE
from livesnn.infer.model import Engine
from livesnn.infer.run import Result
from livesnn.session.control import Choices

MP4, GIF, CSV, AEDAT4 = ".mp4", ".gif", ".csv", ".aedat4"
FILMS_AND_TABLES = (MP4, GIF, CSV)
PICTURES_PER_S = {MP4: 30, GIF: 20}  # of films; GIF counts in hundredths of a second
MOST_DECISIONS = 50_000  # Of a live source, kept for a table: 40 minutes at 20 frames a second

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


class Said(NamedTuple):
    """What the window or a film says: words, why there is no decision or "", the class's number and probability.

    ``number`` None: nothing is decided now.
    """

    words: str
    why: str = ""
    number: int | None = None
    confidence: float = 0.0


NOTHING_YET, NO_EVENTS, NOT_SURE = "Nothing yet", "No events", "Not sure"


def said_of(result: Result, classes: Sequence[str]) -> Said:
    """Return what to say of a result whose window is full; ``classes`` are those that are shown."""
    why = "" if result.reason is None else capitalised(ADVICE[result.reason])
    if result.decision is None:
        return Said(NOT_SURE, why, confidence=result.confidence)
    number = classes.index(result.decision) if result.decision in classes else None
    return Said(readable(result.decision), why, number, result.confidence)


@dataclass(frozen=True)
class Exported:
    """What was written: ``count`` pictures of a film, rows of a table, or events."""

    out: Path
    format: str
    count: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Showing:
    """How a recording is shown: the model, and what the window lets a person choose.

    A film is as fast as the speed of ``choices`` says, 1× where that is without a limit; loop and pre-roll mean
    nothing here.
    """

    model: str | Path
    engine: Engine = "auto"
    choices: Choices = field(default_factory=Choices)
    orientation: Orientation = field(default_factory=Orientation)


class DecisionRow(NamedTuple):
    """A line of a table: what is said after a frame that ends at ``t_us``, by the source's own time."""

    t_us: int
    decision: str | None
    confidence: float
    probabilities: npt.NDArray[np.float32]  # [K]

    @classmethod
    def of(cls, result: Result) -> DecisionRow:
        return cls(result.t, result.decision, result.confidence, result.probabilities)


def write_rows(path: Path, classes: Sequence[str], rows: Iterable[DecisionRow]) -> int:
    """Write a new file, with a column of probability for each class; return how many rows there were."""
    count = 0
    with path.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["t_us", "decision", "confidence", *(f"probability_{label}" for label in classes)])
        for count, row in enumerate(rows, start=1):  # noqa: B007 (how many there were)
            numbers = (f"{value:.6f}" for value in (row.confidence, *row.probabilities.tolist()))
            writer.writerow([row.t_us, row.decision or "", *numbers])
    return count


class DecisionLog:
    """The last `MOST_DECISIONS` of a live source, for a table. It may be used from any thread."""

    def __init__(self) -> None:
        self._rows: deque[DecisionRow] = deque(maxlen=MOST_DECISIONS)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, result: Result) -> None:
        """Add a result once the first window is full."""
        if result.window_seen:
            with self._lock:
                self._rows.append(DecisionRow.of(result))

    def write(self, out: Path, classes: Sequence[str], *, overwrite: bool = False) -> int:
        """Write the table as `export` does, and return its rows; the classes are the model's. Raises SourceError."""
        with self._lock:
            rows = list(self._rows)
        with written_whole(out, None, overwrite=overwrite) as part:
            return write_rows(part, classes, rows)
