"""A training's folder: one process claims it, keeps checkpoints and a log in it, and resumes from its last epoch."""

from __future__ import annotations

import csv
import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from filelock import FileLock, Timeout
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from livesnn.errors import TrainError, reason_of
from livesnn.files import replacing
from livesnn.subprocesses import shares_another
from livesnn.train.configuration import Configuration, as_flags
from livesnn.train.datasets.clips import Clips, Parts, Samples
from livesnn.train.resolve import CONFIG_FILE, as_record, read_record

LAST, BEST, LOCK, CLIPS_FILE = "last.ckpt", "best.ckpt", "lock", "clips.blake2b"
CLIPS_AT_ONCE = 256
_DAMAGED = (OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError)


def check_run_folder(config: Configuration) -> Path | None:
    """Return the checkpoint to resume from, None for a fresh run; raises TrainError as `run_folder` does."""
    last = config.run / LAST
    if shares_another():
        return last if config.resume else None
    if config.resume:
        _check_resumed(config)
        return last
    if last.exists():
        raise TrainError(f"{config.run} holds a training already: add --resume to go on, or choose another --name")
    return None


@contextmanager
def run_folder(config: Configuration) -> Iterator[tuple[Path, Path | None]]:
    """Claim the run folder; yield it and the checkpoint to resume from, None for a fresh run.

    Raises TrainError if the folder holds another training or one that is running, there is nothing to resume, or the
    checkpoint is damaged; also when something can't be written there while the folder is held.
    """
    run = config.run
    if shares_another():
        yield run, check_run_folder(config)
        return
    try:
        check_run_folder(config)  # before the folder is made
        run.mkdir(parents=True, exist_ok=True)
        with FileLock(run / LOCK, timeout=0):  # at most until this process ends, however it does
            resume_from = check_run_folder(config)
            if resume_from is None:
                (run / CONFIG_FILE).write_bytes(as_record(config))
            yield run, resume_from
    except Timeout as error:
        raise TrainError(f"{run} is in use by another training: wait, or choose another --name") from error
    except OSError as error:
        raise TrainError(
            f"{error.filename or run}: {reason_of(error)}: check the folder, its permissions and free space"
        ) from error


def record_clips(run: Path, parts: Parts, *, resumed: bool = False) -> None:
    """Record which clips a training uses; raises TrainError if a resumed training would use others."""
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
    """Return a digest of the labels and the clips; only of the labels where clips are made anew in every epoch."""
    digest = hashlib.blake2b()
    for samples in parts:
        digest.update(samples.labels.tobytes())
        if isinstance(samples, Clips):
            digest.update(repr((samples.names, samples.frames.shape)).encode())
            for first in range(0, len(samples), CLIPS_AT_ONCE):
                digest.update(np.ascontiguousarray(samples.frames[first : first + CLIPS_AT_ONCE]).data)
    return digest.hexdigest()


def _check_resumed(config: Configuration) -> None:
    run = config.run
    last, record = run / LAST, run / CONFIG_FILE
    if not last.is_file():
        raise TrainError(f"nothing to resume in {run}: it has no {LAST}; leave --resume out")
    recorded = read_record(record)
    for name in ("data", "out", "mnist", "init"):  # however the same path is written now
        theirs, ours = recorded.get(name), getattr(config, name)
        if theirs and ours and Path(theirs).resolve() == ours.resolve():
            recorded[name] = str(ours)
    # An option that an older version didn't have had the value that is now the default.
    usual = msgspec.to_builtins(Configuration(), enc_hook=str)
    now = as_flags(vars(replace(config, resume=False)))
    then = as_flags({name: recorded.get(name, value) for name, value in usual.items()})  # not what is gone
    if other := sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name)):
        flags = ", ".join(then.get(name, f"default (leave {name} out)") for name in other)
        longer = config.epochs > int(recorded.get("epochs", config.epochs)) and (run / "model").exists()
        more = f"; to train it for longer begin another: --init {run} --name NEW" if longer else ""
        raise TrainError(f"{record} has other flags: resume with its {flags}{more}")
    done = epochs_done(last)
    for needed in [epoch_file(run, epoch) for epoch in config.averaged if epoch <= done] or [run / BEST]:
        load_checkpoint(needed)  # else hours of training would end with this error


def epoch_file(run: Path, epoch: int) -> Path:
    """Return the file of one epoch's weights; epochs count from 1."""
    return run / f"epoch-{epoch}.ckpt"


def epochs_done(path: Path) -> int:
    """Return how many epochs a checkpoint to resume from has behind it; raises TrainError if it is damaged."""
    return int(_checkpoint(path, "optimizer_states")["epoch"]) + 1


def load_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Return a checkpoint's weights by name, without pickled code; raises TrainError if it is damaged."""
    return _checkpoint(path)["state_dict"]


def load_weights_of_run(net: torch.nn.Module, weights: dict[str, torch.Tensor], where: Path) -> None:
    """Load a checkpoint's weights into a network; raises TrainError, naming the file, if they don't fit."""
    try:
        net.load_state_dict({name.removeprefix("net."): tensor for name, tensor in weights.items()})
    except RuntimeError as error:  # its lines name the tensors
        raise TrainError(f"{where} belongs to another network: start again under another --name") from error


def _checkpoint(path: Path, *more: str) -> dict[str, Any]:
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        for needed in ("state_dict", "epoch", "pytorch-lightning_version", *more):
            checkpoint[needed]
    except _DAMAGED as error:
        raise TrainError(f"{path} is damaged or not a checkpoint: start again under another --name") from error
    return checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, within its folder.

    Lightning (2.6) writes to /tmp and then moves the file. Where /tmp is another file system, a full disk or a killed
    process left a torn file in place of the best epoch.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as new, new.open("wb") as file:  # torch's own errors name no file
            torch.save(checkpoint, file)


def logged(run: Path, column: str) -> dict[int, float]:
    """Return the logged values of a column by epoch; of an epoch that was repeated after a stop, the last.

    A process that is killed between keeping an epoch and logging it leaves a gap, and maybe a torn line.
    """
    found: dict[int, float] = {}
    logs = {log.parent.name.removeprefix("version_"): log for log in run.glob("log/version_*/metrics.csv")}
    for number in sorted(filter(str.isdecimal, logs), key=int):  # one for each start, but no copies by hand
        log = logs[number]
        with log.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                with suppress(KeyError, TypeError, ValueError):
                    found[int(row["epoch"])] = float(row[column])
    return dict(sorted(found.items()))
