"""How many events a second one core slices, with crop and rescale. Not here: decoding, the network's step."""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt

from livesnn.bench.spread import spread
from livesnn.card import InputSpec, SliceRule
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet, Resolution
from livesnn.events.slicer import Slicer

CASES = ((Resolution(640, 480), 64), (Resolution(346, 260), 34), (Resolution(128, 128), 128))
"""Sensor, and the side of the model's square input."""

PACKET_EVENTS = 10_000
"""Events a packet: what a busy camera delivers in about 5 ms."""

_CHUNK_EVENTS = 1_000_000


def bench_slicer(repeats: int, *, n_events: int = 10_000_000) -> dict[str, dict[str, object]]:
    """Time `Slicer.push`, packet by packet on one core, on a moving blob in noise, cut every 30 ms.

    Returns
    -------
    For each sensor and input ("640x480 to 64x64", …): mev_per_s, the `spread` of millions of events a
    second over ``repeats`` passes, events and frames of one pass, and events_in_frames (those inside the crop
    and in a finished slice).
    """
    return {
        f"{sensor.width}x{sensor.height} to {side}x{side}": _bench_case(sensor, side, repeats, n_events)
        for sensor, side in CASES
    }


def moving_blob(n_events: int, sensor: Resolution, *, seed: int, duration_us: int = 5_000_000) -> Events:
    """Return events of a blob that circles the sensor once a second (four fifths) and of noise everywhere.

    EVENTS_DTYPE [n_events], in order, spread evenly at random over [0, duration_us); polarity is even.
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
    """Return each event's coordinate: anywhere if noise, else around the centre + ``swing`` × size / 4."""
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
