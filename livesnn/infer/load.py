"""Finds, checks and opens a model, by name or folder, on one of the engines; and says which one fits a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from livesnn.card import ModelCard
from livesnn.errors import ModelError, reason_of
from livesnn.events.packet import Resolution
from livesnn.infer.model import Model
from livesnn.paths import models_dir, own_models_dir
from livesnn.simulate import DIGITS_URI
from livesnn.sources import is_webcam
from livesnn.weights import GRAPH, WEIGHTS, load_card

Engine = Literal["auto", "onnx", "torch", "spike"]

DEFAULT_MODEL, TURNING_DIGITS = "gestures", "mnist-seq2"
"""Shipped models, the first for sources that need no other."""


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
        "spike": the spike-driven engine for STS-ResNets. "onnx": ONNX Runtime. "torch": PyTorch, which needs
        livesnn[train]. "auto": "spike" if it can run the network, else "onnx". Another process compiles "spike", in
        15 s, once for each installation. Until then "auto" runs on ONNX Runtime.
    threads
        Threads of one step, 1 or more; None: one or two.
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


def shipped_models() -> tuple[str, ...]:
    return _models_in(models_dir())


def own_models() -> tuple[str, ...]:
    """Return the names of the models that were taught on this machine (`livesnn.teach`), in order."""
    return _models_in(own_models_dir())


def _models_in(folder: Path) -> tuple[str, ...]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(entry.name for entry in entries if _is_model(entry))


def model_folder(name_or_folder: str | Path) -> Path:
    """Return the folder of a model: the path as given, the model in that run folder, or the model of that name.

    A shipped model comes before one of the same name that was taught here. Raises ModelError when there is none.
    """
    try:
        return _find(name_or_folder)
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # too long, no such user, no path
        raise ModelError(f"model {str(name_or_folder)[:80]!r} can't be opened: {reason_of(error)}") from error


def _find(name_or_folder: str | Path) -> Path:
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


_KNOWN = {"nmnist": "N-MNIST"}
"""Data sets that are known by the size of their sensor, which no other has: as people call them."""


def shipped_for(sensor: tuple[int, int]) -> tuple[str, ...]:
    """Return the shipped models that were trained with a sensor of this width and height."""
    return tuple(name for name, card in _shipped_cards() if card.sensor == sensor)


def only_model_for(source: str) -> str | None:
    """Return the only shipped model that knows what is in a SOURCE of the command line; None: any may."""
    return TURNING_DIGITS if source.startswith(DIGITS_URI) and TURNING_DIGITS in shipped_models() else None


def _shipped_cards() -> Iterator[tuple[str, ModelCard]]:
    for name in shipped_models():
        with suppress(ModelError):  # a damaged one says so when it is loaded
            yield name, read_card(name)


def wants_pictures(source: object, model: str | Path | Model | None) -> bool:
    """Whether a webcam should give its pictures themselves, because the model reads video."""
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
