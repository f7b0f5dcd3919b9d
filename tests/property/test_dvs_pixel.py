"""Laws of the DVS pixel that hold for any scene, any flaw, and any way to cut a sequence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from livesnn.events.packet import Resolution
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec

RESOLUTION = Resolution(5, 4)
SPECS = st.builds(
    DvsPixelSpec,
    threshold_on=st.floats(0.05, 0.5),
    threshold_off=st.floats(0.05, 0.5),
    mismatch=st.floats(0, 0.1),
    leak_hz=st.floats(0, 20),
    noise_hz=st.floats(0, 50),
    hot_fraction=st.floats(0, 1),
    refractory_us=st.floats(0, 5000),
    cutoff_hz=st.none() | st.floats(5, 500),
)


def scene(seed: int, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    frames = rng.uniform(0.01, 1, (n_frames, RESOLUTION.height, RESOLUTION.width)).astype(np.float32)
    return frames, np.cumsum(rng.integers(1, 5000, n_frames)) - 10_000


@given(spec=SPECS, seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 11), max_size=4))
def test_a_sequence_cut_anywhere_with_its_state_carried_gives_the_same_events(
    spec: DvsPixelSpec, seed: int, cuts: list[int]
) -> None:
    frames, times = scene(seed, 12)
    pixels = DvsPixels(spec, RESOLUTION, np.random.default_rng(seed))
    start = pixels.initial_state(frames[0], int(times[0]), np.random.default_rng(seed))
    whole, last = pixels.sequence(frames[1:], times[1:], start)
    state, parts = start, []
    bounds = [1, *sorted(cuts), 12]
    for low, high in pairwise(bounds):
        events, state = pixels.sequence(frames[low:high], times[low:high], state)
        parts.append(events)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for carried, once in zip(state, last, strict=True):
        np.testing.assert_array_equal(carried, once)


@given(spec=SPECS, seed=st.integers(0, 2**32))
def test_events_are_in_order_inside_the_interval_and_the_sensor_and_the_state_given_is_not_changed(
    spec: DvsPixelSpec, seed: int
) -> None:
    frames, times = scene(seed, 8)
    pixels = DvsPixels(spec, RESOLUTION, np.random.default_rng(seed))
    state = pixels.initial_state(frames[0], int(times[0]), np.random.default_rng(seed))
    before = [np.copy(value) for value in state]
    events, _ = pixels.sequence(frames[1:], times[1:], state)
    again, _ = pixels.sequence(frames[1:], times[1:], state)
    np.testing.assert_array_equal(events, again)
    for value, copy in zip(state, before, strict=True):
        np.testing.assert_array_equal(value, copy)
    assert np.all(np.diff(events["t"]) >= 0)
    assert np.all((events["t"] > times[0]) & (events["t"] <= times[-1]))
    assert np.all((events["x"] < RESOLUTION.width) & (events["y"] < RESOLUTION.height))


@given(seed=st.integers(0, 2**32), threshold=st.floats(0.05, 0.5))
def test_on_minus_off_follows_the_log_luminance_to_within_a_threshold(seed: int, threshold: float) -> None:
    spec = DvsPixelSpec(threshold, threshold, 0.0, 0.0, 0.0, refractory_us=0.0)
    frames, times = scene(seed, 10)
    pixels = DvsPixels(spec, RESOLUTION, np.random.default_rng(seed))
    state = pixels.initial_state(frames[0], int(times[0]), np.random.default_rng(seed))
    events, _ = pixels.sequence(frames[1:], times[1:], state)
    where = events["y"].astype(int) * RESOLUTION.width + events["x"]
    net = np.bincount(where, np.where(events["p"], 1.0, -1.0), minlength=20).reshape(4, 5)
    logs = np.log(frames.astype(np.float64) + spec.dark_luminance)
    assert np.all(np.abs(logs[-1] - logs[0] - threshold * net) <= threshold * 1.001)


@given(seed=st.integers(0, 2**32), brightness=st.floats(0.5, 2.0))
def test_a_pixel_without_dark_current_sees_contrast_not_brightness(seed: int, brightness: float) -> None:
    spec = DvsPixelSpec(0.21, 0.19, 0.0, 0.0, 0.0, refractory_us=0.0, dark_luminance=1e-12)
    frames, times = scene(seed, 6)
    pixels = DvsPixels(spec, RESOLUTION, np.random.default_rng(seed))
    counts = []
    for light in (frames, frames * np.float32(brightness)):
        state = pixels.initial_state(light[0], int(times[0]), np.random.default_rng(seed))
        counts.append(len(pixels.sequence(light[1:], times[1:], state)[0]))
    assert abs(counts[0] - counts[1]) <= 2  # rounding at a threshold
