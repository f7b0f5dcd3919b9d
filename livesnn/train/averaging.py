"""Which weights a finished training gives: of its best epoch, or the mean of its last ones.

Source: stochastic weight averaging (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from livesnn.errors import TrainError
from livesnn.snn import SpikingNetwork
from livesnn.snn.lif import EAGER
from livesnn.train.build import Network
from livesnn.train.config import TrainConfig
from livesnn.train.datasets import Parts, Samples
from livesnn.train.flags import flag
from livesnn.train.norms import MeasuredNorms
from livesnn.train.run_folder import (
    LAST,
    has_clips,
    kept_epoch,
    kept_epochs,
    load_best,
    load_checkpoint,
    load_weights_of_run,
    recorded_config,
)


class KeepLastEpochs(Callback):
    """Keeps the weights of each of the last epochs in the run folder, as epoch-N.ckpt."""

    def __init__(self, run: Path, epochs: range) -> None:
        self._run, self._epochs = run, epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep this epoch's, before the checkpoint is written that a training goes on from."""
        epoch = trainer.current_epoch + 1
        if epoch in self._epochs:
            # What is logged is added up by all processes together, when it is first asked for: by the first one alone
            # where that shows progress, while the others waited for it at the checkpoint (Lightning 2.6).
            _ = trainer.callback_metrics
            trainer.save_checkpoint(kept_epoch(self._run, epoch), weights_only=True)


def load_final(net: Network, run: Path, config: TrainConfig, training: Samples) -> None:
    """Give a network, on the processor, the weights that a finished training's has; it isn't trained any more.

    Parameters
    ----------
    training
        The clips it was trained on: batch norms of a mean of weights are measured anew, on some of them.

    Raises
    ------
    TrainError
        A checkpoint is missing, damaged or of another network.
    """
    if isinstance(net, SpikingNetwork):
        net.analog, net.kernels = False, EAGER  # compiled ones may be of another device
    kept = _kept(run, config)
    if not kept:
        load_best(net, run)
        return
    load_weights_of_run(net, mean_of(kept), kept[-1])
    norms = MeasuredNorms(training, config.seed, config.zero_share)
    norms.measure(net, config.epochs - 1, torch.device("cpu"))


ALIKE = ("dataset", "network", "width", "widths", "strides", "sub_blocks", "init")
"""What trainings have in common of whose weights a mean is taken: of other starts it is worth nothing."""


def check_others(config: TrainConfig) -> None:
    """Raise TrainError where the mean can't be of other trainings too, before this one begins."""
    others = [other.resolve() for other in config.average_with]
    if others and not config.averaged:
        raise TrainError("--average-with is of --average-epochs: give 2 or more, or leave it out")
    if len(set(others)) < len(others):
        raise TrainError("--average-with has one run folder twice: give each once")
    for other in config.average_with:
        try:
            _check_other(other, config)
        except TrainError as error:
            reason = str(error).replace("start again under another --name", "give another")
            raise TrainError(f"--average-with {other}: {reason}") from error


def check_same_clips(config: TrainConfig, parts: Parts) -> None:
    """Raise TrainError where another training had other clips: validation's, maybe."""
    for other in config.average_with:
        if not has_clips(other, parts):
            raise TrainError(
                f"--average-with {other}: it was trained on other clips, maybe some of this one's validation: give "
                "one of the same --data, --validation and, where that draws them, --seed"
            )


def _check_other(other: Path, config: TrainConfig) -> None:
    if not (other / LAST).is_file():
        raise TrainError("there is no training: give its run folder")
    theirs = recorded_config(other)
    if kept_epochs(other / LAST) < theirs.epochs or not theirs.averaged:
        raise TrainError("it isn't finished, or was trained without --average-epochs: train it so")
    if differing := [name for name in ALIKE if getattr(theirs, name) != getattr(config, name)]:
        raise TrainError(f"it was trained with another {flag(differing[0])}: give one that is alike in that")
    for kept in _kept_by(other):
        load_checkpoint(kept)


def seeds_of(config: TrainConfig) -> tuple[int, ...]:
    """Return the seeds of the trainings that a model's weights are from."""
    return (config.seed, *(recorded_config(other).seed for other in config.average_with))


def _kept(run: Path, config: TrainConfig) -> list[Path]:
    """Return the checkpoints that a model's weights are the mean of, of a run and the others; none: its best one."""
    own = [kept_epoch(run, epoch) for epoch in config.averaged]
    return [*(path for other in config.average_with for path in _kept_by(other)), *own]


def _kept_by(run: Path) -> list[Path]:
    return [kept_epoch(run, epoch) for epoch in recorded_config(run).averaged]


def mean_of(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean weights of checkpoints by name; of whole numbers, which count batches, the last ones.

    Raises
    ------
    TrainError
        One is missing, damaged, or of another network than the first.
    """
    mean = load_checkpoint(checkpoints[0])
    for number, path in enumerate(checkpoints[1:], 2):
        try:
            for name, tensor in load_checkpoint(path).items():
                part = (tensor - mean[name]) / number if tensor.is_floating_point() else tensor - mean[name]
                mean[name] = mean[name] + part
        except (KeyError, RuntimeError) as error:  # other names or shapes
            raise TrainError(f"{path} is of another network: start again under another --name") from error
    return mean
