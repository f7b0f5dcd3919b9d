"""Synaptic operations a frame, from the card and the density: one addition a spike and a synapse it reaches.

NeuroBench's "effective ACs" (Yik et al. 2023); the first layer's multiplications on event counts are not in it.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard


def synops(density: npt.NDArray[np.float32], card: ModelCard) -> float:
    """Return the synaptic operations of one frame for a density [layers] in the order of `ModelCard.states`."""
    spikes = [share * prod(shape) for share, shape in zip(density, card.states.values(), strict=True)]
    return float(sum(n * reach for n, reach in zip(spikes, fan_out(card), strict=False)))


def fan_out(card: ModelCard) -> list[float]:
    """Return the mean number of synapses a spike of each hidden layer reaches, borders taken into account.

    Average pools belong to the layer that reads them: a spike behind a pool reaches what its pooled pixel does.
    An identity skip is one synapse.
    """
    shapes = list(card.states.values())
    classes = float(len(card.classes))
    if card.network.kind == "conv_snn":
        return [_conv((shapes[0][0], *shapes[1][1:]), shapes[1], 3), float(shapes[2][0]), classes]
    reach = []
    hidden = shapes[:-1]
    block_ends = 2 * np.cumsum(card.network.sub_blocks)  # index of each block's last layer; the stem is 0
    for i, shape in enumerate(hidden):
        following = hidden[i + 1 : i + 3]
        pool = card.network.stem_pool_stride if i == 0 else 1
        pooled = (shape[0], *(-(-size // pool) for size in shape[1:]))
        total = 0.0
        if following:
            total += _conv(pooled, following[0], 3)
        if i % 2 == 0 and following:  # the sub-block's skip, which ends two layers on
            total += 1.0 if following[1] == pooled else _conv(pooled, following[1], 1)
        if i in block_ends[-2:]:
            total += classes
        reach.append(total)
    return reach


def _conv(source: tuple[int, ...], target: tuple[int, ...], kernel: int) -> float:
    """Return the mean fan-out of a "same"-padded convolution from [C, H, W] to [C', H', W']."""
    taps = 1
    for size, out in zip(source[1:], target[1:], strict=True):
        stride = -(-size // out)
        centres = np.arange(out)[:, None] * stride + np.arange(kernel) - kernel // 2
        taps *= int(np.count_nonzero((centres >= 0) & (centres < size)))
    return target[0] * taps / prod(source[1:])
