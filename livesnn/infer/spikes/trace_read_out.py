"""What follows the current of a read-out of traces (`livesnn.snn.sts_resnet.TraceReadOut`), compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from livesnn.card import ModelCard
from livesnn.infer.spikes.intrinsics import entry_point
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


@entry_point
def advance_traces(dense, current, before, after):  # type: ignore[no-untyped-def]
    """Advance traces [M·K·D] by a current [M·D] into ``after`` as `lif.trace_step` does; return their mean."""
    members, alphas = len(dense.hidden), dense.alphas
    width, total, i = current.size // members, np.float32(0), 0
    for member in range(members):
        for alpha in alphas:
            for place in range(member * width, (member + 1) * width):
                after[i] = alpha * before[i] + (np.float32(1) - alpha) * current[place]
                total += after[i]
                i += 1
    return total / np.float32(after.size)


@entry_point
def mixed_traces(dense, traces):  # type: ignore[no-untyped-def]
    """Return traces float32 [M·K·D] as each member mixes them."""
    mixed, decays = traces.copy(), len(dense.alphas)
    width = traces.size // (len(dense.hidden) * decays)
    for member in range(len(dense.mix)):
        for k in range(decays):
            to = (member * decays + k) * width
            mixed[to : to + width] = np.float32(0)
            for j in range(decays):
                share, of = dense.mix[member, k, j], (member * decays + j) * width
                if share != 0:
                    for i in range(width):
                        mixed[to + i] += share * traces[of + i]
    return mixed


@entry_point
def hidden_units(dense, traces):  # type: ignore[no-untyped-def]
    """Return the hidden units max(norm(U) · H + h, 0) float32 [M·H] of traces U float32 [M·K·D], member by member."""
    members, traced, count = dense.hidden.shape
    traces = mixed_traces(dense, traces)
    units = np.empty(members * count, np.float32)
    for member in range(members):
        first = member * traced
        mean, variance = np.float32(0), np.float32(0)
        for i in range(traced):
            mean += traces[first + i]
        mean /= np.float32(traced)
        for i in range(traced):
            variance += (traces[first + i] - mean) ** 2
        scale = np.float32(1) / np.sqrt(variance / np.float32(traced) + EPSILON)
        own, weights = units[member * count : (member + 1) * count], dense.hidden[member]
        own[:] = dense.hidden_bias[member]
        for i in range(traced):
            normed = (traces[first + i] - mean) * scale
            for k in range(count):
                own[k] += normed * weights[i, k]
    return np.maximum(units, np.float32(0))


@entry_point
def classified(dense, units):  # type: ignore[no-untyped-def]
    """Return the output C · units + c, float32 [classes], of hidden units float32 [M·H]."""
    output = dense.classify_bias.copy()
    for i in range(units.size):
        if units[i] > 0:
            for k in range(output.size):
                output[k] += units[i] * dense.classify[i, k]
    return output
