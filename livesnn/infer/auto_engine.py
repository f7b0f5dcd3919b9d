"""AutoModel: ONNX Runtime at once, the adaptive engine as soon as it is compiled. Not here: which is faster."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from livesnn.errors import ModelError
from livesnn.events.frames import Frame
from livesnn.infer import Model, State
from livesnn.infer.adaptive_engine import AdaptiveModel
from livesnn.infer.compiling import compile_apart
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.spike_engine import WEIGHTS, SpikeModel, is_compiled, runs
from livesnn.infer.spikes.memory import FloatArray
from livesnn.threads import Latest, Worker

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
