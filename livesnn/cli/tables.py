"""`livesnn tables`: the paper's tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from livesnn.console import write, write_json
from livesnn.errors import LivesnnError
from livesnn.paper import TableOrFigure, run_all, shown
from livesnn.train.processes import keep_freed_memory

MOST_SEEDS = 1000


def tables(
    what: Annotated[TableOrFigure, tyro.conf.Positional],
    /,
    *,
    cell: tuple[str, ...] = (),
    budget: Literal["small", "cpu", "paper"] = "cpu",
    recipe: Literal["best", "paper"] = "best",
    seeds: int | None = None,
    data: Path = Path("data"),
    runs: Path = Path("runs/tables"),
    out: Path = Path("models/results/tables"),
    show: Annotated[bool, tyro.conf.arg(name="print")] = False,
) -> int:
    """Run the paper's experiments, or show their results beside the paper's.

    A cell is one network on one data set. Finished cells aren't run again, and interrupted ones are resumed. A cell
    whose data are missing is skipped with a message. Each cell prints one line of JSON. fig1, fig2 and state have no
    cells and are always measured anew.

    Parameters
    ----------
    what
        A table or figure of the paper, or one of four others. curves has the learning curves of the spiking networks
        on MNIST and Seq 1 to 4. reset trains with and without the neuron's reset. operations compares ConvSNN with
        ANNs of as many operations. state runs shipped models with and without their state.
    cell
        Run only these cells, each METHOD:COLUMN, such as cnn_lstm:seq1.
    budget
        small only tests the command. cpu takes some hours a cell on two cores, and only times one step of ConvLSTM
        and C3D, which are too slow. paper is 100 epochs, ten seeds and all digits.
    recipe
        paper uses the paper's own loss, optimiser and read-out. best uses what works best here.
    seeds
        Number of trainings of each cell, instead of the budget's.
    data
        Folder of the data sets, such as mnist/, nmnist/ and ucf101/. `livesnn data get` fills it.
    runs
        Folder for the run folders.
    out
        Folder for the results, one JSON file a cell.
    show
        Run nothing: print the results of this budget or a larger one as Markdown, and draw the figure into --out.
    """
    if show:
        if cell or seeds is not None:
            raise LivesnnError("--print only shows results: leave --cell and --seeds out")
        if not out.is_dir():
            raise LivesnnError(f"no results in {out}: run this in the repository, or give --out")
        write(shown(what, out, budget, recipe))
        return 0
    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        raise LivesnnError(f"--seeds can't be {seeds}: give 1 to {MOST_SEEDS:,}")
    from livesnn.paper.results import Folders

    keep_freed_memory()
    for record in run_all(what, cell, budget, recipe, seeds, Folders(data, runs, out)):
        write_json(record)
    return 0
