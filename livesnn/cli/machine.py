"""The commands for this machine: devices, doctor, prepare; and what measures: bench, tables."""

from __future__ import annotations

import contextlib
import getpass
import inspect
import os
import platform
import re
import runpy
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from livesnn import __version__, subprocesses
from livesnn.bench import EngineName, machine
from livesnn.cli.doctor import PROBES, Findings, finding
from livesnn.cli.options import Model
from livesnn.cli.parser import Flag, UsageError
from livesnn.console import json_line, one_line, say, write, write_json
from livesnn.errors import LivesnnError
from livesnn.json_text import decode_json
from livesnn.paper.experiments import TableOrFigure, run_cells, shown
from livesnn.paths import log_file
from livesnn.subprocesses import keep_freed_memory, last_line
from livesnn.threads import Worker, usable_processors

PROBE = "LIVESNN_DOCTOR_PROBE"
"""Environment variable that names the probe to run, in the processes that doctor starts."""

LIMIT_S = 90.0
"""Limit for all probes but the last together, and again for the last, which is timed and therefore runs by itself."""

_KILLED_S = 2.0  # to wait for a killed process; one that is stuck in a broken USB device may stay


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


def doctor(*, json: bool = False, report: bool = False) -> int:
    """Check this machine and say how to fix what doesn't work.

    Parameters
    ----------
    json
        Print JSON.
    report
        Write livesnn-report-TIME.zip to the current folder, to attach to an issue. It has the checks, versions,
        settings and the last log, without names or paths.
    """
    if probe := os.environ.get(PROBE):
        write_json(PROBES[probe]())
        return 0
    found: dict[str, Findings] = {}
    for name, part in _examine():
        found[name] = part
        if not json and part.checks:
            described = (f"{check.state}: {check.what}" + f": {check.do}" * bool(check.do) for check in part.checks)
            write("\n".join(map(one_line, described)))
    total = sum((found[name] for name in ("livesnn", *PROBES)), Findings())
    if json:
        write_json({"ok": total.ok} | asdict(total))
    else:
        states = [check.state for check in total.checks]
        say(f"livesnn doctor: problems: {states.count('problem')}, warnings: {states.count('warning')}")
    if report:
        file = write_report(Path.cwd(), total)
        say(f"livesnn doctor: look through {file.name}, then attach it to an issue")
    return 0 if total.ok else 1


def write_report(folder: Path, found: Findings) -> Path:
    """Write a zip with all that helps to explain a fault on this machine, without names and paths of people."""
    from livesnn.app.settings import user_settings

    file = folder / time.strftime("livesnn-report-%Y%m%d-%H%M%S.zip")
    packages = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    variables = ("NUMBA_", "OMP_", "ORT_", "QT_", "PYTHON")
    system = {
        "machine": machine(),
        "packages": dict(sorted(packages.items())),
        "environment": {name: value for name, value in os.environ.items() if name.startswith(variables)},
        "own variables": sorted(name for name in os.environ if name.startswith("LIVESNN_")),  # some are secrets
    }
    parts = {"checks.json": asdict(found), "system.json": system, "settings.json": nameless(user_settings().now)}
    texts = {name: msgspec.json.format(json_line(value)).decode() for name, value in parts.items()}
    for log in (log_file(), log_file().with_suffix(".old.log")):
        if log.is_file():
            texts[log.name] = log.read_text(encoding="utf-8", errors="replace")
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as report:
            for name, text in texts.items():
                report.writestr(name, without_names(text))
    except OSError as error:
        raise LivesnnError(f"{file}: can't be written ({error.strerror}): run it in another folder") from error
    return file


def nameless(value: Any) -> Any:
    """Return settings as plain data, in which only numbers and what is one of several words are left."""
    if is_dataclass(value):
        kinds = get_type_hints(type(value))
        return {
            each.name: part if get_origin(kinds[each.name]) is Literal else nameless(part)
            for each in fields(value)
            for part in [getattr(value, each.name)]
        }
    if isinstance(value, Mapping):
        return [nameless(part) for part in value.values()]
    if isinstance(value, tuple | list | set | frozenset):
        return [nameless(part) for part in value]
    return value if value is None or isinstance(value, int | float) else "…" * bool(value)


_ADDRESS = re.compile(r"""\b\w+://[^\s'"]+""")
_PATH = re.compile(
    r"""(?:~(?=[\\/])|\b[A-Za-z]:[\\/]|(?<![\w<>.~/])/)(?=\S)(?:[^\n":;<>|]*[\\/])?[^\s":;,<>|\\/]*?(\.\w+)?(?=[\s'":;,)<>|]|$)"""
)
_FILE = re.compile(
    r"""[^\s'":,;()<>|\\/]+(\.(?:aedat4?|raw|dat|h5|hdf5|es|bin|npz|csv|txt|bag|db3|mcap|mp4|avi|mkv))\b"""
)


def without_names(text: str) -> str:
    """Return a text without paths but those of Python and livesnn, and without names.

    Names are those of recordings, of the user, of this computer, and of models that were taught here.
    """
    from livesnn.infer.load import own_models

    known = {str(Path(__file__).parents[2]): "<livesnn>", sys.prefix: "<python>", sys.base_prefix: "<python>"}
    for path, instead in sorted(known.items(), key=lambda each: -len(each[0])):
        text = text.replace(path, instead)
    text = text.replace(str(Path.home()), "~")
    text = _FILE.sub(r"<file>\1", _PATH.sub(r"<path>\1", _ADDRESS.sub("<address>", text)))
    people = {getpass.getuser(), Path.home().name, platform.node(), *own_models()}
    if sys.platform != "win32":
        import pwd

        people |= {*pwd.getpwuid(os.getuid()).pw_gecos.replace(",", " ").split()}
    for name in sorted(people - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text, flags=re.IGNORECASE)
    return text


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


def _examine() -> Iterator[tuple[str, Findings]]:
    """Yield what each probe finds, with its name, as soon as it is known."""
    versions = {"livesnn": __version__, "python": platform.python_version(), "platform": platform.platform()}
    what = f"livesnn {__version__} on Python {versions['python']}, {versions['platform']}"
    yield "livesnn", finding("livesnn", "ok", what, **versions)
    *together, last = PROBES
    yield from run_all({name: partial(_start, name) for name in together}, LIMIT_S)
    yield from run_all({last: partial(_start, last)}, LIMIT_S)


def run_all(starts: dict[str, Callable[[], subprocess.Popen[str]]], limit_s: float) -> Iterator[tuple[str, Findings]]:
    """Start a process for each name and yield what each prints as soon as it ends, or that it failed or hangs.

    As many run as there are processors, since all at once would end only together; one more for each second in
    which none has ended.
    """
    deadline_s = time.monotonic() + limit_s
    waiting, running = [*starts], dict[str, subprocess.Popen[str]]()
    found: SimpleQueue[tuple[str, Findings]] = SimpleQueue()  # at most one from each

    def begin(name: str) -> None:
        process = running[name] = starts[name]()
        Worker(f"probe-{name}", lambda _stop: found.put((name, _collect(name, process, deadline_s)))).start()

    try:
        while waiting and len(running) < usable_processors():
            begin(waiting.pop(0))
        while running:
            with contextlib.suppress(Empty):
                name, part = found.get(timeout=1.0)
                _kill(running.pop(name))
                yield name, part
            if waiting:
                begin(waiting.pop(0))
    finally:
        for process in running.values():
            _kill(process)


def _start(name: str) -> subprocess.Popen[str]:
    return subprocesses.start(subprocesses.command("doctor"), subprocesses.environment(**{PROBE: name}))


def _collect(name: str, process: subprocess.Popen[str], deadline_s: float) -> Findings:
    """Return what the process prints in its last line, and a problem unless it ends well and in time."""
    try:
        out, err = process.communicate(timeout=max(0.1, deadline_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return finding(name, "problem", f"{name} doesn't answer in time", how_to_learn_more(name))
    found = None
    with contextlib.suppress(msgspec.DecodeError):
        found = decode_json(last_line(out), Findings)
    if found is not None and process.returncode == 0:
        return found
    said = one_line(last_line(err, "it printed nothing"))[:300]
    said = said.removeprefix("livesnn doctor: ").removesuffix(" (run again with --debug and report it)")
    what = f"{name} {_ending(process.returncode)} ({said})"
    return (found or Findings()) + finding(name, "problem", what, how_to_learn_more(name))


def _ending(code: int) -> str:
    try:
        return f"crashed with {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
    except ValueError:
        return f"crashed with signal {-code}"


def how_to_learn_more(name: str) -> str:
    command = f"{PROBE}={shlex.quote(name)} livesnn doctor --debug"
    return f"fix the other problems first; if this one stays, {command} says more"


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_KILLED_S)


Measurement = Literal["decode", "slicer", "step", "latency", "startup", "simulate", "denoise"]
"""Each is a function bench_NAME in livesnn/bench, which takes some of the options."""
MODULES = dict.fromkeys(("step", "latency", "startup"), "step")  # there; the others are in throughput
STUDIES = {
    "people": ("people",),
    "transfer": ("accuracy", "transfer"),
    "sensors": ("accuracy", "sensors"),
    "teach": ("accuracy", "teach"),
    "formats": ("format_peers",),
    "sustained": ("sustained",),
    "train": ("train_peers",),
}
"""Measurements of livesnn itself: each one's script in tests/benchmarks, and what follows its name."""


def run_study(name: str, *arguments: str) -> int:
    """Run the script of one of `STUDIES` and return 0; raises LivesnnError outside the repository."""
    repository = Path(__file__).parents[2]
    script, *first = STUDIES[name]
    file = repository / "tests" / "benchmarks" / f"{script}.py"
    if not file.exists():
        raise LivesnnError(f"{name} is measured by a script of the repository: clone it, and run it there")
    sys.path.insert(0, str(repository))
    sys.argv = [f"livesnn bench {name}", *first, *arguments]
    runpy.run_path(str(file), run_name="__main__")
    return 0


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
      simulate   how much faster than real time people are simulated
      denoise    the noise filters on one core

    In a clone of the repository, NAME can also be people, transfer, sensors, teach, formats, sustained or train.
    `livesnn bench people --help` describes the options of people, and so on.

    In step, ONNX Runtime runs with IO binding and without. The faster of the two is the "best" that engines are
    compared with. A model with 8-bit kernels also runs on ONNX Runtime's own 8-bit kernels.

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
    given = {name: value for name, value in asked.items() if value is not None}
    usual: dict[str, Any] = {"repeats": 5, "model": ""}
    chosen: dict[str, Callable[..., object]] = {
        name: getattr(import_module(f"livesnn.bench.{MODULES.get(name, 'throughput')}"), f"bench_{name}")
        for name in names or get_args(Measurement)
    }
    takes = {name: inspect.signature(function).parameters for name, function in chosen.items()}
    for option in given:
        if not any(option in parameters for parameters in takes.values()):
            raise UsageError(f"--{option} has no effect on {' and '.join(chosen)}: leave it out")
    figures = {
        name: function(**{option: value for option, value in (usual | given).items() if option in takes[name]})
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
    if seeds is not None and seeds < 1:
        raise LivesnnError(f"--seeds can't be {seeds}: give 1 or more")
    from livesnn.paper.results import Folders

    keep_freed_memory()
    for record in run_cells(what, cell, budget, recipe, seeds, Folders(data, runs, out)):
        write_json(record)
    return 0
