"""The read-out "traces" (`livesnn.snn.sts_resnet.TraceReadOut`) on the current that pooled spikes give it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.infer.spikes.intrinsics import entry_point
from livesnn.weights import Weights, tensor

FloatArray = npt.NDArray[np.float32]

EPSILON = np.float32(1e-5)  # of torch's layer norm


class Dense(NamedTuple):
    """What follows the current of a trace read-out with M members, K decays, widths D and H.

    Attributes
    ----------
    alphas
        float32 [K]: the decays.
    hidden, hidden_bias
        float32 [M, K·D, H] and [M, H].
    classify, classify_bias
        float32 [M·H, classes] and [classes].
    """

    alphas: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    classify: FloatArray
    classify_bias: FloatArray

    @classmethod
    def of(cls, weights: Weights, card: ModelCard) -> Dense:
        """Return a card's, from its weights; raises ModelError that names a missing or unfit tensor."""
        spec, classes = card.traces, len(card.classes)
        members, units = spec.members, spec.hidden
        shape = (members, len(spec.alphas) * spec.width, units)
        return cls(
            np.array(spec.alphas, np.float32),
            np.ascontiguousarray(tensor(weights, "read_out.hidden_weight", shape)),
            tensor(weights, "read_out.hidden_bias", (members, 1, units))[:, 0],
            np.ascontiguousarray(tensor(weights, "classify.weight", (classes, members * units)).T),
            tensor(weights, "classify.bias", (classes,)),
        )


@entry_point
def advance_traces(dense, current, before, after):  # type: ignore[no-untyped-def]
    """Advance traces ``before`` [M·K·D] by a current [M·D], all float32, into ``after``; return their mean."""
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
def hidden_units(dense, traces):  # type: ignore[no-untyped-def]
    """Return the hidden units float32 [M·H] of traces float32 [M·K·D]."""
    members, traced, count = dense.hidden.shape
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
    """Return the output float32 [classes] of hidden units float32 [M·H]."""
    output = dense.classify_bias.copy()
    for i in range(units.size):
        if units[i] > 0:
            for k in range(output.size):
                output[k] += units[i] * dense.classify[i, k]
    return output
