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
from livesnn.train.datasets import Samples
from livesnn.train.norms import MeasuredNorms
from livesnn.train.run_folder import (
    kept_epoch,
    load_best,
    load_checkpoint,
    load_weights_of_run,
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
    kept = [kept_epoch(run, epoch) for epoch in config.averaged]
    if not kept:
        load_best(net, run)
        return
    load_weights_of_run(net, mean_of(kept), kept[-1])
    norms = MeasuredNorms(training, config.seed, config.zero_share)
    norms.measure(net, config.epochs - 1, torch.device("cpu"))


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
