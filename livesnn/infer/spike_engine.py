"""SpikeModel: an STS-ResNet on our own spike-driven step. Not here: the step (step.py)."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.frames import Frame
from livesnn.infer import State
from livesnn.infer.checks import check_first_step, check_step
from livesnn.infer.spikes import crew
from livesnn.infer.spikes.crew import Crew
from livesnn.infer.spikes.layout import LANES
from livesnn.infer.spikes.plan import FloatArray, Plan, plan
from livesnn.infer.spiking import Counted
from livesnn.weights import fold_batch_norm, load_weights

WEIGHTS = "model.safetensors"

ON_TIME_S = 0.001
"""A frame that has waited no longer is stepped by one thread alone: that takes longer, but ever the same time.

Where all threads of a machine have work, one of them is kept from it now and then for milliseconds.
"""


class Membranes(Counted):
    """A State that knows it is views of one array ``together`` float32 [·], in memory [H, W, C] a layer.

    ``synops``: synaptic operations of the step that made it.
    """

    together: FloatArray
    synops: float


class SpikeModel:
    """A Model (`livesnn.infer.Model`) whose time grows with the spikes; to be stepped from one thread at a time."""

    engine = "spike"

    def __init__(self, network: Plan, card: ModelCard, threads: int) -> None:
        self.card = card
        self._network = network
        self._crew = Crew(network, _rule(card), threads)
        self._ends = np.cumsum([0, *map(prod, card.states.values())]).tolist()
        self._hidden = np.flatnonzero(network.layers["lanes"])  # the others are lists alone
        self._sizes = np.diff(self._ends)

    @classmethod
    def load(cls, folder: Path, *, threads: int | None = None) -> SpikeModel:
        """Read model.safetensors.

        Raises
        ------
        ModelError
            The file is missing or damaged, a tensor is missing or doesn't fit its card, its network isn't an
            STS-ResNet with widths that are multiples of 16, or a step gives no numbers.
        """
        network, card = _read(folder)
        model = cls(network, card, threads or default_threads())
        check_first_step(model, str(folder / WEIGHTS))
        return model

    def initial_state(self) -> State:
        """Return the all-zero state."""
        state = self._state(np.zeros(self._ends[-1], np.float32))
        state.synops, state.density, state.mean = 0.0, *np.zeros((2, len(self._sizes)), np.float32)
        return state

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Return the output [K] and the next state; raises ModelError on a wrong shape."""
        check_step(self.card, frame, state)
        return self.advance(frame, state)

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, Membranes]:
        """Step without a look at the shapes."""
        network, data = self._network, np.ascontiguousarray(frame.data)
        before = self._together(state)
        after, sums = np.empty_like(before), network.bias.copy()
        spikes = np.empty(len(network.layers), np.int64)
        late = time.perf_counter() - frame.arrived_s > ON_TIME_S  # or nobody waits: its arrival is unknown
        self._crew.step(data, before, (after, sums, spikes), alone=not late)
        output = self._read_out(sums, before[self._ends[-2] :], after[self._ends[-2] :])
        state = self._state(after)
        state.synops = float(spikes @ network.reach)
        state.density, state.mean = self._figures(spikes[self._hidden], state[-1])
        return output, state

    def _figures(self, spikes: npt.NDArray[np.int64], output: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what `spiking.density_and_mean` does, of spikes a hidden layer and the output's membranes [K]."""
        network, figures = self._network, np.empty((2, len(self._sizes)), np.float32)
        figures[0, :-1] = spikes
        figures[1, :-1] = np.add.reduceat(network.totals, network.layers["totals"][self._hidden])
        figures[0, -1] = np.count_nonzero(output >= np.float32(self.card.neuron.threshold))
        figures[1, -1] = output.sum()
        density, mean = figures / self._sizes.astype(np.float32)
        return density, mean

    def _read_out(self, sums: FloatArray, before: FloatArray, after: FloatArray) -> FloatArray:
        """Advance the membranes [K] of the output layer by the currents; return its output [K]."""
        neuron, fires = self.card.neuron, self.card.readout == "spikes"
        threshold = np.float32(neuron.threshold)
        kept = before * (before < threshold) if fires and neuron.reset else before
        after[:] = sums[: len(after)] + np.float32(neuron.alpha) * kept
        return (after >= threshold).astype(np.float32) if fires else after.copy()

    def _together(self, state: State) -> FloatArray:
        """Return all membranes in one array: a state's own, or another's copied into that order."""
        if isinstance(state, Membranes):
            return state.together
        copied = self._state(np.empty(self._ends[-1], np.float32))
        for into, membrane in zip(copied, state, strict=True):
            into[...] = membrane
        return copied.together

    def _state(self, together: FloatArray) -> Membranes:
        parts = zip(pairwise(self._ends), self.card.states.values(), strict=True)
        state = Membranes(_planes(together[first:last], shape) for (first, last), shape in parts)
        state.together = together
        return state


def default_threads() -> int:
    """Return the threads of one step: as many as there are logical processors, one or two.

    Unlike ONNX Runtime's, the second one is called only to frames that are late, and waited for only in what it does.
    """
    return min(2, os.cpu_count() or 1)


def runs(card: ModelCard) -> bool:
    """Return whether this engine has what such a network needs."""
    return card.network.kind == "sts_resnet" and not any(width % LANES[-1] for width in card.network.widths)


def is_compiled(folder: Path) -> bool:
    """Return whether `SpikeModel.load` would take no more than a moment; raises as it does."""
    network, card = _read(folder)
    return crew.is_compiled(network, _rule(card))


def _read(folder: Path) -> tuple[Plan, ModelCard]:
    path = folder / WEIGHTS
    weights, card = load_weights(path)
    if not runs(card):
        raise ModelError(
            f"{path}: engine 'spike' runs an sts_resnet with widths that are multiples of {LANES[-1]}, not "
            f"{card.network.kind} with {list(card.network.widths)}: use --engine onnx"
        )
    try:
        return plan(fold_batch_norm(weights), card), card
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _rule(card: ModelCard) -> crew.Rule:
    neuron = card.neuron
    alpha, threshold = np.float32(neuron.alpha), np.float32(neuron.threshold)
    return card.input.count_max, alpha, threshold, neuron.reset, card.network.stem_pool_stride


def _planes(part: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return a view as [C, H, W] of what is [H, W, C] in memory; [K] as it is."""
    return part.reshape(shape[1], shape[2], shape[0]).transpose(2, 0, 1) if len(shape) == 3 else part
