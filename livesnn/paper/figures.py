"""The figures that are drawn from the results of cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator

from livesnn.paper import FigureName
from livesnn.paper.page import Records, details, empty_cells, notes
from livesnn.paper.results import Record, best_records
from livesnn.paper.table_cells import COLUMNS, ROWS, TABLE1, TABLE1_COLUMNS, BudgetName, TableName, cells
from livesnn.train.configuration import RecipeName
from livesnn.train.model_folder import shade_confusion

SEQ5 = ("seq5-total", "seq5-sorted")
LARGE = {"figsize": (7, 4.5), "layout": "constrained", "dpi": 110}


class Figure(NamedTuple):
    """A figure drawn from cells METHOD:COLUMN of a table; () are the table's usual cells.

    ``detailed`` adds the details of its cells, if no table shows them.
    """

    title: str
    table: TableName
    cells: tuple[str, ...]
    draw: Callable[[Records], Picture]
    detailed: bool = False


def figure_page(name: FigureName, out: Path, budget: BudgetName, recipe: RecipeName) -> str:
    """Draw a figure from the cells that have results; return it as Markdown, with the missing cells."""
    figure = FIGURES[name]
    chosen = cells(figure.table, budget, recipe, figure.cells)
    records = best_records(out, chosen)
    filled = {key: record for key, record in records.items() if record.runs}
    missing = empty_cells([cell for cell in chosen if (cell.method, cell.column) not in filled], records)
    if not filled:
        return missing
    figure.draw(filled).savefig(out / f"{name}.png")
    more = details(list(filled.values())) if figure.detailed else ""
    parts = (f"![{figure.title}]({name}.png)", notes(figure.table, filled), more, missing)
    return "\n\n".join(part for part in parts if part)


def _accuracy_by_operations(records: Records) -> Picture:
    """Draw Figure 6: each method's accuracy on Seq 5, by the multiply-accumulates of a clip."""
    picture = Picture(**LARGE)  # type: ignore[arg-type]
    axes = picture.add_subplot()
    for column, marker, face, edge in zip(SEQ5, "os", ("C0", "none"), ("C0", "C1"), strict=True):
        shown = [record for (_, key), record in records.items() if key == column]
        x, y = [record.macs / 1e6 for record in shown], [100 * (record.mean or 0) for record in shown]
        label = f"ours, {COLUMNS['table1'][column].label}"
        axes.scatter(x, y, 60, marker=marker, facecolors=face, edgecolors=edge, label=label)
    label = "the paper's, at the operations counted here"
    for name, percents in TABLE1.items():
        known = [record for (method, _), record in records.items() if method == name]
        if known:
            right, top = known[0].macs / 1e6, max(100 * (record.mean or 0) for record in known)
            label_of = known[0].cell.row.label
            axes.annotate(label_of, (right, top), (0, 6), textcoords="offset points", fontsize=8, ha="center")
            axes.scatter(right, percents[TABLE1_COLUMNS.index("Seq 5")], marker="x", color="0.6", label=label)
            label = ""
    axes.set(xscale="log", xlabel="million multiply-accumulates a clip", ylabel="accuracy, %", ylim=(0, 109))
    axes.margins(x=0.15)
    axes.legend(loc="lower left", fontsize=8)
    axes.grid(alpha=0.3)
    return picture


def _confusions(records: Records) -> Picture:
    """Draw Figures 8 and 9: confusion matrices side by side, shaded by the share of each row."""
    shown = sorted(records.items())
    picture = Picture(figsize=(6.5 * len(shown), 7.0), layout="constrained", dpi=110)
    panels = np.atleast_1d(picture.subplots(1, len(shown)))
    for axes, ((_, column), record) in zip(panels, shown, strict=True):
        shade_confusion(axes, np.sum([run.confusion for run in record.runs], axis=0), record.classes)
        axes.tick_params(labelsize=7)
        what = f"{record.cell.row.label}, {COLUMNS['table1'][column].label}"
        axes.set(title=f"{what}: {100 * (record.mean or 0):.2f} %")
    return picture


def _tries(records: Records) -> Picture:
    """Draw Figure 7: training accuracy by epoch, a panel per data set, a line per training."""
    methods, columns = (sorted({key[place] for key in records}) for place in (0, 1))
    picture, panels = _panels(len(columns), 1.5, "training accuracy, %")
    for axes, column in zip(panels, columns, strict=True):
        for number, method in enumerate(methods):
            if record := records.get((method, column)):
                _tries_of(axes, record, f"C{number}")
        axes.set(title=COLUMNS["fig7"][column].label, ylim=(0, 102))
        axes.legend(fontsize=8)
    return picture


def _panels(count: int, more_width: float, ylabel: str) -> tuple[Picture, list[Axes]]:
    """Return a picture with so many panels by epoch side by side, which share their y axis."""
    picture = Picture(figsize=(more_width + 5.5 * count, 4.5), layout="constrained", dpi=110)
    panels: list[Axes] = list(np.atleast_1d(picture.subplots(1, count, sharey=True)))
    panels[0].set(ylabel=ylabel)
    for axes in panels:
        axes.set(xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    return picture, panels


def _tries_of(axes: Axes, record: Record, colour: str) -> None:
    for number, run in enumerate(record.runs):
        y = [np.nan if value is None else 100 * value for value in run.curve]
        label = record.cell.row.label if number == 0 else ""
        axes.plot(range(1, len(y) + 1), y, color=colour, alpha=0.8, label=label)


def _curves(records: Records) -> Picture:
    """Draw training accuracy by epoch, a panel per method, a line per column, with test accuracy at its end."""
    methods, columns = (list(dict.fromkeys(key[place] for key in records)) for place in (0, 1))
    picture, panels = _panels(len(methods), 0.0, "accuracy, %")
    for axes, method in zip(panels, methods, strict=True):
        for number, column in enumerate(columns):
            if record := records.get((method, column)):
                _curve(axes, record, number)
        axes.set(title=ROWS["table1"][method].label, ylim=(90, 100))
    for mark, label in (("o", "test digits"), ("_", "the paper's")):
        panels[-1].plot([], [], mark, color="0.4", label=label)
    panels[-1].legend(fontsize=8, loc="lower right")
    return picture


def _curve(axes: Axes, record: Record, number: int) -> None:
    colour = f"C{number}"
    run, column = record.runs[0], record.cell.data_column
    printed = TABLE1[record.network][TABLE1_COLUMNS.index(column.beside)]
    y = [np.nan if value is None else 100 * value for value in run.curve]
    axes.plot(range(1, len(y) + 1), y, color=colour, label=f"{column.label}, training")
    place = len(y) + 0.1 * (number + 2)
    axes.plot(place, 100 * run.published, "o", color=colour)
    axes.plot(place, printed, "_", color=colour, markersize=12)


def _by_column(records: Records) -> Picture:
    """Draw each method's accuracy by column."""
    picture = Picture(**LARGE)  # type: ignore[arg-type]
    axes = picture.add_subplot()
    methods, columns = (list(dict.fromkeys(key[place] for key in records)) for place in (0, 1))
    for number, method in enumerate(methods):
        shown = [records.get((method, column)) for column in columns]
        heights = [np.nan if each is None else 100 * (each.mean or 0) for each in shown]
        places = np.arange(len(columns)) + 0.8 * ((number + 0.5) / len(methods) - 0.5)
        label = ROWS["table1"][method].label
        axes.plot(places, heights, "o", label=label)
        for place, height in zip(places, heights, strict=True):
            if np.isfinite(height):
                axes.annotate(
                    f"{height:.1f}", (place, height), (7, -3), textcoords="offset points", fontsize=8
                )
    axes.set_xticks(range(len(columns)), [COLUMNS["table1"][column].label for column in columns])
    axes.set(ylabel="accuracy, %", xlim=(-0.5, len(columns) - 0.5))
    axes.margins(y=0.2)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=len(methods))
    return picture


def _pairs(methods: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{method}:{column}" for column in columns for method in methods)


FIGURES: dict[FigureName, Figure] = {
    "fig6": Figure(
        "Figure 6: accuracy against operations",
        "table1",
        _pairs(tuple(TABLE1), SEQ5),
        _accuracy_by_operations,
    ),
    "fig7": Figure(
        "Figure 7: three tries a method, N-MNIST and objects in CIFAR10-DVS's place", "fig7", (), _tries, True
    ),
    "fig8": Figure(
        "Figure 8: confusion on Seq 5", "table1", _pairs(("cnn_lstm", "conv_snn"), SEQ5), _confusions
    ),
    "fig9": Figure(
        "Figure 9: confusion on Seq 1", "table1", _pairs(("cnn_lstm", "conv_snn"), ("seq1",)), _confusions
    ),
    "curves": Figure(
        "Learning curves: lines of training, dots of test digits, dashes the paper's",
        "table1",
        _pairs(("conv_snn", "sts_resnet"), ("mnist", "seq1", "seq2", "seq3", "seq4")),
        _curves,
    ),
    "reset": Figure(
        "Reset off against on, N-MNIST",
        "fig7",
        _pairs(("hybrid", "no_reset"), ("nmnist-1000",)),
        _tries,
        True,
    ),
    "operations": Figure(
        "SNN and ANNs at equal operations",
        "table1",
        _pairs(("conv_snn", "cnn_small", "cnn_lstm_small"), ("seq2", "seq5-total")),
        _by_column,
        detailed=True,
    ),
}
