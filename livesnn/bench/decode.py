"""How fast .aedat4 is decoded to numpy: livesnn beside dv-processing and aedat. Not here: the reader.

By the clock, with all threads that a library has; by the core and for every format: formats.py.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from livesnn.bench.format_files import MADE_FILES, MadeFile, make_events
from livesnn.bench.report import spread
from livesnn.errors import DataError, LivesnnError
from tests.benchmarks.format_peers import INSTALL, PEERS, Reader, Sums, by_livesnn, sums_of

LARGE_EVENTS = 20_000_000
FORMAT = "aedat4 (LZ4)"
_PEERS = {"dv_processing": PEERS["dv-processing"], "aedat": PEERS["aedat"]}


def bench_decode(repeats: int, *, events: int = LARGE_EVENTS) -> dict[str, Any]:
    """Decode a file to numpy with each library, in turn, ``repeats`` times.

    It is written to a temporary folder (LZ4, 1280×720, a moving edge in noise), and large, so that the figure isn't
    that of opening a file.

    Returns
    -------
    ``files``, by its name: events, and for each library mev_per_s {n, median, min, max} in millions of events a
    second; ``ratio``: livesnn's median over each other's; ``ratio_file``: its name.

    Raises
    ------
    DataError
        When two libraries don't find the same number of events.
    """
    readers: dict[str, Reader] = {"livesnn": by_livesnn}
    readers |= {name: peer.read for name, peer in _PEERS.items() if find_spec(peer.module)}
    if len(readers) == 1:
        raise LivesnnError("nothing to compare with: pip install 'livesnn[dev]'")
    with tempfile.TemporaryDirectory() as folder:
        file, made = Path(folder) / f"made_{events // 1_000_000}M_lz4.aedat4", MADE_FILES[FORMAT]
        made.write(file, make_events(events, made.sensor))
        timed = _time_file(file, readers, repeats)
    rates = {name: rate["median"] for name, rate in timed["mev_per_s"].items()}
    ratio = {f"vs_{name}": round(rates["livesnn"] / rate, 3) for name, rate in rates.items()}
    del ratio["vs_livesnn"]
    return {"files": {file.name: timed}, "ratio": ratio, "ratio_file": file.name}


def _time_file(path: Path, readers: dict[str, Reader], repeats: int) -> dict[str, Any]:
    counts = {name: _read(path, read) for name, read in readers.items()}  # warm: page cache, compiled code
    if len(set(counts.values())) != 1:
        raise DataError(f"{path}: the libraries don't agree on the number of events: {counts}")
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


EVENTS = 10_000_000
LIMIT_S = 300.0
"""For one reading of one file; a library that takes longer is left out."""

_Answer = TypeVar("_Answer")


def bench_formats(repeats: int, *, peers: bool, events: int = EVENTS) -> dict[str, Any]:
    """Open and read a large made file of each format, ``repeats`` times, by turns with each library.

    Each library has a process of its own, which is bound to one core (where the system can), so that those with
    threads are measured by the core as well. Reading is from opening to the last event in numpy arrays, with the file
    in the system's cache; what counts is the processor's time, of all threads, so that another program doesn't.
    Before that each library's count, ON count, first and last time and sums of x and y are compared with what was
    written: one that differs is named in ``wrong``, and not timed.

    Parameters
    ----------
    peers
        Measure what other libraries are installed as well.
    events
        Of a file; fewer for text.

    Raises
    ------
    DataError
        When livesnn itself doesn't read a file as it was written.
    """
    if peers and not any(find_spec(name) for name in ("expelliarmus", "evutils", "faery")):
        raise LivesnnError(f"no other library to compare with: pip install {INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            name: measure_format(name, made, Path(folder), repeats, int(events * made.share), peers=peers)
            for name, made in MADE_FILES.items()
        }
    return {"unit": "million events a second of one core's time", "versions": _versions(peers), **figures}


def _versions(peers: bool) -> dict[str, str]:
    found = {}
    for name in PEERS if peers else ():
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def measure_format(
    name: str, made: MadeFile, folder: Path, repeats: int, count: int, *, peers: bool
) -> dict[str, Any]:
    """Return one format's figures; see `bench_formats`."""
    path = folder / f"made{made.suffix}"
    made.write(path, make_events(count, made.sensor))
    written = sums_of((e["t"], e["x"], e["y"], e["p"]) for e in make_events(count, made.sensor))
    kind = name.split(" ")[0]
    names = ["livesnn", *(peer for peer, known in PEERS.items() if peers and kind in known.formats)]
    wrong: dict[str, str] = {}
    with ExitStack() as stack:
        workers = {one: stack.enter_context(LibraryProcess()) for one in names if _is_there(one)}
        for one in list(workers):
            said = workers[one].ask(_sums, one, path, kind)
            if not (isinstance(said, Sums) and said.agrees(written, made.sensor)):
                wrong[one] = f"read {said}, written {written}" if isinstance(said, Sums) else said
                del workers[one]
        seconds: dict[str, list[float]] = {one: [] for one in workers}
        for one in list(workers) * (repeats if "livesnn" in workers else 0):
            if one not in seconds:
                continue
            took_s = workers[one].ask(_time, one, path, kind)
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


def _is_there(name: str) -> bool:
    return name == "livesnn" or find_spec(PEERS[name].module) is not None


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


def _reader(name: str) -> Reader:
    return by_livesnn if name == "livesnn" else PEERS[name].read


def _sums(name: str, path: Path, kind: str) -> Sums:
    return sums_of(_reader(name)(path, kind))


def _time(name: str, path: Path, kind: str) -> float:
    begun_s = time.process_time()
    for _ in _reader(name)(path, kind):
        pass
    return time.process_time() - begun_s


class LibraryProcess(ExitStack):
    """A process for one library: what it does to itself, a crash included, is its own affair."""

    def __init__(self) -> None:
        super().__init__()
        self.pool: ProcessPoolExecutor = ProcessPoolExecutor(1, get_context("spawn"), _take_one_core)
        self.callback(self.pool.shutdown, cancel_futures=True)

    def ask(self, task: Callable[[str, Path, str], _Answer], *arguments: Any) -> _Answer | str:
        """Return what the task returns, or, in words, why it failed."""
        try:
            future = self.pool.submit(task, *arguments)
            error = future.exception(LIMIT_S)
        except BrokenProcessPool as broken:  # it ended before
            return f"{type(broken).__name__}: {broken}"
        except TimeoutError:
            for process in list(
                self.pool._processes.values()
            ):  # 3.14's kill_workers, when that is the oldest
                process.kill()
            return f"not within {LIMIT_S:g} s"
        if error is None:
            return future.result()
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _take_one_core() -> None:
    os.environ["POLARS_MAX_THREADS"] = "1"
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
