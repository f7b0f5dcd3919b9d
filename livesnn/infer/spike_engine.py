"""SpikeModel: an STS-ResNet on our own spike-driven step. Not here: the step (spike_kernel.py)."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.frames import Frame
from livesnn.infer import State
from livesnn.infer.checks import check_first_step, check_step
from livesnn.infer.spike_kernel import LANES, step
from livesnn.infer.spike_plan import FloatArray, Plan, plan
from livesnn.weights import fold_batch_norm, load_weights


class Membranes(tuple[FloatArray, ...]):
    """A State that knows it is views of one array ``together`` float32 [·], in memory [H, W, C] a layer."""

    together: FloatArray


class SpikeModel:
    """A Model (`livesnn.infer.Model`) whose time grows with the spikes; to be stepped from one thread at a time."""

    engine = "spike"

    def __init__(self, network: Plan, card: ModelCard) -> None:
        self.card = card
        self._network = network
        self._neuron = (np.float32(card.neuron.alpha), np.float32(card.neuron.threshold), card.neuron.reset)
        self._ends = np.cumsum([0, *map(prod, card.states.values())]).tolist()
        spec, edge = card.input, 2 * (card.network.stem_kernel // 2)
        self._counts = np.zeros((spec.height + edge, spec.width + edge, spec.channels), np.uint8)
        self._spikes = np.zeros(len(network.layers), np.int64)

    @classmethod
    def load(cls, folder: Path) -> SpikeModel:
        """Read model.safetensors.

        Raises
        ------
        ModelError
            The file is missing or damaged, a tensor is missing or doesn't fit its card, its network isn't an
            STS-ResNet with widths that are multiples of 16, or a step gives no numbers.
        """
        path = folder / "model.safetensors"
        weights, card = load_weights(path)
        network = card.network
        if network.kind != "sts_resnet" or any(width % LANES[-1] for width in network.widths):
            raise ModelError(
                f"{path}: engine 'spike' runs an sts_resnet with widths that are multiples of {LANES[-1]}, not "
                f"{network.kind} with {list(network.widths)}: use --engine onnx"
            )
        try:
            model = cls(plan(fold_batch_norm(weights), card), card)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        check_first_step(model, str(path))
        return model

    def initial_state(self) -> State:
        """Return the all-zero state."""
        return self._state(np.zeros(self._ends[-1], np.float32))

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Return the output [K] and the next state; raises ModelError on a wrong shape."""
        check_step(self.card, frame, state)
        network, edge = self._network, self.card.network.stem_kernel // 2
        inner = self._counts[edge : edge + frame.data.shape[1], edge : edge + frame.data.shape[2]]
        np.minimum(frame.data.transpose(1, 2, 0), self.card.input.count_max, out=inner)
        before = _together(state)
        after, sums = np.empty_like(before), network.bias.copy()
        stride = self.card.network.stem_pool_stride
        step(self._counts, network, self._neuron, stride, before, after, sums, self._spikes)
        output = self._read_out(sums, before[self._ends[-2] :], after[self._ends[-2] :])
        return output, self._state(after)

    def _read_out(self, sums: FloatArray, before: FloatArray, after: FloatArray) -> FloatArray:
        """Advance the membranes [K] of the output layer by the currents; return its output [K]."""
        alpha, threshold, resets = self._neuron
        fires = self.card.readout == "spikes"
        kept = before * (before < threshold) if fires and resets else before
        after[:] = sums[: len(after)] + alpha * kept
        return (after >= threshold).astype(np.float32) if fires else after.copy()

    def _state(self, together: FloatArray) -> Membranes:
        parts = zip(pairwise(self._ends), self.card.states.values(), strict=True)
        state = Membranes(_planes(together[first:last], shape) for (first, last), shape in parts)
        state.together = together
        return state


def _planes(part: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return a view as [C, H, W] of what is [H, W, C] in memory; [K] as it is."""
    return part.reshape(shape[1], shape[2], shape[0]).transpose(2, 0, 1) if len(shape) == 3 else part


def _together(state: State) -> npt.NDArray[Any]:
    """Return all membranes in one array: a state's own, or another's copied into that order."""
    if isinstance(state, Membranes):
        return state.together
    return np.concatenate([np.moveaxis(membrane, 0, -1).ravel() for membrane in state])
