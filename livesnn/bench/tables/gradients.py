"""Figure 2: how gradients vanish with depth, measured on fresh weights. Not here: figures of cells (figures.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator

from livesnn.bench.tables.keeping import keep, kept
from livesnn.bench.tables.run import Folders
from livesnn.snn import SpikingNetwork
from livesnn.subprocesses import own_commit
from livesnn.train.averaging import measure_norms
from livesnn.train.datasets import data_set
from livesnn.train.hybrid import HybridModule, measure_switch
from livesnn.train.resolve import RECIPES, resolve
from livesnn.train.start import build

DATASET: Literal["mnist-seq2"] = "mnist-seq2"
CLIPS, SEEDS = 50, 3
FILE = "fig2.json"
COMMAND = "livesnn tables fig2 --data DIR"


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


def measure_gradients(folders: Folders) -> Gradients:
    """Measure STS-ResNet by both recipes, on both sides of the change of phase, and keep it.

    Both sides have the norm statistics of the spiking one. With its own the leaky ReLU's gradients hardly differ: by
    the best recipe the first layer's is 0.015 of the last hidden one's in place of 0.013 (20 clips).
    """
    norms: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    layers: tuple[str, ...] = ()
    clips = 0
    for name in RECIPES:
        sides = norms.setdefault(name, {"analog": [], "spiking": []})
        for seed in range(SEEDS):
            config = resolve({"recipe": name, "dataset": DATASET})
            config = replace(config, data=folders.data, seed=seed, compile=False, digits=1000)
            validation = data_set(DATASET).load_parts(config).validation.shuffled(seed)
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
    norms_kept = {name: {side: tuple(each) for side, each in sides.items()} for name, sides in norms.items()}
    measured = Gradients(DATASET, clips, layers, norms_kept, own_commit(), COMMAND)
    keep(folders.out / FILE, measured)
    return measured


def gradients_page(out: Path) -> str:
    """Return Figure 2 as Markdown, drawn into ``out``."""
    measured = kept(out / FILE, Gradients)
    if measured is None:
        return f"Figure 2 isn't measured yet: `{COMMAND}`"
    _draw(measured).savefig(out / "fig2.png")
    return f"![Figure 2: norm of the gradient by depth, fresh weights](fig2.png)\n\n{_words(measured)}"


def _draw(measured: Gradients) -> Picture:
    """Draw Figure 2: a line a recipe and side, the range of the seeds around it; gradients of zero aren't drawn."""
    picture = Picture(figsize=(7, 4.5), layout="constrained", dpi=110)
    axes = picture.add_subplot()
    depth = np.arange(1, len(measured.layers) + 1)
    for name, sides in measured.norms.items():
        for side, norms in sides.items():
            known = np.where(np.array(norms) > 0, norms, np.nan)
            label = f"{name} recipe, {'leaky ReLU' if side == 'analog' else 'spikes'}"
            line = axes.plot(depth, np.median(known, axis=0), marker=".", label=label)[0]
            axes.fill_between(depth, known.min(0), known.max(0), color=line.get_color(), alpha=0.15)
    axes.set(yscale="log", xlabel="layer, from the input", ylabel="norm of the gradient by its weights")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return picture


def _words(measured: Gradients) -> str:
    """Return the first two layers' gradients in shares of the last hidden one's, and where the numbers come from."""
    words = []
    for name, sides in measured.norms.items():
        for side, norms in sides.items():
            first, second, last = np.median(np.array(norms)[:, [0, 1, -2]], axis=0)
            shares = (
                f"{first / last:.2g} and {second / last:.2g}" if last else "undefined: the last one is zero"
            )
            words.append(f"- {name} recipe, {'leaky ReLU' if side == 'analog' else 'spikes'}: {shares}")
    text = "\n".join(words)
    seeds = len(measured.norms["best"]["spiking"])
    return (
        f"The first and the second layer's norm by the last hidden layer's, median of {seeds} seeds, "
        f"{measured.clips} clips of {measured.dataset}, fresh weights "
        f"(commit {measured.commit}, `{measured.command}`):\n\n{text}"
    )
