"""`livesnn tables`: the paper's experiments, cell by cell, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from livesnn.bench import MeasuredName, TableOrFigure
from livesnn.bench.tables.cells import BudgetName, Cell, cells
from livesnn.bench.tables.feature_maps import feature_maps_page, measure_feature_maps
from livesnn.bench.tables.figures import FIGURES, figure_page
from livesnn.bench.tables.gradients import gradients_page, measure_gradients
from livesnn.bench.tables.keeping import check_out
from livesnn.bench.tables.page import page
from livesnn.bench.tables.run import Folders, run_cell
from livesnn.bench.tables.state import measure_state, state_page
from livesnn.console import say
from livesnn.errors import DataError, LivesnnError
from livesnn.train.configuration import RecipeName

__all__ = ["Folders", "run_all", "shown"]

_UNFIT = (ArithmeticError, LookupError, TypeError, ValueError)
"""How drawing ends where JSON is of the right types, and lists of it aren't as long as they should be."""


class Measured(NamedTuple):
    """What has no cells: ``measure`` keeps it, ``page`` (out) shows it."""

    measure: Callable[[Folders], object]
    page: Callable[[Path], str]


MEASURED: dict[MeasuredName, Measured] = {
    "fig1": Measured(measure_feature_maps, feature_maps_page),
    "fig2": Measured(measure_gradients, gradients_page),
    "state": Measured(measure_state, state_page),
}


def run_all(
    what: TableOrFigure,
    named: tuple[str, ...],
    budget: BudgetName,
    recipe: RecipeName,
    seeds: int | None,
    folders: Folders,
) -> Iterator[dict[str, object]]:
    """Run the cells that a table or figure shows, or those ``named``; yield a line of each.

    Raises
    ------
    LivesnnError
        There is no such cell; and as `run_cell` does. Where the data of one of several cells aren't there, at the
        end, after the others.
    """
    if what == "fig1" or what == "fig2" or what == "state":
        if named or seeds:
            raise LivesnnError(f"{what} has no cells, and seeds of its own: leave --cell and --seeds out")
        check_out(folders.out)
        MEASURED[what].measure(folders)
        yield {"what": what, "kept_in": str(folders.out)}
        return
    if what == "table1" or what == "table2":
        chosen = cells(what, budget, recipe, named)
    else:
        figure = FIGURES[what]
        chosen = cells(figure.table, budget, recipe, named or figure.cells)
    yield from _run_each(chosen, seeds, folders)


def _run_each(chosen: Sequence[Cell], seeds: int | None, folders: Folders) -> Iterator[dict[str, object]]:
    check_out(folders.out)
    failed = 0
    for number, cell in enumerate(chosen, 1):
        say(f"cell {number} of {len(chosen)}: {cell.method}:{cell.column}, budget {cell.budget}")
        try:
            record = run_cell(cell, folders, seeds)
        except DataError as error:
            if len(chosen) == 1:
                raise
            say(f"{cell.method}:{cell.column} isn't run: {error}")
            failed += 1
            continue
        yield {**cell._asdict(), "mean": record.mean, "sd": record.sd, "seeds": len(record.runs)}
    if failed:
        raise DataError(f"{failed} of {len(chosen)} cells aren't run: see above")


def shown(what: TableOrFigure, out: Path, budget: BudgetName, recipe: RecipeName) -> str:
    """Return a table or figure as Markdown; a figure is drawn into ``out``.

    Raises
    ------
    DataError
        What is kept is damaged.
    """
    try:
        if what == "fig1" or what == "fig2" or what == "state":
            return MEASURED[what].page(out)
        if what == "table1" or what == "table2":
            return page(what, out, budget, recipe)
        return figure_page(what, out, budget, recipe)
    except _UNFIT as error:
        raise DataError(
            f"what is kept in {out} for {what} doesn't fit together ({error!r}): put its files back (git checkout)"
        ) from error
