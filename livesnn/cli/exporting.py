"""The command that takes a model elsewhere, as one file. Not here: the graph (nir_graph.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from livesnn.card import ModelCard
from livesnn.console import write, write_json
from livesnn.errors import ModelError
from livesnn.files import expanded, replace_file


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
        neuromorphic chips. .onnx: one step, frame and states in, output and states out.
    dt
        Of .nir, the time of a step in seconds, which is one frame; default: the time a frame has. Programs that
        take no other time step need theirs here: snnTorch 0.0001.
    json
        What was written as JSON.
    """
    from livesnn.infer.model import model_folder

    out = expanded(out)
    _check_out(out)
    _check_dt(dt, out)
    folder = model_folder(model)
    octets, card, dt = _nir(folder, dt) if _is_nir(out) else (*_onnx(folder), None)
    _check_out(out)  # again: reading took its time
    try:
        replace_file(out, octets)
    except OSError as error:
        raise ModelError(f"{out}: can't be written ({error.strerror}): choose another") from error
    if json:
        said = {"model": card.name, "out": str(out), "octets": len(octets), "classes": card.classes, "dt": dt}
        write_json(said)
    else:
        steps = "" if dt is None else f", a step is {dt:g} s"
        write(f"{out}: {card.name}, {len(card.states)} layers, {len(card.classes)} classes{steps}")
    return 0


def _is_nir(out: Path) -> bool:
    return out.suffix.lower() == ".nir"


def _check_out(out: Path) -> None:
    if out.suffix.lower() not in (".nir", ".onnx"):
        raise ModelError(f"{out}: can't tell its format: choose a name that ends in .nir or .onnx")
    if out.exists() or out.is_symlink():
        raise ModelError(f"{out} is there already: choose another name")
    if not out.parent.is_dir():
        raise ModelError(f"{out}: there is no folder {out.parent}: make it first")


def _check_dt(dt: float | None, out: Path) -> None:
    if dt is not None and not _is_nir(out):
        raise ModelError("--dt is for .nir: a step of ONNX knows nothing of time")
    if dt is not None and not 1e-9 <= dt <= 1e6:
        raise ModelError(f"a step can't take {dt:g} s: give seconds, as 0.0001")


def _nir(folder: Path, dt: float | None) -> tuple[bytes, ModelCard, float]:
    from livesnn.infer.nir_graph import frame_s, nir_file, nir_graph
    from livesnn.weights import load_weights

    file = folder / "model.safetensors"
    if not file.exists():
        raise ModelError(
            f"{file} is missing, and .nir is made of it: export to .onnx, or train the model again"
        )
    weights, card = load_weights(file)
    dt_s = frame_s(card) if dt is None else dt
    try:
        return nir_file(nir_graph(card, weights, dt_s)), card, dt_s
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error


def _onnx(folder: Path) -> tuple[bytes, ModelCard]:
    from livesnn.infer.onnx_engine import OnnxModel

    file = folder / "model.onnx"
    if not file.exists():
        raise ModelError(f"{file} is missing: export to .nir, or train the model again")
    card = OnnxModel.load(file).card  # that it runs
    return file.read_bytes(), card
