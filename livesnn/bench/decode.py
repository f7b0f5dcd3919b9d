"""How fast a large .aedat4 file is decoded to numpy, beside other libraries that read it."""

from __future__ import annotations

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
from livesnn.errors import DataError, LivesnnError
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import open_recording

EVENTS = 20_000_000
SENSOR = Resolution(1280, 720)
START_US = 50_000
CHUNK_EVENTS = 1_000_000
EVENTS_PER_US = 5.0

Columns = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""t in µs, x, y and p of some events, [N] each."""
Reader = Callable[[Path], Iterator[Columns]]
"""Reads a whole file."""


def by_livesnn(path: Path) -> Iterator[Columns]:
    """Open and read a recording with livesnn, packet by packet."""
    with open_recording(path) as recording:
        for packet in recording:
            yield columns(packet.events, "t", "x", "y", "p")


def by_dv_processing(path: Path) -> Iterator[Columns]:
    """Read an .aedat4 file with dv-processing."""
    reader = import_module("dv_processing").io.MonoCameraRecording(str(path))
    while reader.isRunning():
        batch = reader.getNextEventBatch()
        if batch is not None:
            yield columns(batch.numpy(), "timestamp", "x", "y", "polarity")


def by_aedat(path: Path) -> Iterator[Columns]:
    """Read an .aedat4 file with aedat."""
    for packet in import_module("aedat").Decoder(str(path)):
        if "events" in packet:
            yield columns(packet["events"], "t", "x", "y", "on")


def columns(events: npt.NDArray[Any], *names: str) -> Columns:
    """Return four fields of a structured array."""
    t, x, y, p = (events[name] for name in names)
    return t, x, y, p


AEDAT4_READERS: dict[str, Reader] = {"dv_processing": by_dv_processing, "aedat": by_aedat}
"""Other libraries that read .aedat4, by their module."""


def bench_decode(repeats: int, *, events: int = EVENTS) -> dict[str, Any]:
    """Decode an .aedat4 file with each library by turns, ``repeats`` times, by the clock.

    The file is made in a temporary folder: LZ4, 1280×720, a moving edge in noise. It is so large that opening it
    hardly counts. livesnn decodes on up to four cores; `taskset -c 0` in front of the command leaves it one.

    Returns
    -------
    ``files``, by name: events, and for each library mev_per_s {n, median, min, max} in millions of events a second;
    ``ratio``: livesnn's median over that of each other library; ``ratio_file``: the name of the file.

    Raises
    ------
    DataError
        The libraries find different numbers of events.
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
    ratio = {
        f"vs_{name}": round(rates["livesnn"] / rate, 3) for name, rate in rates.items() if name != "livesnn"
    }
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
    """Yield events of an edge that moves over a sensor read row by row, a fifth of them noise.

    A row's readout has one time, one polarity, and three neighbouring pixels in the mean (3.7 in a real EVT 3.0
    recording of a busy scene); there are 5 million events a second, in order. Packets of up to CHUNK_EVENTS.
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
    """Write packets of events to an .aedat4 file, compressed with LZ4."""
    with Aedat4Writer(path, SENSOR) as writer:
        for events in packets:
            writer.write(events)
