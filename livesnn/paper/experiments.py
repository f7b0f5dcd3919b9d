"""`livesnn tables`: the paper's experiments, one training a cell, beside the figures that the paper prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from livesnn.errors import DataError, LivesnnError
from livesnn.paper.results import Folders
from livesnn.paper.table_cells import BudgetName
from livesnn.train.configuration import RecipeName

FigureName = Literal["fig6", "fig7", "fig8", "fig9", "reset", "operations"]
"""Figures drawn from the cells of a table."""
AnalysisName = Literal["fig1", "fig2"]  # Analyses without cells: one measurement each
TableOrFigure = Literal["table1", "table2", AnalysisName, FigureName]


def run_cells(
    what: TableOrFigure,
    named: tuple[str, ...],
    budget: BudgetName,
    recipe: RecipeName,
    seeds: int | None,
    folders: Folders,
) -> Iterator[dict[str, object]]:
    """Run the cells of a table or figure, or those ``named`` METHOD:COLUMN; yield one line a cell.

    Raises LivesnnError if there is no such cell, and whatever `run_cell` raises. If the data of one of several cells
    are missing, the others run first.
    """
    from livesnn.paper.analyses import ANALYSES, analyse
    from livesnn.paper.page import FIGURES
    from livesnn.paper.run import run_each
    from livesnn.paper.table_cells import cells

    if what in ANALYSES:
        if named or seeds:
            raise LivesnnError(f"{what} has neither cells nor seeds to choose: leave --cell and --seeds out")
        analyse(what, folders)
        yield {"what": what, "kept_in": str(folders.out)}
        return
    if what == "table1" or what == "table2":
        chosen = cells(what, budget, recipe, named)
    else:
        figure = FIGURES[what]
        chosen = cells(figure.table, budget, recipe, named or figure.cells)
    yield from run_each(chosen, seeds, folders)


def shown(what: TableOrFigure, out: Path, budget: BudgetName, recipe: RecipeName) -> str:
    """Return a table or figure as Markdown; a figure is drawn into ``out``.

    Raises DataError if the saved results are damaged.
    """
    from livesnn.paper.analyses import ANALYSES, analysis_page
    from livesnn.paper.page import figure_page, page

    try:
        if what in ANALYSES:
            return analysis_page(what, out)
        if what == "table1" or what == "table2":
            return page(what, out, budget, recipe)
        return figure_page(what, out, budget, recipe)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # lists of different lengths
        raise DataError(
            f"the results in {out} for {what} are inconsistent ({error!r}): restore its files (git checkout)"
        ) from error
