"""Compiling the spike-driven engine in a process of its own, for this one. Not here: when (auto_engine.py).

A thread that compiles when its interpreter ends aborts the process: LLVM calls back into it.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import Self

import numpy as np

from livesnn import subprocesses as itself
from livesnn.card import ModelCard
from livesnn.errors import LivesnnError, ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.model import Model, State, check_step
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.operations import fan_out
from livesnn.infer.spike_engine import WEIGHTS, Membranes, SpikeModel, is_compiled, runs
from livesnn.infer.spikes.plan import FloatArray
from livesnn.threads import Latest, Worker

COMMAND = "prepare"
LIMIT_S = 900.0  # compiling takes 15 s of a processor that it may have to share


_ONE_AT_A_TIME = threading.Lock()


def compile_apart(folder: Path, stop: threading.Event) -> bool:
    """Let another process compile what a model folder's step needs; return whether that is there now.

    False: ``stop`` was set, which ends the other process.

    Raises
    ------
    ModelError
        It could not be started, failed, takes too long, or its code isn't found where this process looks for it.
    """
    while not _ONE_AT_A_TIME.acquire(timeout=itself.LOOK_S):
        if stop.is_set():
            return False
    try:
        if not is_compiled(folder):
            _compile(folder, stop)
        if not stop.is_set() and not is_compiled(folder):
            raise ModelError("compiled code isn't kept: livesnn doctor says where numba looks for it")
    finally:
        _ONE_AT_A_TIME.release()
    return not stop.is_set()


def _compile(folder: Path, stop: threading.Event) -> None:
    command = itself.command(COMMAND, str(folder.absolute()))
    try:
        itself.run_apart(command, stop, limit_s=LIMIT_S)
    except LivesnnError as error:
        raise ModelError(f"it can't be compiled: {error}") from error


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


ONNX = "model.onnx"
PREPARING = "preparing the spike engine …"

PATIENCE_S = 1.0
"""What ends sooner, such as a script on a short recording, starts no other process."""

_WORKERS: weakref.WeakSet[Worker] = weakref.WeakSet()  # also of models nobody holds
_ENDING_S = 5.0  # for a load from numba's cache to end, which must not be cut off by the end of the process


class AutoModel:
    """A Model (`livesnn.infer.Model`) that goes over to a faster one between two steps, once that is ready.

    Parameters
    ----------
    first
        Runs the network until then.
    prepare
        Called in a thread with its stop event; returns the faster one, or raises ModelError: then the first one
        stays. None: it has ended because of ``stop``.
    """

    def __init__(self, first: Model, prepare: Callable[[threading.Event], Model | None]) -> None:
        self.card = first.card
        self._model = first
        self._ready: Latest[Model] = Latest()
        self._worker = Worker("prepare", partial(_leave, prepare, self._ready)).start()
        weakref.finalize(self, self._worker.stop.set)
        if not _WORKERS:
            atexit.unregister(end_preparing)
            atexit.register(end_preparing)
        _WORKERS.add(self._worker)

    @property
    def engine(self) -> str:
        """What ran the last step."""
        return self._model.engine

    @property
    def note(self) -> str:
        """What is being done about a faster engine, or why there is none; "" when all is done."""
        if self._worker.error is not None:
            return f"the spike engine is not there, ONNX Runtime runs the network: {self._worker.error}"
        return PREPARING if self._worker.running else ""

    def initial_state(self) -> State:
        """Return the all-zero state."""
        return self._model.initial_state()

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Return the output [K] and the next state; raises ModelError on a wrong shape."""
        if (ready := self._ready.take()) is not None:
            self._model = ready
        return self._model.step(frame, state)

    def close(self) -> None:
        """Prepare nothing more; steps go on as they are."""
        self._worker.close(_ENDING_S)


def load_auto(folder: Path, *, threads: int | None = None) -> Model:
    """Load the adaptive engine where it runs the network, in use as soon as it is compiled; or ONNX Runtime.

    Raises ModelError as `OnnxModel.load`; where the weights for the spike-driven engine are damaged, that is a note.
    """
    onnx = OnnxModel.load(folder / ONNX, threads=threads)
    if not runs(onnx.card) or not (folder / WEIGHTS).is_file():
        return onnx
    try:
        return _load(folder, onnx, threads)
    except ModelError as error:
        return AutoModel(onnx, partial(_fail, error))


def load_spike(folder: Path, *, threads: int | None = None, wait: bool = True) -> Model:
    """Load the spike-driven engine, with ONNX Runtime for steps of many spikes where its file is there.

    ``wait``: compile here, if need be; otherwise ONNX Runtime, if there, runs the network until another process has.
    Raises ModelError as `SpikeModel.load` and `OnnxModel.load`.
    """
    if not (folder / ONNX).is_file():
        return SpikeModel.load(folder, threads=threads)
    onnx = OnnxModel.load(folder / ONNX, threads=threads)
    return AdaptiveModel.load(folder, onnx, threads=threads) if wait else _load(folder, onnx, threads)


def note_of(model: Model) -> str:
    """Return what there is to be told of a model's engine; "" if nothing."""
    return model.note if isinstance(model, AutoModel) else ""


def end_preparing() -> None:
    """Leave no thread and no process behind that prepares an engine for any model, held or not."""
    workers = list(_WORKERS)
    for worker in workers:
        worker.stop.set()
    for worker in workers:
        worker.close(_ENDING_S)


@contextmanager
def preparing(model: Model) -> Iterator[None]:
    """Let another engine be prepared for a model within this block alone."""
    try:
        yield
    finally:
        if isinstance(model, AutoModel):
            model.close()


def _load(folder: Path, onnx: OnnxModel, threads: int | None) -> Model:
    if is_compiled(folder):
        return AdaptiveModel.load(folder, onnx, threads=threads)
    return AutoModel(onnx, partial(_prepare, folder, onnx, threads))


def _prepare(folder: Path, onnx: OnnxModel, threads: int | None, stop: threading.Event) -> Model | None:
    """Compile apart, then load what is compiled; None: ``stop`` was set."""
    if stop.wait(PATIENCE_S) or not compile_apart(folder, stop):
        return None
    return AdaptiveModel.load(folder, onnx, threads=threads)


def _fail(error: ModelError, stop: threading.Event) -> None:
    raise error


def _leave(
    prepare: Callable[[threading.Event], Model | None], ready: Latest[Model], stop: threading.Event
) -> None:
    """Leave what is prepared in a mailbox."""
    if (model := prepare(stop)) is not None:
        ready.put(model)
