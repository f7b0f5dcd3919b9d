"""Figures 1 and 2: analyses of one measurement each, without the cells of a table.

Figure 1 shows the feature maps of a turning digit. Half-way round it stands on its head, whichever way it turned.
What differs there between the two directions was remembered from earlier frames. Figure 2 shows how gradients vanish
with depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from livesnn.errors import DataError
from livesnn.paper.results import Folders, check_writable, load, save
from livesnn.paper.table_cells import ROWS, Cell
from livesnn.snn import SpikingNetwork
from livesnn.snn.network import eval_mode
from livesnn.subprocesses import own_commit
from livesnn.train.configuration import RECIPES
from livesnn.train.datasets.clips import Clips
from livesnn.train.datasets.mnist_frames import classes_of
from livesnn.train.datasets.registry import data_set
from livesnn.train.figures import blank_figure
from livesnn.train.final_weights import measure_norms
from livesnn.train.hybrid_method import HybridModule
from livesnn.train.model_folder import markdown_table
from livesnn.train.network import Network, build
from livesnn.train.resolve import resolve
from livesnn.train.run_folder import BEST, load_checkpoint, load_weights_of_run

DATASET: Literal["mnist-seq2"] = "mnist-seq2"  # Data set of Figures 1 and 2

# Figure 1
FOLLOWING = {"cnn_lstm_small": "lstm", "conv_snn": "hidden"}
"""The two methods, which take as many operations, and the layer that reads their second convolution's maps."""
COLUMN = "seq2"
HALF_WAY = 5  # The frame in which the digit stands on its head
SHOWN_CHANNELS, MOST_DIGITS, AT_ONCE = 6, 500, 20

# Figure 2
GRADIENT_CLIPS, GRADIENT_SEEDS = 50, 3


Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureMaps:
    """How far the maps of the two directions differ half-way round, by method and layer."""

    n: int  # Number of digits
    # Mean of Σ|clockwise − counter-clockwise| / Σ(clockwise + counter-clockwise), of the frame itself and of
    # the maps of both convolutions as the next layer reads them
    differences: dict[str, dict[str, float]]
    frame: tuple[tuple[int, ...], ...]  # The first digit half-way round [H, W]
    shown: dict[str, Any]  # Its first maps [direction, channel, H, W], the most active channels only
    commit: str
    command: str


def measure_feature_maps(folders: Folders) -> FeatureMaps:
    """Measure both trained networks on test digits; raises DataError if one isn't trained."""
    cells = [Cell("table1", method, COLUMN) for method in FOLLOWING]
    missing = [cell for cell in cells if not (cell.config(0, folders.data, folders.runs).run / BEST).exists()]
    if missing:
        commands = " and ".join(f"`{cell.command(1)}`" for cell in missing)
        raise DataError(
            f"{folders.runs} has no trained network for figure 1: first run {commands} with this --runs folder (half "
            f"an hour each)"
        )
    nets = {cell.method: _trained(cell, folders) for cell in cells}
    differences: dict[str, dict[str, float]] = {}
    shown: dict[str, Any] = {}
    clips = data_set(DATASET).load_split(folders.data, "test", next(iter(nets.values())).card)
    frames = _both_ways(clips)
    half_way = frames[:, :, HALF_WAY].astype(np.float32)
    zero = int(np.flatnonzero(clips.labels[::2] == 0)[0])
    for method, net in nets.items():
        first, second = _maps(net, FOLLOWING[method], frames)
        parts = {"frame": half_way, "first": first, "second": second}
        differences[method] = {name: _difference(part) for name, part in parts.items()}
        busiest = np.argsort(-first[zero].sum(axis=(0, 2, 3)), kind="stable")[:SHOWN_CHANNELS]
        shown[method] = np.round(first[zero][:, busiest], 4).tolist()
    frame = tuple(map(tuple, frames[zero, 0, HALF_WAY, 0].tolist()))
    return FeatureMaps(len(frames), differences, frame, shown, own_commit(), ANALYSES["fig1"].command)


def _trained(cell: Cell, folders: Folders) -> Network:
    config = replace(cell.config(0, folders.data, folders.runs), compile=False)
    net = build(config, classes_of(DATASET))
    best = config.run / BEST
    load_weights_of_run(net, load_checkpoint(best), best)
    return net


def _both_ways(clips: Clips) -> npt.NDArray[np.uint8]:
    """Return frames [N, 2 directions, 6, C, H, W] of digits, the first frame upright, the last upside down.

    The two clips of a digit follow each other. The second is the first played backwards: it starts at 324° and ends
    upright.
    """
    frames = clips.frames[: 2 * MOST_DIGITS]
    clockwise, backwards = frames[::2, : HALF_WAY + 1], np.roll(frames[1::2], 1, axis=1)[:, : HALF_WAY + 1]
    return np.stack([clockwise, backwards], axis=1)


@torch.no_grad()
def _maps(net: Network, following: str, frames: npt.NDArray[np.uint8]) -> tuple[Maps, Maps]:
    """Return the half-way inputs of the second convolution [N, 2, C, H, W] and of the next layer [N, 2, features]."""
    read: list[Tensor] = []
    maps: tuple[list[Maps], list[Maps]] = ([], [])
    layers = [net.get_submodule(name) for name in ("second", following)]
    hooks = [layer.register_forward_pre_hook(lambda _, given: read.append(given[0])) for layer in layers]
    with eval_mode(net):
        for some in np.array_split(frames, -(-len(frames) // AT_ONCE)):
            given = torch.from_numpy(some).flatten(0, 1).transpose(0, 1)
            read.clear()
            net(given, net.initial_state(given.shape[1]))
            for each, of_layer in zip(read, maps, strict=True):  # [T · B, …], or [T, B, …] before an LSTM
                one = each.shape[2:] if each.ndim == 3 else each.shape[1:]
                of_layer.append(each.reshape(len(given), *some.shape[:2], *one)[HALF_WAY].float().numpy())
    for hook in hooks:
        hook.remove()
    return np.concatenate(maps[0]), np.concatenate(maps[1])


def _difference(maps: Maps) -> float:
    """Return the difference between the two directions of [N, 2, …]: 0 is equal, 1 nothing in common."""
    one, other = (maps[:, way].reshape(len(maps), -1) for way in (0, 1))
    sums = np.abs(one).sum(1) + np.abs(other).sum(1)
    return float((np.abs(one - other).sum(1) / np.maximum(sums, 1e-9)).mean())


def _describe_feature_maps(measured: FeatureMaps) -> str:
    head = ["", "the frame", "first convolution's maps", "second convolution's maps"]
    rows = [
        [ROWS["table1"][method].label, *(f"{parts[name]:.3f}" for name in ("frame", "first", "second"))]
        for method, parts in measured.differences.items()
    ]
    return f"""![Figure 1: feature maps of a digit that has turned half-way, from either side](fig1.png)

{markdown_table(head, rows)}

The values say how far the maps of the two directions are apart half-way round, where both show the same picture.
0 is the same, and 1 nothing in common. They are means of {measured.n} test digits.
{_origin(measured)}"""


def _draw_feature_maps(measured: FeatureMaps) -> Picture:
    """Draw the most active maps of a 0 half-way round: a row for each direction, and one for the difference."""
    ways = ("clockwise", "counter-cl.", "difference")
    picture = blank_figure(1.1 * (SHOWN_CHANNELS + 1), 7.2)
    axes = picture.subplots(len(measured.shown) * 3, SHOWN_CHANNELS + 1)
    for block, (method, of_method) in enumerate(measured.shown.items()):
        maps = np.array(of_method)
        shown = [*maps, np.abs(maps[0] - maps[1])]
        for row, (way, each) in enumerate(zip(ways, shown, strict=True)):
            line = axes[3 * block + row]
            _image(line[0], np.array(measured.frame), 255.0)
            line[0].set_visible(row < len(maps))
            line[row // len(maps)].set_ylabel(way, fontsize=8)
            for place, image in zip(line[1:], each, strict=False):
                _image(place, image, float(maps.max()) or 1.0)
        axes[3 * block][1].set_title(
            f"{ROWS['table1'][method].label}: its {SHOWN_CHANNELS} busiest maps", fontsize=9, loc="left"
        )
    return picture


def _image(axes: Axes, image: npt.NDArray[np.generic], most: float) -> None:
    axes.imshow(image, cmap="magma", vmin=0, vmax=most)
    axes.set_xticks([])
    axes.set_yticks([])


@dataclass(frozen=True)
class Gradients:
    """Norms of the loss's gradient with respect to each convolution's weights, from input to output, a tuple a seed.

    ``norms`` is by recipe, then "analog" (leaky ReLU) or "spiking" (the step function and its surrogate).
    """

    dataset: str
    clips: int
    layers: tuple[str, ...]
    norms: dict[str, dict[str, tuple[tuple[float, ...], ...]]]
    commit: str
    command: str


def measure_gradients(folders: Folders) -> Gradients:
    """Measure STS-ResNet with both recipes, before and after the switch from analog to spiking.

    Both sides use the norm statistics of the spiking network. With statistics of its own the leaky ReLU's gradients
    hardly differ: with the best recipe the first layer's is 0.015 of the last hidden one's, not 0.013 (20 clips).
    """
    norms: dict[str, dict[str, list[tuple[float, ...]]]] = {name: {"analog": [], "spiking": []} for name in RECIPES}
    for name, sides in norms.items():
        for seed in range(GRADIENT_SEEDS):
            given = {"data": folders.data, "seed": seed, "compile": False, "digits": 1000}
            config = resolve({"recipe": name, "dataset": DATASET, **given})
            validation = data_set(DATASET).load_parts(config).validation.shuffled(seed)
            torch.manual_seed(seed)
            net = build(config, validation.classes)
            assert isinstance(net, SpikingNetwork)
            chosen = slice(GRADIENT_CLIPS)
            frames, labels = map(torch.from_numpy, (validation.frames[chosen], validation.labels[chosen]))
            measure_norms(net, [frames], from_zero=1.0)
            loss = HybridModule(net, config, 1).loss
            weights = {
                layer: weight
                for layer, weight in net.named_parameters()
                if layer.endswith(("conv.weight", "classify.weight"))
            }
            for side, of_side in sides.items():
                net.analog = side == "analog"
                with eval_mode(net):
                    outputs, _ = net(frames.transpose(0, 1), net.initial_state(len(frames)))
                    gradients = torch.autograd.grad(loss(outputs, labels), list(weights.values()))
                of_side.append(tuple(gradient.norm().item() for gradient in gradients))
    layers = tuple(weights)  # the same of all
    norms_kept = {name: {side: tuple(each) for side, each in sides.items()} for name, sides in norms.items()}
    return Gradients(DATASET, len(frames), layers, norms_kept, own_commit(), ANALYSES["fig2"].command)


def _draw_gradients(measured: Gradients) -> Picture:
    picture = blank_figure(7, 4.5)
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


def _describe_gradients(measured: Gradients) -> str:
    words = []
    for name, sides in measured.norms.items():
        for side, norms in sides.items():
            first, second, last = np.median(np.array(norms)[:, [0, 1, -2]], axis=0)
            shares = f"{first / last:.2g} and {second / last:.2g}" if last else "undefined, as the last one is zero"
            words.append(f"- {name} recipe, {'leaky ReLU' if side == 'analog' else 'spikes'}: {shares}.")
    text = "\n".join(words)
    seeds = len(measured.norms["best"]["spiking"])
    return f"""![Figure 2: norm of the gradient by depth, fresh weights](fig2.png)

The list has the norms of the first and the second layer, divided by that of the last hidden layer.
They are medians of {seeds} seeds, with fresh weights and {measured.clips} clips of {measured.dataset}.
{_origin(measured)}

{text}"""


def _origin(measured: FeatureMaps | Gradients) -> str:
    return f"Measured at commit {measured.commit} by `{measured.command}`."


class Analysis(NamedTuple):
    """How a measurement is made and shown. NAME.json keeps it, and NAME.png is its picture."""

    unmeasured: str  # What is said before it is made
    command: str
    kind: type[Any]
    measure: Callable[[Folders], Any]
    draw: Callable[[Any], Picture]
    describe: Callable[[Any], str]  # As Markdown


ANALYSES: dict[str, Analysis] = {
    "fig1": Analysis(
        "Figure 1 isn't measured yet", "livesnn tables fig1 --data DIR --runs RUNS", FeatureMaps,
        measure_feature_maps, _draw_feature_maps, _describe_feature_maps,
    ),
    "fig2": Analysis(
        "Figure 2 isn't measured yet", "livesnn tables fig2 --data DIR", Gradients,
        measure_gradients, _draw_gradients, _describe_gradients,
    ),
}  # fmt: skip


def analyse(name: str, folders: Folders) -> None:
    """Measure and keep the result; raises DataError if it can't be written."""
    check_writable(folders.out)
    save(folders.out / f"{name}.json", ANALYSES[name].measure(folders))


def analysis_page(name: str, out: Path) -> str:
    """Return the measurement as Markdown, and draw its picture into ``out``."""
    analysis = ANALYSES[name]
    measured = load(out / f"{name}.json", analysis.kind)
    if measured is None:
        return f"{analysis.unmeasured}: `{analysis.command}`"
    analysis.draw(measured).savefig(out / f"{name}.png")
    return analysis.describe(measured)
