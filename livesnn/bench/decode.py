"""How fast recordings are decoded to numpy: a large .aedat4 file on all cores, and every format on one core."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.bench.format_files import MADE_FILES, make_events
from livesnn.bench.report import spread
from livesnn.errors import DataError, LivesnnError
from livesnn.events.recording import open_recording

FORMAT = "aedat4 (LZ4)"
LARGE_EVENTS, EVENTS = 20_000_000, 10_000_000
UNIT = "million events a second of one core's time"

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


def bench_decode(repeats: int, *, events: int = LARGE_EVENTS) -> dict[str, Any]:
    """Decode an .aedat4 file with each library by turns, ``repeats`` times, by the clock.

    The file is made in a temporary folder: LZ4, 1280×720, a moving edge in noise. It is so large that opening it
    hardly counts.

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
        file, made = Path(folder) / f"made_{events // 1_000_000}M_lz4.aedat4", MADE_FILES[FORMAT]
        made.write(file, make_events(events, made.sensor))
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


def bench_formats(repeats: int, *, events: int = EVENTS) -> dict[str, Any]:
    """Open and read a large file of each format ``repeats`` times; text files have fewer ``events``.

    A process on one core reads (where the system allows that), so that threads bring no advantage. Reading is from
    opening to the last event in numpy arrays, with the file in the system's cache. The processor's time counts, so
    that other programs don't.

    Raises
    ------
    DataError
        A file isn't read as it was written.
    """
    spawn = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, spawn, take_one_core) as process:
        figures = {
            name: process.submit(_measure_format, name, Path(folder), repeats, events).result()
            for name in MADE_FILES
        }
    return {"unit": UNIT, "versions": {}, **figures}


def _measure_format(name: str, folder: Path, repeats: int, events: int) -> dict[str, Any]:
    with made_file(name, folder, events) as (path, written):
        if (found := sums_of(by_livesnn(path))) != written:
            raise DataError(f"{name} isn't read as it was written: read {found}, written {written}")
        rates = [written.n / processor_s(by_livesnn, path) / 1e6 for _ in range(repeats)]
        size = path.stat().st_size
    return {
        "events": written.n,
        "bytes_per_event": round(size / written.n, 2),
        "mev_per_s": {"livesnn": spread(rates)},
    }


class Sums(NamedTuple):
    """What is compared of all events of a file; times in µs."""

    n: int
    on: int
    t_first: int
    t_last: int
    sum_x: int
    sum_y: int


def sums_of(parts: Iterator[Columns]) -> Sums:
    """Add up all events."""
    n = on = first = last = sum_x = sum_y = 0
    for t, x, y, p in parts:
        if len(t):
            first, last = first if n else int(t[0]), int(t[-1])
            n, on = n + len(t), on + int(np.count_nonzero(np.asarray(p) > 0))
            sum_x, sum_y = sum_x + int(x.sum(dtype=np.int64)), sum_y + int(y.sum(dtype=np.int64))
    return Sums(n, on, first, last, sum_x, sum_y)


@contextmanager
def made_file(name: str, folder: Path, events: int) -> Iterator[tuple[Path, Sums]]:
    """Yield a file of a format, which is removed at the end, and the sums of its events."""
    made = MADE_FILES[name]
    path, count = folder / f"made{made.suffix}", int(events * made.share)
    made.write(path, make_events(count, made.sensor))
    yield path, sums_of(columns(part, "t", "x", "y", "p") for part in make_events(count, made.sensor))
    path.unlink()


def processor_s(read: Reader, path: Path) -> float:
    """Return the processor's time for reading a file."""
    begun_s = time.process_time()
    for _ in read(path):
        pass
    return time.process_time() - begun_s


def take_one_core() -> None:
    """Keep this process on one core, where the system allows that."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
