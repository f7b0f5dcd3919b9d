"""SpikeModel: an STS-ResNet on our own kernels (`livesnn.infer.spikes`), whose time grows with its spikes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.compiled import forget_stale, is_cached
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.cost import dense_synops
from livesnn.infer.model import CheckedModel, CountedState, FloatArray, State, check_first_step
from livesnn.infer.spikes.plan import LANES, Addresses, FeatureMap, Plan, aligned, plan, zeros
from livesnn.infer.spikes.step import run_step
from livesnn.infer.spikes.trace_read_out import Dense, advanced_traces, classified, hidden_units
from livesnn.onnx_graph import MOST_MACS
from livesnn.weights import WEIGHTS, fold_batch_norm, load_weights

Rule = tuple[np.float32, np.float32, bool, bool]
"""Alpha, threshold, whether spikes reset, whether the read-out fires."""


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
        forget_stale(run_step)
        floats = np.zeros(1, np.float32)
        written = floats, floats, np.zeros((2, 1), np.float32)
        arguments = 0, self.rule, floats, written, 0, 0, *_layers_by_lanes(self.plan)
        return is_cached(run_step, *arguments)


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

    def __init__(self, network: SpikeNetwork) -> None:
        self.card, self._dense = network.card, network.dense
        self._network = network
        self._addresses = _addresses_of(network.plan)
        # Scratch memory, see `spikes.step.advance`
        self._sums = zeros(LANES[0] + network.plan.scratch, np.float32)
        self._shorts = zeros(network.plan.scratch, np.int16)
        self._scratch = (_address(self._sums), _address(self._shorts), *_layers_by_lanes(network.plan))
        shapes = [*self.card.states.values()]
        *firsts, self._size = accumulate(map(prod, shapes), initial=0)
        self._layers = [*zip(firsts, shapes, strict=True)]
        self._outputs = len(self.card.classes) if self._dense is None else self.card.traces.currents
        forget_stale(run_step)
        check_first_step(self, str(network.folder / WEIGHTS))

    @classmethod
    def load(cls, folder: Path) -> SpikeModel:
        """Read model.safetensors; raises ModelError if it is missing, damaged, or its network can't run here."""
        return cls(SpikeNetwork.read(folder))

    def initial_state(self) -> State:
        shares_and_means = np.zeros((2, len(self._layers)), np.float32)
        return Membranes(self.card, self._layers, zeros(self._size, np.float32), shares_and_means)

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, Membranes]:
        before = self._together(state)
        dense, after = self._dense, aligned(self._size, np.float32)
        output = np.empty(self._outputs, np.float32)
        shares_and_means = np.empty((2, len(self._layers)), np.float32)
        data = np.ascontiguousarray(frame.data)
        self._addresses[:3] = _address(data), _address(before), _address(after)
        written = after, output, shares_and_means
        run_step(_address(self._addresses), self._network.rule, before, written, *self._scratch)
        if dense:
            first = self._layers[-1][0]
            after[first:] = traces = advanced_traces(dense, output, before[first:])
            shares_and_means[:, -1] = 0, traces.mean()
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


def _addresses_of(network: Plan) -> npt.NDArray[np.int64]:
    """Return the `Addresses` of a plan's arrays; those of a step, which come first, are 0."""
    arrays = {name: array for name, array in network._asdict().items() if isinstance(array, np.ndarray)}
    where = {name: _address(array) for name, array in arrays.items()}
    depth, taps = len(network.layers), len(network.taps)
    return np.array(Addresses(0, 0, 0, **where, depth=depth, taps_in_all=taps, classes=network.bias.size), np.int64)


def _layers_by_lanes(network: Plan) -> tuple[int | None, ...]:
    lanes = network.layers[:, FeatureMap._fields.index("lanes")].tolist()
    return tuple(lanes.count(each) or None for each in LANES)


def _address(array: npt.NDArray[Any]) -> int:
    return array.__array_interface__["data"][0]


def _view(together: FloatArray, layer: _Layer) -> FloatArray:
    """Return a layer's membranes [C, H, W], or [K], in the array of all."""
    first, shape = layer
    part = together[first : first + prod(shape)]
    return part if len(shape) == 1 else part.reshape(*shape[1:], shape[0]).transpose(2, 0, 1)
