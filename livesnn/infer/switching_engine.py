"""The engine that switches: ONNX Runtime until our spike engine is compiled, and for steps of very many spikes.

Both engines take each other's states, so a switch between two frames changes nothing but the time of a step.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np

from livesnn import subprocesses
from livesnn.card import ModelCard
from livesnn.errors import LivesnnError, ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.cost import dense_synops
from livesnn.infer.model import CheckedModel, FloatArray, Model, State, density_and_mean
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.spike_engine import SpikeModel, SpikeNetwork, runs
from livesnn.threads import Latest, Worker
from livesnn.weights import GRAPH, WEIGHTS

PREPARING = "preparing the spike-driven engine …"

CROSSOVER = {8: 0.85, 32: 0.4}
"""Density from which on ONNX Runtime takes the steps, by the bits of the blocks' kernels.

These are constants because measuring takes 0.3 s at each load, and is off by a factor of 2 on a busy machine. They
were measured on an AMD EPYC (Zen 5), where ONNX Runtime is at its fastest, with two threads and networks of 16, 64
and 128 channels. There it was 1.3 to 1.8 times as fast at a density of 0.4 in 32 bits, and 1.4 to 1.8 times at 0.85
in 8 bits (512 channels: 1.0).
"""

WIDE = 128
"""Channels from which the crossover of 32-bit kernels falls: a core's second cache can't hold them (512: 9 MB)."""

RETURN_BELOW = 0.8
"""The spike engine takes over again below this part of the crossover: hysteresis, so that engines don't alternate."""

COUNT_EVERY = 16
"""Steps that ONNX Runtime takes before spikes are counted again. Counting takes up to 70 µs, a step over 200."""

PATIENCE_S = 1.0  # Work that ends sooner, such as a script on a short recording, starts no other process

COMMAND = "prepare"
LIMIT_S = 900.0  # compiling takes 15 s of a processor that it may have to share

_ENDING_S = 5.0  # a load from numba's cache must not be cut off by the end of the process
_ONE_AT_A_TIME = threading.Lock()
_WORKERS: weakref.WeakSet[Worker] = weakref.WeakSet()  # also of models that nothing refers to

Prepare = Callable[[threading.Event], SpikeModel | None]


class DenseState(tuple[FloatArray, ...]):
    """A State of ONNX Runtime's, with how many more steps it is to take before spikes are counted again."""

    steps_left: int


class SwitchingModel(CheckedModel):
    """A Model that steps on our spike engine or on ONNX Runtime, whichever is faster by the state's spikes.

    ``spike`` is the spike engine, or what prepares it in a thread while ONNX Runtime takes all steps: that returns
    None once its event is set, and raises ModelError if there will be no spike engine.
    """

    def __init__(self, onnx: OnnxModel, spike: SpikeModel | Prepare) -> None:
        self.card, self.engine = onnx.card, onnx.engine  # what ran the last step, or will run the first
        self._onnx = onnx
        self._spike: SpikeModel | None = None
        self._worker: Worker | None = None
        self._ready: Latest[SpikeModel] = Latest()
        if isinstance(spike, SpikeModel):
            self.engine = spike.engine
            self._use(spike)
        else:
            self._worker = _start(partial(_put_ready, spike, self._ready))
            weakref.finalize(self, self._worker.stop.set)

    @property
    def note(self) -> str:
        """What `note_of` returns."""
        if self._worker is None:
            return ""
        if self._worker.error is not None:
            return f"ONNX Runtime runs the network, because the spike-driven engine isn't ready: {self._worker.error}"
        return PREPARING if self._worker.running else ""

    def initial_state(self) -> State:
        return (self._onnx if self._spike is None else self._spike).initial_state()

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        if self._spike is None and (ready := self._ready.take()) is not None:
            self._use(ready)
        if self._spike is None:
            return self._onnx.advance(frame, state)
        steps = self._onnx_steps(state)
        if not steps:
            self.engine = self._spike.engine
            return self._spike.advance(frame, state)
        self.engine = self._onnx.engine
        output, membranes = self._onnx.advance(frame, state)
        after = DenseState(membranes)
        after.steps_left = steps - 1
        return output, after

    def close(self) -> None:
        """Stop preparing the spike engine; the model can still step."""
        if self._worker is not None:
            self._worker.close(_ENDING_S)

    def _use(self, spike: SpikeModel) -> None:
        self._spike = spike
        self.card = spike.card  # the same object, so that its own states need no check
        self._dense_synops = dense_synops(self.card).astype(np.float32)
        self._most_synops = crossover_density(self.card) * float(self._dense_synops.sum())

    def _onnx_steps(self, state: State) -> int:
        """Return how many steps from a state on ONNX Runtime takes before the next count."""
        most = self._most_synops
        if isinstance(state, DenseState):
            if state.steps_left:
                return state.steps_left
            most *= RETURN_BELOW
        density, _ = density_and_mean(state, self.card.neuron.threshold)
        return COUNT_EVERY * bool(density[:-1] @ self._dense_synops > most)  # of the step that made the state


def crossover_density(card: ModelCard) -> float:
    """Return the density from which on ONNX Runtime takes a network's steps."""
    bits = card.network.weight_bits
    return CROSSOVER[bits] * (min(1.0, WIDE / max(card.network.widths)) if bits == 32 else 1.0)


def load_auto(folder: Path, *, threads: int | None = None) -> Model:
    """Load the engine that switches if it can run the network, else ONNX Runtime; raises as `OnnxModel.load`."""
    onnx = OnnxModel.load(folder / GRAPH, threads=threads)
    if not runs(onnx.card) or not (folder / WEIGHTS).is_file():
        return onnx
    try:
        return _with_spikes(onnx, _read(folder, onnx), threads)
    except ModelError as error:
        return SwitchingModel(onnx, partial(_fail, error))


def load_spike(
    folder: Path, *, threads: int | None = None, wait: bool = True, notify: Callable[[str], None] | None = None
) -> Model:
    """Load the engine that switches, or only the spike engine if the folder has no model.onnx.

    ``wait``: compile here if need be; False: ONNX Runtime, if there, runs the network until another process has.
    ``notify``: called before it is compiled here. Raises ModelError as `SpikeModel.load` and `OnnxModel.load`.
    """
    onnx = OnnxModel.load(folder / GRAPH, threads=threads) if (folder / GRAPH).is_file() else None
    network = _read(folder, onnx)
    if onnx is not None and not wait:
        return _with_spikes(onnx, network, threads)
    if notify is not None and not network.is_compiled():
        notify("compiling the spike-driven engine, once: about 15 s")
    spike = SpikeModel(network, threads)
    return spike if onnx is None else SwitchingModel(onnx, spike)


def note_of(model: Model) -> str:
    """Return that the spike engine is being prepared, or why there is none; "" if there is nothing to say."""
    return model.note if isinstance(model, SwitchingModel) else ""


@contextmanager
def in_use(model: Model) -> Iterator[Model]:
    """Yield a model; at the end, stop preparing its spike engine."""
    with closing(model) if isinstance(model, SwitchingModel) else nullcontext():
        yield model


def end_preparing() -> None:
    """End all threads and processes that prepare the spike engine for any model, whether it is in use or not."""
    workers = list(_WORKERS)
    for worker in workers:
        worker.stop.set()
    for worker in workers:
        worker.close(_ENDING_S)


def _start(task: Callable[[threading.Event], None]) -> Worker:
    """Start a thread that ends before the process does."""
    worker = Worker("prepare", task).start()
    if not _WORKERS:
        atexit.unregister(end_preparing)
        atexit.register(end_preparing)
    _WORKERS.add(worker)
    return worker


def _read(folder: Path, onnx: OnnxModel | None) -> SpikeNetwork:
    """Read the spike engine's network, and check that it is the same one as ONNX Runtime's."""
    network = SpikeNetwork.read(folder)
    if onnx is not None and network.card != onnx.card:
        raise ModelError(
            f"{folder / WEIGHTS} and {GRAPH} are not of the same model: copy the model again, or train it"
        )
    return network


def _with_spikes(onnx: OnnxModel, network: SpikeNetwork, threads: int | None) -> SwitchingModel:
    """Return a model whose spike engine is there if it is compiled, or else will be."""
    if network.is_compiled():
        return SwitchingModel(onnx, SpikeModel(network, threads))
    return SwitchingModel(onnx, partial(_prepare, network, threads))


def _put_ready(prepare: Prepare, ready: Latest[SpikeModel], stop: threading.Event) -> None:
    if (spike := prepare(stop)) is not None:
        ready.put(spike)


def _fail(error: ModelError, stop: threading.Event) -> None:
    raise error


def _prepare(network: SpikeNetwork, threads: int | None, stop: threading.Event) -> SpikeModel | None:
    """Compile in another process, then load the code; return None if ``stop`` was set."""
    if stop.wait(PATIENCE_S) or not _compile_apart(network, stop):
        return None
    return SpikeModel(network, threads)


def _compile_apart(network: SpikeNetwork, stop: threading.Event) -> bool:
    """Let another process compile a network's step; return whether the code is there: False if ``stop`` was set.

    In a thread of this process, LLVM would abort it if the interpreter ended meanwhile.
    Raises ModelError if that fails, or its code isn't found where this process looks for it.
    """
    while not _ONE_AT_A_TIME.acquire(timeout=subprocesses.LOOK_S):
        if stop.is_set():
            return False
    try:
        if not network.is_compiled():
            command = subprocesses.command(COMMAND, str(network.folder.absolute()))
            try:
                subprocesses.run_apart(command, stop, limit_s=LIMIT_S)
            except LivesnnError as error:
                raise ModelError(f"it can't be compiled: {error}") from error
        if not stop.is_set() and not network.is_compiled():
            raise ModelError("compiled code can't be stored: livesnn doctor says where numba stores it")
    finally:
        _ONE_AT_A_TIME.release()
    return not stop.is_set()
