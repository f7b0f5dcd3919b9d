"""Pictures of a training and of measurements."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from livesnn.train.run_folder import logged


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def _save(figure: Figure, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
        figure.savefig(path)


def _plain(name: str) -> str:
    """Return a name that matplotlib shows as it is, and not as a formula."""
    return name.replace("$", r"\$")


def draw_confusion(confusion: Sequence[Sequence[int]], classes: tuple[str, ...], path: Path) -> None:
    """Draw a matrix [K, K] of counts, which stand in the cells for up to thirty classes; see `shade_confusion`."""
    counts = np.array(confusion)
    size = 2.0 + 0.42 * len(classes)
    figure = blank_figure(size + 1, size)
    axes = figure.add_subplot()
    shares = shade_confusion(axes, counts, classes)
    axes.tick_params("x", rotation=60)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    for (row, column), count in np.ndenumerate(counts):
        if count and len(classes) <= 30:
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    _save(figure, path)


def shade_confusion(axes: Axes, counts: npt.NDArray[np.int64], classes: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Draw a matrix [K, K], rows true, columns decided, shaded by each cell's share of its row; return the shares."""
    shares: npt.NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [*map(_plain, classes)]
    axes.set_xticks(range(len(classes)), names, rotation=90)
    axes.set_yticks(range(len(classes)), names)
    axes.set(xlabel="decided", ylabel="true")
    return shares


def draw_learning_curve(run: Path, path: Path) -> None:
    """Draw loss, accuracies and density of a run by epoch, with the analog epochs shaded."""
    figure = blank_figure(7, 6)
    upper, middle, lower = figure.subplots(3, 1, sharex=True)
    for axes, name, label in (
        (upper, "val_accuracy_reset", "accuracy, reset"),
        (upper, "val_accuracy_carried", "accuracy, carried"),
        (middle, "val_density", "density"),
        (lower, "loss", "loss, training"),
        (lower, "val_loss", "loss, validation"),
    ):
        values = logged(run, name)
        axes.plot([epoch + 1 for epoch in values], list(values.values()), marker=".", label=label)
    end = max((epoch for epoch, analog in logged(run, "analog").items() if analog), default=None)
    for axes in (upper, middle, lower):
        if end is not None:
            axes.axvspan(0.5, end + 1.5, color="0.9", label="analog phase" if axes is upper else None)
        axes.legend(loc="best", fontsize=8)
        axes.grid(alpha=0.3)
    upper.set(ylim=(0, 1.02))
    middle.set(ylim=(0, None))
    lower.set(xlabel="epoch", xlim=(0.5, max(logged(run, "loss"), default=0) + 1.5))
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)
