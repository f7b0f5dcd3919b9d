"""`load_model`, the Model that it returns, and finding model folders; the engines themselves are `*_engine.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError, reason_of
from livesnn.events.packet import Resolution
from livesnn.events.slicer import Frame
from livesnn.paths import models_dir, own_models_dir
from livesnn.simulate import DIGITS_URI
from livesnn.sources import is_webcam
from livesnn.weights import GRAPH, WEIGHTS, load_card

FloatArray = npt.NDArray[np.float32]

State = Sequence[FloatArray]
"""Membrane potentials U, one array a layer, in the order of `ModelCard.states`. Owned by the caller."""

Engine = Literal["auto", "onnx", "torch", "spike"]

DEFAULT_MODEL, TURNING_DIGITS = "gestures", "mnist-seq2"
"""Shipped models, the first for sources that need no other."""

_KNOWN = {"nmnist": "N-MNIST"}
"""Data sets that are known by the size of their sensor, which no other has: as people call them."""


class Model(Protocol):
    """A network that advances by one frame."""

    @property
    def card(self) -> ModelCard:
        """What the network is and how its input is made."""

    @property
    def engine(self) -> str:
        """The engine that ran the last step, or will run the first: "onnx", "spike" or "torch"."""

    def initial_state(self) -> State:
        """Return the all-zero state."""

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Advance by one frame; return the per-class output [K] of this step and the next state.

        ``state`` is not changed.
        """


class CheckedModel:
    """A Model that checks frame and state before each step: the base of every engine."""

    card: ModelCard
    engine: str

    def initial_state(self) -> State:
        return zero_state(self.card)

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Return the output [K] and the next state; raises ModelError on a wrong shape."""
        check_step(self.card, frame, state)
        return self.advance(frame, state)

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        raise NotImplementedError

    def __repr__(self) -> str:
        spec = self.card.input
        return (
            f"Model {self.card.name}: {len(self.card.classes)} classes, "
            f"{spec.width}×{spec.height} {spec.kind}, {self.engine} engine"
        )


def load_model(
    name_or_folder: str | Path,
    engine: Engine = "auto",
    threads: int | None = None,
    *,
    wait: bool = True,
    notify: Callable[[str], None] | None = None,
) -> Model:
    """Load a shipped model by name, or any model folder by path.

    Parameters
    ----------
    name_or_folder
        "nmnist", or a folder with model.onnx, model.safetensors and README.md. "models/nmnist" means the
        shipped model unless such a folder lies in the working directory.
    engine
        "spike": the spike-driven engine for STS-ResNets. ONNX Runtime runs frames with very many spikes, because it
        is faster there. "onnx": only ONNX Runtime. "torch": PyTorch, which needs livesnn[train]. "auto": "spike" if
        it can run the network, else "onnx". Another process compiles "spike", in 15 s, once for each installation.
        Until then "auto" runs on ONNX Runtime.
    threads
        Threads of one step, 1 or more; None: see `default_threads` of `onnx_engine` and `spike_engine`.
    wait
        With "spike": if it isn't compiled yet, wait for that. False: start on ONNX Runtime, as "auto" does.
    notify
        Called with a line of text before "spike" is compiled here.

    Raises
    ------
    ModelError
        There is no such model, it is damaged, or the engine can't run it.
    """
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise ModelError(f"a model can't run on {threads!r} threads: give 1 or more")
    folder = model_folder(name_or_folder)
    if engine == "auto":
        from livesnn.infer.switching_engine import load_auto

        return load_auto(folder, threads=threads)
    if engine == "onnx":
        from livesnn.infer.onnx_engine import OnnxModel

        return OnnxModel.load(folder / GRAPH, threads=threads)
    if engine == "torch":
        try:
            from livesnn.infer.torch_engine import TorchModel
        except ModuleNotFoundError as error:
            raise ModelError(f"engine 'torch' needs {error.name}: pip install 'livesnn[train]'") from error

        return TorchModel(folder, threads=threads)
    if engine == "spike":
        from livesnn.infer.switching_engine import load_spike

        return load_spike(folder, threads=threads, wait=wait, notify=notify)
    raise ModelError(f"unknown engine {engine!r}: use 'auto', 'onnx', 'spike' or 'torch'")


def read_card(model: str | Path) -> ModelCard:
    """Return the card of a model by name or folder; raises ModelError."""
    folder = model_folder(model)
    weights = folder / WEIGHTS
    return load_card(weights) if weights.is_file() else load_model(folder).card


def shipped_for(sensor: tuple[int, int]) -> tuple[str, ...]:
    """Return the shipped models that were trained with a sensor of this width and height."""
    return tuple(name for name, card in _shipped_cards() if card.sensor == sensor)


def only_model_for(source: str) -> str | None:
    """Return the only shipped model that knows what is in a SOURCE of the command line; None: any may."""
    turning = source.startswith(DIGITS_URI) and TURNING_DIGITS in shipped_models()
    return TURNING_DIGITS if turning else None


def wants_pictures(source: object, model: str | Path | Model | None) -> bool:
    """Whether a webcam should give its pictures themselves, because the model reads video; see `open_source`."""
    if model is None or not is_webcam(source):
        return False
    with suppress(ModelError):  # loading it says why
        card = read_card(model) if isinstance(model, str | Path) else model.card
        return card.input.kind == "video"
    return False


class Fit(NamedTuple):
    """How a model fits a source."""

    plays: bool  # Whether it can take the source at all: events or pictures
    better: str | None = None  # A shipped model that was trained for such a source; None: none is better
    why: str = ""  # What speaks for that one, as the beginning of a sentence


def fit_events(card: ModelCard, size: Resolution) -> Fit:
    """Return how a model fits events of a sensor of this size."""
    plays = card.input.kind == "events"
    if plays and card.sensor in (None, size):
        return Fit(plays)
    trained = shipped_for(size)
    better = DEFAULT_MODEL if DEFAULT_MODEL in trained else next(iter(trained), None)
    if better is not None:
        known = _KNOWN.get(read_card(better).dataset)
        shape = f"{size.width} × {size.height} pixels"
        return Fit(plays, better, f"This looks like {known}" if known else f"{better} was trained with {shape}")
    default = None if plays or DEFAULT_MODEL not in shipped_models() else DEFAULT_MODEL
    return Fit(plays, default, "These are events" if default else "")


def fit_video(card: ModelCard, source: str) -> Fit:
    """Return how a model fits the pictures of a SOURCE of the command line."""
    if card.input.kind == "video":
        return Fit(plays=True)
    for_video = (name for name, card in _shipped_cards() if card.input.kind == "video" and name != TURNING_DIGITS)
    better = only_model_for(source) or next(for_video, None)
    return Fit(plays=False, better=better, why="This is a video")


def _shipped_cards() -> Iterator[tuple[str, ModelCard]]:
    for name in shipped_models():
        with suppress(ModelError):  # a damaged one says so when it is loaded
            yield name, read_card(name)


def shipped_models() -> tuple[str, ...]:
    """Return the names of the models that come with livesnn, in order; () if their folder is missing."""
    return _models_in(models_dir())


def own_models() -> tuple[str, ...]:
    """Return the names of the models that were taught on this machine (`livesnn.teach`), in order."""
    return _models_in(own_models_dir())


def _models_in(folder: Path) -> tuple[str, ...]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(entry.name for entry in entries if _is_model(entry))


def model_folder(name_or_folder: str | Path) -> Path:
    """Return the folder of a model as `load_model` finds it; raises ModelError when there is none."""
    try:
        return _find(name_or_folder)
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # too long, no such user, no path
        raise ModelError(f"model {str(name_or_folder)[:80]!r} can't be opened: {reason_of(error)}") from error


def _find(name_or_folder: str | Path) -> Path:
    """Return the path as given, the model in that run folder, or the model of that name.

    A shipped model comes before one of the same name that was taught here.
    """
    path = Path(name_or_folder).expanduser()
    for folder in (path, path / "model"):
        if _is_model(folder):
            return folder
    if path.parts in ((path.name,), ("models", path.name)) and _is_model(models_dir() / path.name):
        return models_dir() / path.name
    if path.parts == (path.name,) and _is_model(own_models_dir() / path.name):
        return own_models_dir() / path.name
    if path.is_file():
        raise ModelError(f"{path} is a file: give its folder, {path.parent}")
    if path.is_dir() and path.parts != (path.name,):
        if (path / "last.ckpt").is_file():
            raise ModelError(f"{path} holds a training that isn't finished: go on with livesnn train … --resume")
        raise ModelError(f"{path} is not a model folder: it holds neither {GRAPH} nor {WEIGHTS}")
    available = ", ".join((*shipped_models(), *own_models())) or "none"
    trained = f"; trained here: {run}" if _is_model((run := Path("runs") / path) / "model") else ""
    raise ModelError(f"Model {str(name_or_folder)!r} not found; available: {available}{trained}")


def _is_model(folder: Path) -> bool:
    return any((folder / file).is_file() for file in (GRAPH, WEIGHTS))


def zero_state(card: ModelCard) -> State:
    return tuple(np.zeros(shape, np.float32) for shape in card.states.values())


class CountedState(Sequence[FloatArray]):
    """A State that has a card's shapes, and whose step has already counted what `density_and_mean` returns."""

    card: ModelCard
    density: FloatArray
    mean: FloatArray


def density_and_mean(state: State, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Return two float32 [layers]: the share of neurons at or above the threshold, and the mean U.

    Neurons at the threshold are those that spiked in the step that made this state.
    """
    if isinstance(state, CountedState):
        return state.density, state.mean
    # A layer may be [C, H, W] in any order in memory; "K" takes it as it lies, without a copy. All layers are counted
    # in one call: each call releases the interpreter's lock, and must wait for it afterwards.
    figures = np.empty((len(state), 2))
    _kernel(len(state))(tuple(u.ravel(order="K") for u in state), threshold, figures)
    density, mean = (figures / np.array([u.size for u in state])[:, None]).astype(np.float32).T
    return density, mean


@cache
def _kernel(layers: int) -> Callable[[tuple[FloatArray, ...], float, npt.NDArray[np.float64]], None]:
    """Compile `_count_and_sum` on first use, for read-only arrays too; it releases the GIL."""
    import numba

    from livesnn.compiled import njit

    membranes = numba.types.UniTuple(numba.types.Array(numba.float32, 1, "C", readonly=True), layers)
    signature = numba.void(membranes, numba.float32, numba.float64[:, ::1])
    any_order = {"reassoc", "nsz"}  # lets LLVM sum 16 numbers at once
    return njit(signature, nogil=True, cache=True, fastmath=any_order)(_count_and_sum)


def _count_and_sum(
    membranes: tuple[FloatArray, ...], threshold: np.float32, figures: npt.NDArray[np.float64]
) -> None:
    """Write each layer's number of spikes and sum of U to ``figures`` [layers, 2]."""
    for layer in range(len(membranes)):
        u = membranes[layer]
        spikes, total = np.int32(0), np.float32(0)
        for index in range(u.size):
            spikes += np.int32(u[index] >= threshold)
            total += u[index]
        figures[layer, 0], figures[layer, 1] = spikes, total


def check_step(card: ModelCard, frame: Frame, state: State) -> None:
    """Raise ModelError if the frame or a state doesn't have the card's shape and dtype."""
    wanted = (card.input.channels, card.input.height, card.input.width)
    data: object = frame.data if isinstance(frame, Frame) else frame
    if data is frame or not _is_array(data, np.uint8, wanted):
        raise ModelError(
            f"model {card.name!r} takes a livesnn.events.slicer.Frame of uint8 {list(wanted)}, but this is "
            f"{'a bare array of ' * (data is frame)}{_describe(data)}: make frames with livesnn.frames and this model"
        )
    if isinstance(state, CountedState) and state.card is card:
        return
    several = isinstance(state, Sequence)
    if not several or len(state) != len(card.states):
        found = len(state) if several else f"a {type(state).__name__}"
        raise ModelError(
            f"model {card.name!r} has {len(card.states)} states, not {found}: start from initial_state()"
        )
    for (name, shape), membrane in zip(card.states.items(), state, strict=True):
        if not _is_array(membrane, np.float32, shape):
            raise ModelError(
                f"state {name!r} of model {card.name!r} is float32 {list(shape)}, not {_describe(membrane)}: "
                f"start from initial_state()"
            )


def check_first_step(model: Model, where: str) -> None:
    """Raise ModelError if a step on a blank frame from the zero state gives NaN or infinity.

    Damaged weights show here: NaN and infinity times 0 are NaN.
    """
    spec = model.card.input
    blank = Frame(0, np.zeros((spec.channels, spec.height, spec.width), np.uint8), 0)
    output, state = model.step(blank, model.initial_state())
    if not all(np.isfinite(array).all() for array in (output, *state)):
        raise ModelError(f"{where} gives NaN or infinity on a blank frame: its weights are damaged, train again")


def _is_array(value: object, dtype: type[np.generic], shape: tuple[int, ...]) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape


def _describe(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__


def pooled_spikes(card: ModelCard, state: State) -> FloatArray:
    """Return the share of spikes in each cell of the read-out's pools, float32 [P], in the order of `STSResNet`."""
    size, names = card.network.final_pool, list(card.states)
    parts = []
    for layer in card.read_layers():
        spikes = np.asarray(state[names.index(layer)]) >= np.float32(card.neuron.threshold)
        channels, rows, columns = len(spikes), spikes.shape[1] // size, spikes.shape[2] // size
        cells = spikes[:, : rows * size, : columns * size].reshape(channels, rows, size, columns, size)
        parts.append(cells.mean((2, 4), dtype=np.float32).ravel())
    return np.concatenate(parts)
