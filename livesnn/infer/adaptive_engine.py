"""AdaptiveModel: each step on the spike-driven engine, or on ONNX Runtime where that many spikes would take longer.

Not here: whether the spike-driven engine is compiled (auto_engine.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Self

import numpy as np

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.frames import Frame
from livesnn.infer import State
from livesnn.infer.checks import check_step
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.spike_engine import WEIGHTS, Membranes, SpikeModel
from livesnn.infer.spikes.memory import FloatArray
from livesnn.infer.synops import fan_out

CROSSING = {8: 0.85, 32: 0.4}
"""Density from which on ONNX Runtime takes the steps, by the bits of the blocks' kernels.

Constants: a measurement at load takes 0.3 s, and is off by a factor of 2 where others are busy. On an AMD EPYC
(Zen 5), where ONNX Runtime is at its fastest, two threads, networks of 16, 64 and 128 channels: 1.3 to 1.8 times as
fast at 0.4 in 32 bits, 1.4 to 1.8 times at 0.85 in 8 bits (512 channels: 1.0).
"""

WIDE = 128
"""Channels from which the crossing of 32-bit kernels falls: a core's second cache doesn't hold them (512: 9 MB)."""

LOOK_EVERY = 16
"""Steps that ONNX Runtime takes before spikes are counted again: a look takes 10 µs, a step of 16 channels 200."""

BACK = 0.8
"""Part of the crossing below which the spike-driven engine takes over again, so that it isn't to and fro."""


class Dense(tuple[FloatArray, ...]):
    """A State of ONNX Runtime's that says how many more steps it is to take before spikes are counted."""

    steps_left: int

    def __new__(cls, state: Iterable[FloatArray], steps_left: int) -> Self:
        """Return these membranes, to be stepped so often more."""
        dense = super().__new__(cls, state)
        dense.steps_left = steps_left
        return dense


class AdaptiveModel:
    """A Model (`livesnn.infer.Model`) that is never much slower than ONNX Runtime, at any density of spikes.

    What runs a step is told by the state alone: by its spikes, and by how long ago they were counted. Either engine
    takes a state of the other's.

    Parameters
    ----------
    spike, onnx
        Of the same weights and card.

    Attributes
    ----------
    engine
        What ran the last step: "spike" or "onnx".
    """

    def __init__(self, spike: SpikeModel, onnx: OnnxModel) -> None:
        self.card = spike.card
        self.engine = spike.engine
        self._spike, self._onnx = spike, onnx
        sizes = [prod(shape) for shape in self.card.states.values()][:-1]
        reach = fan_out(self.card)
        self._most = crossing(self.card) * float(np.dot(sizes, reach))
        # Every fifth layer behind the stem stands for all: they are first and second layers of sub-blocks.
        scale = np.dot(sizes[1:], reach[1:]) / np.dot(sizes[5::5], reach[5::5])
        self._looks = [(0, reach[0]), *((i, reach[i] * scale) for i in range(5, len(reach), 5))]
        self._threshold = np.float32(self.card.neuron.threshold)

    @classmethod
    def load(cls, folder: Path, onnx: OnnxModel, *, threads: int | None = None) -> AdaptiveModel:
        """Add the spike-driven engine to a folder's ONNX model.

        Raises
        ------
        ModelError
            As `SpikeModel.load`, or the folder's two files are of different models.
        """
        spike = SpikeModel.load(folder, threads=threads)
        if spike.card != onnx.card:
            raise ModelError(
                f"{folder / WEIGHTS} and model.onnx are not of the same model: copy the model again, or train it"
            )
        return cls(spike, onnx)

    def initial_state(self) -> State:
        """Return the all-zero state."""
        return self._spike.initial_state()

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Return the output [K] and the next state; raises ModelError on a wrong shape."""
        check_step(self.card, frame, state)
        steps = self._dense_steps(state)
        if not steps:
            self.engine = self._spike.engine
            return self._spike.advance(frame, state)
        self.engine = self._onnx.engine
        output, after = self._onnx.advance(frame, state)
        return output, Dense(after, steps - 1)

    def _dense_steps(self, state: State) -> int:
        """Return how many steps from a state on are ONNX Runtime's, without another look; 0: none."""
        if isinstance(state, Membranes):
            return LOOK_EVERY * (state.synops > self._most)
        if isinstance(state, Dense):
            return state.steps_left or LOOK_EVERY * (self._synops(state) > self._most * BACK)
        return LOOK_EVERY * (self._synops(state) > self._most)

    def _synops(self, state: State) -> float:
        """Return about how many synapses the spikes of the step that made a state have reached."""
        return sum(np.count_nonzero(state[i] >= self._threshold) * reach for i, reach in self._looks)


def crossing(card: ModelCard) -> float:
    """Return the density from which on ONNX Runtime takes a network's steps."""
    bits = card.network.weight_bits
    return CROSSING[bits] * (min(1.0, WIDE / max(card.network.widths)) if bits == 32 else 1.0)
