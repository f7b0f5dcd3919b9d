"""What is kept of a cell, as one JSON file. Not here: running it (run.py), showing it (page.py)."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from livesnn.bench.tables.cells import BUDGETS, BudgetName, Cell, TableName
from livesnn.bench.tables.keeping import keep, kept
from livesnn.errors import DataError
from livesnn.train.networks import NetworkName
from livesnn.train.recipes import RecipeName


@dataclass(frozen=True)
class Run:
    """One training, and its best epoch on the test part (or what the record's `split` says). Fractions 0..1.

    ``accuracy``: one decision a clip, from zero state; ``accuracy_carried``: as one stream, of spiking networks;
    ``accuracy_recordings``: one decision a recording or video, where clips are parts of such and those count.
    ``confusion``: rows true, columns decided, of the same decisions as ``accuracy``. ``density``: spikes a hidden
    neuron a step. ``synops``: of a clip, the mean of some. ``wall_s``: since the last start, which went on after
    ``resumed_epochs``. ``curve``: training accuracy by epoch, None
    where a stop lost it.
    """

    seed: int
    accuracy: float
    accuracy_carried: float | None
    accuracy_recordings: float | None
    n: int
    recordings: int
    validation_accuracy: float
    validation_n: int
    confusion: tuple[tuple[int, ...], ...]
    density: float | None
    synops: float
    wall_s: float
    resumed_epochs: int
    curve: tuple[float | None, ...]

    @property
    def published(self) -> float:
        """Return the accuracy that the paper's stands for: of recordings or videos, or of clips."""
        return self.accuracy if self.accuracy_recordings is None else self.accuracy_recordings

    @property
    def decisions(self) -> int:
        """Return of how many decisions that is the share."""
        return self.n if self.accuracy_recordings is None else self.recordings


@dataclass(frozen=True)
class StepTime:
    """Seconds of a training step of ``batch`` clips, the median of ``n``, and how many steps an epoch has."""

    seconds: float
    batch: int
    steps_per_epoch: int
    n: int


@dataclass(frozen=True)
class Record:
    """A cell: what it is, what it took, and its runs; none of a cell that is out of reach.

    ``training_samples``: clips an epoch. ``macs``: of a clip; ``synops``: with fresh weights, where nothing is
    trained (else see `Run`). ``mean``, ``sd``: of the runs' `published` accuracy; the deviation of one is unknown.
    ``commit``, ``device``, ``machine`` and ``step`` are those of the beginning.
    """

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
    training_samples: int
    classes: tuple[str, ...]
    parameters: int
    macs: float
    step: StepTime
    device: str
    machine: dict[str, Any]
    commit: str
    command: str
    trainings: tuple[str, ...]
    out_of_reach: bool = False
    synops: float | None = None
    runs: tuple[Run, ...] = ()
    mean: float | None = None
    sd: float | None = None

    @property
    def cell(self) -> Cell:
        """Return which cell it is."""
        return Cell(self.table, self.method, self.column, self.budget, self.recipe)

    def with_run(self, run: Run) -> Record:
        """Return this with one run more, and the mean and deviation of all."""
        runs = (*self.runs, run)
        accuracies = [each.published for each in runs]
        sd = statistics.stdev(accuracies) if len(runs) > 1 else None
        return replace(self, runs=runs, mean=statistics.mean(accuracies), sd=sd)


def record_file(out: Path, cell: Cell) -> Path:
    """Return where a cell is kept."""
    return out / f"{cell.name}.json"


def write_record(out: Path, record: Record) -> None:
    """Keep a cell; raises DataError when it can't be written."""
    keep(record_file(out, record.cell), record)


def read_record(out: Path, cell: Cell) -> Record | None:
    """Return what is kept of a cell, if anything; raises DataError where it is damaged, or another cell."""
    file = record_file(out, cell)
    record = kept(file, Record)
    if record is not None and record.cell != cell:
        raise DataError(f"{file} is the cell {record.cell.name}: give it its name back, or delete it")
    return record


def best_records(out: Path, wanted: list[Cell]) -> dict[tuple[str, str], Record]:
    """Return, by method and column, the record of the largest budget from that of ``wanted`` on; of none, nothing."""
    found = {}
    for cell in wanted:
        for budget in BUDGETS[BUDGETS.index(cell.budget) :]:
            record = read_record(out, cell._replace(budget=budget))
            if record is not None and (record.runs or (cell.method, cell.column) not in found):
                found[cell.method, cell.column] = record
    return found
