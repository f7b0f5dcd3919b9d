"""How fast one core slices, filters and simulates events."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
import numpy.typing as npt

from livesnn.bench import spread
from livesnn.card import InputSpec, SliceRule
from livesnn.events.denoise import DenoiseSpec, DenoiseState, denoise
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet, Resolution
from livesnn.events.slicer import Slicer
from livesnn.simulate.gestures import RESOLUTION, WARM_UP_US, gesture_stream, performance
from livesnn.simulate.motions import GESTURES
from livesnn.simulate.scene import Film, Scatter, shapes_of
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec

CASES = ((Resolution(640, 480), 64), (Resolution(346, 260), 34), (Resolution(128, 128), 128))
"""Sensors, and the side of the model's square input."""

PACKET_EVENTS = 10_000
"""Events of a packet: those of a busy camera in about 5 ms."""

_CHUNK_EVENTS = 1_000_000

# bench_denoise
NOISE_HZ = (0.3, 1.0, 5.0)
"""Shot noise of a pixel: the most that the sensors of simulated people have, a usual room, a dark room."""

HOT_FRACTION, HOT_HZ, LEAK_HZ = 0.002, 50.0, 0.1
FILMED_S = 4.0
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


def bench_denoise(repeats: int, *, people: int = 10, n_events: int = 5_000_000) -> dict[str, object]:
    """Filter simulated people among known noise, and time the three filters together on one core.

    As in Guo & Delbruck 2022 ("Low cost and latency event camera background activity denoising", IEEE TPAMI), the
    noise of a sensor that sees nothing is added to the events of one without noise, so that it is known which is
    which.

    Returns
    -------
    By noise, such as "0.3 Hz", shares as mean, min and max over ``people`` of four seconds each: signal_kept,
    noise_dropped, hot_found (of the hot pixels), noise_share (of all events); and false_hot, the number of other
    pixels taken for hot. By sensor, such as "640x480": mev_per_s, the `spread` over ``repeats`` in processor time, on
    a moving blob with a fifth of noise in packets of 10,000 events.
    """
    signals = [_signal(GESTURES[index % len(GESTURES)], index) for index in range(people)]
    noises = {f"{noise_hz:g} Hz": _among(signals, noise_hz) for noise_hz in NOISE_HZ}
    speeds = {f"{sensor.width}x{sensor.height}": _speed(sensor, repeats, n_events) for sensor in SENSORS}
    return {"people": people, "seconds": FILMED_S, "noise": noises, "mev_per_s": speeds}


def _signal(gesture: str, seed: int) -> Events:
    """Return the events of a person seen by a sensor without noise."""
    shown = performance(gesture, seed, FILMED_S, use="show")
    quiet = replace(shown.scene.pixel, leak_hz=0.0, noise_hz=0.0, hot_fraction=0.0)
    scene = replace(shown.scene, pixel=quiet, scatter=Scatter(0.0, 1.0), lamp=None)
    film = Film(scene, shown.limbs, shown.rng)
    events = film.shoot(shapes_of(scene, shown.limbs.part(1)), shown.times_us[1:])
    return events[events["t"] >= WARM_UP_US]


def _noise(seed: int, noise_hz: float) -> tuple[Events, npt.NDArray[np.bool_]]:
    """Return the events of an even wall, and which pixels [H, W] are hot."""
    shape = (RESOLUTION.height, RESOLUTION.width)
    rng = np.random.default_rng([seed, round(10 * noise_hz)])
    hot = rng.random(shape) < HOT_FRACTION
    spec = DvsPixelSpec(noise_hz=noise_hz, leak_hz=LEAK_HZ)
    quiet = _stare(spec, rng)
    loud = _stare(replace(spec, noise_hz=HOT_HZ), rng)
    events = np.concatenate([quiet[~hot[quiet["y"], quiet["x"]]], loud[hot[loud["y"], loud["x"]]]])
    return events, hot


def _stare(spec: DvsPixelSpec, rng: np.random.Generator) -> Events:
    wall = np.full((1, RESOLUTION.height, RESOLUTION.width), 0.5, np.float32)
    pixels = DvsPixels(spec, RESOLUTION, rng)
    end_us = np.array([WARM_UP_US + round(FILMED_S * 1e6)])
    events, _ = pixels.sequence(wall, end_us, pixels.initial_state(wall[0], WARM_UP_US, rng))
    return events


def _among(signals: Sequence[Events], noise_hz: float) -> dict[str, object]:
    measured = []
    false_hot = 0
    for seed, signal in enumerate(signals):
        noise, hot = _noise(seed, noise_hz)
        events = np.concatenate([signal, noise])
        events["p"] = np.arange(events.size) < signal.size  # the truth: no filter looks at the polarity
        events = events[np.argsort(events["t"], kind="stable")]
        state = DenoiseState(RESOLUTION)
        kept = np.concatenate([piece for piece, _ in denoise(events, state, DenoiseSpec())])
        kept_signal = np.count_nonzero(kept["p"])
        false_hot += int(np.count_nonzero(state.hot & ~hot))
        measured.append(
            {
                "signal_kept": kept_signal / signal.size,
                "noise_dropped": 1 - (kept.size - kept_signal) / noise.size,
                "hot_found": float(state.hot[hot].mean()),
                "noise_share": noise.size / events.size,
            }
        )
    spreads = {name: _mean_and_ends([one[name] for one in measured]) for name in measured[0]}
    return {**spreads, "false_hot": false_hot}


def _mean_and_ends(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(mean(values)), "min": float(min(values)), "max": float(max(values))}


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
