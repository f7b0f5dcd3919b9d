"""The DVS pixel keeps the promises of its settings: thresholds, refractory time, bandwidth, leak, noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec

SMALL = Resolution(3, 2)
IDEAL = DvsPixelSpec(mismatch=0.0, leak_hz=0.0, noise_hz=0.0, refractory_us=0.0)


def run(spec: DvsPixelSpec, levels: list[float], step_us: int = 1000, resolution: Resolution = SMALL) -> Events:
    """Return the events of a sensor that sees an even luminance exp(level), one level every ``step_us``."""
    rng = np.random.default_rng(1)
    pixels = DvsPixels(spec, resolution, rng)
    shape = (len(levels), resolution.height, resolution.width)
    frames = np.empty(shape, np.float32)
    frames[:] = np.exp(levels)[:, None, None] - spec.dark_luminance
    state = pixels.initial_state(frames[0], 0, rng)
    return pixels.sequence(frames[1:], step_us * np.arange(1, len(levels)), state)[0]


def test_constant_light_without_noise_makes_no_events() -> None:
    events = run(IDEAL, [0.3] * 50)
    assert len(events) == 0
    assert events.dtype == EVENTS_DTYPE


@pytest.mark.parametrize(("sign", "polarity"), [(1, True), (-1, False)])
@pytest.mark.parametrize("thresholds", [1, 2, 7])
def test_a_step_of_k_thresholds_makes_k_events(sign: int, polarity: bool, thresholds: int) -> None:
    spec = replace(IDEAL, threshold_on=0.25, threshold_off=0.25)
    events = run(spec, [0.0, sign * 0.25 * (thresholds + 0.01)])
    assert len(events) == thresholds * SMALL.width * SMALL.height
    assert np.all(events["p"] == polarity)


def test_on_and_off_have_their_own_thresholds() -> None:
    events = run(replace(IDEAL, threshold_on=0.1, threshold_off=0.3), [0.0, 0.61, 0.0])
    per_pixel = SMALL.width * SMALL.height
    assert np.count_nonzero(events["p"]) == 6 * per_pixel
    assert np.count_nonzero(~events["p"]) == 2 * per_pixel


def test_events_are_timed_where_the_log_level_crosses_between_the_frames() -> None:
    events = run(replace(IDEAL, threshold_on=0.25), [0.0, 1.01], step_us=10_000, resolution=Resolution(1, 1))
    np.testing.assert_allclose(events["t"], np.arange(1, 5) * 0.25 / 1.01 * 10_000, atol=2)


def test_every_event_carries_its_own_pixel() -> None:
    rng = np.random.default_rng(0)
    pixels = DvsPixels(IDEAL, SMALL, rng)
    dark, light = np.ones((2, 3), np.float32), np.ones((1, 2, 3), np.float32)
    light[0, 1, 2] = 1.3
    events, _ = pixels.sequence(light, np.array([500]), pixels.initial_state(dark, 0, rng))
    assert [(int(e["x"]), int(e["y"]), bool(e["p"])) for e in events] == [(2, 1, True)]


@pytest.mark.slow
def test_refractory_time_limits_the_rate() -> None:
    ramp = list(np.linspace(0, 50, 101))  # 100 ms, 250 thresholds
    free = run(replace(IDEAL, threshold_on=0.2), ramp, resolution=Resolution(1, 1))
    held = run(replace(IDEAL, threshold_on=0.2, refractory_us=1600), ramp, resolution=Resolution(1, 1))
    assert len(free) >= 249
    assert np.diff(held["t"]).min() >= 1600
    cycle_us = 1600 + 400  # held, then on to the next threshold
    assert len(held) == pytest.approx(100_000 / cycle_us, abs=1)


def test_what_changes_in_the_refractory_time_is_lost() -> None:
    # The first event is at 0.95 ms; the pixel is awake at 3.45 ms, after the large rise.
    spec = replace(IDEAL, refractory_us=2500)
    events = run(spec, [0.0, 0.21, 0.21, 1.0, 1.0, 1.0, 1.21], resolution=Resolution(1, 1))
    np.testing.assert_allclose(events["t"], [952, 5952], atol=2)


def test_noise_comes_at_the_rate_asked_half_of_it_on() -> None:
    events = run(replace(IDEAL, noise_hz=5.0), [0.0] * 101, step_us=10_000, resolution=Resolution(40, 30))
    expected = 5 * 1200
    assert abs(len(events) - expected) < 5 * np.sqrt(expected)
    assert abs(np.count_nonzero(events["p"]) - expected / 2) < 5 * np.sqrt(expected / 4) + 5 * np.sqrt(expected) / 2


def test_noise_does_not_depend_on_the_frame_rate() -> None:
    spec = replace(IDEAL, noise_hz=20.0)
    fine, coarse = run(spec, [0.0] * 101, step_us=1000), run(spec, [0.0] * 6, step_us=20_000)
    np.testing.assert_array_equal(fine, coarse)
    assert len(fine) > 0


def test_leak_makes_on_events_at_the_rate_asked() -> None:
    events = run(replace(IDEAL, leak_hz=4.0), [0.0] * 101, step_us=10_000, resolution=Resolution(20, 10))
    assert np.all(events["p"])
    assert len(events) == pytest.approx(4 * 200, rel=0.001)


def test_hot_pixels_are_the_share_asked_and_fire_at_their_rate() -> None:
    spec = replace(IDEAL, hot_fraction=0.05, hot_hz=100.0)
    events = run(spec, [0.0] * 101, step_us=10_000, resolution=Resolution(100, 100))
    counts = np.bincount(events["y"].astype(int) * 100 + events["x"], minlength=10_000)
    assert abs(np.count_nonzero(counts) - 500) < 5 * np.sqrt(500)
    assert counts[counts > 0].mean() == pytest.approx(100, rel=0.05)


def test_mismatch_spreads_the_thresholds() -> None:
    even = run(IDEAL, [0.0, 5.05], resolution=Resolution(50, 50))
    spread = run(replace(IDEAL, mismatch=0.02), [0.0, 5.05], resolution=Resolution(50, 50))
    counts = [np.bincount(e["y"].astype(int) * 50 + e["x"], minlength=2500) for e in (even, spread)]
    assert counts[0].std() == 0
    thresholds = 5.05 / counts[1]
    assert thresholds.std() == pytest.approx(0.02, rel=0.2)
    assert thresholds.mean() == pytest.approx(0.2, rel=0.03)


def test_the_low_pass_delays_a_step_by_its_time_constant() -> None:
    cutoff_hz = 20.0
    time_constant_us = 1e6 / (2 * np.pi * cutoff_hz)
    spec = replace(IDEAL, threshold_on=1 - np.exp(-1.0), cutoff_hz=cutoff_hz)
    events = run(spec, [0.0] + [1.0] * 400, step_us=100, resolution=Resolution(1, 1))
    assert events["t"][0] == pytest.approx(time_constant_us, rel=0.03)
