"""Batch-norm statistics as a stream has them, measured before each validation ("precise BN", Wu & Johnson 2021)."""

from __future__ import annotations

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from livesnn.snn.network import eval_mode
from livesnn.train.build import Network
from livesnn.train.datasets import Samples
from livesnn.train.loading import AT_ONCE

CLIPS = 500
"""Training clips that are measured, at most."""


class MeasuredNorms(Callback):
    """Gives every batch norm the mean and variance of its currents on training clips as they are, not augmented.

    A training leaves moving averages over its last batches: of augmented clips, of weights that still moved, and of
    few clips where batches are small.
    """

    def __init__(self, samples: Samples, seed: int, from_zero: float) -> None:
        random = np.random.default_rng([*b"norms", seed])
        self._samples, self._from_zero = samples, from_zero
        self._chosen = random.permutation(len(samples))[:CLIPS]

    def on_validation_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Measure before each validation."""
        net = pl_module.net
        assert isinstance(net, Network)
        self.measure(net, trainer.current_epoch, pl_module.device)

    def measure(self, net: Network, epoch: int, device: torch.device) -> None:
        """Measure, in float32, as the exported model runs; ``epoch``: of clips that are made anew in each."""
        parts = np.array_split(self._chosen, -(-len(self._chosen) // AT_ONCE))
        clips = [torch.from_numpy(self._samples.take(part, epoch)).to(device) for part in parts]
        with torch.autocast(device.type, enabled=False):
            measure_norms(net, clips, self._from_zero)


@torch.no_grad()
def measure_norms(net: Network, clips: list[Tensor], from_zero: float) -> None:
    """Set the running statistics of ``net``'s batch norms to those of clips uint8 [B, T, C, H, W].

    A share ``from_zero`` of the clips starts from zero state, the rest from that of the clips before, the first part
    of them all from zero. All the layers
    are measured at once: each on what the batch's own statistics let through of the layer before.
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
            state = tuple(u[: len(some)] * carried.to(u).view(-1, *[1] * (u.ndim - 1)) for u in state)
            _, state = net(some.transpose(0, 1), state)
    for norm in norms:
        norm.momentum = 0.1
