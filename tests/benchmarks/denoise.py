"""What the noise filters drop and keep of known noise. `livesnn bench denoise` times them.

As in Guo & Delbruck 2022 ("Low cost and latency event camera background activity denoising", IEEE TPAMI), the noise
of a sensor that sees nothing is added to the events of one without noise, so that it is known which is which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
import numpy.typing as npt

from livesnn.events.denoise import DenoiseSpec, DenoiseState, denoise
from livesnn.events.packet import Events
from livesnn.simulate.gestures import RESOLUTION, WARM_UP_US, performance
from livesnn.simulate.motions import GESTURES
from livesnn.simulate.scene import Film, Scatter, shapes_of
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec

NOISE_HZ = (0.3, 1.0, 5.0)
"""Shot noise of a pixel: the most that the sensors of simulated people have, a usual room, a dark room."""

HOT_FRACTION, HOT_HZ, LEAK_HZ = 0.002, 50.0, 0.1
FILMED_S = 4.0


def noise_known(people: int) -> dict[str, dict[str, float]]:
    """Filter simulated people among known noise.

    Returns
    -------
    By noise, such as "0.3 Hz", means over ``people`` of four seconds each: signal_kept, noise_dropped, hot_found (of
    the hot pixels); and false_hot, the number of other pixels taken for hot.
    """
    signals = [_signal(GESTURES[index % len(GESTURES)], index) for index in range(people)]
    return {f"{noise_hz:g} Hz": _among(signals, noise_hz) for noise_hz in NOISE_HZ}


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


def _among(signals: Sequence[Events], noise_hz: float) -> dict[str, float]:
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
            }
        )
    return {name: mean(one[name] for one in measured) for name in measured[0]} | {"false_hot": false_hot}
