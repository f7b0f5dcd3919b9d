"""A training's folder: claimed by one process, with its configuration, and resumed from its last epoch."""

from __future__ import annotations

import csv
import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from filelock import FileLock, Timeout
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from livesnn.errors import TrainError
from livesnn.train.configuration import NETWORKS, OF_MODEL, TrainConfig, as_flags
from livesnn.train.datasets import Parts, Samples
from livesnn.train.datasets.clips import Clips
from livesnn.train.processes import shares_another

_DAMAGED = (OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError)
CONFIG_FILE, LAST, BEST, LOCK = "config.json", "last.ckpt", "best.ckpt", "lock"
CLIPS_FILE, CLIPS_AT_ONCE = "clips.blake2b", 256


def check_run_folder(config: TrainConfig) -> None:
    """Raise TrainError when the run folder can't be begun or resumed, before anything is read; see `run_folder`."""
    run = config.out / config.run_name
    if shares_another():
        return
    if config.resume:
        _resumed(run, config)
    else:
        _refuse_taken(run)


def as_begun(config: TrainConfig) -> TrainConfig:
    """Return a training that is resumed as it was begun in what it isn't told: precision, analog epochs, network."""
    record = config.out / config.run_name / CONFIG_FILE
    if not config.resume or not record.exists():
        return config
    kept = _recorded(record)
    precision = kept.get("precision", "auto") if config.precision == "auto" else config.precision
    begun = config.analog_epochs is None and NETWORKS[config.network].spiking
    analog = kept.get("analog_epochs") if begun else config.analog_epochs
    config = replace(config, precision=precision, analog_epochs=analog)
    if config.init is None:
        return config
    recorded = recorded_config(record.parent)
    return replace(config, **{name: getattr(recorded, name) for name in OF_MODEL})


@contextmanager
def run_folder(config: TrainConfig) -> Iterator[tuple[Path, Path | None]]:
    """Claim the run folder; yield it, and the checkpoint to resume from (None: a fresh run).

    Raises
    ------
    TrainError
        It holds another training or one that runs, there is nothing to resume, or what there is is damaged; also
        when anything can't be written there while the folder is held.
    """
    run = config.out / config.run_name
    if shares_another():
        yield run, run / LAST if config.resume else None
        return
    try:
        check_run_folder(config)
        run.mkdir(parents=True, exist_ok=True)
        with _lock(run / LOCK):
            resume_from = _resumed(run, config) if config.resume else None
            if resume_from is None:
                _refuse_taken(run)
                (run / CONFIG_FILE).write_bytes(_as_json(config))
            yield run, resume_from
    except OSError as error:
        raise TrainError(
            f"{error.filename or run}: {error.strerror or error}: check the folder, its permissions and the space"
        ) from error


def keep_clips(run: Path, parts: Parts, *, resumed: bool = False) -> None:
    """Record which clips a training has; raises TrainError when it is resumed and they are others."""
    if shares_another():
        return
    digest = _digest(parts.training, parts.validation)
    record = run / CLIPS_FILE
    if resumed and record.exists() and record.read_bytes() != digest.encode():
        raise TrainError(
            f"{run} was begun with other recordings or frames: put them back as they were, or start again under "
            "another --name"
        )
    record.write_text(digest)


def _digest(*parts: Samples) -> str:
    """Return what differs wherever a label or a clip does; of clips that are made anew in every epoch the labels."""
    digest = hashlib.blake2b()
    for samples in parts:
        digest.update(samples.labels.tobytes())
        if isinstance(samples, Clips):
            digest.update(repr((samples.names, samples.frames.shape)).encode())
            for first in range(0, len(samples), CLIPS_AT_ONCE):
                digest.update(np.ascontiguousarray(samples.frames[first : first + CLIPS_AT_ONCE]).data)
    return digest.hexdigest()


def _refuse_taken(run: Path) -> None:
    if (run / LAST).exists():
        raise TrainError(f"{run} holds a training already: add --resume to go on, or choose another --name")


def _resumed(run: Path, config: TrainConfig) -> Path:
    last, record = run / LAST, run / CONFIG_FILE
    if not last.exists():
        raise TrainError(f"nothing to resume in {run}: it has no {LAST}; leave --resume out")
    kept = _recorded(record)
    # What an older version had no option for, it did as is usual.
    usual = msgspec.to_builtins(TrainConfig(), enc_hook=str)
    if kept.get("teacher") and config.teacher and Path(kept["teacher"]).resolve() == config.teacher.resolve():
        kept["teacher"] = str(config.teacher)
    now, then = as_flags(vars(replace(config, resume=False))), as_flags(usual | kept)
    if other := sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name)):
        flags = ", ".join(then.get(name, f"default (leave {name} out)") for name in other)
        longer = config.epochs > int(kept.get("epochs", config.epochs)) and (run / "model").exists()
        more = f"; to train it for longer begin another: --init {run} --name NEW" if longer else ""
        raise TrainError(f"{record} is of another configuration: resume with its {flags}{more}")
    done = kept_epochs(last)
    for needed in [kept_epoch(run, epoch) for epoch in config.averaged if epoch <= done] or [run / BEST]:
        load_checkpoint(needed)  # else hours of training would end with this error
    return last


def has_clips(run: Path, parts: Parts) -> bool:
    """Whether a training had these clips, to train on and for validation; raises TrainError if it doesn't say."""
    record = run / CLIPS_FILE
    if not record.exists():
        raise TrainError("it doesn't say which clips it was trained on: train it again")
    return record.read_bytes() == _digest(parts.training, parts.validation).encode()


def recorded_config(run: Path) -> TrainConfig:
    """Return the configuration that a training was begun with; raises TrainError where there is none."""
    try:
        kept = _recorded(run / CONFIG_FILE)
        return msgspec.convert(kept, TrainConfig, dec_hook=lambda kind, value: kind(value))
    except OSError as error:
        raise TrainError(f"it is no run folder, with {CONFIG_FILE}, {BEST} and {LAST}") from error
    except msgspec.ValidationError as error:
        raise TrainError(f"its {CONFIG_FILE} is of another version: {error}") from error


def _recorded(record: Path) -> dict[str, Any]:
    try:
        kept = msgspec.json.decode(record.read_bytes(), type=dict[str, Any])
        if "class_weights" in kept:  # what --balance was called until 2026-11
            kept["balance"] = "weights" if kept.pop("class_weights") else "none"
        if kept.pop("average_with", None):  # an option until 2026-11
            raise TrainError(
                f"{record} has --average-with, which is no more: start again under another --name"
            )
        if kept.get("analog_ceiling", 0) is None:  # infinity has no number in JSON
            kept["analog_ceiling"] = inf
        return kept
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TrainError(f"{record} is damaged ({error}): start again under another --name") from error


def kept_epoch(run: Path, epoch: int) -> Path:
    """Return where the weights of an epoch, from 1, are kept by themselves."""
    return run / f"epoch-{epoch}.ckpt"


def load_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Return a checkpoint's weights by name, without pickled code; raises TrainError when it is damaged."""
    weights: dict[str, torch.Tensor] = _checkpoint(path)["state_dict"]
    return weights


def load_best(net: torch.nn.Module, run: Path) -> None:
    """Give a network the weights of a run's best epoch; raises TrainError when they are damaged."""
    load_weights_of_run(net, load_checkpoint(run / BEST), run / BEST)


def load_weights_of_run(net: torch.nn.Module, weights: dict[str, torch.Tensor], where: Path) -> None:
    """Give a network a checkpoint's weights; raises TrainError when they are of another, naming where they lie."""
    try:
        net.load_state_dict({name.removeprefix("net."): tensor for name, tensor in weights.items()})
    except RuntimeError as error:  # its lines name the tensors
        raise TrainError(f"{where} is of another network: start again under another --name") from error


def kept_epochs(path: Path) -> int:
    """Return how many epochs a checkpoint to go on from has behind it; raises TrainError when it is damaged."""
    return int(_checkpoint(path, "optimizer_states")["epoch"]) + 1


def logged(run: Path, column: str) -> dict[int, float]:
    """Return what a run has logged in a column, by epoch; what was repeated after a stop counts once.

    A process that is killed between keeping an epoch and logging it leaves a gap, and maybe a torn line.
    """
    found: dict[int, float] = {}
    logs = run.glob("log/version_*/metrics.csv")  # one a start
    for log in sorted(logs, key=lambda path: int(path.parent.name.partition("_")[2])):
        with log.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                with suppress(KeyError, TypeError, ValueError):
                    found[int(row["epoch"])] = float(row[column])
    return dict(sorted(found.items()))


def _checkpoint(path: Path, *more: str) -> dict[str, Any]:
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        for needed in ("state_dict", "epoch", "pytorch-lightning_version", *more):
            checkpoint[needed]
    except _DAMAGED as error:
        raise TrainError(
            f"{path} is damaged or not a checkpoint: start again under another --name"
        ) from error
    return checkpoint


def _as_json(config: TrainConfig) -> bytes:
    return msgspec.json.format(msgspec.json.encode(replace(config, resume=False), enc_hook=str), indent=2)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a file, at most until this process ends, however it does."""
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise TrainError(
            f"{path.parent} is in use by another training: wait, or choose another --name"
        ) from error
    try:
        yield
    finally:
        lock.release()


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, within its folder.

    Lightning's own writes to /tmp and moves: where that is another file system, a full disk or a killed process left
    a torn file in place of the best epoch (Lightning 2.6).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it; raises OSError."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        with new.open("wb") as file:  # torch's own errors name no file
            torch.save(checkpoint, file)
        new.replace(path)
