"""What is kept of a cell, as one JSON file. Not here: running it (run.py), showing it (page.py)."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from livesnn.bench.tables.cells import BUDGETS, BudgetName, Cell, TableName
from livesnn.bench.tables.keeping import keep, kept
from livesnn.errors import DataError
from livesnn.train.configuration import NetworkName, RecipeName

Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class Run:
    """One training, and what it ended with on the test part (or what the record's `split` says). Fractions 0..1.

    ``accuracy``: one decision a clip, from zero state; ``accuracy_carried``: as one stream, of spiking networks;
    ``accuracy_recordings``: one decision a recording or video, where clips are parts of such and those count.
    ``confusion``: rows true, columns decided, of the same decisions as ``accuracy``. ``density``: spikes a hidden
    neuron a step. ``synops``: of a clip, the mean of some. ``wall_s``: since the last start, which went on after
    ``resumed_epochs``. ``curve``: training accuracy by epoch, None
    where a stop lost it. ``commit``: of the last start; "": not known.
    """

    seed: int
    accuracy: Share
    accuracy_carried: Share | None
    accuracy_recordings: Share | None
    n: Count
    recordings: Count
    validation_accuracy: Share
    validation_n: Count
    confusion: tuple[tuple[Count, ...], ...]
    density: Share | None
    synops: Amount
    wall_s: Amount
    resumed_epochs: int
    curve: tuple[float | None, ...]
    commit: str = ""

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
    macs: Amount
    step: StepTime
    device: str
    machine: dict[str, Any]
    commit: str
    command: str
    trainings: tuple[str, ...]
    out_of_reach: bool = False
    synops: Amount | None = None
    runs: tuple[Run, ...] = ()
    mean: Share | None = None
    sd: Amount | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where what is said of the runs isn't of these."""
        mean = statistics.mean(run.published for run in self.runs) if self.runs else None
        if (mean is None) != (self.mean is None) or abs((mean or 0) - (self.mean or 0)) > 1e-9:
            raise ValueError(f"mean {self.mean} isn't that of its {len(self.runs)} runs")
        sides = {len(side) for run in self.runs for side in (run.confusion, *run.confusion)}
        if sides - {len(self.classes)}:
            raise ValueError(f"a confusion matrix isn't one of its {len(self.classes)} classes")

    @property
    def commits(self) -> tuple[str, ...]:
        """Return the commits whose code it is of, that of the beginning first."""
        return tuple(dict.fromkeys((self.commit, *(run.commit for run in self.runs if run.commit))))

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
