"""The tables as Markdown, our figures beside the paper's, and the figures that are drawn from their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import MaxNLocator

from livesnn.console import duration
from livesnn.paper.results import Record, best_records
from livesnn.paper.table_cells import (
    COLUMNS,
    DIGITS,
    EPOCHS,
    METHODS,
    ROWS,
    SEEDS,
    TABLE1,
    TABLE1_COLUMNS,
    TABLE2,
    BudgetName,
    Cell,
    TableName,
    cells,
)
from livesnn.train.configuration import RecipeName
from livesnn.train.figures import blank_figure, shade_confusion
from livesnn.train.model_folder import markdown_table

BELOW, OTHER, EMPTY = "†", "‡", "–"

Records = dict[tuple[str, str], Record]


def page(table: Literal["table1", "table2"], out: Path, budget: BudgetName, recipe: RecipeName) -> str:
    """Return a table as Markdown: results with this budget or a larger one, and commands for empty cells."""
    names = tuple(f"{row}:{column}" for row in ROWS[table] for column in COLUMNS[table])
    records = best_records(out, cells(table, budget, recipe, names))
    shown = _table1(records) if table == "table1" else _table2(records)
    empty = empty_cells(cells(table, budget, recipe), records)
    return "\n\n".join(filter(None, (shown, notes(table, records), details(records), empty)))


def below_paper(record: Record) -> bool:
    """Whether a cell had fewer epochs, seeds or digits than the paper."""
    digits = record.dataset.startswith("mnist-") and any("--digits" in each for each in record.trainings)
    return digits or record.epochs < EPOCHS or len(record.runs) < SEEDS


def _percent(record: Record | None, beside: float | None) -> str:
    printed = f" ({beside:g})" if beside is not None else ""
    if record is None or record.mean is None:
        return EMPTY + printed
    spread = f" ± {100 * record.sd:.2f}" if record.sd is not None else ""
    marks = BELOW * below_paper(record) + OTHER * bool(record.note)
    return f"{100 * record.mean:.2f}{spread}{marks}{printed}"


def _table1(records: Records) -> str:
    columns = COLUMNS["table1"]
    labels = [column.label + OTHER * bool(column.note) for column in columns.values()]
    head = ["method", "configuration", *labels]
    rows = []
    for name, printed in TABLE1.items():
        beside = dict(zip(TABLE1_COLUMNS, printed, strict=True))
        found = [_percent(records.get((name, key)), beside[column.beside]) for key, column in columns.items()]
        rows.append([METHODS[name].label, METHODS[name].configuration, *found])
    sizes = [_size(name, records) for name in TABLE1]
    size_head = ["method", "parameters", "MOps a clip", "million effective MACs a clip"]
    title = "Accuracy on MNIST's test digits in %. The paper's figure is in brackets."
    return "\n\n".join([title, markdown_table(head, rows), markdown_table(size_head, sizes)])


def _size(method: str, records: Records) -> list[str]:
    label, known = METHODS[method].label, [record for (row, _), record in records.items() if row == method]
    if not known:
        return [label, EMPTY, EMPTY, EMPTY]
    parameters, macs = max(record.parameters for record in known), max(record.macs for record in known)
    return [label, f"{parameters:,}", f"{macs / 1e6:,.1f}", _synops(known)]


def _synops(records: Sequence[Record]) -> str:
    counts = [run.synops for record in records for run in record.runs]
    fresh = [record.synops for record in records if record.synops is not None]
    known = counts or fresh
    if not known:
        return EMPTY
    ends = dict.fromkeys(f"{count / 1e6:,.1f}" for count in (min(known), max(known)))
    return " to ".join(ends) + " (fresh weights)" * (not counts)


def _table2(records: Records) -> str:
    columns = COLUMNS["table2"]
    rows = []
    for published in TABLE2:
        keys = [key for key, column in columns.items() if column.beside == published.dataset]
        ours = [_our_percent(records, published.network, key) for key in keys] if published.network else []
        rows.append([published.model, published.dataset, f"{published.percent:g}", "; ".join(ours)])
    printed = {(published.network, published.dataset) for published in TABLE2}
    for (method, key), record in records.items():
        if (method, beside := columns[key].beside) not in printed:
            rows.append([METHODS[record.network].label, beside, "", _our_percent(records, method, key)])
    title = "Accuracy in % as the paper prints it, and ours beside it. Bracketed numbers are the paper's references."
    return f"{title}\n\n{markdown_table(['model', 'data set', 'paper', 'ours'], rows)}"


def _our_percent(records: Records, method: str | None, key: str) -> str:
    column = COLUMNS["table2"][key]
    name = "" if column.label == column.beside else f"{column.label}: "
    return name + _percent(records.get((method or "", key)), None)


def notes(table: TableName, records: Records) -> str:
    """Return what the marks mean, and how columns differ from the paper's."""
    notes = []
    if any(record.runs and below_paper(record) for record in records.values()):
        budget = f"{BELOW} Less than the paper's budget, which is {EPOCHS} epochs or more"
        if table == "table1":
            kept = "Here a tenth of the digits is kept for validation."
            notes.append(f"{budget}, {SEEDS} runs and {DIGITS:,} digits. {kept}")
        else:
            notes.append(f"{budget} and {SEEDS} runs.")
    labels: dict[str, list[str]] = {}
    for key, column in COLUMNS[table].items():
        if column.note and (table == "table2" or any(key == shown for _, shown in records) or not records):
            labels.setdefault(column.note, []).append(column.label)
    notes += [f"{OTHER} {' and '.join(columns)}: {note}." for note, columns in labels.items()]
    return "  \n".join(notes)


def details(records: Records) -> str:
    filled = [record for record in records.values() if record.runs]
    if not filled:
        return ""
    head = [
        "cell", "accuracy", "recipe", "measured on", "epochs", "clips an epoch", "seeds", "carried", "density",
        "device", "commit",
    ]  # fmt: skip
    rows = [
        [
            f"{record.method}:{record.column}",
            _percent(record, None),
            record.recipe,
            f"{record.split}, n = {_counts(record)}",
            str(record.epochs),
            f"{record.training_samples:,}",
            f"{len(record.runs)} of {record.seeds}",
            _mean("{:.2f} %", [run.accuracy_carried for run in record.runs], 100),
            _mean("{:.3f}", [run.density for run in record.runs]),
            _where(record),
            ", ".join(record.commits),
        ]
        for record in filled
    ]
    return f"### Each cell in detail\n\n{markdown_table(head, rows)}"


def _counts(record: Record) -> str:
    """Return the number of decisions. It may differ from run to run, where the seed chooses the validation groups."""
    return " and ".join(dict.fromkeys(f"{run.decisions:,}" for run in record.runs))


def _where(record: Record) -> str:
    cpu = f"{record.machine.get('processor')}, threads: {record.machine.get('threads')}"
    where = cpu if record.device == "cpu" else record.device
    return ", ".join(filter(None, (where, record.machine.get("precision"))))


def _mean(form: str, values: Iterable[float | None], times: float = 1.0) -> str:
    known = [times * value for value in values if value is not None]
    return form.format(sum(known) / len(known)) if known else ""


def empty_cells(wanted: Sequence[Cell], records: Records) -> str:
    """Return a table of the cells without results: the reason if known, and the command that fills each."""
    rows = []
    for cell in wanted:
        record, why = records.get((cell.method, cell.column)), "not run"
        if record is not None and record.runs:
            continue
        if record is not None and record.out_of_reach:
            step = record.step
            epoch = duration(step.seconds * step.steps_per_epoch)
            speed = f"{step.seconds:.2f} s a step of {step.batch} clips, {epoch} an epoch"
            why = f"left out of the cpu budget: {speed} ({_where(record)})"
            cell = cell._replace(budget="paper")
        rows.append([f"{cell.method}:{cell.column}", why, f"`{cell.command(cell.seeds)}`"])
    return f"### Empty cells\n\n{markdown_table(['cell', 'why', 'what fills it'], rows)}" if rows else ""


SEQ5 = ("seq5-total", "seq5-sorted")


class Figure(NamedTuple):
    """A figure of cells METHOD:COLUMN of a table; () are the table's usual cells.

    ``detailed`` adds the details of its cells, if no table shows them. Without ``draw`` there is no picture.
    """

    title: str
    table: TableName
    cells: tuple[str, ...]
    draw: Callable[[Records], Picture] | None
    detailed: bool = False


def figure_page(name: str, out: Path, budget: BudgetName, recipe: RecipeName) -> str:
    """Draw a figure from the cells that have results; return it as Markdown, with the missing cells."""
    figure = FIGURES[name]
    chosen = cells(figure.table, budget, recipe, figure.cells)
    records = best_records(out, chosen)
    filled = {key: record for key, record in records.items() if record.runs}
    missing = empty_cells(chosen, records)
    if not filled:
        return missing
    picture = ""
    if figure.draw is not None:
        figure.draw(filled).savefig(out / f"{name}.png")
        picture = f"![{figure.title}]({name}.png)"
    more = details(filled) if figure.detailed else ""
    parts = (picture, notes(figure.table, filled), more, missing)
    return "\n\n".join(filter(None, parts))


def _accuracy_by_operations(records: Records) -> Picture:
    """Draw Figure 6: each method's accuracy on Seq 5, by the multiply-accumulates of a clip."""
    picture = blank_figure(7, 4.5)
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
    picture = blank_figure(6.5 * len(shown), 7.0)
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
    picture = blank_figure(1.5 + 5.5 * len(columns), 4.5)
    panels = np.atleast_1d(picture.subplots(1, len(columns), sharey=True))
    panels[0].set(ylabel="training accuracy, %")
    for axes, column in zip(panels, columns, strict=True):
        for number, method in enumerate(methods):
            if record := records.get((method, column)):
                for run in record.runs:
                    label = record.cell.row.label if run is record.runs[0] else ""
                    y = [np.nan if value is None else 100 * value for value in run.curve]  # gaps where it is lost
                    axes.plot(range(1, len(y) + 1), y, color=f"C{number}", alpha=0.8, label=label)
        axes.set(title=COLUMNS["fig7"][column].label, xlabel="epoch", ylim=(0, 102))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return picture


def _pairs(methods: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{method}:{column}" for column in columns for method in methods)


FIGURES: dict[str, Figure] = {
    "fig6": Figure(
        "Figure 6: accuracy against operations", "table1", _pairs(tuple(TABLE1), SEQ5), _accuracy_by_operations
    ),
    "fig7": Figure(
        "Figure 7: three tries a method, N-MNIST and objects in CIFAR10-DVS's place", "fig7", (), _tries, True
    ),
    "fig8": Figure("Figure 8: confusion on Seq 5", "table1", _pairs(("cnn_lstm", "conv_snn"), SEQ5), _confusions),
    "fig9": Figure(
        "Figure 9: confusion on Seq 1", "table1", _pairs(("cnn_lstm", "conv_snn"), ("seq1",)), _confusions
    ),
    "reset": Figure(
        "Reset off against on, N-MNIST", "fig7", _pairs(("hybrid", "no_reset"), ("nmnist-1000",)), _tries, True
    ),
    "operations": Figure(
        "SNN and ANNs at equal operations",
        "table1",
        _pairs(("conv_snn", "cnn_small", "cnn_lstm_small"), ("seq2", "seq5-total")),
        None,
        detailed=True,
    ),
}
