"""Reading a whole recording with livesnn and with other libraries, each as its documentation shows it.

None of them is needed for anything else, and some are under the GPL: they are imported where they happen to be
installed, in the process that measures them. Not here: timing (formats.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.events.packet import Resolution
from livesnn.events.recording import open_recording

Columns = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""t in µs, x, y, p of some events, [N] each."""
Reader = Callable[[Path, str], Iterator[Columns]]
"""Read a whole file of a format, named as in `PEERS`."""

_PART_EVENTS = 1 << 17
_EVT = {"evt2": "evt2", "evt3": "evt3", "dat": "dat"}


class Sums(NamedTuple):
    """What is compared of all events of a file; times in µs."""

    n: int
    on: int
    t_first: int
    t_last: int
    sum_x: int
    sum_y: int

    def agrees(self, other: Sums, sensor: Resolution) -> bool:
        """Say whether both are of the same events, whichever way each counts x and y."""
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


def _fields(events: npt.NDArray[Any], *names: str) -> Columns:
    t, x, y, p = (events[name] for name in names)
    return t, x, y, p


def by_livesnn(path: Path, format_name: str) -> Iterator[Columns]:
    """Open and read it, packet by packet."""
    with open_recording(path) as recording:
        for packet in recording:
            yield _fields(packet.events, "t", "x", "y", "p")


def _by_dv_processing(path: Path, format_name: str) -> Iterator[Columns]:
    reader = import_module("dv_processing").io.MonoCameraRecording(str(path))
    while reader.isRunning():
        batch = reader.getNextEventBatch()
        if batch is not None:
            yield _fields(batch.numpy(), "timestamp", "x", "y", "polarity")


def _by_aedat(path: Path, format_name: str) -> Iterator[Columns]:
    for packet in import_module("aedat").Decoder(str(path)):
        if "events" in packet:
            yield _fields(packet.events["events"], "t", "x", "y", "on")


def _by_expelliarmus(path: Path, format_name: str) -> Iterator[Columns]:
    wizard = import_module("expelliarmus").Wizard(encoding=_EVT[format_name])
    yield _fields(wizard.read(path), "t", "x", "y", "p")


def _by_evutils(path: Path, format_name: str) -> Iterator[Columns]:
    for events in import_module("evutils.io").EventReader(path, n_events=_PART_EVENTS):
        yield events.t, events.x, events.y, events.p


def _by_faery(path: Path, format_name: str) -> Iterator[Columns]:
    for events in import_module("faery").events_stream_from_file(path):
        yield _fields(events, "t", "x", "y", "on")


def _by_event_stream(path: Path, format_name: str) -> Iterator[Columns]:
    for events in import_module("event_stream").Decoder(str(path)):
        yield _fields(events, "t", "x", "y", "on")


def _by_evlib(path: Path, format_name: str) -> Iterator[Columns]:
    table = import_module("evlib").load_events(str(path), sort=False).collect()
    t = table["t"].to_physical().to_numpy()
    yield t, table["x"].to_numpy(), table["y"].to_numpy(), table["polarity"].to_numpy()


def _by_h5py(path: Path, format_name: str) -> Iterator[Columns]:
    with import_module("h5py").File(path, "r") as file:
        group = file["events"]
        t = group["t"][:]
        if "t_offset" in file:  # DSEC
            t = t + file["t_offset"][()]
        yield t, group["x"][:], group["y"][:], group["p"][:]


def _by_numpy(path: Path, format_name: str) -> Iterator[Columns]:
    with np.load(path) as file:
        yield file["t"], file["x"], file["y"], file["p"]


def _by_pandas(path: Path, format_name: str) -> Iterator[Columns]:
    table = import_module("pandas").read_csv(path)
    t, x, y, p = (table[name].to_numpy() for name in ("t", "x", "y", "p"))
    yield t, x, y, p


def _by_polars(path: Path, format_name: str) -> Iterator[Columns]:
    table = import_module("polars").read_csv(path)
    t, x, y, p = (table[name].to_numpy() for name in ("t", "x", "y", "p"))
    yield t, x, y, p


class Peer(NamedTuple):
    """``module`` is what must be importable, ``formats`` what it says it reads."""

    module: str
    read: Reader
    formats: tuple[str, ...]


PEERS: dict[str, Peer] = {
    "dv-processing": Peer("dv_processing", _by_dv_processing, ("aedat4",)),
    "aedat": Peer("aedat", _by_aedat, ("aedat4",)),
    "expelliarmus": Peer("expelliarmus", _by_expelliarmus, ("evt2", "evt3", "dat")),
    "evutils": Peer(
        "evutils",
        _by_evutils,
        ("aedat4", "aedat2", "aedat3", "evt2", "evt21", "evt3", "dat", "hdf5", "dsec", "npz", "csv"),
    ),
    "faery": Peer("faery", _by_faery, ("aedat4", "evt2", "evt3", "dat", "es", "csv")),
    "event_stream": Peer("event_stream", _by_event_stream, ("es",)),
    "evlib": Peer(
        "evlib",
        _by_evlib,
        ("aedat4", "aedat2", "aedat3", "evt2", "evt21", "evt3", "hdf5", "dsec", "ecf", "csv"),
    ),
    "h5py": Peer("h5py", _by_h5py, ("hdf5", "dsec")),
    "numpy": Peer("numpy", _by_numpy, ("npz",)),
    "pandas": Peer("pandas", _by_pandas, ("csv",)),
    "polars": Peer("polars", _by_polars, ("csv",)),
}
INSTALL = "expelliarmus evutils faery event_stream evlib pandas polars"
"""What pip may be asked for, in an environment of its own: some are under the GPL or LGPL."""
