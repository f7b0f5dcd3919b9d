"""How many events a second the window takes for good, engine by engine. Not here: the window (app/measured.py)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from livesnn.bench.dense_network import card_of, write_levelled
from livesnn.bench.real_clips import read_clip
from livesnn.bench.window import run_window
from livesnn.card import InputSpec
from livesnn.errors import LivesnnError
from livesnn.events.memory_source import PACKET_US, MemorySource
from livesnn.events.packet import Events, Resolution
from livesnn.events.slicer import Frame, frames
from livesnn.infer import onnx_engine, spike_engine
from livesnn.infer.model import Engine, load_model
from livesnn.paths import recordings_dir
from livesnn.session.sustained import Measured, Order

RECORDING = "arm_roll.aedat4"
SIDE = 128
EVENTS_PER_FRAME = 1000
DENSITY = 0.05
LEVELLED_FRAMES = 70
RATES = (250_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000)
LEAST_RATE = 10_000
SECONDS = 20.0
WARM_UP_S = 3.0
CORES = 2
PATIENCE_S = 120.0
"""For the start of a window."""


class Contestant(NamedTuple):
    """What runs which network."""

    engine: Engine
    weight_bits: int


CONTESTANTS = (Contestant("spike", 32), Contestant("spike", 8), Contestant("onnx", 32))
"""Not ONNX Runtime with 8 bits: it computes with floats all the same."""


def bench_sustained(
    *,
    seconds: float = SECONDS,
    rates: Sequence[int] = RATES,
    threads: int | None = None,
    contestants: Sequence[Contestant] = CONTESTANTS,
) -> dict[str, object]:
    """Play a recording's events at one rate after another to the window, which drops what it can't take in time.

    The network is an STS-ResNet 64 wide at 128×128, whose layers spike at a density of 5 % on the recording's frames
    of a thousand events each. The events come evenly, a packet a millisecond, to a window in a process of its own, on
    two processors. A rate is sustained when nothing is dropped for so many ``seconds``. The first that isn't ends the
    ramp; where that is the lowest, halves of it follow until one is.

    Parameters
    ----------
    threads
        Of a step; None: as the app.

    Returns
    -------
    For each engine and its kernels' bits its `threads`, the `highest_events_per_s` that were sustained, None where
    none were, and `ramp`: a `Measured` a rate.
    """
    if find_spec("torch") is None:
        raise LivesnnError("this measurement makes a network with PyTorch: pip install 'livesnn[train]'")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engines = {
            f"{engine}-{bits}": _bench_engine(engine, bits, folder, rates, threads, seconds)
            for engine, bits in contestants
        }
    return {
        "recording": RECORDING,
        "input": f"{SIDE}×{SIDE}, {EVENTS_PER_FRAME} events a frame",
        "density": DENSITY,
        "packet_us": PACKET_US,
        "engines": engines,
    }


def _bench_engine(
    engine: Engine, bits: int, folder: Path, rates: Sequence[int], threads: int | None, seconds: float
) -> dict[str, object]:
    events, resolution = _whole_frames()
    model = calibrated(folder / f"model-{bits}", DENSITY, weight_bits=bits)
    load_model(model, engine, threads=threads)  # compiled here, once, where it has to be
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
    ramp = _ramp(rates, partial(_play, events, order, folder))
    sustained = [measured.asked_events_per_s for measured in ramp if measured.sustained]
    return {
        "threads": order.threads,
        "highest_events_per_s": max(sustained, default=None),
        "ramp": [asdict(measured) for measured in ramp],
    }


def calibrated(folder: Path, density: float, *, weight_bits: int = 32) -> Path:
    """Return the folder of a network each of whose layers spikes at this density on the recording's frames."""
    if not folder.is_dir():
        folder.mkdir()
        card = card_of(SIDE, weight_bits)
        write_levelled(folder, card, _frames(card.input), density)
    return folder


def _frames(spec: InputSpec) -> list[Frame]:
    events, resolution = _whole_frames()
    source = MemorySource(events, resolution, duration_us=int(events["t"][-1]) + 1, paced=False)
    return list(islice(frames(source, spec.slice, spec), LEVELLED_FRAMES))


def _whole_frames() -> tuple[Events, Resolution]:
    """Return the recording's events, as many as make whole frames, from 0 on; and its sensor, all of it seen."""
    events, resolution, _ = read_clip(recordings_dir() / RECORDING)
    events = events[: events.size // EVENTS_PER_FRAME * EVENTS_PER_FRAME].copy()
    events["t"] -= events["t"][0]
    return events, resolution


def _ramp(rates: Sequence[int], play: Callable[[int], Measured]) -> list[Measured]:
    """Return what was measured at one rate after another, up to one that isn't sustained, or down to one that is."""
    ramp = []
    for rate in sorted(rates):
        ramp.append(play(rate))
        if not ramp[-1].sustained:
            break
    rate = min(rates)
    while not any(measured.sustained for measured in ramp) and rate >= 2 * LEAST_RATE:
        rate //= 2
        ramp.append(play(rate))
    return ramp


def _play(events: Events, order: Order, folder: Path, rate: int) -> Measured:
    """Measure the window on these events at this rate, evenly."""
    even = events.copy()
    even["t"] = np.arange(events.size) * 1_000_000 // rate
    np.save(order.events, even)
    duration_us = events.size * 1_000_000 // rate
    return _measure(replace(order, duration_us=duration_us, events_per_s=rate), folder)


def _measure(order: Order, folder: Path) -> Measured:
    """Have the window measured by a process of its own, without a screen unless Qt's platform is chosen."""
    asked, report = folder / "order.json", folder / "report.json"
    asked.write_bytes(msgspec.json.encode(order))
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "livesnn.app.measured", str(asked), str(report)]
    _, why = run_window(command, PATIENCE_S + order.warm_up_s + order.seconds)
    if not report.exists():
        raise LivesnnError(f"the window ended early ({why}): try livesnn gui")
    answer = msgspec.json.decode(report.read_bytes())
    if "error" in answer:
        raise LivesnnError(answer["error"])
    return msgspec.convert(answer, Measured)
