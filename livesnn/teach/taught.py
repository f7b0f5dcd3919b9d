"""A model folder with one class more than another: its files, whole or not at all. Not here: what the class is."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.files import replace_file
from livesnn.infer import model_folder
from livesnn.paths import own_models_dir
from livesnn.teach.features import FloatArray
from livesnn.weights import CARD_KEY, Weights, load_weights, save_weights

TAUGHT = "taught.safetensors"
"""The windows that each taught class was learned from, float16 [N, F + 1], so that a later one isn't taken for it."""

WEIGHT, BIAS = "classify.weight", "classify.bias"


def rows_of(weights: Weights) -> FloatArray:
    """Return float32 [K, F + 1]: the read-out's weights, and its biases behind them."""
    return np.concatenate([weights[WEIGHT], weights[BIAS][:, None]], axis=1)


def taught_before(folder: Path) -> dict[str, FloatArray]:
    """Return the windows of the classes that a model was taught already, by class; raises ModelError."""
    file = folder / TAUGHT
    if not file.exists():
        return {}
    try:
        return {name: windows.astype(np.float32) for name, windows in load_file(file).items()}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} can't be read ({error}): teach it again from the model before") from error


def check_out(out: Path) -> None:
    """Raise ModelError unless ``out`` is free: nothing is ever overwritten."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ModelError(f"{out} is there already: give another --out")


def own_folder(model: str | Path, gesture: str) -> Path:
    """Return where a model that knows a gesture more is kept, if nobody says where: a folder that isn't there yet."""
    words = "-".join(re.findall(r"[\w.]+", f"{model_folder(model).name} {gesture}")).strip(".") or "taught"
    names = (f"{words}-{number}" if number > 1 else words for number in count(1))
    return next(folder for name in names if not (folder := own_models_dir() / name).exists())


def write_taught(
    base: Path, out: Path, gesture: str, row: FloatArray, taught: Mapping[str, FloatArray]
) -> ModelCard:
    """Write the model of folder ``base`` with a class more into a new folder ``out``; return its card.

    Parameters
    ----------
    row
        float32 [F + 1], as `fit_row` returns it.
    taught
        Windows of each class that was taught, with this one.
    """
    weights, card = load_weights(base / "model.safetensors")
    rows = np.concatenate([rows_of(weights), row[None]])
    weights = weights | {WEIGHT: np.ascontiguousarray(rows[:, :-1]), BIAS: np.ascontiguousarray(rows[:, -1])}
    readout = list(card.states)[-1]
    card = replace(
        card,
        name=out.name,
        classes=(*card.classes, gesture),
        states=card.states | {readout: (len(rows),)},
        taught={name: len(windows) for name, windows in taught.items()},
        accuracy=None,  # of other classes
        test=None,
        command=f"livesnn teach {gesture} --model {card.name}",
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{out.name}.", suffix=".new", dir=out.parent) as made:
        folder = Path(made) / out.name
        folder.mkdir()
        save_weights(weights, folder / "model.safetensors", card)
        _write_graph(base / "model.onnx", folder / "model.onnx", rows, card)
        replace_file(
            folder / TAUGHT, save({name: windows.astype(np.float16) for name, windows in taught.items()})
        )
        (folder / "README.md").write_text(_describe(card), encoding="utf-8")
        if out.exists():
            out.rmdir()  # `check_out`: it is empty
        shutil.move(folder, out)
    return card


def _write_graph(base: Path, path: Path, rows: FloatArray, card: ModelCard) -> None:
    """Write a model.onnx with these rows in its read-out, and another card; ``base`` has been run before."""
    import onnx  # half a second

    model = onnx.load(base)
    graph, readout = model.graph, list(card.states)[-1]
    values = {WEIGHT: rows[:, :-1], BIAS: rows[:, -1]}
    for tensor in graph.initializer:
        if (name := tensor.name.removeprefix("net.")) in values:
            array = np.ascontiguousarray(values.pop(name))
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    if values:
        raise ModelError(f"{base} has no {' and no '.join(values)}: export the model again")
    del graph.value_info[:]  # shapes between, which nobody needs
    for tensor in (*graph.input, *graph.output):
        if tensor.name in ("output", readout, f"{readout}.next"):
            tensor.type.tensor_type.shape.dim[-1].dim_value = len(rows)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(model)
    replace_file(path, model.SerializeToString())


def _describe(card: ModelCard) -> str:
    """Return the card as Markdown."""
    lessons = "\n".join(f"| {name} | {windows} |" for name, windows in card.taught.items())
    return f"""# {card.name}

{len(card.classes)} classes: {", ".join(card.classes)}.

Made by `{card.command}`: the network is as it was, with a row more in its read-out for each class it was taught.

| class | windows it was learned from |
|---|---|
{lessons}

What it makes of people other than those who taught it hasn't been measured.
"""
