"""Figure 1: what ConvSNN and CNN+LSTM make of a digit that turns, before and after it has. Not here: training them.

Half-way round a digit stands on its head whichever way it turned, after as many frames: what differs there between
the two directions has been kept from the frames before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from torch import Tensor

from livesnn.bench.tables.cells import ROWS, Cell
from livesnn.bench.tables.keeping import keep, kept
from livesnn.bench.tables.run import Folders
from livesnn.errors import DataError
from livesnn.snn.network import eval_mode
from livesnn.subprocesses import own_commit
from livesnn.train.datasets import data_set
from livesnn.train.datasets.clips import Clips
from livesnn.train.datasets.sequences import classes_of
from livesnn.train.run_folder import BEST, load_best
from livesnn.train.start import Network, build

FOLLOWING = {"cnn_lstm_small": "lstm", "conv_snn": "hidden"}
"""The methods, which take as many operations, and what reads their second convolution's maps."""
COLUMN = "seq2"
DATASET: Literal["mnist-seq2"] = "mnist-seq2"
HALF_WAY = 5
"""The frame in which the digit stands on its head."""
SHOWN_CHANNELS, MOST_DIGITS, AT_ONCE = 6, 500, 20
FILE = "fig1.json"
COMMAND = "livesnn tables fig1 --data DIR --runs RUNS"

Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureMaps:
    """How much of a turn's direction is in each layer's map half-way round, by method.

    ``differences``: mean of Σ|clockwise − counter-clockwise| / Σ(clockwise + counter-clockwise) over ``n`` digits, of
    the frame itself, and of the first and the second convolution's maps as the next layer reads them. ``shown``: the
    first digit's first maps [direction, channel, H, W], of the channels that are most active, and ``frame`` [H, W].
    """

    n: int
    differences: dict[str, dict[str, float]]
    frame: tuple[tuple[int, ...], ...]
    shown: dict[str, Any]
    commit: str
    command: str


def measure_feature_maps(folders: Folders) -> FeatureMaps:
    """Run both trained networks on test digits, and keep what their maps say; DataError where one isn't trained."""
    wanted = [Cell("table1", method, COLUMN) for method in FOLLOWING]
    missing = [cell for cell in wanted if not (_run(cell, folders) / BEST).exists()]
    if missing:
        commands = " and ".join(f"`{cell.command(1)}`" for cell in missing)
        raise DataError(
            f"{folders.runs} has no trained network for figure 1: first run {commands} with this --runs (half an "
            f"hour each)"
        )
    nets = {cell.method: _trained(cell, folders) for cell in wanted}
    differences: dict[str, dict[str, float]] = {}
    shown: dict[str, Any] = {}
    clips = data_set(DATASET).load_split(folders.data, "test", next(iter(nets.values())).card)
    frames = _both_ways(clips)
    half_way = frames[:, :, HALF_WAY].astype(np.float32)
    zero = int(np.flatnonzero(clips.labels[::2] == 0)[0])
    for method, net in nets.items():
        first, second = _maps(net, FOLLOWING[method], frames)
        differences[method] = {
            "frame": _difference(half_way),
            "first": _difference(first),
            "second": _difference(second),
        }
        busiest = np.argsort(-first[zero].sum(axis=(0, 2, 3)), kind="stable")[:SHOWN_CHANNELS]
        shown[method] = np.round(first[zero][:, busiest], 4).tolist()
    frame = tuple(map(tuple, frames[zero, 0, HALF_WAY, 0].tolist()))
    measured = FeatureMaps(len(frames), differences, frame, shown, own_commit(), COMMAND)
    keep(folders.out / FILE, measured)
    return measured


def _trained(cell: Cell, folders: Folders) -> Network:
    config = replace(cell.config(0, folders.data, folders.runs), compile=False)
    net = build(config, classes_of(config.dataset))
    load_best(net, _run(cell, folders))
    return net


def _run(cell: Cell, folders: Folders) -> Path:
    """Return the run folder of a cell's first training."""
    return folders.runs / cell.config(0, folders.data, folders.runs).run_name


def _both_ways(clips: Clips) -> npt.NDArray[np.uint8]:
    """Return frames [N, 2 directions, 6, C, H, W] of as many digits, upright first, on their heads last.

    A digit's two clips lie one after the other, the second is the first played backwards: 324° first, upright last.
    """
    frames = clips.frames[: 2 * MOST_DIGITS]
    clockwise, backwards = frames[::2, : HALF_WAY + 1], np.roll(frames[1::2], 1, axis=1)[:, : HALF_WAY + 1]
    return np.stack([clockwise, backwards], axis=1)


@torch.no_grad()
def _maps(net: Network, following: str, frames: npt.NDArray[np.uint8]) -> tuple[Maps, Maps]:
    """Return what the second convolution and what follows it read half-way, [N, 2, C, H, W] and [N, 2, features]."""
    read: list[Tensor] = []
    maps: tuple[list[Maps], list[Maps]] = ([], [])
    net.initial_state()  # tries the layers, which isn't to be seen below
    layers = [net.get_submodule(name) for name in ("second", following)]
    hooks = [layer.register_forward_pre_hook(lambda _, given: read.append(given[0])) for layer in layers]
    with eval_mode(net):
        for some in np.array_split(frames, -(-len(frames) // AT_ONCE)):
            given = torch.from_numpy(some).flatten(0, 1).transpose(0, 1)
            read.clear()
            net(given, net.initial_state(given.shape[1]))
            for each, of_layer in zip(read, maps, strict=True):
                every = each.reshape(len(given), *some.shape[:2], *_of_one(each))
                of_layer.append(every[HALF_WAY].float().numpy())
    for hook in hooks:
        hook.remove()
    return np.concatenate(maps[0]), np.concatenate(maps[1])


def _of_one(maps: Tensor) -> tuple[int, ...]:
    """Return the shape of one frame's maps, of [T · B, C, H, W], [T · B, features] or [T, B, features]."""
    return tuple(maps.shape[2:] if maps.ndim == 3 else maps.shape[1:])


def _difference(maps: Maps) -> float:
    """Return how far the two directions of [N, 2, …] are apart, 0 for the same and 1 for nothing in common."""
    one, other = (maps[:, way].reshape(len(maps), -1) for way in (0, 1))
    sums = np.abs(one).sum(1) + np.abs(other).sum(1)
    return float((np.abs(one - other).sum(1) / np.maximum(sums, 1e-9)).mean())


def feature_maps_page(out: Path) -> str:
    """Return Figure 1 as Markdown, drawn into ``out``."""
    measured = kept(out / FILE, FeatureMaps)
    if measured is None:
        return f"Figure 1 isn't measured yet: `{COMMAND}`"
    _draw(measured).savefig(out / "fig1.png")
    rows = [
        f"| {ROWS['table1'][method].label} | {parts['frame']:.3f} | {parts['first']:.3f} | {parts['second']:.3f} |"
        for method, parts in measured.differences.items()
    ]
    return "\n".join(
        [
            "![Figure 1: feature maps of a digit that has turned half-way, from either side](fig1.png)",
            "",
            "| | the frame | first convolution's maps | second convolution's maps |",
            "|---|---|---|---|",
            *rows,
            "",
            f"How far the two directions are apart half-way round, where both show the same picture (0: the same, 1: "
            f"nothing in common); mean of {measured.n} test digits (commit {measured.commit}, `{measured.command}`).",
        ]
    )


def _draw(measured: FeatureMaps) -> Picture:
    """Draw the busiest maps of a 0 half-way round: a row a direction, and how they differ."""
    ways = ("clockwise", "counter-cl.", "difference")
    picture = Picture(figsize=(1.1 * (SHOWN_CHANNELS + 1), 7.2), layout="constrained", dpi=110)
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
