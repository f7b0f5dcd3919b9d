"""Figure 2: how gradients vanish with depth, measured on fresh weights. Not here: drawing it (figures.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import torch

from livesnn.errors import DataError
from livesnn.snn import SpikingNetwork
from livesnn.train.build import build
from livesnn.train.datasets import data_set
from livesnn.train.hybrid import HybridModule
from livesnn.train.norms import measure_norms
from livesnn.train.recipes import RECIPES, recipe
from livesnn.train.switch import measure_switch
from livesnn.train.trainer import own_commit

DATASET: Literal["mnist-seq2"] = "mnist-seq2"
CLIPS, SEEDS = 50, 3
FILE = "fig2.json"


@dataclass(frozen=True)
class Gradients:
    """The norm of the loss's gradient by each convolution's weights, from the input to the output, one list a seed.

    ``norms``: by recipe, then "analog" (leaky ReLU) or "spiking" (the step and its surrogate).
    """

    dataset: str
    clips: int
    layers: tuple[str, ...]
    norms: dict[str, dict[str, tuple[tuple[float, ...], ...]]]
    commit: str
    command: str


def measure_gradients(data: Path, out: Path) -> Gradients:
    """Measure STS-ResNet by both recipes, on both sides of the change of phase, and keep it."""
    norms: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    layers: tuple[str, ...] = ()
    clips = 0
    for name in RECIPES:
        sides = norms.setdefault(name, {"analog": [], "spiking": []})
        for seed in range(SEEDS):
            config = recipe(name, "sts_resnet", DATASET)  # type: ignore[arg-type]
            config = replace(config, data=data, seed=seed, compile=False, digits=1000)
            validation = data_set(DATASET).load_parts(config.completed()).validation.shuffled(seed)
            torch.manual_seed(seed)
            net = build(config, validation.classes)
            assert isinstance(net, SpikingNetwork)
            frames, labels = (
                torch.from_numpy(validation.frames[:CLIPS]),
                torch.from_numpy(validation.labels[:CLIPS]),
            )
            measure_norms(net, [frames], from_zero=1.0)
            found = measure_switch(net, frames, labels, HybridModule(net, config, 1).loss)
            for side, of_side in sides.items():
                of_side.append(tuple(found[side]["gradient_norms"].values()))
            clips = len(frames)
            layers = tuple(found["spiking"]["gradient_norms"])
    kept = {name: {side: tuple(each) for side, each in sides.items()} for name, sides in norms.items()}
    command = "livesnn tables fig2 --data DIR"
    measured = Gradients(DATASET, clips, layers, kept, own_commit(), command)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1))
    except OSError as error:
        raise DataError(
            f"{out / FILE} can't be written: {error.strerror or error}: give another --out"
        ) from error
    return measured


def read_gradients(out: Path) -> Gradients | None:
    """Return what `measure_gradients` kept, if anything; raises DataError where it is damaged."""
    file = out / FILE
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Gradients)
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{file} is damaged ({error}): delete it and measure again") from error
