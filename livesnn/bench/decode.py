"""How fast .aedat4 is decoded to numpy: livesnn beside dv-processing and aedat. Not here: the reader."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError, LivesnnError
from livesnn.events import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recorder import Aedat4Writer
from livesnn.events.recording import open_recording

LARGE_EVENTS = 20_000_000
LARGE_RESOLUTION = Resolution(640, 480)
_CHUNK_EVENTS = 500_000
_EVENTS_PER_US = 10  # 10 Mev/s, a busy camera

Decoder = Callable[[Path], int]


def bench_decode(paths: list[Path], repeats: int, *, large_events: int = LARGE_EVENTS) -> dict[str, Any]:
    """Decode each file's first event stream to numpy with each library, in turn, ``repeats`` times.

    A larger file (LZ4, 640×480, a moving edge in noise) is written to a temporary folder and decoded as well,
    so that the figure isn't that of opening a file.

    Returns
    -------
    For each file name: events, and for each library mev_per_s {n, median, min, max} in millions of events a
    second; ``ratio``: livesnn's median over each other's, on the larger file.

    Raises
    ------
    DataError
        When two libraries don't find the same number of events.
    """
    decoders = _decoders()
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / f"made_{large_events // 1_000_000}M_lz4.aedat4"
        write_large(large, large_events)
        files = {path.name: _time_file(path, decoders, repeats) for path in [*paths, large]}
        rates = {name: rate["median"] for name, rate in files[large.name]["mev_per_s"].items()}
    ratio = {
        f"vs_{name}": round(rates["livesnn"] / rate, 3) for name, rate in rates.items() if name != "livesnn"
    }
    return {"files": files, "ratio": ratio, "ratio_file": large.name}


def write_large(path: Path, n_events: int) -> None:
    """Write a recording of an edge that moves over the sensor, with a fifth of the events noise."""
    random = np.random.default_rng(7)
    with Aedat4Writer(path, LARGE_RESOLUTION) as writer:
        for first in range(0, n_events, _CHUNK_EVENTS):
            writer.write(_made_events(first, min(_CHUNK_EVENTS, n_events - first), random))


def _made_events(first: int, count: int, random: np.random.Generator) -> Events:
    width, height = LARGE_RESOLUTION
    events = np.empty(count, EVENTS_DTYPE)
    events["t"] = 1_600_000_000_000_000 + (first + np.arange(count)) // _EVENTS_PER_US
    edge = (events["t"] // 2_000) % width
    events["x"] = (edge + random.integers(0, 12, count)) % width
    events["y"] = random.integers(0, height, count)
    noise = random.random(count) < 0.2
    events["x"][noise] = random.integers(0, width, np.count_nonzero(noise))
    events["p"] = random.random(count) < 0.5
    return events


def _time_file(path: Path, decoders: dict[str, Decoder], repeats: int) -> dict[str, Any]:
    counts = {name: decode(path) for name, decode in decoders.items()}  # warm: page cache, compiled code
    if len(set(counts.values())) != 1:
        raise DataError(f"{path}: the libraries don't agree on the number of events: {counts}")
    seconds: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(repeats):
        for name, decode in decoders.items():
            begun = time.perf_counter()
            decode(path)
            seconds[name].append(time.perf_counter() - begun)
    events = next(iter(counts.values()))
    return {
        "events": events,
        "mev_per_s": {name: _rates(events, measured) for name, measured in seconds.items()},
    }


def _rates(events: int, seconds: list[float]) -> dict[str, float]:
    rates = [events / second / 1e6 for second in seconds]
    return {
        "n": len(rates),
        "median": round(median(rates), 2),
        "min": round(min(rates), 2),
        "max": round(max(rates), 2),
    }


def _decoders() -> dict[str, Decoder]:
    decoders: dict[str, Decoder] = {"livesnn": _by_livesnn}
    for name, decoder in (("dv_processing", _by_dv_processing), ("aedat", _by_aedat)):
        try:
            __import__(name)
        except ImportError:
            continue
        decoders[name] = decoder
    if len(decoders) == 1:
        raise LivesnnError("nothing to compare with: pip install 'livesnn[cameras,dev]'")
    return decoders


def _count(packets: Iterator[npt.NDArray[np.void]]) -> int:
    return sum(packet.size for packet in packets)


def _by_livesnn(path: Path) -> int:
    recording = open_recording(path)
    try:
        return _count(iter(recording))
    finally:
        recording.close()


def _by_dv_processing(path: Path) -> int:
    import dv_processing

    reader = dv_processing.io.MonoCameraRecording(str(path))
    events = 0
    while reader.isRunning():
        batch = reader.getNextEventBatch()
        if batch is not None:
            events += len(batch.numpy())
    return events


def _by_aedat(path: Path) -> int:
    import aedat

    decoder = aedat.Decoder(str(path))
    streams = decoder.id_to_stream()
    first = min(number for number, stream in streams.items() if stream["type"] == "events")
    return _count(
        packet["events"] for packet in decoder if packet["stream_id"] == first and "events" in packet
    )
