"""SpikeModel: an STS-ResNet on our own kernels (`livesnn.infer.spikes`), whose time grows with its spikes."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Sequence
from functools import partial
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
from livesnn.infer.spikes.intrinsics import entry_point
from livesnn.infer.spikes.plan import (
    ADDRESSES,
    CALLED,
    EPOCH,
    LANES,
    TICKET_WORDS,
    Addresses,
    FeatureMap,
    Plan,
    aligned,
    plan,
    zeros,
)
from livesnn.infer.spikes.step import help_steps, run_step
from livesnn.threads import WAKE_S, Worker, usable_processors
from livesnn.weights import MOST_MACS, WEIGHTS, Weights, dense_layers, fold_batch_norm, load_weights

Rule = tuple[np.float32, np.float32, bool, bool]
"""Alpha, threshold, whether spikes reset, whether the read-out fires."""

ON_TIME_S = 0.001
"""A frame that has waited no longer than this is stepped by one thread: that takes longer, but always the same time.

Where all threads of a machine have work, one of them is kept from it now and then for milliseconds.
"""

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
    """Advance traces ``before`` [M·K·D] by a current [M·D], all float32, into ``after``; return their mean.

    The equation is that of `livesnn.snn.lif.trace_step`.
    """
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


class SpikeNetwork(NamedTuple):
    """A model folder's network, read and planned once: for asking whether it is compiled, and for one SpikeModel."""

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
        """What a step needs to know of the neurons and the read-out."""
        neuron = self.card.neuron
        fires = self.card.readout == "spikes"
        # A read-out of traces only wants the current.
        alpha = 0.0 if self.dense else neuron.alpha
        return np.float32(alpha), np.float32(neuron.threshold), neuron.reset, fires

    def is_compiled(self) -> bool:
        """Return whether all machine code of its step is there, in this process or on disk."""
        forget_stale(help_steps)
        scratch, floats = _scratch(self.plan).arguments, np.zeros(1, np.float32)
        written = floats, floats, np.zeros((2, 1), np.float32)
        called: list[tuple[Any, tuple[object, ...]]] = [
            (help_steps, (0, self.rule, *scratch, 0, 0, 0)),
            (run_step, (0, self.rule, True, 0, floats, written, *scratch)),
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
        """Return a layer's membranes, a view, or a list of them for a slice."""
        if isinstance(index, slice):
            return [_view(self.together, layer) for layer in self._layers[index]]
        return _view(self.together, self._layers[index])


class SpikeModel(CheckedModel):
    """A Model (`livesnn.infer.model`) whose time grows with the spikes; to be stepped from one thread at a time.

    ``network`` is for this model only: its steps write into the plan. ``threads`` None: `default_threads`.
    """

    engine = "spike"

    def __init__(self, network: SpikeNetwork, threads: int | None = None) -> None:
        self.card, self._dense = network.card, network.dense
        self.team = ThreadTeam(network.plan, network.rule, threads or default_threads())
        shapes = [*self.card.states.values()]
        *firsts, self._size = accumulate(map(prod, shapes), initial=0)
        self._layers = [*zip(firsts, shapes, strict=True)]
        check_first_step(self, str(network.folder / WEIGHTS))

    @classmethod
    def load(cls, folder: Path, *, threads: int | None = None) -> SpikeModel:
        """Read model.safetensors.

        Raises ModelError if the file is missing or damaged, a tensor is missing or doesn't fit its card, its network
        isn't an STS-ResNet with widths that are multiples of 16, or a step gives NaN or infinity.
        """
        return cls(SpikeNetwork.read(folder), threads)

    def initial_state(self) -> State:
        shares_and_means = np.zeros((2, len(self._layers)), np.float32)
        return Membranes(self.card, self._layers, zeros(self._size, np.float32), shares_and_means)

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, Membranes]:
        before = self._together(state)
        dense, after = self._dense, aligned(self._size, np.float32)
        output = np.empty(self.card.traces.currents if dense else len(self.card.classes), np.float32)
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


def default_threads() -> int:
    """Return the threads of one step: one or two, but no more than this process has logical processors.

    The second one is called only to frames that are late, and only waited for once it has begun something.
    """
    return min(2, usable_processors())


def runs(card: ModelCard) -> bool:
    """Return whether this engine can run such a network."""
    return card.network.kind == "sts_resnet" and not any(width % LANES[-1] for width in card.network.widths)


def _view(together: FloatArray, layer: _Layer) -> FloatArray:
    """Return a layer's membranes [C, H, W], or [K], in the array of all."""
    first, shape = layer
    part = together[first : first + prod(shape)]
    return part if len(shape) == 1 else part.reshape(*shape[1:], shape[0]).transpose(2, 0, 1)


LOOKS_BEFORE_SLEEP = 1_500_000
"""How often a thread looks for the next step before it sleeps: 0.4 to 1.5 ms. Waking up takes 50 to 100 µs."""

LOOKS_TIMED = 50_000
"""Looks by which it is measured how long one takes: 13 to 50 µs in all."""

LATE_S, LATE_SHARE = 0.001, 1 / 3
"""The caller has waited for a helper that lost its processor if it waited for longer than both.

A system takes a processor away for milliseconds. In a step of a large network one of them is usual, but not a third
of the step.
"""

LATE_EVERY, LATE_AT_ONCE = 120, 3
"""Helpers may be late in one of so many steps, which leaves p99 as it is, and so many times in a row."""

FIRST_PAUSE, LONGEST_PAUSE = 150, 4800  # Steps without helpers after they were late more often than that


class Helping(NamedTuple):
    """Whether helpers are called to a step. On a busy machine, where they were late too often, they pause."""

    alone: int = 0  # steps that are still left of a pause
    allowed: float = LATE_AT_ONCE  # how often they may be late before the next pause
    pause: int = FIRST_PAUSE  # steps of the next pause: they double, until helpers are on time for a while

    def after_alone(self) -> Helping:
        """Return what follows a step without helpers."""
        return self._replace(alone=self.alone - 1) if self.alone else self

    def after_helped(self, step_s: float, waited_s: float) -> Helping:
        """Return what follows a step with helpers, in ``waited_s`` of which the caller waited for them."""
        if waited_s > max(LATE_S, LATE_SHARE * step_s):
            if self.allowed >= 1:
                return self._replace(allowed=self.allowed - 1)
            return Helping(self.pause, 0.0, min(2 * self.pause, LONGEST_PAUSE))
        allowed = min(self.allowed + 1 / LATE_EVERY, LATE_AT_ONCE)
        return Helping(0, allowed, FIRST_PAUSE if allowed == LATE_AT_ONCE else self.pause)


class _Shared(NamedTuple):
    """What all threads share: the board and its address, the arrays that it points to, and the rule."""

    address: int
    board: npt.NDArray[np.int64]
    network: Plan
    words: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    rule: Rule


class _Scratch(NamedTuple):
    """One thread's own working memory: ``arrays``, and as a kernel's arguments their addresses and the lanes."""

    arguments: tuple[object, ...]
    arrays: tuple[npt.NDArray[Any], npt.NDArray[Any]]


class ThreadTeam:
    """The caller's thread and ``threads`` − 1 helpers, which end when the team is no longer referred to.

    No thread waits for one that hasn't begun a band: whoever comes takes the next, and the caller can take them all.
    A helper that has begun one may lose its processor: `helping` says whether they are called.
    """

    def __init__(self, network: Plan, rule: Rule, threads: int) -> None:
        self._shared = _share(network, rule, threads)
        self._scratch = _scratch(network)
        forget_stale(help_steps)
        # Compiled in this thread: a process that ends while a helper compiles would abort.
        self._look_for(0)
        self._look_s = min(self._look_for(LOOKS_TIMED) for _ in range(3)) / LOOKS_TIMED
        self.helping = Helping()
        self._wake_ups = [threading.Event() for _ in range(threads - 1)]
        for thread, wake_up in enumerate(self._wake_ups, 1):
            worker = Worker(f"spikes-{thread}", partial(_help, thread, wake_up, self._shared)).start()
            weakref.finalize(self, worker.stop.set)

    @property
    def steps(self) -> int:
        return int(self._shared.board[EPOCH])

    @property
    def last_with_helpers(self) -> int:
        """Which of them was the last that the helpers were called to; 0: none."""
        return int(self._shared.board[CALLED])

    def step(
        self,
        frame: npt.NDArray[np.uint8],
        before: FloatArray,
        written: tuple[FloatArray, FloatArray, FloatArray],
        *,
        alone: bool,
    ) -> None:
        """Advance by one frame, ``alone``: without the helpers; the arguments are those of `step.run_step`."""
        begun_s = time.perf_counter()
        alone = alone or not self._wake_ups or self.helping.alone > 0
        for wake_up in () if alone else self._wake_ups:
            if not wake_up.is_set():
                wake_up.set()
        where = _address(frame)
        address, rule = self._shared.address, self._shared.rule
        looks = run_step(address, rule, alone, where, before, written, *self._scratch.arguments)
        if alone:
            self.helping = self.helping.after_alone()
        else:
            self.helping = self.helping.after_helped(time.perf_counter() - begun_s, looks * self._look_s)

    def _look_for(self, looks: int) -> float:
        """Return how long so many looks at the board take, in seconds, where there is no step."""
        begun_s = time.perf_counter()
        help_steps(self._shared.address, self._shared.rule, *self._scratch.arguments, 0, 0, looks)
        return time.perf_counter() - begun_s


def _share(network: Plan, rule: Rule, threads: int) -> _Shared:
    maps = [FeatureMap(*row) for row in network.layers.tolist()]
    depth, bands = len(maps), max(-(-layer.height // layer.band) for layer in maps[1:])
    words = zeros(depth * threads * TICKET_WORDS, np.int64), zeros(depth * bands * TICKET_WORDS, np.int64)
    arrays = {name: array for name, array in network._asdict().items() if isinstance(array, np.ndarray)}
    where = {name: _address(array) for name, array in arrays.items()}
    addresses = Addresses(
        frame=0, before=0, after=0, **where, tickets=_address(words[0]), finished=_address(words[1]), depth=depth,
        taps_in_all=len(network.taps), classes=network.bias.size, currents_in_all=network.currents.size,
        threads=threads, bands=bands,
    )  # fmt: skip
    board = zeros(ADDRESSES + len(addresses), np.int64)
    board[ADDRESSES:] = addresses
    return _Shared(_address(board), board, network, words, rule)


def _scratch(network: Plan) -> _Scratch:
    found = set(network.layers[:, FeatureMap._fields.index("lanes")].tolist())
    some = (lanes if lanes in found else None for lanes in LANES)
    arrays = zeros(LANES[0] + network.scratch, np.float32), zeros(network.scratch, np.int16)
    return _Scratch((*map(_address, arrays), *some), arrays)


def _address(array: npt.NDArray[Any]) -> int:
    return array.__array_interface__["data"][0]


def _help(thread: int, wake_up: threading.Event, shared: _Shared, stop: threading.Event) -> None:
    """Take part in steps until ``stop``; after a while without one, sleep until woken up."""
    scratch, epoch = _scratch(shared.network), 0
    while not stop.is_set():
        if wake_up.wait(WAKE_S):
            wake_up.clear()
            epoch = help_steps(shared.address, shared.rule, *scratch.arguments, thread, epoch, LOOKS_BEFORE_SLEEP)
