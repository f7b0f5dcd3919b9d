"""What `livesnn bench` measures, one module a thing; `measure` runs them. Imported by cli alone.

And the names of what `livesnn tables` shows, which bench.tables itself can't tell without torch.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, cast, get_args

from livesnn.errors import LivesnnError

Measurement = Literal[
    "decode", "slicer", "step", "latency", "startup", "simulate", "denoise",
    "formats", "train", "simulator", "sensors", "transfer", "density", "bandwidth", "sustained",
    "teach",
]  # fmt: skip
WHAT: tuple[Measurement, ...] = (
    "decode", "slicer", "step", "latency", "startup", "simulate", "denoise",
)  # fmt: skip
EngineName = Literal["onnx", "spike", "torch"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
"""Whose step is timed."""
FigureName = Literal["fig6", "fig7", "fig8", "fig9", "curves", "reset", "operations"]
MeasuredName = Literal["fig1", "fig2", "state"]
"""What has no cells."""
TableOrFigure = Literal["table1", "table2", MeasuredName, FigureName]
VERSIONS = ("numpy", "numba", "onnxruntime", "torch", "lightning", "PySide6-Essentials", "dv-processing")


@dataclass(frozen=True)
class Options:
    """What is measured how often; each option is of the measurements that `TAKEN_BY` names."""

    model: str = ""
    """Name of a shipped model, or a model folder; default: gestures with sensors, transfer and teach, else nmnist."""

    repeats: int = 5
    """Runs of each."""

    source: str = ""
    """With step and density: a recording, whose frames are taken; default: a blob that moves, a shipped clip."""

    engines: tuple[str, ...] = ()
    """With step: which of onnx, spike and torch; default: those that are installed and can run the model."""

    peers: bool = False
    """With step: the same network with torch.compile and in OpenVINO, SpikingJelly, snnTorch and Norse too, those of
    them that are installed (make peers: in an environment of their own). With train: in SpikingJelly and snnTorch.
    With formats: reading by other libraries too, those of them that are installed."""

    data: Path = Path("data")
    """With simulator and transfer: the folder of real clips, NN_GESTURE.npz."""

    out: Path = Path("simulator")
    """With simulator: where its report goes, README.md and pictures."""

    people: int = 100
    """With simulator and sensors: simulated people a gesture."""

    seconds: float = 20.0
    """With sustained: how long the window is measured at each rate."""

    rates: tuple[int, ...] = ()
    """With sustained: events a second, from low to high up to the first that the window can't take; default: 250,000
    to 2,000,000."""

    threads: int | None = None
    """With sustained: threads of a step; default: as the app."""


TAKEN_BY: dict[str, tuple[Measurement, ...]] = {
    "model": ("step", "latency", "startup", "sensors", "transfer", "teach"),
    "repeats": (
        "decode", "slicer", "step", "startup", "simulate", "denoise", "formats", "train", "density", "bandwidth",
        "teach",
    ),
    "source": ("step", "density"),
    "engines": ("step",),
    "peers": ("step", "train", "formats"),
    "data": ("simulator", "transfer"),
    "out": ("simulator",),
    "people": ("simulator", "sensors"),
    "seconds": ("sustained",),
    "rates": ("sustained",),
    "threads": ("sustained",),
}  # fmt: skip
"""Which measurements take an option."""


def measure(what: Sequence[Measurement], options: Options) -> dict[str, object]:
    """Return the figures asked for (by default `WHAT`), and the machine and versions they hold for.

    All others are measured only by name: they take minutes, torch, matplotlib, or real clips.
    """
    _check(what, options)
    model, of_people, repeats = options.model or "nmnist", options.model or "gestures", options.repeats
    engines = cast(tuple[EngineName, ...], options.engines)
    from livesnn.bench.accuracy import bench_sensors, bench_teach, bench_transfer
    from livesnn.bench.decode import bench_decode, bench_formats
    from livesnn.bench.realtime import RATES, bench_sustained
    from livesnn.bench.step import bench_latency, bench_startup, bench_step
    from livesnn.bench.throughput import bench_denoise, bench_simulate, bench_slicer
    from tests.benchmarks.density import bench_bandwidth, bench_density
    from tests.benchmarks.simulator_likeness import bench_simulator
    from tests.benchmarks.train_peers import bench_train

    measurements: dict[Measurement, Callable[[], object]] = {
        "decode": lambda: bench_decode(repeats),
        "formats": lambda: bench_formats(repeats, peers=options.peers),
        "slicer": lambda: bench_slicer(repeats),
        "step": lambda: bench_step(model, repeats, options.source, engines=engines, peers=options.peers),
        "latency": lambda: bench_latency(model),
        "startup": lambda: bench_startup(model, repeats),
        "denoise": lambda: bench_denoise(repeats),
        "simulate": lambda: bench_simulate(repeats),
        "train": lambda: bench_train(repeats, peers=options.peers),
        "simulator": lambda: bench_simulator(options.data, options.out, options.people),
        "sensors": lambda: bench_sensors(of_people, options.people),
        "transfer": lambda: bench_transfer(options.data, of_people),
        "density": lambda: bench_density(repeats, options.source),
        "bandwidth": lambda: bench_bandwidth(repeats),
        "sustained": lambda: bench_sustained(
            seconds=options.seconds, rates=options.rates or RATES, threads=options.threads
        ),
        "teach": lambda: bench_teach(of_people, repeats),
    }
    figures: dict[str, object] = {name: measurements[name]() for name in what or WHAT}
    return {"machine": machine(), **figures}


def _check(what: Sequence[Measurement], options: Options) -> None:
    """Raise LivesnnError on options that measure nothing, or that nothing of what is asked for takes."""
    for option in fields(options):
        takers = TAKEN_BY[option.name]
        if getattr(options, option.name) != option.default and not set(takers) & set(what or WHAT):
            raise LivesnnError(
                f"--{option.name} is of {', '.join(takers)}: livesnn bench {takers[0]} --{option.name} …"
            )
    if options.repeats < 1:
        raise LivesnnError(f"{options.repeats} repeats measure nothing: give --repeats 1 or more")
    if options.people < 10:
        raise LivesnnError(f"{options.people} people are no distribution: give --people 10 or more")
    if not 0 < options.seconds < math.inf or any(rate < 1000 for rate in options.rates):
        raise LivesnnError("nothing is measured in no time, or at fewer than 1000 events/s: give more")
    if options.threads is not None and options.threads < 1:
        raise LivesnnError(f"{options.threads} threads can't run a model: give --threads 1 or more")
    for number, name in enumerate(options.engines):
        if name not in ENGINES:
            raise LivesnnError(f"no engine {name!r} to time; there is: {', '.join(ENGINES)}")
        if name in options.engines[:number]:
            raise LivesnnError(f"engine {name!r} is there twice: give each once")


def machine() -> dict[str, object]:
    """Return what figures hold for: processor, cores, system, versions."""
    versions = {"python": platform.python_version(), **{name: _version(name) for name in VERSIONS}}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "versions": versions,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
