"""The command that takes a model elsewhere, as one file. Not here: the graph (nir_graph.py)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from livesnn.errors import ModelError
from livesnn.files import expanded, replace_file
from livesnn.report import write, write_json

if TYPE_CHECKING:
    from livesnn.card import ModelCard


def export(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")],
    /,
    *,
    dt: float | None = None,
    json: bool = False,
) -> int:
    """Write a model's network as one file for other programs and chips: OUT.nir or OUT.onnx.

    Parameters
    ----------
    model
        Name of a model, or a model folder; a taught one too.
    out
        A file that isn't there yet. .nir: the Neuromorphic Intermediate Representation, for other frameworks and
        neuromorphic chips, batch norm folded. .onnx: one step, frame and states in, output and states out.
    dt
        Of .nir, the time of a step in seconds, which is one frame; default: the time a frame has. Programs that
        take no other time step need theirs here: snnTorch 0.0001.
    json
        What was written as JSON.
    """
    from livesnn.infer import model_folder

    out = expanded(out)
    _check(out, dt)
    folder = model_folder(model)
    if out.suffix.lower() == ".nir":
        octets, said, card = _nir(folder, dt)
    else:
        octets, said, card = _onnx(folder)
    try:
        replace_file(out, octets)
    except OSError as error:
        raise ModelError(f"{out}: can't be written ({error.strerror}): choose another folder") from error
    if json:
        write_json(
            {"model": card.name, "out": str(out), "octets": len(octets), "classes": card.classes, **said}
        )
    else:
        steps = f", a step is {said['dt']:g} s" if "dt" in said else ""
        write(f"{out}: {card.name}, {len(card.states)} layers, {len(card.classes)} classes{steps}")
    return 0


def _check(out: Path, dt: float | None) -> None:
    if out.suffix.lower() not in (".nir", ".onnx"):
        raise ModelError(f"{out}: can't tell its format: choose a name that ends in .nir or .onnx")
    if out.exists() or out.is_symlink():
        raise ModelError(f"{out} is there already: choose another name")
    if not out.parent.is_dir():
        raise ModelError(f"{out}: there is no folder {out.parent}: make it first")
    if dt is not None and out.suffix.lower() == ".onnx":
        raise ModelError("--dt is for .nir: a step of ONNX knows nothing of time")
    if dt is not None and not 1e-9 <= dt <= 1e6:
        raise ModelError(f"a step can't take {dt:g} s: give seconds, as 0.0001")


def _nir(folder: Path, dt: float | None) -> tuple[bytes, dict[str, float], ModelCard]:
    from livesnn.nir_graph import default_dt_s, nir_file, nir_graph
    from livesnn.weights import load_weights

    weights, card = load_weights(folder / "model.safetensors")
    dt_s = default_dt_s(card) if dt is None else dt
    return nir_file(nir_graph(card, weights, dt_s)), {"dt": dt_s}, card


def _onnx(folder: Path) -> tuple[bytes, dict[str, float], ModelCard]:
    from livesnn.infer.onnx_engine import OnnxModel

    file = folder / "model.onnx"
    card = OnnxModel.load(file).card  # that it runs
    return file.read_bytes(), {}, card
