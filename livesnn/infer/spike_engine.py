"""SpikeModel: an STS-ResNet on our own spike-driven step. Not here: the step (step.py)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.model import Counted, State, check_first_step, check_step
from livesnn.infer.spikes import threadteam as threadteam
from livesnn.infer.spikes.intrinsics import FLOAT_BYTES
from livesnn.infer.spikes.layout import LANES
from livesnn.infer.spikes.plan import FloatArray, Plan, aligned, plan, zeros
from livesnn.infer.spikes.threadteam import ThreadTeam
from livesnn.threads import usable_processors
from livesnn.weights import fold_batch_norm, load_weights

WEIGHTS = "model.safetensors"

ON_TIME_S = 0.001
"""A frame that has waited no longer is stepped by one thread alone: that takes longer, but ever the same time.

Where all threads of a machine have work, one of them is kept from it now and then for milliseconds.
"""


class _View(NamedTuple):
    """A layer's membranes [C, H, W], or [K], in the array of all: bytes from its start, and between neighbours."""

    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...]

    def of(self, together: FloatArray) -> FloatArray:
        return np.ndarray(self.shape, np.float32, together, self.offset, self.strides)


class Membranes(Counted):
    """A State in one array ``together`` float32 [·], in memory [H, W, C] a layer; views are made when asked for.

    ``synops``: synaptic operations of the step that made it.
    """

    def __init__(
        self,
        card: ModelCard,
        views: list[_View],
        together: FloatArray,
        shares_and_means: FloatArray,
        synops: float,
    ) -> None:
        self.card, self._views, self.together, self.synops = card, views, together, synops
        self.density, self.mean = shares_and_means

    def __len__(self) -> int:
        return len(self._views)

    @overload
    def __getitem__(self, index: int) -> FloatArray: ...
    @overload
    def __getitem__(self, index: slice) -> list[FloatArray]: ...
    def __getitem__(self, index: int | slice) -> FloatArray | list[FloatArray]:
        """Return a layer's membranes, a view; of a slice, a list of them."""
        if isinstance(index, slice):
            return [view.of(self.together) for view in self._views[index]]
        return self._views[index].of(self.together)


class SpikeModel:
    """A Model (`livesnn.infer.Model`) whose time grows with the spikes; to be stepped from one thread at a time."""

    engine = "spike"

    def __init__(self, network: Plan, card: ModelCard, threads: int) -> None:
        self.card = card
        self.team = ThreadTeam(network, _rule(card), threads)
        self._size, self._views = sum(map(prod, card.states.values())), list(_views(card.states.values()))

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
        return self._state(zeros(self._size, np.float32), np.zeros((2, len(self._views)), np.float32), 0.0)

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Return the output [K] and the next state; raises ModelError on a wrong shape."""
        check_step(self.card, frame, state)
        return self.advance(frame, state)

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, Membranes]:
        """Step without a look at the shapes."""
        before = self._together(state)
        after, output = aligned(self._size, np.float32), np.empty(len(self.card.classes), np.float32)
        shares_and_means = np.empty((2, len(self._views)), np.float32)
        late = time.perf_counter() - frame.arrived_s > ON_TIME_S  # or its arrival is unknown, 0
        data = np.ascontiguousarray(frame.data)
        synops = self.team.step(data, before, (after, output, shares_and_means), alone=not late)
        return output, self._state(after, shares_and_means, synops)

    def _together(self, state: State) -> FloatArray:
        """Return all membranes in one array: a state's own, or another's copied into that order."""
        if isinstance(state, Membranes):
            return state.together
        together = aligned(self._size, np.float32)
        for view, membrane in zip(self._views, state, strict=True):
            view.of(together)[...] = membrane
        return together

    def _state(self, together: FloatArray, shares_and_means: FloatArray, synops: float) -> Membranes:
        return Membranes(self.card, self._views, together, shares_and_means, synops)


def default_threads() -> int:
    """Return the threads of one step: as many as there are logical processors for this process, one or two.

    Unlike ONNX Runtime's, the second one is called only to frames that are late, and waited for only in what it does.
    """
    return min(2, usable_processors())


def runs(card: ModelCard) -> bool:
    """Return whether this engine has what such a network needs."""
    return card.network.kind == "sts_resnet" and not any(width % LANES[-1] for width in card.network.widths)


def is_compiled(folder: Path) -> bool:
    """Return whether `SpikeModel.load` would take no more than a moment; raises as it does."""
    network, card = _read(folder)
    return threadteam.is_compiled(network, _rule(card))


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


def _rule(card: ModelCard) -> threadteam.Rule:
    neuron = card.neuron
    alpha, threshold = np.float32(neuron.alpha), np.float32(neuron.threshold)
    fires = card.readout == "spikes"
    return alpha, threshold, neuron.reset, fires


def _views(shapes: Iterable[tuple[int, ...]]) -> Iterator[_View]:
    """Yield where each layer lies: one behind the other, [H, W, C] in memory."""
    offset = 0
    for shape in shapes:
        channels, width = shape[0], shape[-1]
        steps = (1, channels * width, channels) if len(shape) == 3 else (1,)
        strides = tuple(FLOAT_BYTES * step for step in steps)
        yield _View(shape, offset, strides)
        offset += FLOAT_BYTES * prod(shape)
