"""How fast .aedat4 is decoded to numpy: livesnn beside dv-processing and aedat. Not here: the reader.

By the clock, with all threads that a library has; by the core and for every format: formats.py.
"""

from __future__ import annotations

import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from livesnn.bench.format_files import MADE_FILES, make_events
from livesnn.bench.format_peers import PEERS, Reader, by_livesnn
from livesnn.bench.spread import spread
from livesnn.errors import DataError, LivesnnError

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
