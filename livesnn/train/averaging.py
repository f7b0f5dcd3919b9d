"""The mean of the weights of a training's last epochs, which makes its model in place of the best of them.

Source: stochastic weight averaging (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima").
"""

from __future__ import annotations

from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from livesnn.train.build import Network
from livesnn.train.run_folder import load_checkpoint, load_weights_of_run


class KeepLastEpochs(Callback):
    """Keeps the weights of each of the last epochs in the run folder, as epoch-N.ckpt."""

    def __init__(self, run: Path, epochs: range) -> None:
        self._run, self._epochs = run, epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep this epoch's, before the checkpoint is written that a training goes on from."""
        epoch = trainer.current_epoch + 1
        if epoch in self._epochs:
            trainer.save_checkpoint(kept_epoch(self._run, epoch))


def kept_epoch(run: Path, epoch: int) -> Path:
    """Return where an epoch, from 1, is kept."""
    return run / f"epoch-{epoch}.ckpt"


def load_mean(net: Network, run: Path, epochs: range) -> None:
    """Give a network the mean weights of these epochs; its batch norms' statistics are to be measured anew.

    Raises
    ------
    TrainError
        One of them is missing, damaged or of another network.
    """
    kept = [kept_epoch(run, epoch) for epoch in epochs]
    load_weights_of_run(net, mean([load_checkpoint(path) for path in kept]), kept[-1])


def mean(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of tensors of the same names and shapes; of whole numbers, which count batches, the last."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if last.is_floating_point() else last
        for name, last in states[-1].items()
    }
