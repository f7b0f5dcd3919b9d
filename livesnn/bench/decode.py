"""How fast recordings are decoded to numpy: a large .aedat4 file on all cores, and every format on one core."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from livesnn.bench.format_files import MADE_FILES, MadeFile, make_events
from livesnn.bench.report import installed_versions, spread
from livesnn.errors import DataError, LivesnnError
from livesnn.events.packet import Resolution
from livesnn.events.recording import open_recording

LARGE_EVENTS = 20_000_000
FORMAT = "aedat4 (LZ4)"
EVENTS = 10_000_000
LIMIT_S = 300.0
"""Time for one reading of one file. A library that takes longer is left out."""

Columns = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""t in µs, x, y and p of some events, [N] each."""
Reader = Callable[[Path, str], Iterator[Columns]]
"""Reads a whole file of a format, named as in `Library.formats`."""

_Answer = TypeVar("_Answer")


class Library(NamedTuple):
    """Another library: the module to import, how it reads, and the formats that it claims to read."""

    module: str
    read: Reader
    formats: tuple[str, ...]


NO_LIBRARIES: Mapping[str, Library] = MappingProxyType({})


def by_livesnn(path: Path, format_name: str) -> Iterator[Columns]:
    """Open and read a recording with livesnn, packet by packet."""
    with open_recording(path) as recording:
        for packet in recording:
            yield columns(packet.events, "t", "x", "y", "p")


def by_dv_processing(path: Path, format_name: str) -> Iterator[Columns]:
    """Read an .aedat4 file with dv-processing."""
    reader = import_module("dv_processing").io.MonoCameraRecording(str(path))
    while reader.isRunning():
        batch = reader.getNextEventBatch()
        if batch is not None:
            yield columns(batch.numpy(), "timestamp", "x", "y", "polarity")


def by_aedat(path: Path, format_name: str) -> Iterator[Columns]:
    """Read an .aedat4 file with aedat."""
    for packet in import_module("aedat").Decoder(str(path)):
        if "events" in packet:
            yield columns(packet["events"], "t", "x", "y", "on")


def columns(events: npt.NDArray[Any], *names: str) -> Columns:
    """Return four fields of a structured array."""
    t, x, y, p = (events[name] for name in names)
    return t, x, y, p


AEDAT4_LIBRARIES = {
    "dv_processing": Library("dv_processing", by_dv_processing, ("aedat4",)),
    "aedat": Library("aedat", by_aedat, ("aedat4",)),
}


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
    readers |= {name: library.read for name, library in AEDAT4_LIBRARIES.items() if find_spec(library.module)}
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
    return sum(len(t) for t, _, _, _ in read(path, "aedat4"))


def bench_formats(
    repeats: int, *, libraries: Mapping[str, Library] = NO_LIBRARIES, events: int = EVENTS
) -> dict[str, Any]:
    """Open and read a large file of each format ``repeats`` times, by turns with other libraries.

    Each library has its own process on one core (where the system allows that), so that threads bring no advantage.
    Reading is from opening to the last event in numpy arrays, with the file in the system's cache. The processor's
    time counts, so that other programs don't. First each library's number of events, number of ON events, first and
    last time and sums of x and y are compared with what was written. A library that differs is listed in ``wrong``
    and isn't timed.

    Parameters
    ----------
    libraries
        Other libraries; those that are installed are measured.
    events
        Events of a file; text files have fewer.

    Raises
    ------
    DataError
        livesnn itself doesn't read what was written.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            name: measure_format(name, made, Path(folder), repeats, int(events * made.share), libraries)
            for name, made in MADE_FILES.items()
        }
    versions = {name: found for name, found in installed_versions(tuple(libraries)).items() if found}
    return {"unit": "million events a second of one core's time", "versions": versions, **figures}


def measure_format(
    name: str,
    made: MadeFile,
    folder: Path,
    repeats: int,
    count: int,
    libraries: Mapping[str, Library] = NO_LIBRARIES,
) -> dict[str, Any]:
    """Return one format's figures; see `bench_formats`."""
    path, kind = folder / f"made{made.suffix}", name.split(" ")[0]
    made.write(path, make_events(count, made.sensor))
    written = sums_of((e["t"], e["x"], e["y"], e["p"]) for e in make_events(count, made.sensor))
    readers: dict[str, Reader] = {"livesnn": by_livesnn}
    readers |= {
        other: library.read
        for other, library in libraries.items()
        if kind in library.formats and find_spec(library.module) is not None
    }
    wrong: dict[str, str] = {}
    with ExitStack() as stack:
        workers = {one: stack.enter_context(LibraryProcess()) for one in readers}
        for one in list(workers):
            answer = workers[one].ask(_sums, readers[one], path, kind)
            if not (isinstance(answer, Sums) and answer.agrees(written, made.sensor)):
                wrong[one] = f"read {answer}, written {written}" if isinstance(answer, Sums) else answer
                del workers[one]
        seconds: dict[str, list[float]] = {one: [] for one in workers}
        for one in list(workers) * (repeats if "livesnn" in workers else 0):
            if one not in seconds:
                continue
            took_s = workers[one].ask(_time, readers[one], path, kind)
            if isinstance(took_s, str):
                wrong[one] = took_s
                del seconds[one]
            else:
                seconds[one].append(took_s)
    if "livesnn" in wrong:
        raise DataError(f"{name} isn't read as it was written: {wrong['livesnn']}")
    size = path.stat().st_size
    path.unlink()
    return _figures(count, size, seconds, wrong)


def _figures(count: int, size: int, seconds: dict[str, list[float]], wrong: dict[str, str]) -> dict[str, Any]:
    rates = {
        one: spread([count / took_s / 1e6 for took_s in measured])
        for one, measured in seconds.items()
        if measured
    }
    best = max((one for one in rates if one != "livesnn"), key=lambda one: rates[one]["median"], default=None)
    figures: dict[str, Any] = {
        "events": count,
        "bytes_per_event": round(size / count, 2),
        "mev_per_s": rates,
    }
    if best is not None:
        figures |= {"best_peer": best, "ratio": rates["livesnn"]["median"] / rates[best]["median"]}
    return figures | ({"wrong": wrong} if wrong else {})


class Sums(NamedTuple):
    """What is compared of all events of a file; times in µs."""

    n: int
    on: int
    t_first: int
    t_last: int
    sum_x: int
    sum_y: int

    def agrees(self, other: Sums, sensor: Resolution) -> bool:
        """Return whether both are of the same events, in whichever direction each counts x and y."""
        mirrored = [
            (a, (side - 1) * self.n - a) for a, side in zip((other.sum_x, other.sum_y), sensor, strict=True)
        ]
        return self[:4] == other[:4] and self.sum_x in mirrored[0] and self.sum_y in mirrored[1]


def sums_of(parts: Iterator[Columns]) -> Sums:
    """Add up all events."""
    n = on = sum_x = sum_y = 0
    ends: list[int] = []
    for t, x, y, p in parts:
        if not len(t):
            continue
        n, on = n + len(t), on + int(np.count_nonzero(np.asarray(p) > 0))
        sum_x, sum_y = sum_x + int(x.sum(dtype=np.int64)), sum_y + int(y.sum(dtype=np.int64))
        ends = [*ends[:1], int(t[0]), int(t[-1])] if not ends else [ends[0], int(t[-1])]
    first, last = (ends[0], ends[-1]) if ends else (0, 0)
    return Sums(n, on, first, last, sum_x, sum_y)


def _sums(read: Reader, path: Path, kind: str) -> Sums:
    return sums_of(read(path, kind))


def _time(read: Reader, path: Path, kind: str) -> float:
    begun_s = time.process_time()
    for _ in read(path, kind):
        pass
    return time.process_time() - begun_s


class LibraryProcess(ExitStack):
    """A process for one library, so that whatever the library does, even a crash, stays there."""

    def __init__(self) -> None:
        super().__init__()
        self.pool: ProcessPoolExecutor = ProcessPoolExecutor(1, get_context("spawn"), _take_one_core)
        self.callback(self.pool.shutdown, cancel_futures=True)

    def ask(self, task: Callable[[Reader, Path, str], _Answer], *arguments: Any) -> _Answer | str:
        """Return what the task returns, or the reason why it failed."""
        try:
            future = self.pool.submit(task, *arguments)
            error = future.exception(LIMIT_S)
        except BrokenProcessPool as broken:  # the process has ended already
            return f"{type(broken).__name__}: {broken}"
        except TimeoutError:
            # kill_workers of Python 3.14, once that is the oldest
            for process in list(self.pool._processes.values()):
                process.kill()
            return f"not within {LIMIT_S:g} s"
        if error is None:
            return future.result()
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _take_one_core() -> None:
    os.environ["POLARS_MAX_THREADS"] = "1"
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
