"""Makes one model of members of several: `python tests/benchmarks/mixed_members.py --out OUT --parts MODEL:MEMBER …`.

The runs trained read-outs of traces for the same frozen network, each on other simulated people. Members of different
runs are wrong about different things, so their mean is better than that of members of one run
(docs/experiments/real-people.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from livesnn.card import ModelCard
from livesnn.cli.parser import run_script
from livesnn.console import say
from livesnn.errors import ModelError
from livesnn.onnx_graph import write_model
from livesnn.snn import build_network
from livesnn.snn.checkpoint import with_weights
from livesnn.train.datasets.gestures_sim import load_split
from livesnn.train.model_folder import write_model_folder
from livesnn.weights import GRAPH, WEIGHTS, Weights, load_weights

PROJECT, HIDDEN, CLASSIFY = "read_out.project", "read_out.hidden", "classify"


def mixed(models: Sequence[tuple[Weights, ModelCard]], members: Sequence[int]) -> tuple[Weights, ModelCard]:
    """Return the first model with one member of each; raises ModelError if their networks differ."""
    weights, card = models[0]
    width, hidden = card.traces.width, card.traces.hidden
    for other, _ in models[1:]:
        for name, array in weights.items():
            if name.startswith("block") and not np.array_equal(other.get(name, array[:0]), array):
                raise ModelError(f"{name} differs: mix read-outs of one network")
    parts: dict[str, list[np.ndarray]] = {}
    for (own, theirs), member in zip(models, members, strict=True):
        for end in ("weight", "bias"):
            part = own[f"{PROJECT}.{end}"][member * width : (member + 1) * width]
            parts.setdefault(f"{PROJECT}.{end}", []).append(part)
            parts.setdefault(f"{HIDDEN}_{end}", []).append(own[f"{HIDDEN}_{end}"][member : member + 1])
        share = np.float32(theirs.traces.members / len(models))
        row = own[f"{CLASSIFY}.weight"][:, member * hidden : (member + 1) * hidden] * share
        parts.setdefault(f"{CLASSIFY}.weight", []).append(row)
    made = {name: np.concatenate(arrays, axis=int(name.startswith(CLASSIFY))) for name, arrays in parts.items()}
    made[f"{CLASSIFY}.bias"] = np.mean([own[f"{CLASSIFY}.bias"] for own, _ in models], axis=0)
    return weights | made, replace(card, traces=replace(card.traces, members=len(models)), states={})


def main(
    out: Path,
    parts: tuple[str, ...],
    run: Path,
    command: str = "",
    commit: str = "",
    offsets: dict[str, float] | None = None,
    temperature: float | None = None,
) -> None:
    """Write the model folder, measured on validation.

    Parameters
    ----------
    out
        The new folder.
    parts
        Model folders and numbers of members, such as runs/one/model:0.
    run
        Run folder whose learning curve is shown.
    command, commit
        How the read-outs were trained, for the card.
    offsets
        What is added to the outputs of some classes, such as arm_roll -2.
    temperature
        The card's; default: the one that calibrates the probabilities on validation.
    """
    names, members = zip(*((part.rpartition(":")[0], int(part.rpartition(":")[2])) for part in parts), strict=True)
    weights, card = mixed([load_weights(Path(name) / WEIGHTS) for name in names], members)
    for label, offset in (offsets or {}).items():
        weights[f"{CLASSIFY}.bias"][card.classes.index(label)] += np.float32(offset)
    net = with_weights(build_network(card), weights, where=str(out))
    card = replace(card, command=command or card.command, commit=commit or card.commit)
    measured = write_model_folder(net, out, card, load_split(Path(), "validation", card), run, chosen=False)
    if temperature is not None:
        written, card = load_weights(out / WEIGHTS)
        write_model(out, written, onnx.load(out / GRAPH), replace(card, temperature=temperature))
    say(f"validation: {measured.accuracy_reset:.3f} reset, {measured.accuracy_carried:.3f} carried")


if __name__ == "__main__":
    run_script(main)
