"""The measurements of `livesnn bench`, each a dataclass of its options."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from livesnn.errors import LivesnnError

EngineName = Literal["onnx", "spike", "torch"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
"""The engines whose step is timed."""


@dataclass(frozen=True)
class Decode:
    """Decode a large .aedat4 file with livesnn, dv-processing and aedat, each with all its threads."""

    repeats: int = 5
    """Repeats of each run."""


@dataclass(frozen=True)
class Slicer:
    """Cut events into frames on one core, in events a second."""

    repeats: int = 5
    """Runs of each sensor size."""


@dataclass(frozen=True)
class Step:
    """Time one step of a model on each engine, in turn on the same frames.

    ONNX Runtime runs with IO binding and without. The faster of the two is the "best" that engines are compared with.
    A model with 8-bit kernels also runs on ONNX Runtime's own 8-bit kernels (needs livesnn[train]).
    """

    model: str = ""
    """Name of a model, or a model folder. Default: nmnist."""

    repeats: int = 5
    """Runs of each engine."""

    source: str = ""
    """Recording whose frames are used. Default: a moving blob."""

    engines: tuple[EngineName, ...] = ()
    """Engines to time. Default: all that are installed and can run the model."""


@dataclass(frozen=True)
class Latency:
    """Play events in real time, and time each decision from the arrival of its last events."""

    model: str = ""
    """Name of a model, or a model folder. Default: nmnist."""


@dataclass(frozen=True)
class Startup:
    """Time the start of the window up to its first picture."""

    model: str = ""
    """Name of a model, or a model folder. Default: nmnist."""

    repeats: int = 5
    """How many times the window is started."""


@dataclass(frozen=True)
class Simulate:
    """Simulate a gesturing person on one core, and say how much faster than real time that is."""

    repeats: int = 5
    """Number of simulated people."""


@dataclass(frozen=True)
class Denoise:
    """Add known noise to simulated people and filter it: how much noise goes, how much signal stays, how fast."""

    repeats: int = 5
    """Runs of each sensor size."""


@dataclass(frozen=True)
class Formats:
    """Decode a large file of each format on one core, in events a second of processor time."""

    repeats: int = 5
    """Runs of each format."""


@dataclass(frozen=True)
class Sustained:
    """Play events to the window at rising rates, up to the first rate at which it drops events.

    Needs livesnn[train], to make the network that it runs.
    """

    seconds: float = 20.0
    """Seconds at each rate."""

    rates: tuple[int, ...] = ()
    """Events a second, in any order. Default: from 250,000 to 2,000,000."""

    threads: int | None = None
    """Threads of a step. Default: as many as the window uses."""


@dataclass(frozen=True)
class Sensors:
    """Measure the accuracy on simulated people, seen by sensors of several sizes and by a webcam."""

    model: str = ""
    """Model of gestures, by name or folder. Default: gestures."""

    people: int = 100
    """Number of simulated people for each gesture."""


@dataclass(frozen=True)
class Transfer:
    """Measure the accuracy on clips of real people: as recorded, mirrored, faster, slower, moved and scaled."""

    model: str = ""
    """Model of gestures, by name or folder. Default: gestures."""

    data: Path = Path("data")
    """Folder of the clips, named NN_GESTURE.npz, such as 01_hand_clapping.npz."""


@dataclass(frozen=True)
class People:
    """Measure decisions on real people, and how often a gesture is named where there is none.

    Frames are made once and then kept.
    """

    model: str = ""
    """Model of gestures, by name or folder. Default: gestures."""

    data: Path = Path("data")
    """Folder with people/UTD-MHAD, people/dvs128, dvs_gesture, recordings, dvs128_objects and ucf101, or some of
    them."""

    denoise: bool = False
    """Filter noise."""

    threshold: float | None = None
    """Smallest probability that makes a decision. Default: 0.7."""

    keep: float | None = None
    """A decision stands until its probability falls below this. Default: 0.3 of --threshold."""

    smoothing: float | None = None
    """Share of the previous frame's probabilities in this frame's. Default: 0."""

    leak: float | None = None
    """How much less a frame of the window counts than the next one. Default: 0.22."""

    rates: Path | None = None
    """File NAME.npz that gets the model's output for each frame."""


@dataclass(frozen=True)
class Teach:
    """Teach a model new movements from simulated people, and measure what it then decides."""

    model: str = ""
    """Model of gestures, by name or folder. Default: gestures."""

    repeats: int = 5
    """Number of simulated people who teach each movement."""


_MODULES = {
    Decode: "decode",
    Slicer: "throughput",
    Step: "step",
    Latency: "realtime",
    Startup: "realtime",
    Simulate: "throughput",
    Denoise: "throughput",
    Formats: "decode",
    Sustained: "realtime",
    Sensors: "accuracy",
    Transfer: "accuracy",
    People: "people",
    Teach: "accuracy",
}
"""The module with the function of each measurement, such as `decode.bench_decode`; its parameters are the options."""

MEASUREMENTS: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in _MODULES}
DEFAULT = ("decode", "slicer", "step", "latency", "startup", "simulate", "denoise")
"""Measured when no name is given. The others take minutes, or need PyTorch or recordings of real people."""
MOVED = {
    "train": "train_peers.py",
    "density": "density.py",
    "bandwidth": "density.py --bandwidth",
    "simulator": "simulator_likeness.py",
}
"""Former measurements, by the script in tests/benchmarks/ that now makes them."""


def measure(options: Any) -> object:
    """Measure with the options of one of `MEASUREMENTS`, and return the figures as plain data.

    Raises LivesnnError if the options ask for nothing, or if something is missing.
    """
    repeats = getattr(options, "repeats", 1)
    if repeats < 1:
        raise LivesnnError(f"--repeats can't be {repeats}: give 1 or more")
    people = getattr(options, "people", 10)
    if people < 10:
        raise LivesnnError(f"{people} people are too few for a distribution: give --people 10 or more")
    kind = type(options)
    module = import_module(f"livesnn.bench.{_MODULES[kind]}")
    return getattr(module, f"bench_{kind.__name__.lower()}")(**vars(options))
