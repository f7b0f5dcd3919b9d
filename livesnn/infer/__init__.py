"""A model folder on a stream of frames: the Model protocol and load_model. Not here: training (train/)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.frames import Frame
from livesnn.paths import models_dir

State = tuple[npt.NDArray[np.float32], ...]
"""Membrane potentials U, one array a layer, in the order of `ModelCard.states`. Owned by the caller."""

Engine = Literal["auto", "onnx", "torch", "spike"]

_WEIGHTS = ("model.onnx", "model.safetensors")


class Model(Protocol):
    """A network that advances by one frame."""

    @property
    def card(self) -> ModelCard:
        """What the network is and how its input is made."""
        ...

    def initial_state(self) -> State:
        """Return the all-zero state."""
        ...

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        """Advance by one frame; return the per-class output [K] of this step and the next state.

        ``state`` is not changed.
        """
        ...


def check_step(card: ModelCard, frame: Frame, state: State) -> None:
    """Raise ModelError, saying which, if a frame or a state isn't of the card's shape and dtype."""
    wanted = (card.input.channels, card.input.height, card.input.width)
    if frame.data.shape != wanted or frame.data.dtype != np.uint8:
        raise ModelError(
            f"model {card.name!r} takes frames uint8 {list(wanted)}, this one is {frame.data.dtype} "
            f"{list(frame.data.shape)}: slice with the model's own card"
        )
    if len(state) != len(card.states):
        raise ModelError(
            f"model {card.name!r} has {len(card.states)} states, not {len(state)}: start from initial_state()"
        )
    for (name, shape), membrane in zip(card.states.items(), state, strict=True):
        if membrane.shape != shape or membrane.dtype != np.float32:
            raise ModelError(
                f"state {name!r} of model {card.name!r} is float32 {list(shape)}, not {membrane.dtype} "
                f"{list(membrane.shape)}: start from initial_state()"
            )


def load_model(name_or_folder: str | Path, engine: Engine = "auto", *, threads: int | None = None) -> Model:
    """Load a shipped model by name, or any model folder by path.

    Parameters
    ----------
    name_or_folder
        "nmnist", or a folder with model.onnx, model.safetensors and README.md. "models/nmnist" means the
        shipped model wherever no such folder lies below the working directory.
    engine
        "auto" is "onnx". "torch" needs livesnn[train]. "spike" is not available yet.
    threads
        Threads of one step; None: see `onnx_engine.default_threads`.

    Raises
    ------
    ModelError
        No such model, a damaged one, or an engine that can't run it.
    """
    folder = _find(name_or_folder)
    if engine in ("auto", "onnx"):
        from livesnn.infer.onnx_engine import OnnxModel

        return OnnxModel.load(folder / "model.onnx", threads=threads)
    if engine == "torch":
        try:
            from livesnn.infer.torch_engine import TorchModel
        except ModuleNotFoundError as error:
            raise ModelError(f"engine 'torch' needs {error.name}: pip install 'livesnn[train]'") from error

        return TorchModel.load(folder, threads=threads)
    if engine == "spike":
        raise ModelError("engine 'spike' is not available yet: use 'onnx'")
    raise ModelError(f"unknown engine {engine!r}: use 'auto', 'onnx' or 'torch'")


def _find(name_or_folder: str | Path) -> Path:
    """Return the model's folder: the path as given if it is one, else the shipped model of that name."""
    path = Path(name_or_folder).expanduser()
    if _is_model(path):
        return path
    if path.parts in ((path.name,), ("models", path.name)) and _is_model(models_dir() / path.name):
        return models_dir() / path.name
    if path.is_dir() and path.parts != (path.name,):
        raise ModelError(f"{path} is not a model folder: it holds neither {_WEIGHTS[0]} nor {_WEIGHTS[1]}")
    available = ", ".join(_available()) or "none"
    raise ModelError(f"Model {str(name_or_folder)!r} not found; available: {available}")


def _is_model(folder: Path) -> bool:
    """Tell whether the folder holds weights."""
    return any((folder / weights).is_file() for weights in _WEIGHTS)


def _available() -> list[str]:
    """Return the names of the shipped models."""
    folder = models_dir()
    return sorted(entry.name for entry in folder.iterdir() if _is_model(entry)) if folder.is_dir() else []
