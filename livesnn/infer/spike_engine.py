"""SpikeModel: an STS-ResNet on our own spike-driven step. Not here: the step (step.py)."""

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
from livesnn.infer.onnx_engine import default_threads
from livesnn.infer.spikes.crew import Crew
from livesnn.infer.spikes.layout import LANES
from livesnn.infer.spikes.plan import FloatArray, Plan, plan
from livesnn.infer.spikes.step import read_out
from livesnn.weights import fold_batch_norm, load_weights


class Membranes(tuple[FloatArray, ...]):
    """A State that knows it is views of one array ``together`` float32 [·], in memory [H, W, C] a layer."""

    together: FloatArray


class SpikeModel:
    """A Model (`livesnn.infer.Model`) whose time grows with the spikes; to be stepped from one thread at a time."""

    engine = "spike"

    def __init__(self, network: Plan, card: ModelCard, threads: int) -> None:
        self.card = card
        self._network = network
        neuron, most = card.neuron, card.input.count_max
        rule = (
            most,
            np.float32(neuron.alpha),
            np.float32(neuron.threshold),
            neuron.reset,
            card.network.stem_pool_stride,
        )
        self._crew = Crew(network, rule, threads)
        self._ends = np.cumsum([0, *map(prod, card.states.values())]).tolist()

    @classmethod
    def load(cls, folder: Path, *, threads: int | None = None) -> SpikeModel:
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
            model = cls(plan(fold_batch_norm(weights), card), card, threads or default_threads())
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
        network, data = self._network, np.ascontiguousarray(frame.data)
        before = _together(state)
        after, sums = np.empty_like(before), network.bias.copy()
        self._crew.step(data, before, after)
        read_out(network, sums)
        output = self._read_out(sums, before[self._ends[-2] :], after[self._ends[-2] :])
        return output, self._state(after)

    def _read_out(self, sums: FloatArray, before: FloatArray, after: FloatArray) -> FloatArray:
        """Advance the membranes [K] of the output layer by the currents; return its output [K]."""
        neuron, fires = self.card.neuron, self.card.readout == "spikes"
        threshold = np.float32(neuron.threshold)
        kept = before * (before < threshold) if fires and neuron.reset else before
        after[:] = sums[: len(after)] + np.float32(neuron.alpha) * kept
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
