"""How fast one core slices, filters and simulates events."""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt

from livesnn.bench import spread
from livesnn.card import InputSpec, SliceRule
from livesnn.events.denoise import DenoiseSpec, DenoiseState, denoise
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet, Resolution
from livesnn.events.slicer import Slicer
from livesnn.simulate.gestures import gesture_stream

CASES = ((Resolution(640, 480), 64), (Resolution(346, 260), 34), (Resolution(128, 128), 128))
"""Sensors, and the side of the model's square input."""

PACKET_EVENTS = 10_000
"""Events of a packet: those of a busy camera in about 5 ms."""

_CHUNK_EVENTS = 1_000_000

SENSORS = (Resolution(128, 128), Resolution(640, 480), Resolution(1280, 720))

SIMULATED_S = 10.0
"""Duration of each simulated person in `bench_simulate`."""


def bench_slicer(repeats: int, *, n_events: int = 10_000_000) -> dict[str, dict[str, object]]:
    """Time `Slicer.push` on one core, packet by packet, on a moving blob in noise, cut every 30 ms.

    Returns
    -------
    For each sensor and input, such as "640x480 to 64x64": mev_per_s, the `spread` of millions of events a second over
    ``repeats`` passes; events and frames of one pass; events_in_frames, those inside the crop and in a finished
    slice.
    """
    return {
        f"{sensor.width}x{sensor.height} to {side}x{side}": _bench_case(sensor, side, repeats, n_events)
        for sensor, side in CASES
    }


def moving_blob(n_events: int, sensor: Resolution, *, seed: int, duration_us: int = 5_000_000) -> Events:
    """Return events, EVENTS_DTYPE [n_events]: four fifths of a blob that circles once a second, one fifth noise.

    They are in order, random and uniform over [0, ``duration_us``), and half of them are ON.
    """
    random = np.random.default_rng(seed)
    events = np.empty(n_events, EVENTS_DTYPE)
    events["t"] = np.sort(random.integers(0, duration_us, n_events))
    for first in range(0, n_events, _CHUNK_EVENTS):
        chunk = events[first : first + _CHUNK_EVENTS]
        angle = chunk["t"] * (2 * math.pi / 1_000_000)
        noise = random.random(len(chunk)) < 0.2
        chunk["x"] = _place(np.cos(angle), noise, sensor.width, random)
        chunk["y"] = _place(np.sin(angle), noise, sensor.height, random)
        chunk["p"] = random.random(len(chunk)) < 0.5
    return events


def _place(
    swing: npt.NDArray[np.float64],
    noise: npt.NDArray[np.bool_],
    size: int,
    random: np.random.Generator,
) -> npt.NDArray[np.uint16]:
    """Return each event's coordinate: anywhere for noise, else near the centre + ``swing`` × size / 4."""
    blob = size * (0.5 + 0.25 * swing + random.normal(0, 1 / 12, len(swing)))
    return np.where(noise, random.integers(0, size, len(swing)), np.clip(blob, 0, size - 1)).astype(np.uint16)


def _bench_case(sensor: Resolution, side: int, repeats: int, n_events: int) -> dict[str, object]:
    events = moving_blob(n_events, sensor, seed=0)
    rule = SliceRule(delta_t_us=30_000)
    spec = InputSpec(side, side, rule)
    Slicer(rule, sensor, spec).push(Packet(events[:PACKET_EVENTS]))  # compiles, or loads what was compiled
    rates = []
    for _ in range(repeats):
        slicer = Slicer(rule, sensor, spec)
        began_s = time.perf_counter()
        ended = [
            frame
            for first in range(0, n_events, PACKET_EVENTS)
            for frame in slicer.push(Packet(events[first : first + PACKET_EVENTS]))
        ]
        rates.append(n_events / (time.perf_counter() - began_s) / 1e6)
    return {
        "mev_per_s": spread(rates),
        "events": n_events,
        "frames": len(ended),
        "events_in_frames": sum(frame.n_events for frame in ended),
    }


def bench_denoise(repeats: int, *, n_events: int = 5_000_000) -> dict[str, object]:
    """Time the three noise filters together on one core; tests/benchmarks/denoise.py measures what they drop.

    Returns
    -------
    By sensor, such as "640x480": mev_per_s, the `spread` over ``repeats`` in processor time, on a moving blob with a
    fifth of noise in packets of 10,000 events.
    """
    return {
        "mev_per_s": {
            f"{sensor.width}x{sensor.height}": _speed(sensor, repeats, n_events) for sensor in SENSORS
        }
    }


def _speed(sensor: Resolution, repeats: int, n_events: int) -> dict[str, float]:
    events = moving_blob(n_events, sensor, seed=0)
    packets = np.array_split(events, max(n_events // PACKET_EVENTS, 1))
    rates = []
    for _ in range(repeats + 1):
        state = DenoiseState(sensor)
        begun_s = time.thread_time()
        for packet in packets:
            for _piece in denoise(packet, state, DenoiseSpec()):
                pass
        rates.append(n_events / (time.thread_time() - begun_s) / 1e6)
    return spread(rates[1:])  # the first compiles, or loads what was compiled


def bench_simulate(repeats: int) -> dict[str, dict[str, float]]:
    """Time the first ten seconds of ``repeats`` people, after one for compiling; return multiples of real time."""
    return {"times_real_time": spread([_times_real_time(seed) for seed in range(repeats + 1)][1:])}


def _times_real_time(seed: int) -> float:
    begun_s = time.perf_counter()
    for take in gesture_stream(seed, use="test"):
        if take.end_us >= SIMULATED_S * 1e6:
            break
    return take.end_us / 1e6 / (time.perf_counter() - begun_s)
