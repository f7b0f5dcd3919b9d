"""The engine that switches: ONNX Runtime until our spike engine is compiled, which another process does.

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

from livesnn import subprocesses
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.model import CheckedModel, FloatArray, Model, State
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.spike_engine import SpikeModel, SpikeNetwork, runs
from livesnn.threads import Latest, Worker
from livesnn.weights import GRAPH, WEIGHTS

PREPARING = "preparing the spike-driven engine …"

PATIENCE_S = 1.0  # Work that ends sooner, such as a script on a short recording, starts no other process
LIMIT_S = 900.0  # compiling takes 15 s of a processor that it may have to share

_ENDING_S = 5.0  # a load from numba's cache must not be cut off by the end of the process
_ONE_AT_A_TIME = threading.Lock()
_WORKERS: weakref.WeakSet[Worker] = weakref.WeakSet()  # also of models that nothing refers to

Prepare = Callable[[threading.Event], SpikeModel | None]


class SwitchingModel(CheckedModel):
    """A Model that steps on ONNX Runtime while ``prepare`` runs in a thread, then on the spike engine it returned.

    ``prepare`` returns None once its event is set, and raises LivesnnError if there will be no spike engine.
    """

    def __init__(self, onnx: OnnxModel, prepare: Prepare) -> None:
        self.card, self.engine = onnx.card, onnx.engine
        self._runs: OnnxModel | SpikeModel = onnx
        self._ready: Latest[SpikeModel] = Latest()
        self._worker = Worker("prepare", partial(_put_ready, prepare, self._ready)).start()
        if not _WORKERS:
            atexit.unregister(end_preparing)
            atexit.register(end_preparing)
        _WORKERS.add(self._worker)
        weakref.finalize(self, self._worker.stop.set)

    @property
    def note(self) -> str:
        """What `note_of` returns."""
        if self._worker.error is not None:
            return f"ONNX Runtime runs the network, because the spike-driven engine isn't ready: {self._worker.error}"
        return PREPARING if self._worker.running else ""

    def initial_state(self) -> State:
        return self._runs.initial_state()

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        if (spike := self._ready.take()) is not None:
            self._runs, self.engine = spike, spike.engine
            self.card = spike.card  # the same object, so that its own states need no check
        return self._runs.advance(frame, state)

    def close(self) -> None:
        """Stop preparing the spike engine; the model can still step."""
        self._worker.close(_ENDING_S)


def load_auto(folder: Path, *, threads: int | None = None) -> Model:
    """Load the spike engine, or ONNX Runtime until another process has compiled it, or where it can't run.

    Raises ModelError as `OnnxModel.load`.
    """
    onnx = OnnxModel.load(folder / GRAPH, threads=threads)
    if not runs(onnx.card) or not (folder / WEIGHTS).is_file():
        return onnx
    try:
        return _compiled_or_switching(onnx, folder, threads)
    except ModelError as error:
        return SwitchingModel(onnx, partial(_fail, error))


def load_spike(
    folder: Path, *, threads: int | None = None, wait: bool = True, notify: Callable[[str], None] | None = None
) -> Model:
    """Load the spike engine.

    ``wait``: compile here if need be; False: ONNX Runtime, if there, runs the network until another process has.
    ``notify``: called before it is compiled here. Raises ModelError as `SpikeModel.load` and `OnnxModel.load`.
    """
    if not wait and (folder / GRAPH).is_file():
        return _compiled_or_switching(OnnxModel.load(folder / GRAPH, threads=threads), folder, threads)
    network = SpikeNetwork.read(folder)
    if notify is not None and not network.is_compiled():
        notify("compiling the spike-driven engine, once: about 15 s")
    return SpikeModel(network, threads)


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


def _compiled_or_switching(onnx: OnnxModel, folder: Path, threads: int | None) -> Model:
    network = SpikeNetwork.read(folder)
    if network.card != onnx.card:
        raise ModelError(
            f"{folder / WEIGHTS} and {GRAPH} are not of the same model: copy the model again, or train it"
        )
    if network.is_compiled():
        return SpikeModel(network, threads)
    return SwitchingModel(onnx, partial(_prepare, network, threads))


def _put_ready(prepare: Prepare, ready: Latest[SpikeModel], stop: threading.Event) -> None:
    if (spike := prepare(stop)) is not None:
        ready.put(spike)


def _fail(error: ModelError, stop: threading.Event) -> None:
    raise error


def _prepare(network: SpikeNetwork, threads: int | None, stop: threading.Event) -> SpikeModel | None:
    """Compile in another process, then load the code; return None if ``stop`` was set.

    In a thread of this process, LLVM would abort it if the interpreter ended meanwhile. Raises LivesnnError if that
    fails, or its code isn't found where this process looks for it.
    """
    if stop.wait(PATIENCE_S):
        return None
    while not _ONE_AT_A_TIME.acquire(timeout=subprocesses.LOOK_S):
        if stop.is_set():
            return None
    try:
        if not network.is_compiled():
            command = subprocesses.command("prepare", str(network.folder.absolute()))
            subprocesses.run_apart(command, stop, limit_s=LIMIT_S)
    finally:
        _ONE_AT_A_TIME.release()
    if stop.is_set():
        return None
    if not network.is_compiled():
        raise ModelError("compiled code can't be stored: livesnn doctor says where numba stores it")
    return SpikeModel(network, threads)
