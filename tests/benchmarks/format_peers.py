"""How fast other libraries decode each format, beside livesnn: `python tests/benchmarks/format_peers.py`.

Each library reads as its documentation shows. Those that are installed are measured. Some are under the GPL, so
install them in an environment of their own, with `INSTALL`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tyro

from livesnn.bench.decode import Columns, Library, bench_formats, by_aedat, by_dv_processing, columns
from livesnn.bench.report import machine
from livesnn.console import write_json

INSTALL = "pip install expelliarmus evutils faery event_stream evlib pandas polars"

_PART_EVENTS = 1 << 17
_EVT = {"evt2": "evt2", "evt3": "evt3", "dat": "dat"}


def _by_expelliarmus(path: Path, format_name: str) -> Iterator[Columns]:
    wizard = import_module("expelliarmus").Wizard(encoding=_EVT[format_name])
    yield columns(wizard.read(path), "t", "x", "y", "p")


def _by_evutils(path: Path, format_name: str) -> Iterator[Columns]:
    for events in import_module("evutils.io").EventReader(path, n_events=_PART_EVENTS):
        yield events.t, events.x, events.y, events.p


def _by_faery(path: Path, format_name: str) -> Iterator[Columns]:
    for events in import_module("faery").events_stream_from_file(path):
        yield columns(events, "t", "x", "y", "on")


def _by_event_stream(path: Path, format_name: str) -> Iterator[Columns]:
    for events in import_module("event_stream").Decoder(str(path)):
        yield columns(events, "t", "x", "y", "on")


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
        ("aedat4", "aedat2", "aedat3", "evt2", "evt21", "evt3", "hdf5", "dsec", "ecf", "csv"),
    ),
    "h5py": Library("h5py", _by_h5py, ("hdf5", "dsec")),
    "numpy": Library("numpy", _by_numpy, ("npz",)),
    "pandas": Library("pandas", _by_pandas, ("csv",)),
    "polars": Library("polars", _by_polars, ("csv",)),
}


def main(repeats: int = 5) -> None:
    """Time livesnn and the installed libraries on a large file of each format, and print the figures as JSON.

    Parameters
    ----------
    repeats
        Runs of each library.
    """
    if not any(find_spec(name) for name in ("expelliarmus", "evutils", "faery")):
        raise SystemExit(f"no other library to compare with: {INSTALL}")
    write_json({"machine": machine(), "formats": bench_formats(repeats, libraries=PEERS)})


if __name__ == "__main__":
    tyro.cli(main)
