"""The commands for this machine: devices, prepare; and what measures: bench, tables. doctor.py has doctor."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from livesnn.bench import EngineName, machine
from livesnn.cli.options import Model
from livesnn.cli.parser import Flag, UsageError
from livesnn.console import say, write, write_json
from livesnn.errors import LivesnnError
from livesnn.paper.experiments import TableOrFigure, run_cells, shown
from livesnn.subprocesses import keep_freed_memory


def devices(*, json: bool = False) -> int:
    """List the cameras that are plugged in.

    Webcams are listed only on Linux. The exit code is 1 if livesnn can't search for one kind of camera.

    Parameters
    ----------
    json
        Print JSON, with the settings that each event camera's sensor has.
    """
    from livesnn.sources import discover

    why: list[str] = []
    found = discover(why.append)
    for line in why:
        say(f"livesnn devices: {line}")
    if json:
        write_json([device.summary() for device in found])
    elif found:
        write("\n".join(f"{device.uri:<24} {device.name}" for device in found))
    elif not why:
        say("livesnn devices: no camera found: plug one in, and check its cable and USB permissions")
    return int(bool(why))


def prepare(model: str = "gestures", /) -> int:
    """Compile the spike-driven engine for a model.

    This takes 7 to 16 s, once for each machine. Otherwise livesnn compiles in the background at the first start.

    Parameters
    ----------
    model
        Name of a model, or a model folder.
    """
    from livesnn.infer.load import model_folder
    from livesnn.infer.spike_engine import SpikeModel

    if hasattr(os, "nice"):
        os.nice(5)  # a window that runs on ONNX Runtime meanwhile goes first
    SpikeModel.load(model_folder(model))
    say(f"livesnn prepare: the spike-driven engine is compiled for {model}")
    return 0


Measurement = Literal["decode", "slicer", "step", "latency", "startup"]
"""Each is a function bench_NAME in livesnn/bench, which takes some of the options."""
MODULES = dict.fromkeys(("step", "latency", "startup"), "step")  # there; the others are in throughput


def bench(
    names: Annotated[tuple[Measurement, ...], Flag("NAME")] = (),
    /,
    *,
    repeats: int | None = None,
    model: Model = None,
    source: Annotated[str | None, Flag("RECORDING")] = None,
    engines: tuple[EngineName, ...] = (),
    json: bool = False,
) -> int:
    """Measure how fast livesnn runs on this machine.

    It prints the figures as JSON. NAME is one of these; without one, all are measured:

      decode     .aedat4 to NumPy, beside other libraries
      slicer     events to frames, on one core
      step       one step of a model on each engine, in turn
      latency    from an event to its decision, in real time
      startup    from the start to the first picture

    In step, ONNX Runtime runs with IO binding and without. The faster of the two is the "best" that engines are
    compared with.

    Parameters
    ----------
    names
        Measurements to make.
    repeats
        How often to repeat each measurement except latency. Default: 5.
    model
        Model for step, latency and startup, by name or folder. Default: nmnist.
    source
        Recording for step. Default: a simulated blob that moves.
    engines
        Engines for step. Default: all that are installed and can run the model.
    json
        Has no effect: the figures are always JSON.
    """
    if repeats is not None and repeats < 1:
        raise LivesnnError(f"--repeats can't be {repeats}: give 1 or more")
    asked = {"repeats": repeats, "model": model, "source": source, "engines": engines or None}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    chosen: dict[str, Callable[..., object]] = {
        name: getattr(import_module(f"livesnn.bench.{MODULES.get(name, 'throughput')}"), f"bench_{name}")
        for name in names or get_args(Measurement)
    }
    takes = {name: inspect.signature(function).parameters for name, function in chosen.items()}
    for option in given:
        if not any(option in parameters for parameters in takes.values()):
            raise UsageError(f"--{option} has no effect on {' and '.join(chosen)}: leave it out")
    figures = {
        name: function(
            **{
                option: value
                for option, value in ({"repeats": 5, "model": ""} | given).items()
                if option in takes[name]
            }
        )
        for name, function in chosen.items()
    }
    write_json({"machine": machine()} | figures)
    return 0


def tables(
    what: TableOrFigure,
    /,
    *,
    cell: tuple[str, ...] = (),
    budget: Literal["small", "cpu", "paper"] = "cpu",
    recipe: Literal["best", "paper"] = "best",
    seeds: int | None = None,
    data: Path = Path("data"),
    runs: Path = Path("runs/tables"),
    out: Path = Path("models/results/tables"),
    show: Annotated[bool, Flag(names=("print",))] = False,
) -> int:
    """Run the paper's experiments, or show their results beside the paper's.

    A cell is one network on one data set. Finished cells aren't run again, and interrupted ones are resumed. A cell
    whose data are missing is skipped with a message. Each cell prints one line of JSON. fig1 and fig2 have no cells
    and are always measured anew.

    Parameters
    ----------
    what
        A table or figure of the paper, or one of two others. reset trains with and without the neuron's reset.
        operations compares ConvSNN with ANNs of as many operations.
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
    if seeds is not None and seeds < 1:
        raise LivesnnError(f"--seeds can't be {seeds}: give 1 or more")
    from livesnn.paper.results import Folders

    keep_freed_memory()
    for record in run_cells(what, cell, budget, recipe, seeds, Folders(data, runs, out)):
        write_json(record)
    return 0
