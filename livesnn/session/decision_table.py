"""The table of decisions: a line a frame as .csv, and a live source's decisions that are kept for one."""

from __future__ import annotations

import csv
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.events.convert import written_whole
from livesnn.infer.run import Result

MOST_DECISIONS = 50_000  # Of a live source, kept for a table: 40 minutes at 20 frames a second


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
