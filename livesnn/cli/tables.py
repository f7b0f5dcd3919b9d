"""The command tables: the paper's tables and figures. Not here: what they are made of (bench/tables/)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from livesnn.bench import TableOrFigure
from livesnn.console import write, write_json
from livesnn.errors import LivesnnError
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

    A cell that is done isn't run again; one that was interrupted goes on where it was; one whose data aren't there is
    said and left. One line of JSON a cell. What has no cells (fig1, fig2, state) is measured anew.

    Parameters
    ----------
    what
        Which of the paper's tables or figures. curves: of learning, spiking networks on MNIST and Seq 1 to 4. reset:
        trained with it and without. operations: ConvSNN and ANNs of as many. state: what shipped models are worth
        without theirs.
    cell
        METHOD:COLUMN, as in cnn_lstm:seq1; default: all that the table or figure shows, one by one.
    budget
        cpu: what two cores do in hours a cell; of ConvLSTM and C3D, which take longest, steps are timed alone. paper:
        100 epochs, ten seeds, all digits. small: a test of the command.
    recipe
        paper: the paper's own loss, optimiser and read-out; best: what measures best here.
    seeds
        Trainings of each cell, in place of the budget's.
    data
        Folder of mnist.npz or mnist/, nmnist/, ucf101/ …; see `livesnn data get`.
    runs
        Where trainings go.
    out
        Where cells are kept, a JSON file each.
    show
        Write Markdown of what is kept at this budget or a larger one, draw the figure into --out, and run nothing.
    """
    from livesnn.bench.tables import Folders, run_all, shown

    if show:
        if cell or seeds is not None:
            raise LivesnnError("--print shows what is kept: leave --cell and --seeds out")
        if not out.is_dir():
            raise LivesnnError(f"nothing is kept in {out}: run it in the repository, or give --out")
        write(shown(what, out, budget, recipe))
        return 0
    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        raise LivesnnError(f"{seeds} seeds: give --seeds 1 to {MOST_SEEDS:,}")
    keep_freed_memory()
    for record in run_all(what, cell, budget, recipe, seeds, Folders(data, runs, out)):
        write_json(record)
    return 0
