"""How many neurons of each layer spiked, and how far the others are from it: counted by the step, or in one pass.

Not here: what spikes cost (synops.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.paths import models_dir, own_models_dir
from livesnn.weights import load_card

FloatArray = npt.NDArray[np.float32]


class Counted(Sequence[FloatArray]):
    """A State whose step has counted what `density_and_mean` returns, and that is of a card's shapes."""

    card: ModelCard
    density: FloatArray
    mean: FloatArray


def density_and_mean(membranes: State, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Return two float32 [layers]: the share of neurons at or above the threshold, and the mean U; or as was counted.

    Neurons at the threshold are those that spiked in the step that made this state.
    """
    if isinstance(membranes, Counted):
        return membranes.density, membranes.mean
    # A layer may be [C, H, W] in any order in memory; "K" takes it as it lies, without a copy. All in one call: each
    # gives the interpreter's lock away, and must wait for it after.
    figures = np.empty((len(membranes), 2))
    _kernel(len(membranes))(tuple(u.ravel(order="K") for u in membranes), threshold, figures)
    density, mean = (figures / np.array([u.size for u in membranes])[:, None]).astype(np.float32).T
    return density, mean


@cache
def _kernel(layers: int) -> Callable[[tuple[FloatArray, ...], float, npt.NDArray[np.float64]], None]:
    """Compile `_count_and_sum` on first use, for read-only arrays too; it releases the GIL."""
    import numba

    membranes = numba.types.UniTuple(numba.types.Array(numba.float32, 1, "C", readonly=True), layers)
    signature = numba.void(membranes, numba.float32, numba.float64[:, ::1])
    any_order = {"reassoc", "nsz"}  # of the sum: 16 numbers at once
    return numba.njit(signature, nogil=True, cache=True, fastmath=any_order)(_count_and_sum)


def _count_and_sum(
    membranes: tuple[FloatArray, ...], threshold: np.float32, figures: npt.NDArray[np.float64]
) -> None:
    """Leave spikes and sum of each layer in ``figures`` [layers, 2]."""
    for layer in range(len(membranes)):
        u = membranes[layer]
        spikes, total = np.int32(0), np.float32(0)
        for index in range(u.size):
            spikes += np.int32(u[index] >= threshold)
            total += u[index]
        figures[layer, 0], figures[layer, 1] = spikes, total


State = Sequence[npt.NDArray[np.float32]]
"""Membrane potentials U, one array a layer, in the order of `ModelCard.states`. Owned by the caller."""

Engine = Literal["auto", "onnx", "torch", "spike"]

_WEIGHTS = ("model.onnx", "model.safetensors")


def zero_state(card: ModelCard) -> State:
    """Return fresh arrays of zeros, float32, one a layer."""
    return tuple(np.zeros(shape, np.float32) for shape in card.states.values())


class Model(Protocol):
    """A network that advances by one frame."""

    @property
    def card(self) -> ModelCard:
        """What the network is and how its input is made."""
        ...

    @property
    def engine(self) -> str:
        """What runs it, or ran its last step: "onnx", "spike", "torch"."""
        ...

    def initial_state(self) -> State:
        """Return the all-zero state."""
        ...

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        """Advance by one frame; return the per-class output [K] of this step and the next state.

        ``state`` is not changed.
        """
        ...


def load_model(
    name_or_folder: str | Path, engine: Engine = "auto", *, threads: int | None = None, wait: bool = True
) -> Model:
    """Load a shipped model by name, or any model folder by path.

    Parameters
    ----------
    name_or_folder
        "nmnist", or a folder with model.onnx, model.safetensors and README.md. "models/nmnist" means the
        shipped model wherever no such folder lies below the working directory.
    engine
        "auto": "spike" where it runs the network, "onnx" elsewhere, and until "spike" is compiled (in another
        process, once an installation: 15 s; `auto_engine.AutoModel`). "spike": our kernels for STS-ResNets, and ONNX
        Runtime for steps of so many spikes that it is faster (`adaptive_engine`). "torch" needs livesnn[train].
    threads
        Threads of one step, 1 or more; None: see `default_threads` of `onnx_engine` and `spike_engine`.
    wait
        Of "spike": compile here and now, if need be; or go about it as "auto" does.

    Raises
    ------
    ModelError
        No such model, a damaged one, or an engine that can't run it.
    """
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise ModelError(f"{threads!r} threads can't run a model: give 1 or more")
    folder = model_folder(name_or_folder)
    if engine == "auto":
        from livesnn.infer.switching_engine import load_auto

        return load_auto(folder, threads=threads)
    if engine == "onnx":
        from livesnn.infer.onnx_engine import OnnxModel

        return OnnxModel.load(folder / "model.onnx", threads=threads)
    if engine == "torch":
        try:
            from livesnn.infer.torch_engine import TorchModel
        except ModuleNotFoundError as error:
            raise ModelError(f"engine 'torch' needs {error.name}: pip install 'livesnn[train]'") from error

        return TorchModel.load(folder, threads=threads)
    if engine == "spike":
        from livesnn.infer.switching_engine import load_spike

        return load_spike(folder, threads=threads, wait=wait)
    raise ModelError(f"unknown engine {engine!r}: use 'auto', 'onnx', 'spike' or 'torch'")


def read_card(model: str | Path) -> ModelCard:
    """Return the card of a model by name or folder; raises ModelError."""
    folder = model_folder(model)
    weights = folder / "model.safetensors"
    return load_card(weights) if weights.is_file() else load_model(folder).card


def shipped_for(sensor: tuple[int, int]) -> tuple[str, ...]:
    """Return which of the models that come with livesnn were trained with a sensor of this width and height."""
    fitting = []
    for name in shipped_models():
        with suppress(ModelError):  # one that is damaged says so when it is asked for
            fitting += [name] if read_card(name).sensor == sensor else []
    return tuple(fitting)


def shipped_models() -> tuple[str, ...]:
    """Return the names of the models that come with livesnn, in order; none where they are missing."""
    return _models_in(models_dir())


def own_models() -> tuple[str, ...]:
    """Return the names of the models that were taught here (`livesnn.teach`), in order."""
    return _models_in(own_models_dir())


def _models_in(folder: Path) -> tuple[str, ...]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(entry.name for entry in entries if _is_model(entry))


def model_folder(name_or_folder: str | Path) -> Path:
    """Return the folder of a model as `load_model` finds it; raises ModelError when there is none."""
    try:
        return _find(name_or_folder)
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # too long, no such user, no path
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"model {str(name_or_folder)[:80]!r} can't be opened: {reason}") from error


def _find(name_or_folder: str | Path) -> Path:
    """Return the model's folder: the path as given, or the model in that run folder, or the one of that name.

    Of a name, a shipped model comes before one that was taught here.
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
        raise ModelError(f"{path} is not a model folder: it holds neither {_WEIGHTS[0]} nor {_WEIGHTS[1]}")
    available = ", ".join((*shipped_models(), *own_models())) or "none"
    trained = f"; trained here: {run}" if _is_model((run := Path("runs") / path) / "model") else ""
    raise ModelError(f"Model {str(name_or_folder)!r} not found; available: {available}{trained}")


def _is_model(folder: Path) -> bool:
    """Tell whether the folder holds weights."""
    return any((folder / weights).is_file() for weights in _WEIGHTS)


def check_step(card: ModelCard, frame: Frame, state: State) -> None:
    """Raise ModelError, saying which, if a frame or a state isn't of the card's shape and dtype."""
    wanted = (card.input.channels, card.input.height, card.input.width)
    data: object = frame.data if isinstance(frame, Frame) else frame
    if data is frame or not _is_array(data, np.uint8, wanted):
        raise ModelError(
            f"model {card.name!r} takes a livesnn.events.frames.Frame of uint8 {list(wanted)}, this one is "
            f"{'a bare array of ' * (data is frame)}{_describe(data)}: slice with the model's own card"
        )
    if isinstance(state, Counted) and state.card is card:
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
    """Raise ModelError if one step from the zero state, of a frame without events, gives anything but numbers.

    Weights that are NaN or infinite show here: they stay so when multiplied by 0.
    """
    spec = model.card.input
    blank = Frame(0, np.zeros((spec.channels, spec.height, spec.width), np.uint8), 0)
    output, state = model.step(blank, model.initial_state())
    if not all(np.isfinite(array).all() for array in (output, *state)):
        raise ModelError(
            f"{where} computes no numbers from a blank frame: its weights are damaged, train again"
        )


def _is_array(value: object, dtype: type[np.generic], shape: tuple[int, ...]) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape


def _describe(value: object) -> str:
    """Return dtype and shape, or the type of what is no array."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
