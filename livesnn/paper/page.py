"""The tables as Markdown, our figures beside the paper's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

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

BELOW, OTHER, EMPTY = "†", "‡", "–"

Records = dict[tuple[str, str], Record]


def page(table: Literal["table1", "table2"], out: Path, budget: BudgetName, recipe: RecipeName) -> str:
    """Return a table as Markdown: results with this budget or a larger one, and commands for empty cells."""
    names = tuple(f"{row}:{column}" for row in ROWS[table] for column in COLUMNS[table])
    every = cells(table, budget, recipe, names)
    records = best_records(out, every)
    filled = {key: record for key, record in records.items() if record.runs}
    empty = [cell for cell in cells(table, budget, recipe) if (cell.method, cell.column) not in filled]
    shown = _table1(records) if table == "table1" else _table2(records)
    parts = [shown, notes(table, records), details(list(filled.values())), empty_cells(empty, records)]
    return "\n\n".join(part for part in parts if part)


def below_paper(record: Record) -> bool:
    """Whether a cell had fewer epochs, seeds or digits than the paper."""
    digits = record.dataset.startswith("mnist-") and any("--digits" in each for each in record.trainings)
    return digits or record.epochs < EPOCHS or len(record.runs) < SEEDS


def _percent(record: Record | None, beside: float | None) -> str:
    """Return a cell: our figure with its marks, the paper's in brackets."""
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
    return "\n\n".join([title, _markdown(head, rows), _markdown(size_head, sizes)])


def _size(method: str, records: Records) -> list[str]:
    """Return the size of a method's network. It varies a little with the number of classes; the largest is given."""
    label, known = METHODS[method].label, [record for (row, _), record in records.items() if row == method]
    if not known:
        return [label, EMPTY, EMPTY, EMPTY]
    parameters, macs = max(record.parameters for record in known), max(record.macs for record in known)
    return [label, f"{parameters:,}", f"{macs / 1e6:,.1f}", _synops(known)]


def _synops(records: Sequence[Record]) -> str:
    """Return the range of synaptic operations of all runs, or of fresh weights without a run."""
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
        ours = [_of_key(records, published.network, key) for key in keys] if published.network else []
        rows.append([published.model, published.dataset, f"{published.percent:g}", "; ".join(ours)])
    printed = {(published.network, published.dataset) for published in TABLE2}
    for (method, key), record in records.items():
        if (method, beside := columns[key].beside) not in printed:
            rows.append([METHODS[record.network].label, beside, "", _of_key(records, method, key)])
    title = "Accuracy in % as the paper prints it, and ours beside it. Bracketed numbers are the paper's references."
    return f"{title}\n\n{_markdown(['model', 'data set', 'paper', 'ours'], rows)}"


def _of_key(records: Records, method: str | None, key: str) -> str:
    """Return one of our cells, with the name of its data set if that isn't the paper's."""
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


def details(records: Sequence[Record]) -> str:
    """Return a table with a row of details for each cell."""
    if not records:
        return ""
    head = [
        "cell", "accuracy", "recipe", "measured on", "epochs", "clips an epoch", "seeds", "carried", "density",
        "training step", "wall time", "device", "commit",
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
            f"{record.step.seconds * 1e3:,.0f} ms of {record.step.batch} clips",
            _wall_time(record),
            _where(record),
            ", ".join(record.commits),
        ]
        for record in records
    ]
    return f"### Each cell in detail\n\n{_markdown(head, rows)}"


def _counts(record: Record) -> str:
    """Return the number of decisions. It may differ from run to run, where the seed chooses the validation groups."""
    return " and ".join(dict.fromkeys(f"{run.decisions:,}" for run in record.runs))


def _wall_time(record: Record) -> str:
    """Return the duration of all runs. Of a resumed run only the last part is known."""
    resumed = any(run.resumed_epochs for run in record.runs)
    return "more than " * resumed + _duration(sum(run.wall_s for run in record.runs))


def _where(record: Record) -> str:
    cpu = f"{record.machine.get('processor')}, threads: {record.machine.get('threads')}"
    where = cpu if record.device == "cpu" else record.device
    return ", ".join(filter(None, (where, record.machine.get("precision"))))


def _mean(form: str, values: Iterable[float | None], times: float = 1.0) -> str:
    known = [times * value for value in values if value is not None]
    return form.format(sum(known) / len(known)) if known else ""


def empty_cells(missing: Sequence[Cell], records: Records) -> str:
    """Return a table of empty cells: the reason if known, and the command that fills it."""
    if not missing:
        return ""
    rows = []
    for cell in missing:
        record = records.get((cell.method, cell.column))
        why = "not run"
        if record is not None and record.out_of_reach:
            step = record.step
            epoch = _duration(step.seconds * step.steps_per_epoch)
            speed = f"{step.seconds:.2f} s a step of {step.batch} clips, {epoch} an epoch"
            why = f"left out of the cpu budget: {speed} ({_where(record)})"
            cell = cell._replace(budget="paper")
        rows.append([f"{cell.method}:{cell.column}", why, f"`{cell.command(cell.seeds)}`"])
    return f"### Empty cells\n\n{_markdown(['cell', 'why', 'what fills it'], rows)}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
