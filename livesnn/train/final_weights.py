"""Batch-norm statistics, measured on unaugmented clips; and the weights of a finished training.

The weights are those of its best epoch, or the mean of its last ones. Sources: Wu & Johnson 2021, "Rethinking Batch
in BatchNorm"; Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from livesnn.errors import TrainError
from livesnn.snn import SpikingNetwork
from livesnn.snn.lif import EAGER
from livesnn.snn.network import State, eval_mode
from livesnn.train.batches import AT_ONCE
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import Samples
from livesnn.train.network import Network
from livesnn.train.run_folder import BEST, epoch_file, load_checkpoint, load_weights_of_run

MEASURED_CLIPS = 500  # Largest number of training clips on which batch norms are measured


class MeasuredNorms(Callback):
    """Measures the mean and variance of every batch norm on unaugmented training clips, before each validation.

    Training only leaves moving averages over its last batches. These are of augmented clips, of weights that still
    moved, and of few clips if batches are small.
    """

    def __init__(self, samples: Samples, seed: int, from_zero: float) -> None:
        random = np.random.default_rng([*b"norms", seed])
        self._samples, self._from_zero = samples, from_zero
        self._chosen = random.permutation(len(samples))[:MEASURED_CLIPS]

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        net = pl_module.net
        assert isinstance(net, Network)
        self.measure(net, trainer.current_epoch, pl_module.device)

    def measure(self, net: Network, epoch: int, device: torch.device) -> None:
        """Measure in float32, as the exported model runs; ``epoch`` matters to clips that are made anew in each."""
        parts = np.array_split(self._chosen, -(-len(self._chosen) // AT_ONCE))
        clips = [torch.from_numpy(self._samples.take(part, epoch)[0]).to(device) for part in parts]
        with torch.autocast(device.type, enabled=False):
            measure_norms(net, clips, self._from_zero)


@torch.no_grad()
def measure_norms(net: Network, clips: list[Tensor], from_zero: float) -> None:
    """Set the running statistics of the batch norms of ``net`` to those of clips uint8 [B, T, C, H, W].

    In every part a share ``from_zero`` of the clips starts from zero state, the rest from the state that the part
    before left; the first part starts from zero. All layers are measured at once: each on what the layer before lets
    through with the batch's own statistics.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)]
    if not norms:
        return
    with eval_mode(net):
        state = net.initial_state(len(clips[0]))
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # an average over all batches
            norm.train()
        for some in clips:
            carried = torch.arange(len(some), device=some.device) >= from_zero * len(some)
            state = only(tuple(u[: len(some)] for u in state), carried)
            for window in some.split(net.card.input.window, dim=1):
                _, state = net(window.transpose(0, 1), state)
    for norm in norms:
        norm.momentum = 0.1


def only(state: State, chosen: Tensor) -> State:
    """Return the state with zeros where ``chosen`` bool [B] is false."""
    return tuple(u * chosen.to(u).view(-1, *[1] * (u.ndim - 1)) for u in state)


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
