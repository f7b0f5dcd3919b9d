"""How fast each format is decoded, by other libraries and livesnn: `python tests/benchmarks/format_peers.py`.

Each library reads as its documentation shows. livesnn is measured, and those that are installed. Some are
under the GPL, so install them in an environment of their own, with `INSTALL`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from livesnn.bench import installed_versions, machine, spread
from livesnn.bench.throughput import Columns, Reader, by_aedat, by_dv_processing, by_livesnn, columns, make_events
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.errors import DataError
from livesnn.events.packet import Resolution
from tests.bag_writer import read_with_rosbags
from tests.format_files import MADE_FILES

INSTALL = "pip install expelliarmus evutils faery event_stream evlib pandas polars"

EVENTS = 10_000_000
"""Events of a file; text, ECF and bags have fewer."""
UNIT = "million events a second of one core's time"

_PART_EVENTS = 1 << 17
LIMIT_S = 300.0
"""Time for one reading of one file. A library that takes longer is left out."""

_Answer = TypeVar("_Answer")


class Library(NamedTuple):
    """Another library: the module to import, how it reads, and the formats that it claims to read."""

    module: str
    read: Reader
    formats: tuple[str, ...]


def _by_expelliarmus(path: Path) -> Iterator[Columns]:
    with path.open("rb") as file:
        encoding = "dat" if path.suffix == ".dat" else "evt3" if b"EVT3;" in file.read(100) else "evt2"
    wizard = import_module("expelliarmus").Wizard(encoding=encoding)
    yield columns(wizard.read(path), "t", "x", "y", "p")


def _by_evutils(path: Path) -> Iterator[Columns]:
    for events in import_module("evutils.io").EventReader(path, n_events=_PART_EVENTS):
        yield events.t, events.x, events.y, events.p


def _by_faery(path: Path) -> Iterator[Columns]:
    for events in import_module("faery").events_stream_from_file(path):
        yield columns(events, "t", "x", "y", "on")


def _by_event_stream(path: Path) -> Iterator[Columns]:
    for events in import_module("event_stream").Decoder(str(path)):
        yield columns(events, "t", "x", "y", "on")


def _by_evlib(path: Path) -> Iterator[Columns]:
    table = import_module("evlib").load_events(str(path), sort=False).collect()
    t = table["t"].to_physical().to_numpy()
    yield t, table["x"].to_numpy(), table["y"].to_numpy(), table["polarity"].to_numpy()


def _by_h5py(path: Path) -> Iterator[Columns]:
    with import_module("h5py").File(path, "r") as file:
        group = file["events"]
        t = group["t"][:]
        if "t_offset" in file:  # DSEC
            t = t + file["t_offset"][()]
        yield t, group["x"][:], group["y"][:], group["p"][:]


def _by_numpy(path: Path) -> Iterator[Columns]:
    with np.load(path) as file:
        yield file["t"], file["x"], file["y"], file["p"]


def _by_table(module: str, path: Path) -> Iterator[Columns]:
    table = import_module(module).read_csv(path)
    t, x, y, p = (table[name].to_numpy() for name in ("t", "x", "y", "p"))
    yield t, x, y, p


def _by_rosbags(path: Path) -> Iterator[Columns]:
    yield columns(read_with_rosbags(path, 1 if path.suffix == ".bag" else 2), "t", "x", "y", "p")


PEERS: dict[str, Library] = {
    "dv-processing": Library("dv_processing", by_dv_processing, ("aedat4",)),
    "aedat": Library("aedat", by_aedat, ("aedat4",)),
    "expelliarmus": Library("expelliarmus", _by_expelliarmus, ("evt2", "evt3", "dat")),
    "evutils": Library(
        "evutils",
        _by_evutils,
        ("aedat4", "aedat2", "aedat3", "evt2", "evt21", "evt3", "dat", "hdf5", "dsec", "npz", "csv"),
    ),
    "faery": Library("faery", _by_faery, ("aedat4", "evt2", "evt3", "dat", "es", "csv")),
    "event_stream": Library("event_stream", _by_event_stream, ("es",)),
    "evlib": Library(
        "evlib",
        _by_evlib,
        ("aedat4", "aedat1", "aedat2", "aedat3", "evt2", "evt21", "evt3", "hdf5", "dsec", "ecf", "csv"),
    ),
    "h5py": Library("h5py", _by_h5py, ("hdf5", "dsec")),
    "rosbags": Library("rosbags", _by_rosbags, ("bag", "mcap", "db3")),
    "numpy": Library("numpy", _by_numpy, ("npz",)),
    "pandas": Library("pandas", partial(_by_table, "pandas"), ("csv",)),
    "polars": Library("polars", partial(_by_table, "polars"), ("csv",)),
}


def bench_formats(repeats: int, *, events: int = EVENTS) -> dict[str, Any]:
    """Open and read a large file of each format ``repeats`` times, by turns with the installed libraries.

    Each library has its own process on one core (where the system allows that), so that threads bring no advantage.
    Reading is from opening to the last event in numpy arrays, with the file in the system's cache. The processor's
    time counts, so that other programs don't. First each library's number of events, number of ON events, first and
    last time and sums of x and y are compared with what was written. A library that differs is listed in ``wrong``
    and isn't timed.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: measure_format(name, Path(folder), repeats, events, PEERS) for name in MADE_FILES}
    versions = {name: found for name, found in installed_versions(tuple(PEERS)).items() if found}
    return {"unit": UNIT, "versions": versions, **figures}


def measure_format(
    name: str, folder: Path, repeats: int, events: int, libraries: Mapping[str, Library]
) -> dict[str, Any]:
    """Return one format's figures; raises DataError if livesnn itself doesn't read what was written."""
    kind, sensor = name.split(" ")[0], MADE_FILES[name].sensor
    readers: dict[str, Reader] = {"livesnn": by_livesnn}
    readers |= {
        other: library.read
        for other, library in libraries.items()
        if kind in library.formats and find_spec(library.module) is not None
    }
    wrong: dict[str, str] = {}
    with made_file(name, folder, events) as (path, written), ExitStack() as stack:
        workers = {one: stack.enter_context(LibraryProcess()) for one in readers}
        for one in list(workers):
            answer = workers[one].ask(_sums, readers[one], path)
            if not (isinstance(answer, Sums) and agree(answer, written, sensor)):
                wrong[one] = f"read {answer}, written {written}" if isinstance(answer, Sums) else answer
                del workers[one]
        seconds: dict[str, list[float]] = {one: [] for one in workers}
        for one in list(workers) * (repeats if "livesnn" in workers else 0):
            if one not in seconds:
                continue
            took_s = workers[one].ask(processor_s, readers[one], path)
            if isinstance(took_s, str):
                wrong[one] = took_s
                del seconds[one]
            else:
                seconds[one].append(took_s)
        size = path.stat().st_size
    if "livesnn" in wrong:
        raise DataError(f"{name} isn't read as it was written: {wrong['livesnn']}")
    return _figures(written.n, size, seconds, wrong)


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


def agree(found: Sums, written: Sums, sensor: Resolution) -> bool:
    """Return whether both are of the same events, in whichever direction each counts x and y."""
    across, down = ((side - 1) * found.n for side in sensor)
    same_x, same_y = (written.sum_x, across - written.sum_x), (written.sum_y, down - written.sum_y)
    return found[:4] == written[:4] and found.sum_x in same_x and found.sum_y in same_y


def _sums(read: Reader, path: Path) -> Sums:
    return sums_of(read(path))


def _figures(count: int, size: int, seconds: dict[str, list[float]], wrong: dict[str, str]) -> dict[str, Any]:
    rates = {
        one: spread([count / took_s / 1e6 for took_s in measured]) for one, measured in seconds.items() if measured
    }
    best = max((one for one in rates if one != "livesnn"), key=lambda one: rates[one]["median"], default=None)
    figures: dict[str, Any] = {"events": count, "bytes_per_event": round(size / count, 2), "mev_per_s": rates}
    if best is not None:
        figures |= {"best_peer": best, "ratio": rates["livesnn"]["median"] / rates[best]["median"]}
    return figures | ({"wrong": wrong} if wrong else {})


class LibraryProcess(ExitStack):
    """A process for one library, so that whatever the library does, even a crash, stays there."""

    def __init__(self) -> None:
        super().__init__()
        self.pool: ProcessPoolExecutor = ProcessPoolExecutor(1, get_context("spawn"), _take_one_core)
        self.callback(self.pool.shutdown, cancel_futures=True)

    def ask(self, task: Callable[[Reader, Path], _Answer], *arguments: Any) -> _Answer | str:
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


def main(repeats: int = 5) -> None:
    """Time livesnn and the installed libraries on a large file of each format, and print the figures as JSON.

    Parameters
    ----------
    repeats
        Runs of each library.
    """
    write_json({"machine": machine(), "formats": bench_formats(repeats)})


if __name__ == "__main__":
    run_script(main)
