"""The measurements of `livesnn bench`, each a dataclass of its options."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from livesnn.errors import LivesnnError

EngineName = Literal["onnx", "spike", "torch"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
"""The engines whose step is timed."""


class Measurement(Protocol):
    """The options of a measurement. Calling it measures, and returns the figures as plain data."""

    def __call__(self) -> object: ...


@dataclass(frozen=True)
class Decode:
    """Decode a large .aedat4 file with livesnn, dv-processing and aedat, each with all its threads."""

    repeats: int = 5
    """Repeats of each run."""

    def __call__(self) -> object:
        from livesnn.bench.decode import bench_decode

        return bench_decode(self.repeats)


@dataclass(frozen=True)
class Slicer:
    """Cut events into frames on one core, in events a second."""

    repeats: int = 5
    """Runs of each sensor size."""

    def __call__(self) -> object:
        from livesnn.bench.throughput import bench_slicer

        return bench_slicer(self.repeats)


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

    def __call__(self) -> object:
        from livesnn.bench.step import bench_step

        return bench_step(self.model or "nmnist", self.repeats, self.source, engines=self.engines)


@dataclass(frozen=True)
class Latency:
    """Play events in real time, and time each decision from the arrival of its last events."""

    model: str = ""
    """Name of a model, or a model folder. Default: nmnist."""

    def __call__(self) -> object:
        from livesnn.bench.realtime import bench_latency

        return bench_latency(self.model or "nmnist")


@dataclass(frozen=True)
class Startup:
    """Time the start of the window up to its first picture."""

    model: str = ""
    """Name of a model, or a model folder. Default: nmnist."""

    repeats: int = 5
    """How many times the window is started."""

    def __call__(self) -> object:
        from livesnn.bench.realtime import bench_startup

        return bench_startup(self.model or "nmnist", self.repeats)


@dataclass(frozen=True)
class Simulate:
    """Simulate a gesturing person on one core, and say how much faster than real time that is."""

    repeats: int = 5
    """Number of simulated people."""

    def __call__(self) -> object:
        from livesnn.bench.throughput import bench_simulate

        return bench_simulate(self.repeats)


@dataclass(frozen=True)
class Denoise:
    """Add known noise to simulated people and filter it: how much noise goes, how much signal stays, how fast."""

    repeats: int = 5
    """Runs of each sensor size."""

    def __call__(self) -> object:
        from livesnn.bench.throughput import bench_denoise

        return bench_denoise(self.repeats)


@dataclass(frozen=True)
class Formats:
    """Decode a large file of each format on one core, in events a second of processor time."""

    repeats: int = 5
    """Runs of each format."""

    def __call__(self) -> object:
        from livesnn.bench.decode import bench_formats

        return bench_formats(self.repeats)


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

    def __call__(self) -> object:
        from livesnn.bench.realtime import RATES, bench_sustained

        if not 0 < self.seconds < math.inf or any(rate < 1000 for rate in self.rates):
            raise LivesnnError("give --seconds above 0 and --rates of 1000 events a second or more")
        if self.threads is not None and self.threads < 1:
            raise LivesnnError(f"--threads can't be {self.threads}: give 1 or more")
        return bench_sustained(seconds=self.seconds, rates=self.rates or RATES, threads=self.threads)


@dataclass(frozen=True)
class Sensors:
    """Measure the accuracy on simulated people, seen by sensors of several sizes and by a webcam."""

    model: str = ""
    """Model of gestures, by name or folder. Default: gestures."""

    people: int = 100
    """Number of simulated people for each gesture."""

    def __call__(self) -> object:
        from livesnn.bench.accuracy import bench_sensors

        if self.people < 10:
            raise LivesnnError(
                f"{self.people} people are too few for a distribution: give --people 10 or more"
            )
        return bench_sensors(self.model or "gestures", self.people)


@dataclass(frozen=True)
class Transfer:
    """Measure the accuracy on clips of real people: as recorded, mirrored, faster, slower, moved and scaled."""

    model: str = ""
    """Model of gestures, by name or folder. Default: gestures."""

    data: Path = Path("data")
    """Folder of the clips, named NN_GESTURE.npz, such as 01_hand_clapping.npz."""

    def __call__(self) -> object:
        from livesnn.bench.accuracy import bench_transfer

        return bench_transfer(self.data, self.model or "gestures")


@dataclass(frozen=True)
class Teach:
    """Teach a model new movements from simulated people, and measure what it then decides."""

    model: str = ""
    """Model of gestures, by name or folder. Default: gestures."""

    repeats: int = 5
    """Number of simulated people who teach each movement."""

    def __call__(self) -> object:
        from livesnn.bench.accuracy import bench_teach

        return bench_teach(self.model or "gestures", self.repeats)


MEASUREMENTS: dict[str, type[Measurement]] = {
    "decode": Decode,
    "slicer": Slicer,
    "step": Step,
    "latency": Latency,
    "startup": Startup,
    "simulate": Simulate,
    "denoise": Denoise,
    "formats": Formats,
    "sustained": Sustained,
    "sensors": Sensors,
    "transfer": Transfer,
    "teach": Teach,
}
DEFAULT = ("decode", "slicer", "step", "latency", "startup", "simulate", "denoise")
"""Measured when no name is given. The others take minutes, or need PyTorch or clips of real people."""
MOVED = {
    "train": "train_peers.py",
    "density": "density.py",
    "bandwidth": "density.py --bandwidth",
    "simulator": "simulator_likeness.py",
}
"""Former measurements, by the script in tests/benchmarks/ that now makes them."""


def measure(options: Measurement) -> object:
    """Measure with these options; raises LivesnnError if they ask for nothing, or if something is missing."""
    repeats = getattr(options, "repeats", 1)
    if repeats < 1:
        raise LivesnnError(f"--repeats can't be {repeats}: give 1 or more")
    return options()
