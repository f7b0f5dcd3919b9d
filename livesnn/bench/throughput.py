"""How fast events are decoded and sliced."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from livesnn.bench import spread
from livesnn.card import InputSpec, SliceRule
from livesnn.errors import DataError, LivesnnError
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet, Resolution
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Frame, Slicer

CASES = ((Resolution(640, 480), 64), (Resolution(346, 260), 34), (Resolution(128, 128), 128))
"""Sensors, and the side of the model's square input."""

PACKET_EVENTS = 10_000  # Events of a packet: those of a busy camera in about 5 ms

CHUNK_EVENTS = 1_000_000


def bench_slicer(repeats: int, *, n_events: int = 10_000_000) -> dict[str, dict[str, object]]:
    """Time `Slicer.push` on one core on a moving blob in noise, cut every 30 ms: millions of events a second."""
    return {
        f"{sensor.width}x{sensor.height} to {side}x{side}": _bench_case(sensor, side, repeats, n_events)
        for sensor, side in CASES
    }


def moving_blob(n_events: int, sensor: Resolution, *, seed: int, duration_us: int = 5_000_000) -> Events:
    """Return EVENTS_DTYPE [n_events] in order: four fifths of a blob that circles once a second, one fifth noise."""
    random = np.random.default_rng(seed)
    events = np.empty(n_events, EVENTS_DTYPE)
    events["t"] = np.sort(random.integers(0, duration_us, n_events))
    for first in range(0, n_events, CHUNK_EVENTS):
        chunk = events[first : first + CHUNK_EVENTS]
        angle = chunk["t"] * (2 * math.pi / 1_000_000)
        noise = random.random(len(chunk)) < 0.2
        chunk["x"] = _place(np.cos(angle), noise, sensor.width, random)
        chunk["y"] = _place(np.sin(angle), noise, sensor.height, random)
        chunk["p"] = random.random(len(chunk)) < 0.5
    return events


def _place(
    swing: npt.NDArray[np.float64], noise: npt.NDArray[np.bool_], size: int, random: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Return each event's coordinate: anywhere for noise, else near the centre + ``swing`` × size / 4."""
    blob = size * (0.5 + 0.25 * swing + random.normal(0, 1 / 12, len(swing)))
    return np.where(noise, random.integers(0, size, len(swing)), np.clip(blob, 0, size - 1)).astype(np.uint16)


def _bench_case(sensor: Resolution, side: int, repeats: int, n_events: int) -> dict[str, object]:
    spec = InputSpec(side, side, SliceRule(delta_t_us=30_000))
    packets = np.array_split(moving_blob(n_events, sensor, seed=0), max(n_events // PACKET_EVENTS, 1))
    rates: list[float] = []
    ended: list[Frame] = []
    for _ in range(repeats + 1):
        begun_s, slicer = time.thread_time(), Slicer(sensor, spec)
        ended = [frame for events in packets for frame in slicer.push(Packet(events))]
        rates.append(n_events / (time.thread_time() - begun_s) / 1e6)
    return {
        "mev_per_s": spread(rates[1:]),  # the first compiles, or loads what was compiled
        "events": n_events,
        "frames": len(ended),
        "events_in_frames": sum(frame.n_events for frame in ended),
    }


EVENTS = 20_000_000
SENSOR = Resolution(1280, 720)
START_US = 50_000
EVENTS_PER_US = 5.0

Columns = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""t in µs, x, y and p of some events, [N] each."""
Reader = Callable[[Path], Iterator[Columns]]  # Reads a whole file


def by_livesnn(path: Path) -> Iterator[Columns]:
    with open_recording(path) as recording:
        for packet in recording:
            yield columns(packet.events, "t", "x", "y", "p")


def by_dv_processing(path: Path) -> Iterator[Columns]:
    reader = import_module("dv_processing").io.MonoCameraRecording(str(path))
    while reader.isRunning():
        batch = reader.getNextEventBatch()
        if batch is not None:
            yield columns(batch.numpy(), "timestamp", "x", "y", "polarity")


def by_aedat(path: Path) -> Iterator[Columns]:
    for packet in import_module("aedat").Decoder(str(path)):
        if "events" in packet:
            yield columns(packet["events"], "t", "x", "y", "on")


def columns(events: npt.NDArray[Any], *names: str) -> Columns:
    t, x, y, p = (events[name] for name in names)
    return t, x, y, p


AEDAT4_READERS: dict[str, Reader] = {"dv_processing": by_dv_processing, "aedat": by_aedat}
"""Other libraries that read .aedat4, by their module."""


def bench_decode(repeats: int, *, events: int = EVENTS) -> dict[str, Any]:
    """Decode an .aedat4 file with each library by turns, ``repeats`` times: millions of events a second by the clock.

    livesnn decodes on up to four cores; `taskset -c 0` in front of the command leaves it one. ``ratio`` is livesnn's
    median over another library's. Raises DataError if the libraries find different numbers of events.
    """
    readers: dict[str, Reader] = {"livesnn": by_livesnn}
    readers |= {name: read for name, read in AEDAT4_READERS.items() if find_spec(name)}
    if len(readers) == 1:
        raise LivesnnError("nothing to compare with: pip install 'livesnn[dev]'")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"made_{events // 1_000_000}M_lz4.aedat4"
        write_aedat4(file, make_events(events, SENSOR))
        timed = _time_file(file, readers, repeats)
    rates = {name: rate["median"] for name, rate in timed["mev_per_s"].items()}
    ratio = {f"vs_{name}": round(rates["livesnn"] / rate, 3) for name, rate in rates.items() if name != "livesnn"}
    return {"files": {file.name: timed}, "ratio": ratio, "ratio_file": file.name}


def _time_file(path: Path, readers: dict[str, Reader], repeats: int) -> dict[str, Any]:
    counts = {name: _read(path, read) for name, read in readers.items()}  # warms the page cache, compiles
    if len(set(counts.values())) != 1:
        raise DataError(f"{path}: the libraries count different numbers of events: {counts}")
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(repeats):
        for name, read in readers.items():
            begun = time.perf_counter()
            _read(path, read)
            seconds[name].append(time.perf_counter() - begun)
    events = counts["livesnn"]
    return {
        "events": events,
        "mev_per_s": {
            name: spread([events / took_s / 1e6 for took_s in measured]) for name, measured in seconds.items()
        },
    }


def _read(path: Path, read: Reader) -> int:
    return sum(len(t) for t, _, _, _ in read(path))


def make_events(count: int, sensor: Resolution) -> Iterator[Events]:
    """Yield events, 5 million a second, of an edge that moves over a sensor read row by row, a fifth of them noise.

    A row's readout has one time and polarity, and three neighbouring pixels in the mean, as in a real EVT 3.0 file.
    """
    random, t_us, made = np.random.default_rng(7), float(START_US), 0
    while made < count:
        rows = CHUNK_EVENTS // 4
        lengths = np.where(random.random(rows) < 0.5, 1, random.geometric(1 / 6, rows).clip(1, 40))
        times = t_us + np.cumsum(random.exponential(lengths * 0.8 / EVENTS_PER_US))
        t_us = float(times[-1])
        left = np.where(lengths == 1, random.integers(0, sensor.width, rows), times // 500 % sensor.width)
        row = np.repeat(np.arange(rows), lengths)
        across = np.arange(row.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        kept = ((across == 0) | (random.random(row.size) < 0.8)) & (left[row] + across < sensor.width)
        row, across = row[kept], across[kept]
        events = np.empty(row.size, EVENTS_DTYPE)
        events["t"], events["x"] = times[row], left[row] + across
        events["y"] = random.integers(0, sensor.height, rows)[row]
        events["p"] = (random.random(rows) < 0.5)[row]
        for first in range(0, min(events.size, count - made), CHUNK_EVENTS):
            yield events[first : min(first + CHUNK_EVENTS, count - made)]
        made += events.size


def write_aedat4(path: Path, packets: Iterator[Events]) -> None:
    with Aedat4Writer(path, SENSOR) as writer:
        for events in packets:
            writer.write(events)
