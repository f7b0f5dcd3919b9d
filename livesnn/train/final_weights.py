"""The weights of a finished training: those of its best epoch, or the mean of its last ones.

Source of the mean: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization".
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
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import Samples
from livesnn.train.network import Network
from livesnn.train.norms import MeasuredNorms
from livesnn.train.run_folder import BEST, epoch_file, load_checkpoint, load_weights_of_run


class LastEpochs(Callback):
    """Keeps the weights of each of the last epochs in the run folder, as epoch-N.ckpt."""

    def __init__(self, run: Path, epochs: range) -> None:
        self._run, self._epochs = run, epochs

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep this epoch's weights before the checkpoint is written that a training resumes from."""
        epoch = trainer.current_epoch + 1
        if epoch in self._epochs:
            # Logged values are summed over all processes when they are first asked for. Where only the first process
            # shows progress, it asked while the others waited for it at the checkpoint (Lightning 2.6).
            _ = trainer.callback_metrics
            trainer.save_checkpoint(epoch_file(self._run, epoch), weights_only=True)


def load_final(net: Network, run: Path, config: Configuration, training: Samples) -> None:
    """Load the final weights of a finished training into a network on the processor; it can't be trained further.

    Batch norms of mean weights are measured on some clips of ``training``. Raises TrainError if a checkpoint is
    missing, damaged or of another network.
    """
    if isinstance(net, SpikingNetwork):
        net.analog, net.kernels = False, EAGER  # compiled ones may be for another device
    kept = [epoch_file(run, epoch) for epoch in config.averaged] or [run / BEST]
    load_weights_of_run(net, mean_of(kept), kept[-1])
    if config.averaged and not config.freeze:
        norms = MeasuredNorms(training, config.seed, config.zero_share)
        norms.measure(net, config.epochs - 1, torch.device("cpu"))


def mean_of(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean weights of checkpoints by name; of integers, which count batches, the last one's.

    Raises TrainError if a checkpoint is missing, damaged, or of another network than the first.
    """
    mean = load_checkpoint(checkpoints[0])
    for number, path in enumerate(checkpoints[1:], 2):
        try:
            for name, tensor in load_checkpoint(path).items():
                part = (tensor - mean[name]) / number if tensor.is_floating_point() else tensor - mean[name]
                mean[name] = mean[name] + part
        except (KeyError, RuntimeError) as error:  # other names or shapes
            raise TrainError(f"{path} belongs to another network: start again under another --name") from error
    return mean
