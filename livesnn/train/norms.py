"""Batch-norm statistics, measured on unaugmented clips (Wu & Johnson 2021, "Rethinking Batch in BatchNorm")."""

from __future__ import annotations

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from livesnn.snn.network import State, eval_mode
from livesnn.train.batches import AT_ONCE
from livesnn.train.datasets.clips import Samples
from livesnn.train.network import Network

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
