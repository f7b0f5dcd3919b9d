"""Whether the window keeps up with an HD camera: `python tests/benchmarks/sustained.py`.

Not here: the window that it measures (sustained_window.py).
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event

import msgspec
import numpy as np

from livesnn import subprocesses
from livesnn.bench import machine
from livesnn.bench.throughput import moving_blob
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.errors import LivesnnError
from livesnn.events.packet import Events
from tests.benchmarks.sustained_window import HD, HD_PERIOD_US, Measured, Order
from tests.format_files import encode_evt3

RATES = (20_000_000, 50_000_000)
"""Events a second of the simulated EVK4; a recording has the first."""
SECONDS, WARM_UP_S, CORES = 20.0, 3.0, 2
PATIENCE_S = 120.0
"""Time that a window may take to start."""
IN_REAL_TIME, ON_TIME_MS, MEMORY_MB, PICTURES_PER_S = 0.99, 100.0, 100.0, 30.0


def bench_sustained(seconds: float = SECONDS, rates: Sequence[int] = RATES) -> dict[str, object]:
    """Play HD events to the window, from a simulated EVK4 and from a recording of it in real time.

    Four fifths of the events are of a blob that circles once a second, and a fifth is noise.

    Returns
    -------
    For each source, its `Measured` and whether it held: `in_real_time` (99 % of the rate arrived), `nothing_dropped`,
    `on_time` (99 % of the decisions within `ON_TIME_MS` of the frame's last event, the driver's queue included),
    `view` (`PICTURES_PER_S`) and `memory` (it grew by less than `MEMORY_MB`).
    """
    if not 0 < seconds < math.inf or any(rate < 1000 for rate in rates):
        raise LivesnnError("give --seconds above 0 and --rates of 1000 events a second or more")
    cases: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rate in rates:
            events = moving_blob(rate * HD_PERIOD_US // 1_000_000, HD, seed=1, duration_us=HD_PERIOD_US)
            order = Order(str(folder / "events.npy"), rate, "gestures", WARM_UP_S, seconds, CORES)
            np.save(order.events, events)
            cases[f"camera, {rate:,} events/s"] = _held(measure_window(order, folder))
            if rate == rates[0]:
                raw = folder / "hd.raw"
                write_hd(raw, events, seconds + 2 * WARM_UP_S)
                played = measure_window(replace(order, events=str(raw)), folder)
                cases[f"recording, {rate:,} events/s"] = _held(played)
                raw.unlink()
    return cases


def write_hd(path: Path, events: Events, seconds: float) -> None:
    """Write events of `HD_PERIOD_US` to a RAW file, EVT 3.0, again and again."""
    words = np.frombuffer(encode_evt3(events), "<u2").copy()
    (times,) = np.nonzero(words >> 12 == 8)
    first = words[times] & 0xFFF
    with path.open("xb") as file:
        file.write(b"% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n")
        for number in range(math.ceil(seconds * 1e6 / HD_PERIOD_US)):
            words[times] = 8 << 12 | (first + number * (HD_PERIOD_US >> 12)) & 0xFFF
            file.write(words.tobytes())


def _held(measured: Measured) -> dict[str, object]:
    return {
        "in_real_time": measured.events_per_s >= IN_REAL_TIME * measured.asked_events_per_s,
        "nothing_dropped": measured.dropped == 0,
        "on_time": measured.frames_per_s > 0 and (measured.latency_ms["p99"] or math.inf) <= ON_TIME_MS,
        "view": measured.pictures_per_s >= PICTURES_PER_S,
        "memory": measured.memory_growth_mb < MEMORY_MB,
    } | asdict(measured)


def measure_window(order: Order, folder: Path) -> Measured:
    """Measure the window in its own process."""
    request, report = folder / "order.json", folder / "report.json"
    request.write_bytes(msgspec.json.encode(order))
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.benchmarks.sustained_window", str(request), str(report)]
    variables = {"QT_QPA_PLATFORM": "offscreen"} | subprocesses.environment()  # unless the user says otherwise
    limit_s = PATIENCE_S + order.warm_up_s + order.seconds
    try:
        subprocesses.run_apart(command, Event(), limit_s=limit_s, variables=variables)
    except LivesnnError as error:
        raise LivesnnError(f"the window closed early ({error}): run livesnn gui to see why") from error
    answer = msgspec.json.decode(report.read_bytes())
    if "error" in answer:
        raise LivesnnError(answer["error"])
    return msgspec.convert(answer, Measured)


def main(seconds: float = SECONDS, rates: tuple[int, ...] = RATES) -> None:
    """Play 1280×720 events to the window, of a simulated EVK4 and of a RAW file in real time; print JSON.

    Parameters
    ----------
    seconds
        Seconds at each rate.
    rates
        Events a second. The recording has the first.
    """
    write_json({"machine": machine(), "hd": bench_sustained(seconds, rates)})


if __name__ == "__main__":
    run_script(main)
