"""The model that is taught, and the one that results: which can be taught, which names are free, and its folder."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from livesnn.card import ModelCard
from livesnn.errors import DataError, ModelError, reason_of
from livesnn.infer.load import load_model, model_folder, shipped_models
from livesnn.onnx_graph import write_model
from livesnn.paths import own_models_dir
from livesnn.teach.recordings import RECORDINGS, Recordings, recordings_file
from livesnn.teach.report import describe_model
from livesnn.weights import GRAPH, WEIGHTS, Weights, dense_layers, load_card, load_tensors, tensor

FloatArray = npt.NDArray[np.float32]

SIMULATED = "gestures-sim"
"""Data set of models that know simulated people. Any other model needs recordings of what it knows."""

NOT_NAMES = ("none", "–")  # What is shown where there is no decision
LONGEST_NAME = 40  # Characters in a gesture's name, which becomes part of a folder's

TAUGHT = "taught.safetensors"
"""File with what each taught class was learned from, float16 [N, D]: moments of the lesson, or the windows that the
row of a class that is taught later is learned against."""
KEY = "class: "  # Prefix of each name in it, since safetensors has a name of its own

EMBEDDING = "teach.safetensors"
"""File of a model whose taught classes compare moments: `detector.Embedding`."""

# Names of the read-out's tensors
WEIGHT, BIAS = "classify.weight", "classify.bias"
PROJECT, OFFSET = "read_out.project.weight", "read_out.project.bias"
HIDDEN, HIDDEN_BIAS = "read_out.hidden_weight", "read_out.hidden_bias"


def check_lesson(gesture: str, model: str | Path, *, others: bool = True) -> ModelCard:
    """Return the card of a model that can be taught a gesture of this name.

    ``others`` says whether there are recordings of what it knows; raises DataError if it needs them. Raises
    ModelError if there is no such model, it lacks a file, can't be taught, or has such a class; or the name can't be
    used.
    """
    card = check_model(model_folder(model))
    check_name(gesture, card)
    if card.dataset != SIMULATED and not others:
        raise DataError(
            f"{card.name} wasn't trained on simulated people: give recordings of what it knows as --others"
        )
    return card


def check_model(folder: Path) -> ModelCard:
    """Return the card of a model that can be taught; raises ModelError if it lacks a file, or can't be taught."""
    for file in (folder / WEIGHTS, folder / GRAPH):
        if not file.is_file():
            raise ModelError(f"{file} is missing, and teaching needs both files of the model: copy the model again")
    card = load_card(folder / WEIGHTS)
    check_teachable(card)
    return card


def check_teachable(card: ModelCard) -> None:
    """Raise ModelError unless a class can be added to the model: its outputs must be linear in what they read."""
    if card.input.kind != "events":
        raise ModelError(f"{card.name} reads videos: only a model of events can be taught, such as gestures")
    if card.network.kind != "sts_resnet" or card.readout == "spikes":
        raise ModelError(
            f"{card.name} is a {card.network.kind} that reads out its {card.readout}: only an sts_resnet that reads "
            "out its membrane or traces can be taught, such as gestures"
        )


def check_name(gesture: str, card: ModelCard) -> None:
    """Raise ModelError unless a class can have this name beside the model's others, or was taught under it."""
    if gesture in card.taught:
        return
    if not gesture.strip() or not gesture.isprintable() or gesture != gesture.strip():
        raise ModelError(f"{gesture!r} isn't a valid name: give printable characters, without spaces around them")
    if len(gesture) > LONGEST_NAME:
        raise ModelError(f"{gesture[:20]!r}… has {len(gesture)} characters: give a name of at most {LONGEST_NAME}")
    if _plain(gesture) in NOT_NAMES:
        raise ModelError(f"{gesture!r} is shown where nothing is recognised: give the gesture another name")
    if known := {_plain(name): name for name in card.classes}.get(_plain(gesture)):
        raise ModelError(f"{card.name} knows {known} already: give the gesture another name")


def as_taught(gesture: str, model: str | Path) -> str:
    """Return a gesture's name as the model has it, if it was taught one that looks alike in the window."""
    taught = {_plain(name): name for name in check_model(model_folder(model)).taught}
    return taught.get(_plain(gesture.strip()), gesture)


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()


def check_out(out: Path) -> None:
    """Raise ModelError unless ``out`` is free: nothing is overwritten."""
    if str(out).startswith("~"):
        raise ModelError(f"{out}: there is no such user: give another --out")
    try:
        parent = next(folder for folder in out.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise ModelError(f"{out} can't be made, because {parent} can't be written: give another --out")
        free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise ModelError(f"{out} can't be used ({error.strerror}): give another --out") from error
    if not free or not out.name:
        raise ModelError(f"{out} exists already: give another --out")


def own_folder(model: str | Path, gesture: str, name: str = "") -> Path:
    """Return a new folder in the user's models for a model that is taught a gesture, or calls it ``name``.

    No shipped model has its name, since that would be found first.
    """
    folder = model_folder(model).resolve()
    words = "-" + ("-".join(re.findall(r"[\w.]+", name or gesture)) or "taught")
    known = (folder / WEIGHTS).is_file() and gesture in load_card(folder / WEIGHTS).taught
    begins = re.sub(r"-\d+$", "", folder.name) if known else folder.name + words
    name = begins.encode()[:120].decode(errors="ignore").strip(".")
    names = (f"{name}-{number}" if number > 1 else name for number in count(1))
    free = (each for each in names if each not in shipped_models() and not (own_models_dir() / each).exists())
    return own_models_dir() / next(free)


def rows_of(weights: Weights, card: ModelCard) -> FloatArray:
    """Return float32 [K, F + 1]: the weights of the last layer, followed by its biases.

    Raises ModelError that names a tensor of the read-out which is missing or unfit.
    """
    features, classes = sum(map(prod, card.pooled_shapes())), len(card.classes)
    if card.readout == "traces":
        dense_layers(weights, card)
        tensor(weights, PROJECT, (card.traces.currents, features))
        tensor(weights, OFFSET, (card.traces.currents,))
        features = card.traces.members * card.traces.hidden
    weight, bias = tensor(weights, WEIGHT, (classes, features)), tensor(weights, BIAS, (classes,))
    return np.concatenate([weight, bias[:, None]], axis=1)


def taught_before(folder: Path, card: ModelCard, features: int) -> dict[str, FloatArray]:
    """Return the windows float32 [N, ``features``] of each class that a model was taught earlier.

    Raises ModelError if their file is damaged or missing, and a new class would be confused with them.
    """
    file = folder / TAUGHT
    again = "copy it again, or teach the model it was made from"
    kept = load_tensors(file) if card.taught else {}
    if missing := {name for name in card.taught if KEY + name not in kept}:
        raise ModelError(f"{file} lacks {', '.join(sorted(missing))}: {again}")
    taught = {name: kept[KEY + name] for name in card.taught}
    if any(not len(windows) or windows.shape[1:] != (features,) for windows in taught.values()):
        raise ModelError(f"{file} belongs to another network: {again}")
    return taught


def write_taught(
    base: Path,
    out: Path,
    weights: Weights,
    card: ModelCard,
    kept: Mapping[str, FloatArray],
    files: Mapping[str, Recordings],
    arguments: Sequence[str],
) -> None:
    """Write the model in ``base`` with other weights, and with what they were learned from, into a new folder.

    ``kept`` is what `TAUGHT` will have, ``files`` the recordings of each class, and ``arguments`` those of
    `livesnn teach`, without the model.
    """
    from livesnn.infer.onnx_engine import with_read_out  # half a second

    command = shlex.join(["livesnn", "teach", *arguments, "--model", card.name])
    card = replace(card, name=out.name, accuracy=None, test=None, command=command)  # measured with other classes
    card = replace(card, states=card.layer_shapes())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".new", dir=out.parent) as made:
            folder = Path(made) / out.name
            folder.mkdir()
            write_model(folder, weights, with_read_out(base / GRAPH, weights, card), card)
            halves = {KEY + name: array.astype(np.float16) for name, array in kept.items()}
            (folder / TAUGHT).write_bytes(save(halves))
            (folder / RECORDINGS).write_bytes(recordings_file(files, out.parent))
            (folder / "README.md").write_text(describe_model(card), encoding="utf-8")
            if (base / EMBEDDING).is_file():
                (folder / EMBEDDING).write_bytes((base / EMBEDDING).read_bytes())
            load_model(folder, engine="onnx")  # to be sure that it works
            check_out(out)
            if out.exists():
                out.rmdir()  # it is empty
            folder.rename(out)
    except OSError as error:
        raise ModelError(f"{out} can't be written ({reason_of(error)}): give another --out") from error
