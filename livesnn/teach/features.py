"""What the read-out of a network is given, a window at a time. Not here: the network, what a row makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.events.slicer import Frame
from livesnn.infer.model import Model, State
from livesnn.teach import tapped_layers
from livesnn.teach.clips import Clip

FloatArray = npt.NDArray[np.float32]


def window_features(model: Model, clip: Clip) -> FloatArray:
    """Return float32 [N, F + 1] of a clip's N whole windows, the state carried through it from zero.

    The output layer's membrane is U_t = α U_{t-1} + W s_t + b (SPEC, Eq. 1), s_t being the pooled spikes of blocks 3
    and 4; so the window's mean output of a class is its row of [W | b] times the mean of x_t = α x_{t-1} + [s_t, 1].
    """
    card, state = model.card, model.initial_state()
    alpha, window = np.float32(card.neuron.alpha), card.input.window
    x, features = np.zeros(1, np.float32), []
    for data in clip[: len(clip) // window * window]:
        _, state = model.step(Frame(0, data, 0), state)
        x = alpha * x + np.append(_pooled_spikes(card, state), np.float32(1))
        features.append(x)
    if not features:
        return np.zeros((0, 0), np.float32)
    return np.array(features, np.float32).reshape(-1, window, len(features[0])).mean(1)


def _pooled_spikes(card: ModelCard, state: State) -> FloatArray:
    """Return float32 [F]: the share of spikes in each cell of the last pools, as `STSResNet` concatenates them."""
    size, names = card.network.final_pool, list(card.states)
    parts = []
    for layer in tapped_layers(card):
        spikes = np.asarray(state[names.index(layer)]) >= np.float32(card.neuron.threshold)
        channels, rows, columns = len(spikes), spikes.shape[1] // size, spikes.shape[2] // size
        cells = spikes[:, : rows * size, : columns * size].reshape(channels, rows, size, columns, size)
        parts.append(cells.mean((2, 4), dtype=np.float32).ravel())
    return np.concatenate(parts)


def joined(parts: Sequence[FloatArray]) -> FloatArray:
    """Return the windows of all parts, of which some may have none."""
    return np.concatenate([part for part in parts if len(part)] or [np.zeros((0, 0), np.float32)])
