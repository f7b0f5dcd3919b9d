"""A model folder with one class more than another: its files, whole or not at all. Not here: what the class is."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.model import load_model
from livesnn.teach import GRAPH, WEIGHTS, check_out
from livesnn.teach.features import FloatArray
from livesnn.weights import Weights, load_weights, save_weights, write_graph

TAUGHT = "taught.safetensors"
"""The windows that each taught class was learned from, float16 [N, F + 1], so that a later one isn't taken for it."""

KEY = "class: "
"""Before each name: safetensors has one of its own."""

WEIGHT, BIAS = "classify.weight", "classify.bias"


def rows_of(weights: Weights) -> FloatArray:
    """Return float32 [K, F + 1]: the read-out's weights, and its biases behind them."""
    return np.concatenate([weights[WEIGHT], weights[BIAS][:, None]], axis=1)


def taught_before(folder: Path, card: ModelCard, features: int) -> dict[str, FloatArray]:
    """Return the windows float32 [N, ``features``] of the classes that a model was taught already, by class.

    Raises
    ------
    ModelError
        Their file is damaged or missing: a class more would be taken for them.
    """
    file = folder / TAUGHT
    try:
        kept = load_file(file) if card.taught else {}
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{file} can't be read ({error}): copy it again, or teach the model before"
        ) from error
    if missing := {name for name in card.taught if KEY + name not in kept}:
        raise ModelError(
            f"{file} lacks {', '.join(sorted(missing))}: copy it again, or teach the model before"
        )
    taught = {name: kept[KEY + name].astype(np.float32) for name in card.taught}
    if any(windows.ndim != 2 or windows.shape[1] != features for windows in taught.values()):
        raise ModelError(f"{file} is of another network: copy it again, or teach the model before")
    return taught


def write_taught(
    base: Path, out: Path, gesture: str, row: FloatArray, taught: Mapping[str, FloatArray]
) -> ModelCard:
    """Write the model of folder ``base``, with a class more or another row of one, into a new folder ``out``.

    Returns its card.

    Parameters
    ----------
    row
        float32 [F + 1], as `fit_row` returns it.
    taught
        Windows of each class that was taught, with this one.
    """
    weights, card = load_weights(base / WEIGHTS)
    classes = card.classes if gesture in card.classes else (*card.classes, gesture)
    rows = np.concatenate([rows_of(weights), row[None]])[: len(classes)]
    rows[classes.index(gesture)] = row
    weights = weights | {WEIGHT: np.ascontiguousarray(rows[:, :-1]), BIAS: np.ascontiguousarray(rows[:, -1])}
    readout = list(card.states)[-1]
    card = replace(
        card,
        name=out.name,
        classes=classes,
        states=card.states | {readout: (len(rows),)},
        taught={name: len(windows) for name, windows in taught.items()},
        accuracy=None,  # of other classes
        test=None,
        command=shlex.join(["livesnn", "teach", gesture, "--model", card.name]),
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".new", dir=out.parent) as made:
            folder = Path(made) / out.name
            folder.mkdir()
            _write(base, folder, weights, rows, taught, card)
            load_model(folder, engine="onnx")  # that it can be
            check_out(out)
            if out.exists():
                out.rmdir()  # it is empty
            folder.rename(out)
    except OSError as error:
        raise ModelError(f"{out} can't be written ({error.strerror or error}): give another --out") from error
    return card


def _write(
    base: Path,
    folder: Path,
    weights: Weights,
    rows: FloatArray,
    taught: Mapping[str, FloatArray],
    card: ModelCard,
) -> None:
    save_weights(weights, folder / WEIGHTS, card)
    _write_graph(base / GRAPH, folder / GRAPH, rows, card)
    (folder / TAUGHT).write_bytes(
        save({KEY + name: windows.astype(np.float16) for name, windows in taught.items()})
    )
    (folder / "README.md").write_text(_describe(card), encoding="utf-8")


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
        raise ModelError(f"{base} has no {' and no '.join(values)}: copy the model again")
    del graph.value_info[:]  # shapes between, which nobody needs
    for tensor in (*graph.input, *graph.output):
        if tensor.name in ("output", readout, f"{readout}.next"):
            tensor.type.tensor_type.shape.dim[-1].dim_value = len(rows)
    onnx.checker.check_model(model)
    write_graph(model, path, card)


def _describe(card: ModelCard) -> str:
    """Return the card as Markdown."""
    lessons = "\n".join(f"| {name.replace('|', '/')} | {windows} |" for name, windows in card.taught.items())
    return f"""# {card.name}

{len(card.classes)} classes: {", ".join(card.classes)}.

Made by `{card.command}`: the network is as it was, with a row more in its read-out for each class it was taught.

| class | windows it was learned from |
|---|---|
{lessons}

What it makes of people other than those who taught it hasn't been measured.
"""
