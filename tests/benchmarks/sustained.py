"""The most events a second that the window takes: `python tests/benchmarks/sustained.py`.

Not here: the window that it measures (sustained_window.py).
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event

import msgspec
import numpy as np

from livesnn import subprocesses
from livesnn.bench import machine
from livesnn.bench.memory_source import MEMORY_PACKET_US, MemorySource
from livesnn.bench.throughput import moving_blob
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.errors import LivesnnError
from livesnn.events.packet import Events, Resolution
from livesnn.events.slicer import frames
from livesnn.infer import onnx_engine, spike_engine
from livesnn.infer.load import Engine, load_model
from livesnn.paths import recordings_dir
from livesnn.sources import event_source, open_source
from tests.benchmarks.random_network import card_of, write_levelled
from tests.benchmarks.sustained_window import SUSTAINED_SHARE, Measured, Order
from tests.fake_source import joined
from tests.format_files import encode_evt3

RECORDING = "arm_roll.aedat4"
SIDE = 128
EVENTS_PER_FRAME = 1000
DENSITY = 0.05
LEVELLED_FRAMES = 70
"""Frames on which the layers' density is set."""
RATES = (250_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000)
SECONDS = 20.0
WARM_UP_S = 3.0
CORES = 2
PATIENCE_S = 120.0
"""Time that a window may take to start."""
HD = Resolution(1280, 720)
HD_MODEL = "gestures"
HD_RATES = (20_000_000, 50_000_000)
"""Events a second of the simulated EVK4; a recording has the first."""
HD_PERIOD_US = 25 * 4096
"""Of the events that repeat: whole steps of EVT 3.0's higher time, so that only these words change."""
HD_ON_TIME_MS, HD_MEMORY_MB, HD_PICTURES_PER_S = 100.0, 100.0, 30.0
NETWORKS: tuple[tuple[Engine, int], ...] = (("spike", 32), ("spike", 8), ("onnx", 32))
"""Engine, and bits of the network's kernels. ONNX Runtime isn't run with 8 bits, as it would compute in floats."""


def bench_sustained(
    *, seconds: float = SECONDS, rates: Sequence[int] = (), threads: int | None = None
) -> dict[str, object]:
    """Play a recording's events to the window at rising rates, up to the first at which it drops events.

    The network is an STS-ResNet 64 wide at 128×128. Its layers spike at a density of 5 % on the recording's frames of
    a thousand events. The events come evenly, one packet a millisecond, to a window in its own process on two
    processors. A rate is sustained if nothing is dropped for ``seconds``.

    Parameters
    ----------
    rates
        Events a second, in any order; () means `RATES`.
    threads
        Threads of a step; None means as many as the window uses.

    Returns
    -------
    For each engine and its kernels' bits: `threads`, `highest_events_per_s` that was sustained or None, and `ramp`, a
    `Measured` for each rate.
    """
    if not 0 < seconds < math.inf or any(rate < 1000 for rate in rates):
        raise LivesnnError("give --seconds above 0 and --rates of 1000 events a second or more")
    if threads is not None and threads < 1:
        raise LivesnnError(f"{threads} threads can't run a model: give --threads 1 or more")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engines = {
            f"{engine}-{bits}": _bench_engine(engine, bits, folder, rates or RATES, threads, seconds)
            for engine, bits in NETWORKS
        }
    return {
        "recording": RECORDING,
        "input": f"{SIDE}×{SIDE}, {EVENTS_PER_FRAME} events a frame",
        "density": DENSITY,
        "packet_us": MEMORY_PACKET_US,
        "engines": engines,
    }


def bench_hd(seconds: float, rates: Sequence[int] = ()) -> dict[str, object]:
    """Play HD events to the window, from a simulated EVK4 and from a recording of it in real time.

    Four fifths of the events are of a blob that circles once a second, and a fifth is noise. The model is `HD_MODEL`.

    Returns
    -------
    For each source, its `Measured` and whether it held: `in_real_time` (99 % of the rate arrived), `nothing_dropped`,
    `on_time` (99 % of the decisions within `HD_ON_TIME_MS` of the frame's last event, the driver's queue included),
    `view` (`HD_PICTURES_PER_S`) and `memory` (it grew by less than `HD_MEMORY_MB`).
    """
    cases: dict[str, object] = {}
    rates = rates or HD_RATES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rate in rates:
            events = moving_blob(rate * HD_PERIOD_US // 1_000_000, HD, seed=1, duration_us=HD_PERIOD_US)
            order = Order(
                events=str(folder / "events.npy"),
                duration_us=HD_PERIOD_US,
                resolution=(HD.width, HD.height),
                events_per_s=rate,
                model=HD_MODEL,
                engine="auto",
                threads=None,
                warm_up_s=WARM_UP_S,
                seconds=seconds,
                cores=CORES,
                source="camera",
            )
            np.save(order.events, events)
            cases[f"camera, {rate:,} events/s"] = _held(measure_window(order, folder))
            if rate == rates[0]:
                raw = folder / "hd.raw"
                write_hd(raw, events, seconds + 2 * WARM_UP_S)
                played = measure_window(replace(order, events=str(raw), source="recording"), folder)
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
    late_ms = measured.latency_ms["p99"] if measured.frames_per_s else None
    whole = asdict(measured)
    del whole["sustained"]  # the network sees the middle of the picture only
    return {
        "in_real_time": measured.events_per_s >= SUSTAINED_SHARE * measured.asked_events_per_s,
        "nothing_dropped": measured.dropped == 0,
        "on_time": late_ms is not None and late_ms <= HD_ON_TIME_MS,
        "view": measured.pictures_per_s >= HD_PICTURES_PER_S,
        "memory": measured.memory_growth_mb < HD_MEMORY_MB,
    } | whole


def _bench_engine(
    engine: Engine, bits: int, folder: Path, rates: Sequence[int], threads: int | None, seconds: float
) -> dict[str, object]:
    events, resolution = _whole_frames()
    model = folder / f"model-{bits}"
    if not model.is_dir():
        model.mkdir()
        card = card_of(SIDE, bits)
        source = MemorySource(events, resolution, duration_us=int(events["t"][-1]) + 1, paced=False)
        some = islice(frames(source, card.input), LEVELLED_FRAMES)
        write_levelled(model, card, list(some), DENSITY)
    load_model(model, engine, threads=threads)  # compiles the engine, if that is still to be done
    order = Order(
        events=str(folder / "events.npy"),
        duration_us=0,
        resolution=(resolution.width, resolution.height),
        events_per_s=0.0,
        model=str(model),
        engine=engine,
        threads=threads or (onnx_engine if engine == "onnx" else spike_engine).default_threads(),
        warm_up_s=WARM_UP_S,
        seconds=seconds,
        cores=CORES,
    )
    ramp = measure_ramp(rates, partial(_play, events, order, folder))
    sustained = [measured.asked_events_per_s for measured in ramp if measured.sustained]
    return {
        "threads": order.threads,
        "highest_events_per_s": max(sustained, default=None),
        "ramp": [asdict(measured) for measured in ramp],
    }


def _whole_frames() -> tuple[Events, Resolution]:
    """Return the events of the recording's whole frames, from time 0, and its sensor."""
    with closing(event_source(open_source(recordings_dir() / RECORDING))) as source:
        events, resolution = joined(source), source.resolution
    events = events[: events.size // EVENTS_PER_FRAME * EVENTS_PER_FRAME].copy()
    events["t"] -= events["t"][0]
    return events, resolution


def measure_ramp(rates: Sequence[int], play: Callable[[int], Measured]) -> list[Measured]:
    """Measure at rising rates up to one that isn't sustained."""
    ramp = []
    for rate in sorted(rates):
        ramp.append(play(rate))
        if not ramp[-1].sustained:
            break
    return ramp


def _play(events: Events, order: Order, folder: Path, rate: int) -> Measured:
    """Measure the window on these events, spread evenly at this rate."""
    even = events.copy()
    even["t"] = np.arange(events.size) * 1_000_000 // rate
    np.save(order.events, even)
    duration_us = events.size * 1_000_000 // rate
    return measure_window(replace(order, duration_us=duration_us, events_per_s=rate), folder)


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


def main(
    seconds: float = SECONDS, rates: tuple[int, ...] = (), threads: int | None = None, *, hd: bool = False
) -> None:
    """Play events to the window at rising rates, up to the first rate at which it drops events; print JSON.

    Parameters
    ----------
    seconds
        Seconds at each rate.
    rates
        Events a second, in any order. Default: from 250,000 to 2,000,000.
    threads
        Threads of a step. Default: as many as the window uses.
    hd
        Play 1280×720 events instead, of a simulated EVK4 and of a RAW file in real time. Default: at 20,000,000 and
        50,000,000 a second.
    """
    if hd:
        write_json({"machine": machine(), "hd": bench_hd(seconds, rates)})
        return
    write_json({"machine": machine(), "sustained": bench_sustained(seconds=seconds, rates=rates, threads=threads)})


if __name__ == "__main__":
    run_script(main)
