"""Running a cell: trainings, then the test part; what is done isn't done again. Not here: which cells (cells.py)."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from livesnn.bench import machine
from livesnn.bench.operations import count_operations
from livesnn.bench.tables.cells import Cell
from livesnn.bench.tables.record import Record, Run, StepTime, read_record, record_file, write_record
from livesnn.console import say
from livesnn.errors import DataError, StoppedError, TrainError
from livesnn.infer.model import load_model
from livesnn.subprocesses import own_commit
from livesnn.train.baselines import Baseline, Measured, measure_baseline
from livesnn.train.batches import Batch, BatchDataset, Loaders
from livesnn.train.configuration import Configuration
from livesnn.train.datasets import Parts, data_set
from livesnn.train.datasets.clips import Clips
from livesnn.train.evaluate import Evaluation, evaluate
from livesnn.train.hybrid import HybridModule
from livesnn.train.run_folder import LAST, kept_epochs, logged
from livesnn.train.start import Network, build
from livesnn.train.trainer import train

COUNTED = 20
"""Clips on which synaptic operations are counted."""
TIMED = 3
"""Training steps that are timed, after one that isn't."""
FEW = 10
"""Clips of a step that is timed alone: more of ConvLSTM's take more memory than many machines have."""


FEW_MEASURED = 500
"""Clips that a test of the command measures."""


class Folders(NamedTuple):
    """Where the data are, where trainings go, and where cells are kept."""

    data: Path
    runs: Path
    out: Path


def run_cell(cell: Cell, folders: Folders, seeds: int | None = None) -> Record:
    """Run what is missing of a cell and return it; every training that ends is kept at once.

    Parameters
    ----------
    seeds
        How many trainings; default: the cell's own number. What has more already stays as it is.

    Raises
    ------
    DataError
        The data aren't there or aren't what the column means, or the cell was begun with other flags.
    TrainError
        A training failed, or was stopped: the same call goes on with it.
    """
    record = read_record(folders.out, cell)
    wanted = max(seeds or cell.seeds, len(record.runs) if record else 0)
    fresh = record is None
    if record is None:
        _check_data(cell, folders)
        record = _begin(cell, folders, wanted)
        write_record(folders.out, record)
    elif record.trainings[:1] != cell.trainings(1) and not record.out_of_reach and len(record.runs) < wanted:
        raise DataError(
            f"{cell.name} was begun with other flags: delete its file in {folders.out} and its runs"
        )
    elif record.runs and record.trainings != cell.trainings(record.seeds):
        file = record_file(folders.out, cell)
        say(
            f"{cell.name} is kept as it was trained, with other flags than it has now: to train anew delete {file}"
        )
    record = replace(record, seeds=wanted, command=cell.command(wanted), trainings=cell.trainings(wanted))
    missing = range(len(record.runs), 0 if record.out_of_reach else wanted)
    if missing and not fresh:
        _check_data(cell, folders)
    for seed in missing:
        record = record.with_run(_run(cell, folders, seed))
        write_record(folders.out, record)
    return record


def _begin(cell: Cell, folders: Folders, seeds: int) -> Record:
    """Return the record before any training: what the cell is, its size and the time of a step."""
    config = cell.config(0, folders.data, folders.runs)
    parts = data_set(config.dataset).load_parts(config)
    torch.manual_seed(config.seed)
    net = build(config, parts.training.classes)
    frames = torch.from_numpy(parts.validation.frames[:1])
    operations = count_operations(net, frames)
    return Record(
        **cell._asdict(),
        network=cell.how.network,
        dataset=config.dataset,
        split=cell.where.split,
        note=cell.where.note,
        epochs=config.epochs,
        seeds=seeds,
        training_samples=len(parts.training) + parts.extra_per_epoch,
        classes=parts.training.classes,
        parameters=operations.parameters,
        macs=operations.macs,
        step=_time_step(net, replace(config, batch=FEW) if cell.out_of_reach else config, parts),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        machine=machine() | {"threads": torch.get_num_threads(), "precision": config.precision},
        commit=own_commit(),
        command=cell.command(seeds),
        trainings=cell.trainings(seeds),
        out_of_reach=cell.out_of_reach,
        synops=operations.synops if cell.out_of_reach else None,
    )


def _check_data(cell: Cell, folders: Folders) -> None:
    """Raise DataError where the data aren't what the column means; they may have changed since the last training."""
    config = cell.config(0, folders.data, folders.runs)
    if cell.where.split == "test" and cell.budget != "small":
        _check_whole(cell, config.data)
    if cell.where.clips is None:
        return
    parts = data_set(config.dataset).load_parts(config)
    own = len(parts.training) + len(parts.validation)
    if own != cell.where.clips:
        raise DataError(
            f"{cell.where.label} has {cell.where.clips} clips, but there are {own}: keep what the column means alone "
            f"in another --data folder"
        )


def _check_whole(cell: Cell, data: Path) -> None:
    """Raise DataError where the figure of a part would stand for the whole data set."""
    dataset = cell.where.dataset
    lacking = [finding for finding in data_set(dataset).check(data) if finding.state != "complete"]
    if lacking:
        raise DataError(
            f"{cell.where.label} isn't whole in {data} ({lacking[0].what}): see livesnn data check {dataset} "
            f"--data {data}"
        )


def _time_step(net: Network, config: Configuration, parts: Parts) -> StepTime:
    """Time training steps, data and all, as the training does them; ``net`` is changed by them."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batches = Loaders(parts, config.batch, config.seed).batches()
    drawn = BatchDataset(parts.training, parts.extra)
    fit = HybridModule(net, config, len(batches)).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), config.learning_rate)
    half = config.precision == "bf16-mixed"
    taken = []
    for step, draw in enumerate(islice(batches, 1 + TIMED)):
        begun_s = time.perf_counter()
        batch = Batch(*(part.to(device) for part in drawn[draw]))
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss, _ = fit.loss_of(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        taken.append(time.perf_counter() - begun_s)
    timed = taken[1:] or taken
    return StepTime(statistics.median(timed), batches.batch, len(batches), len(timed))


def _run(cell: Cell, folders: Folders, seed: int) -> Run:
    """Train with one seed, or go on with that, and measure."""
    config, commit = cell.config(seed, folders.data, folders.runs), own_commit()
    run = config.out / config.run_name
    resumed = (run / LAST).exists()
    begun_s = time.perf_counter()
    try:
        epochs_before = kept_epochs(run / LAST) if resumed else 0
        trained = train(replace(config, resume=resumed))
    except StoppedError as error:
        raise StoppedError(f"{cell.name}: stopped; the same command goes on with it") from error
    except TrainError as error:
        raise TrainError(_advised(str(error), run)) from error
    assert trained is not None  # one process alone
    wall_s = time.perf_counter() - begun_s
    net = trained.network
    clips = data_set(config.dataset).load_split(config.data, cell.where.split, net.card)
    if cell.budget == "small":
        clips = clips.shuffled(0).subset(np.arange(min(len(clips), FEW_MEASURED)))
    say(f"measuring {len(clips):,} clips")
    measured: Evaluation | Measured
    if isinstance(net, Baseline):
        measured = measure_baseline(net, clips)
    else:
        measured = evaluate(load_model(trained.folder, "onnx"), clips)
    return Run(
        seed=seed,
        accuracy=measured.accuracy_reset,
        accuracy_carried=measured.accuracy_carried if isinstance(measured, Evaluation) else None,
        accuracy_recordings=None if cell.where.by_window else measured.accuracy_recordings,
        n=measured.n,
        recordings=measured.recordings,
        validation_accuracy=trained.validation.accuracy_reset,
        validation_n=trained.validation.n,
        confusion=measured.confusion_reset if isinstance(measured, Evaluation) else measured.confusion,
        density=measured.density if isinstance(measured, Evaluation) else None,
        synops=count_operations(net, _some(clips, net)).synops,
        wall_s=wall_s,
        resumed_epochs=epochs_before,
        curve=training_curve(run),
        commit=commit,
    )


def _advised(error: str, run: Path) -> str:
    """Return what a training says with options that there are here in place of its own."""
    error = re.sub(r"(resume with its .*|choose another --name)", "give another --runs", error)
    return error.replace("start again under another --name", f"delete {run} and run the same command again")


def _some(clips: Clips, net: Network) -> torch.Tensor:
    """Return clips from all over a data set, uint8 [B, T, C, H, W]."""
    chosen = np.unique(np.linspace(0, len(clips) - 1, COUNTED).astype(np.int64))
    return torch.from_numpy(np.asarray(clips.frames[chosen])).to(next(net.parameters()).device)


def training_curve(run: Path) -> tuple[float | None, ...]:
    """Return the training accuracy of each epoch of a run folder; None where a stop lost it."""
    found = logged(run, "accuracy")
    return tuple(found.get(epoch) for epoch in range(max(found, default=-1) + 1))
