"""SpikeModel: an STS-ResNet on our own kernels (`livesnn.infer.spikes`), whose time grows with its spikes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from livesnn.card import ModelCard
from livesnn.compiled import forget_stale, is_cached
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.cost import dense_synops
from livesnn.infer.model import CheckedModel, CountedState, FloatArray, State, check_first_step
from livesnn.infer.spikes.plan import LANES, Plan, aligned, plan, zeros
from livesnn.infer.spikes.step import help_steps, run_step
from livesnn.infer.spikes.team import Rule, ThreadTeam, make_scratch
from livesnn.infer.spikes.trace_read_out import Dense, advance_traces, classified, hidden_units
from livesnn.onnx_graph import MOST_MACS
from livesnn.threads import usable_processors
from livesnn.weights import WEIGHTS, fold_batch_norm, load_weights

ON_TIME_S = 0.001
"""A frame that has waited no longer than this is stepped by one thread: that takes longer, but always the same time,
while one of several threads is kept from its work now and then for milliseconds."""


class SpikeNetwork(NamedTuple):
    """A model folder's network, read and planned, for one SpikeModel."""

    folder: Path
    card: ModelCard
    plan: Plan
    dense: Dense | None  # What follows the current of a read-out of traces

    @classmethod
    def read(cls, folder: Path) -> SpikeNetwork:
        """Read model.safetensors; raises ModelError as `SpikeModel.load`."""
        path = folder / WEIGHTS
        weights, card = load_weights(path)
        if not runs(card):
            raise ModelError(
                f"{path}: engine 'spike' runs an sts_resnet with widths that are multiples of {LANES[-1]}, not "
                f"{card.network.kind} with {list(card.network.widths)}: use --engine onnx"
            )
        if float(dense_synops(card).sum()) > MOST_MACS:
            raise ModelError(f"{path}: a step of its network takes too long for the spike-driven engine")
        try:
            folded = fold_batch_norm(weights)
            dense = Dense.of(folded, card) if card.readout == "traces" else None
            return cls(folder, card, plan(folded, card), dense)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    @property
    def rule(self) -> Rule:
        neuron = self.card.neuron
        alpha = 0.0 if self.dense else neuron.alpha  # a read-out of traces only wants the current
        return np.float32(alpha), np.float32(neuron.threshold), neuron.reset, self.card.readout == "spikes"

    def is_compiled(self) -> bool:
        """Return whether all machine code of its step is there, in this process or on disk."""
        forget_stale(help_steps)
        own, floats = make_scratch(self.plan).arguments, np.zeros(1, np.float32)
        written = floats, floats, np.zeros((2, 1), np.float32)
        called: list[tuple[Any, tuple[object, ...]]] = [
            (help_steps, (0, self.rule, *own, 0, 0, 0)),
            (run_step, (0, self.rule, True, 0, floats, written, *own)),
        ]
        if self.dense is not None:
            called += [
                (advance_traces, (self.dense, floats, floats, floats)),
                (hidden_units, (self.dense, floats)),
                (classified, (self.dense, floats)),
            ]
        return all(is_cached(function, *arguments) for function, arguments in called)


_Layer = tuple[int, tuple[int, ...]]  # where its membranes begin in the array of all, and their shape


class Membranes(CountedState):
    """A State in one array ``together`` float32 [·], each layer [H, W, C] in memory; it makes views when asked."""

    def __init__(
        self, card: ModelCard, layers: Sequence[_Layer], together: FloatArray, shares_and_means: FloatArray
    ) -> None:
        self.card, self._layers, self.together = card, layers, together
        self.density, self.mean = shares_and_means

    def __len__(self) -> int:
        return len(self._layers)

    @overload
    def __getitem__(self, index: int) -> FloatArray: ...
    @overload
    def __getitem__(self, index: slice) -> list[FloatArray]: ...
    def __getitem__(self, index: int | slice) -> FloatArray | list[FloatArray]:
        if isinstance(index, slice):
            return [_view(self.together, layer) for layer in self._layers[index]]
        return _view(self.together, self._layers[index])


class SpikeModel(CheckedModel):
    """A Model whose time grows with the spikes, to be stepped from one thread at a time; it owns ``network``."""

    engine = "spike"

    def __init__(self, network: SpikeNetwork, threads: int | None = None) -> None:
        self.card, self._dense = network.card, network.dense
        self.team = ThreadTeam(network.plan, network.rule, threads or min(2, usable_processors()))
        shapes = [*self.card.states.values()]
        *firsts, self._size = accumulate(map(prod, shapes), initial=0)
        self._layers = [*zip(firsts, shapes, strict=True)]
        self._outputs = len(self.card.classes) if self._dense is None else self.card.traces.currents
        check_first_step(self, str(network.folder / WEIGHTS))

    @classmethod
    def load(cls, folder: Path, *, threads: int | None = None) -> SpikeModel:
        """Read model.safetensors; raises ModelError if it is missing, damaged, or its network can't run here."""
        return cls(SpikeNetwork.read(folder), threads)

    def initial_state(self) -> State:
        shares_and_means = np.zeros((2, len(self._layers)), np.float32)
        return Membranes(self.card, self._layers, zeros(self._size, np.float32), shares_and_means)

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, Membranes]:
        before = self._together(state)
        dense, after = self._dense, aligned(self._size, np.float32)
        output = np.empty(self._outputs, np.float32)
        shares_and_means = np.empty((2, len(self._layers)), np.float32)
        late = time.perf_counter() - frame.arrived_s > ON_TIME_S  # or its arrival is unknown, 0
        data = np.ascontiguousarray(frame.data)
        self.team.step(data, before, (after, output, shares_and_means), alone=not late)
        if dense:
            traces = after[self._layers[-1][0] :]
            shares_and_means[:, -1] = 0, advance_traces(dense, output, before[self._layers[-1][0] :], traces)
            output = classified(dense, hidden_units(dense, traces))
        return output, Membranes(self.card, self._layers, after, shares_and_means)

    def _together(self, state: State) -> FloatArray:
        """Return all membranes in one array: this engine's own, or a copy of another engine's in that order."""
        if isinstance(state, Membranes):
            return state.together
        together = aligned(self._size, np.float32)
        for layer, membrane in zip(self._layers, state, strict=True):
            _view(together, layer)[...] = membrane
        return together


def runs(card: ModelCard) -> bool:
    """Return whether this engine can run such a network."""
    return card.network.kind == "sts_resnet" and not any(width % LANES[-1] for width in card.network.widths)


def _view(together: FloatArray, layer: _Layer) -> FloatArray:
    """Return a layer's membranes [C, H, W], or [K], in the array of all."""
    first, shape = layer
    part = together[first : first + prod(shape)]
    return part if len(shape) == 1 else part.reshape(*shape[1:], shape[0]).transpose(2, 0, 1)
