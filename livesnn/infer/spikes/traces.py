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
    """What follows the current of a read-out: its decays, layer norm and two dense layers.

    Attributes
    ----------
    decay, gain, shift
        float32 [K·D]: α of each trace, and the weights and biases of the layer norm.
    hidden, classify
        float32 [K·D, H] and [H, classes].
    hidden_bias, classify_bias
        float32 [H] and [classes].
    """

    decay: FloatArray
    gain: FloatArray
    shift: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    classify: FloatArray
    classify_bias: FloatArray

    @classmethod
    def of(cls, weights: Weights, card: ModelCard) -> Dense:
        """Return a card's, from its weights; raises ModelError that names a missing or unfit tensor."""
        (units,), spec, classes = card.layer_shapes()["readout"], card.traces, len(card.classes)
        return cls(
            np.repeat(np.array(spec.alphas, np.float32), spec.width),
            tensor(weights, "read_out.layer_norm.weight", (units,)),
            tensor(weights, "read_out.layer_norm.bias", (units,)),
            np.ascontiguousarray(tensor(weights, "read_out.hidden.weight", (spec.hidden, units)).T),
            tensor(weights, "read_out.hidden.bias", (spec.hidden,)),
            np.ascontiguousarray(tensor(weights, "classify.weight", (classes, spec.hidden)).T),
            tensor(weights, "classify.bias", (classes,)),
        )


@entry_point
def advance_traces(dense, current, before, after):  # type: ignore[no-untyped-def]
    """Advance traces ``before`` [K·D] by a current [D], all float32, into ``after``; return their mean."""
    total, width = np.float32(0), current.size
    for i in range(after.size):
        alpha = dense.decay[i]
        after[i] = alpha * before[i] + (np.float32(1) - alpha) * current[i % width]
        total += after[i]
    return total / np.float32(after.size)


@entry_point
def hidden_units(dense, traces):  # type: ignore[no-untyped-def]
    """Return the hidden units float32 [H] of traces float32 [K·D]."""
    mean = np.float32(0)
    for trace in traces:
        mean += trace
    mean /= np.float32(traces.size)
    variance = np.float32(0)
    for trace in traces:
        variance += (trace - mean) * (trace - mean)
    scale = np.float32(1) / np.sqrt(variance / np.float32(traces.size) + EPSILON)
    units = dense.hidden_bias.copy()
    for i in range(traces.size):
        normed = (traces[i] - mean) * scale * dense.gain[i] + dense.shift[i]
        for k in range(units.size):
            units[k] += normed * dense.hidden[i, k]
    return np.maximum(units, np.float32(0))


@entry_point
def classified(dense, units):  # type: ignore[no-untyped-def]
    """Return the output float32 [classes] of hidden units float32 [H]."""
    output = dense.classify_bias.copy()
    for i in range(units.size):
        if units[i] > 0:
            for k in range(output.size):
                output[k] += units[i] * dense.classify[i, k]
    return output
