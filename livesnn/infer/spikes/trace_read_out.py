"""What follows the current of a read-out of traces (`livesnn.snn.sts_resnet.TraceReadOut`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from livesnn.card import ModelCard
from livesnn.infer.spikes.plan import FloatArray
from livesnn.weights import Weights, dense_layers

EPSILON = np.float32(1e-5)  # of torch's layer norm


class Dense(NamedTuple):
    """What follows the current of a read-out of traces, with M members, K decays and widths D and H; all float32."""

    alphas: FloatArray  # [K]: the decays
    mix: FloatArray  # [M, K, K]: how each member mixes them; [0, K, K] if none does
    hidden: FloatArray  # [M, K·D, H]
    hidden_bias: FloatArray  # [M, H]
    classify: FloatArray  # [M·H, classes]
    classify_bias: FloatArray  # [classes]

    @classmethod
    def of(cls, weights: Weights, card: ModelCard) -> Dense:
        """Return a card's, from its weights; raises ModelError that names a missing or unfit tensor."""
        layers = dense_layers(weights, card)
        return cls(
            np.array(card.traces.alphas, np.float32),
            layers.get("mix", np.zeros((0, 0, 0), np.float32)),
            np.ascontiguousarray(layers["hidden_weight"]),
            layers["hidden_bias"][:, 0],
            np.ascontiguousarray(layers["classify_weight"].T),
            layers["classify_bias"],
        )


def advanced_traces(dense: Dense, current: FloatArray, before: FloatArray) -> FloatArray:
    """Return traces [M·K·D] advanced by a current [M·D] as `lif.trace_step` does."""
    members, alphas = len(dense.hidden), dense.alphas[:, np.newaxis]
    old = before.reshape(members, len(alphas), -1)
    return (alphas * old + (1 - alphas) * current.reshape(members, 1, -1)).ravel()


def hidden_units(dense: Dense, traces: FloatArray) -> FloatArray:
    """Return the hidden units max(norm(M · U) · H + h, 0) float32 [M·H] of traces U float32 [M·K·D]."""
    members, decays = len(dense.hidden), len(dense.alphas)
    if dense.mix.size:
        traces = dense.mix @ traces.reshape(members, decays, -1)
    own = traces.reshape(members, 1, -1)
    centred = own - own.mean(2, keepdims=True)
    normed = centred / np.sqrt(np.square(centred).mean(2, keepdims=True) + EPSILON)
    return np.maximum((normed @ dense.hidden)[:, 0] + dense.hidden_bias, 0).ravel()


def classified(dense: Dense, units: FloatArray) -> FloatArray:
    """Return the output C · units + c, float32 [classes], of hidden units float32 [M·H]."""
    return units @ dense.classify + dense.classify_bias
