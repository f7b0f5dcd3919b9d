"""The result of a cell, and how results are saved as JSON files."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from livesnn.errors import DataError, reason_of
from livesnn.files import replace_file
from livesnn.paper.table_cells import BUDGETS, BudgetName, Cell, TableName
from livesnn.train.configuration import NetworkName, RecipeName

T = TypeVar("T")
Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


def save(file: Path, measured: object) -> None:
    """Write a value as indented JSON, all of it or nothing, with each row of numbers on one line.

    Raises DataError if it can't be written.
    """
    text = msgspec.json.format(msgspec.json.encode(measured), indent=1).decode()
    rows = re.sub(r"\[[\d\s.,eE+-]+\]", lambda row: f"[{' '.join(row[0][1:-1].split())}]", text)
    with _made_writable(file.parent, file):
        replace_file(file, rows.encode())


def load(file: Path, kind: type[T]) -> T | None:
    """Return what `save` wrote, or None without a file; raises DataError if the file is damaged."""
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{file} is damaged ({error}): restore it (git checkout), or delete it and run its command again"
        ) from error


def check_writable(out: Path) -> None:
    """Raise DataError if a folder can't be written to, before hours of training."""
    with _made_writable(out, out), NamedTemporaryFile(dir=out):
        pass


@contextmanager
def _made_writable(folder: Path, what: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(f"{what} can't be written: {reason_of(error)}: give another --out") from error


class Folders(NamedTuple):
    """Where the data sets, the trainings and the results are."""

    data: Path
    runs: Path
    out: Path


@dataclass(frozen=True)
class Run:
    """One training and its accuracy (0..1) on the test part, or on the record's ``split``."""

    seed: int
    accuracy: Share  # One decision a clip, from zero state
    accuracy_carried: Share | None  # With the state carried from clip to clip; only of spiking networks
    # One decision a recording or video, if clips are parts of these and whole ones count
    accuracy_recordings: Share | None
    n: Count
    recordings: Count
    validation_accuracy: Share
    validation_n: Count
    confusion: tuple[tuple[Count, ...], ...]  # Rows true, columns decided, of the decisions of ``accuracy``
    density: Share | None  # Spikes a hidden neuron and step
    synops: Amount  # Synaptic operations a clip, the mean of some clips
    wall_s: Amount  # Duration since the last start, which resumed after ``resumed_epochs``
    resumed_epochs: int
    curve: tuple[float | None, ...]  # Training accuracy by epoch; None where an interruption lost it
    commit: str = ""  # Commit of the last start; "" if unknown

    @property
    def published(self) -> float:
        """Return the accuracy to compare with the paper's: that of recordings or videos, else that of clips."""
        return self.accuracy if self.accuracy_recordings is None else self.accuracy_recordings

    @property
    def decisions(self) -> int:
        return self.n if self.accuracy_recordings is None else self.recordings


@dataclass(frozen=True)
class StepTime:
    """Seconds of a training step of ``batch`` clips, the median of ``n`` steps, and the steps of an epoch."""

    seconds: float
    batch: int
    steps_per_epoch: int
    n: int


@dataclass(frozen=True)
class Record:
    """A cell, its runs, and the time and size of its training. A cell out of reach has no runs."""

    table: TableName
    method: str
    column: str
    budget: BudgetName
    recipe: RecipeName
    network: NetworkName
    dataset: str
    split: str
    note: str
    epochs: int
    seeds: int
    training_samples: int  # Clips of an epoch
    classes: tuple[str, ...]
    parameters: int
    macs: Amount  # Multiply-accumulates of a clip
    # Those of the first start
    step: StepTime
    device: str
    machine: dict[str, Any]
    commit: str
    command: str
    trainings: tuple[str, ...]
    out_of_reach: bool = False
    # Synaptic operations of a clip with fresh weights, if nothing is trained; otherwise see `Run`
    synops: Amount | None = None
    runs: tuple[Run, ...] = ()
    # Mean and standard deviation of the runs' ``published`` accuracy. One run has no deviation.
    mean: Share | None = None
    sd: Amount | None = None

    @property
    def commits(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.commit, *(run.commit for run in self.runs if run.commit))))

    @property
    def cell(self) -> Cell:
        return Cell(self.table, self.method, self.column, self.budget, self.recipe)

    def with_run(self, run: Run) -> Record:
        """Return the record with one more run, and the mean and deviation of all runs."""
        runs = (*self.runs, run)
        accuracies = [each.published for each in runs]
        sd = statistics.stdev(accuracies) if len(runs) > 1 else None
        return replace(self, runs=runs, mean=statistics.mean(accuracies), sd=sd)


def record_file(out: Path, cell: Cell) -> Path:
    return out / f"{cell.name}.json"


def write_record(out: Path, record: Record) -> None:
    save(record_file(out, record.cell), record)


def read_record(out: Path, cell: Cell) -> Record | None:
    """Return a cell's record or None; raises DataError if the file is damaged or belongs to another cell."""
    file = record_file(out, cell)
    record = load(file, Record)
    if record is not None and record.cell != cell:
        raise DataError(f"{file} is the cell {record.cell.name}: rename it to that, or delete it")
    return record


def best_records(out: Path, cells: list[Cell]) -> dict[tuple[str, str], Record]:
    """Return the records by method and column, each of the largest budget that is at least that of ``cells``."""
    found = {}
    for cell in cells:
        for budget in BUDGETS[BUDGETS.index(cell.budget) :]:
            record = read_record(out, cell._replace(budget=budget))
            if record is not None and (record.runs or (cell.method, cell.column) not in found):
                found[cell.method, cell.column] = record
    return found
