"""How much noise the filters drop, how much signal they keep, how fast. Not here: the filters (events/denoise.py).

As in Guo & Delbruck 2022 ("Low cost and latency event camera background activity denoising", IEEE TPAMI): noise of a
sensor that looks at nothing is added to the events of one without noise, so that it is known which is which.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
import numpy.typing as npt

from livesnn.bench.slicer import PACKET_EVENTS, moving_blob
from livesnn.bench.spread import spread
from livesnn.events.denoise import DenoiseSpec, DenoiseState, denoise
from livesnn.events.packet import Events, Resolution
from livesnn.simulate.film import Film
from livesnn.simulate.gestures import RESOLUTION, WARM_UP_US, performance
from livesnn.simulate.motions import GESTURES
from livesnn.simulate.scene import Scatter, shapes_of
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec

NOISE_HZ = (0.3, 1.0, 5.0)
"""Shot noise a pixel: the most that simulated people's sensors have, a usual room, a dark one."""

HOT_FRACTION, HOT_HZ, LEAK_HZ = 0.002, 50.0, 0.1
SECONDS = 4.0
SENSORS = (Resolution(128, 128), Resolution(640, 480), Resolution(1280, 720))


def bench_denoise(repeats: int, *, people: int = 10, n_events: int = 5_000_000) -> dict[str, object]:
    """Filter simulated people among known noise, and time the three filters together on one core.

    Returns
    -------
    By the noise, "0.3 Hz" …: shares, each the mean, min and max over ``people`` of four seconds, their gestures in
    turn: signal_kept, noise_dropped, hot_found (of the hot pixels) and noise_share (of what came); false_hot, the
    number of pixels taken for hot that aren't, of all. By the sensor, "640x480" …: mev_per_s (`spread`
    over ``repeats``; of processor time) on a moving blob with a fifth of noise, in packets of 10,000.
    """
    signals = [_signal(GESTURES[index % len(GESTURES)], index) for index in range(people)]
    noises = {f"{noise_hz:g} Hz": _among(signals, noise_hz) for noise_hz in NOISE_HZ}
    speeds = {f"{sensor.width}x{sensor.height}": _speed(sensor, repeats, n_events) for sensor in SENSORS}
    return {"people": people, "seconds": SECONDS, "noise": noises, "mev_per_s": speeds}


def _signal(gesture: str, seed: int) -> Events:
    """Return what a sensor without noise of its own sees of a person."""
    shown = performance(gesture, seed, SECONDS, use="show")
    quiet = replace(shown.scene.pixel, leak_hz=0.0, noise_hz=0.0, hot_fraction=0.0)
    scene = replace(shown.scene, pixel=quiet, scatter=Scatter(0.0, 1.0), lamp=None)
    film = Film(scene, shown.limbs, shown.rng)
    events = film.shoot(shapes_of(scene, shown.limbs.part(1)), shown.times_us[1:])
    return events[events["t"] >= WARM_UP_US]


def _noise(seed: int, noise_hz: float) -> tuple[Events, npt.NDArray[np.bool_]]:
    """Return what a sensor sees of an even wall, and which of its pixels [H, W] are hot."""
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
    end_us = np.array([WARM_UP_US + round(SECONDS * 1e6)])
    events, _ = pixels.sequence(wall, end_us, pixels.initial_state(wall[0], WARM_UP_US, rng))
    return events


def _among(signals: Sequence[Events], noise_hz: float) -> dict[str, object]:
    measured = []
    false_hot = 0
    for seed, signal in enumerate(signals):
        noise, hot = _noise(seed, noise_hz)
        events = np.concatenate([signal, noise])
        events["p"] = (
            np.arange(events.size) < signal.size
        )  # no filter looks at the polarity: it carries the truth
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
