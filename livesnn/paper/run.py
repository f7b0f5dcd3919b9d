"""Run a cell: train, measure on the test part, and count operations. Finished work isn't repeated."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.bench import machine
from livesnn.console import say
from livesnn.errors import DataError, StoppedError, TrainError
from livesnn.infer.load import load_model
from livesnn.paper.results import (
    Folders,
    Record,
    Run,
    StepTime,
    check_writable,
    read_record,
    record_file,
    write_record,
)
from livesnn.paper.table_cells import Cell
from livesnn.snn.network import eval_mode
from livesnn.subprocesses import own_commit
from livesnn.train.baselines import Baseline, Measured, measure_baseline
from livesnn.train.batches import Loaders
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import Parts
from livesnn.train.datasets.registry import data_set
from livesnn.train.evaluate import Evaluation, evaluate
from livesnn.train.network import Network, build
from livesnn.train.run_folder import LAST, epochs_done, logged
from livesnn.train.trainer import time_steps, train

_COUNTED_LAYERS = (nn.Conv2d, nn.Conv3d, nn.Linear, nn.LSTM)
COUNTED = 20  # Clips whose synaptic operations are counted
TIMED = 3  # Training steps that are timed after a first one that isn't
FEW = 10
"""Clips of a step that is only timed. More of ConvLSTM's would need more memory than many machines have."""
FEW_MEASURED = 500  # Clips measured with the budget "small"


def run_each(chosen: Sequence[Cell], seeds: int | None, folders: Folders) -> Iterator[dict[str, object]]:
    """Run cells one by one and yield a line of each; raises DataError at the end if the data of one are missing."""
    check_writable(folders.out)
    failed = 0
    for number, cell in enumerate(chosen, 1):
        say(f"cell {number} of {len(chosen)}: {cell.method}:{cell.column}, budget {cell.budget}")
        try:
            record = run_cell(cell, folders, seeds)
        except DataError as error:
            if len(chosen) == 1:
                raise
            say(f"{cell.method}:{cell.column} isn't run: {error}")
            failed += 1
            continue
        yield {**cell._asdict(), "mean": record.mean, "sd": record.sd, "seeds": len(record.runs)}
    if failed:
        raise DataError(f"{failed} of {len(chosen)} cells were not run: the lines above say why")


def train_one(cell: Cell, folders: Folders, seed: int) -> Run:
    """Train with one seed, or resume that, and measure; raises TrainError or StoppedError."""
    config, commit = cell.config(seed, folders.data, folders.runs), own_commit()
    run = config.run
    resumed = (run / LAST).exists()
    begun_s = time.perf_counter()
    try:
        epochs_before = epochs_done(run / LAST) if resumed else 0
        trained = train(replace(config, resume=resumed))
    except StoppedError as error:
        raise StoppedError(f"{cell.name}: stopped; run the same command to resume it") from error
    except TrainError as error:
        advised = re.sub(r"(resume with its .*|choose another --name)", "give another --runs", str(error))
        again = f"delete {run} and run the same command again"
        raise TrainError(advised.replace("start again under another --name", again)) from error
    assert trained is not None  # only None in the helper processes of several devices
    wall_s = time.perf_counter() - begun_s
    net = trained.network
    clips = data_set(config.dataset).load_split(config.data, cell.data_column.split, net.card)
    if cell.budget == "small":
        clips = clips.shuffled(0).subset(np.arange(min(len(clips), FEW_MEASURED)))
    say(f"measuring {len(clips):,} clips")
    measured: Evaluation | Measured
    if isinstance(net, Baseline):
        measured = measure_baseline(net, clips)
    else:
        measured = evaluate(load_model(trained.folder, "onnx"), clips)
    chosen = np.unique(np.linspace(0, len(clips) - 1, COUNTED).astype(np.int64))
    some = torch.from_numpy(np.asarray(clips.frames[chosen])).to(next(net.parameters()).device)
    return Run(
        seed=seed,
        accuracy=measured.accuracy_reset,
        accuracy_carried=measured.accuracy_carried if isinstance(measured, Evaluation) else None,
        accuracy_recordings=None if cell.data_column.by_window else measured.accuracy_recordings,
        n=measured.n,
        recordings=measured.recordings,
        validation_accuracy=trained.validation.accuracy_reset,
        validation_n=trained.validation.n,
        confusion=measured.confusion_reset if isinstance(measured, Evaluation) else measured.confusion,
        density=measured.density if isinstance(measured, Evaluation) else None,
        synops=count_operations(net, some).synops,
        wall_s=wall_s,
        resumed_epochs=epochs_before,
        curve=training_curve(run),
        commit=commit,
    )


def run_cell(
    cell: Cell,
    folders: Folders,
    seeds: int | None = None,
    one: Callable[[Cell, Folders, int], Run] = train_one,
) -> Record:
    """Run the missing trainings of a cell and return its record. Each training is saved as it ends.

    The number of ``seeds`` is by default the cell's own. A cell that has more keeps them. ``one`` runs a training.
    Raises DataError if the data are missing or not those of the column, or the cell was begun with other flags;
    TrainError if a training failed or was stopped. The same call resumes it.
    """
    record = read_record(folders.out, cell)
    count = max(seeds or cell.seeds, len(record.runs) if record else 0)
    fresh = record is None
    if record is None:
        _check_data(cell, folders)
        record = _begin(cell, folders, count)
        write_record(folders.out, record)
    elif record.trainings[:1] != cell.trainings(1) and not record.out_of_reach and len(record.runs) < count:
        raise DataError(
            f"{cell.name} was begun with other flags: delete its file in {folders.out} and its run folders"
        )
    elif record.runs and record.trainings != cell.trainings(record.seeds):
        file = record_file(folders.out, cell)
        say(f"{cell.name} was trained with other flags and is kept: delete {file} to train it again")
    record = replace(record, seeds=count, command=cell.command(count), trainings=cell.trainings(count))
    missing = range(len(record.runs), 0 if record.out_of_reach else count)
    if missing and not fresh:
        _check_data(cell, folders)
    for seed in missing:
        record = record.with_run(one(cell, folders, seed))
        write_record(folders.out, record)
    return record


def _begin(cell: Cell, folders: Folders, seeds: int) -> Record:
    config = cell.config(0, folders.data, folders.runs)
    parts = data_set(config.dataset).load_parts(config)
    torch.manual_seed(config.seed)
    net = build(config, parts.training.classes)
    frames = torch.from_numpy(parts.validation.frames[:1])
    operations = count_operations(net, frames)
    return Record(
        **cell._asdict(),
        network=cell.row.network,
        dataset=config.dataset,
        split=cell.data_column.split,
        note=cell.data_column.note,
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
    config, column = cell.config(0, folders.data, folders.runs), cell.data_column
    data, source = config.data, data_set(config.dataset)
    if column.split == "test" and cell.budget != "small":
        for finding in source.check(data):
            if finding.state != "complete":
                raise DataError(
                    f"{column.label} is incomplete in {data} ({finding.what}): see livesnn data check "
                    f"{config.dataset} --data {data}"
                )
    if column.clips is None:
        return
    parts = source.load_parts(config)
    own = len(parts.training) + len(parts.validation)
    if own != column.clips:
        raise DataError(
            f"{column.label} has {column.clips} clips, but {data} has {own}: give a --data folder with only these"
        )


def _time_step(net: Network, config: Configuration, parts: Parts) -> StepTime:
    """Time training steps with data loading; this changes ``net``."""
    times_s = time_steps(net, config, parts, 1 + TIMED)
    batches = Loaders(parts, config).batches()
    return StepTime(statistics.median(times_s), batches.batch, len(batches), len(times_s))


def training_curve(run: Path) -> tuple[float | None, ...]:
    """Return the training accuracy of each epoch of a run folder; None where an interruption lost it."""
    found = logged(run, "accuracy")
    return tuple(found.get(epoch) for epoch in range(max(found, default=-1) + 1))


class Operations(NamedTuple):
    """Trainable parameters, and the mean number of operations of one clip of T frames.

    ``macs`` counts the multiply-accumulates of all convolutions, fully connected layers and LSTMs, with those of a
    padded border, as is usual. ``synops`` counts those of them whose input isn't zero, an LSTM's hidden state and an
    input picture included ("effective synaptic operations", NeuroBench, Yik et al. 2023). Norms fold away. Pools,
    biases and the neurons' own arithmetic aren't counted. `livesnn.infer.cost` counts each spike's synapses
    instead, through the pools.
    """

    parameters: int
    macs: float
    synops: float


def count_operations(net: Network, frames: Tensor) -> Operations:
    """Count on clips uint8 [B, T, C, H, W], each from zero state."""
    counts: list[tuple[int, float]] = []

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        counts.append(_layer_operations(layer, inputs[0], output))

    layers = [layer for layer in net.modules() if isinstance(layer, _COUNTED_LAYERS)]
    handles = [layer.register_forward_hook(add) for layer in layers]
    with eval_mode(net), torch.no_grad():
        net.forward_rates(frames.transpose(0, 1), net.initial_state(len(frames)))
    for handle in handles:
        handle.remove()
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    macs, synops = (sum(each) / len(frames) for each in zip(*counts, strict=True))
    return Operations(parameters, macs, synops)


def _layer_operations(layer: nn.Module, x: Tensor, output: object) -> tuple[int, float]:
    if isinstance(layer, nn.LSTM):
        return _lstm_operations(layer, x, output)
    assert isinstance(output, Tensor)
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features, float(x.count_nonzero()) * layer.out_features
    assert isinstance(layer, nn.Conv2d | nn.Conv3d)
    convolve: Callable[..., Tensor] = F.conv2d if isinstance(layer, nn.Conv2d) else F.conv3d
    active = (x != 0).sum(1, keepdim=True).float()
    ones = torch.ones(1, 1, *layer.kernel_size, device=x.device)
    taps = convolve(active, ones, None, layer.stride, layer.padding).sum(dtype=torch.float64)
    assert layer.groups == 1
    return output.numel() * layer.weight[0].numel(), float(taps) * layer.out_channels


def _lstm_operations(layer: nn.LSTM, x: Tensor, output: object) -> tuple[int, float]:
    """Count one LSTM layer, time first: input and hidden state are multiplied by the weights of four gates."""
    assert isinstance(output, tuple)
    assert (layer.num_layers, layer.bidirectional, layer.batch_first) == (1, False, False)
    hidden: Tensor = output[0]
    gates = 4 * layer.hidden_size
    steps = x.shape[0] * x.shape[1]
    active = x.count_nonzero() + hidden[:-1].count_nonzero()  # the first step has no hidden state
    return steps * (layer.input_size + layer.hidden_size) * gates, float(active) * gates
