"""The noise filter: what is noise and what isn't, beside dv-processing; hot pixels; packets without their noise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from livesnn.card import InputSpec, SliceRule
from livesnn.errors import SourceError
from livesnn.events.denoise import (
    INTERVAL_US,
    LEARN_INTERVALS,
    TICK_US,
    DenoiseCounts,
    DenoiseSpec,
    DenoiseState,
    denoise,
    denoise_packets,
)
from livesnn.events.packet import EVENTS_DTYPE, NO_EVENTS, Events, Packet, Resolution
from livesnn.events.slicer import frames
from livesnn.simulate.gestures import RESOLUTION, gesture_clip, performance
from livesnn.simulate.motions import GESTURES
from livesnn.simulate.scene import Film, Scatter, shapes_of
from tests.fake_source import FakeSource, joined
from tests.synthetic import moving_bar

SENSOR = Resolution(20, 15)
LEARNED_US = (LEARN_INTERVALS + 1) * INTERVAL_US
ACTIVITY = DenoiseSpec(hot_hz=0, refractory_us=0, activity_us=10_000)
REFRACTORY = DenoiseSpec(hot_hz=0, refractory_us=1000, activity_us=0)
HOT = DenoiseSpec(hot_hz=20, refractory_us=0, activity_us=0)


def events_at(*places: tuple[int, int, int]) -> Events:
    """Return ON events at (t, x, y)."""
    return np.array([(*place, True) for place in places], EVENTS_DTYPE)


def kept(events: Events, spec: DenoiseSpec, state: DenoiseState | None = None) -> list[tuple[int, int, int]]:
    """Return what is left, each as (t, x, y)."""
    pieces = denoise(events, DenoiseState(SENSOR) if state is None else state, spec)
    return [(int(e["t"]), int(e["x"]), int(e["y"])) for events, _ in pieces for e in events]


def noise(rate_hz: float, seconds: float, *, sensor: Resolution = SENSOR, seed: int = 1) -> Events:
    """Return independent events, so many a pixel and second."""
    rng = np.random.default_rng(seed)
    events = np.empty(rng.poisson(rate_hz * seconds * sensor.width * sensor.height), EVENTS_DTYPE)
    events["t"] = np.sort(rng.integers(0, round(seconds * 1e6), events.size))
    events["x"] = rng.integers(0, sensor.width, events.size)
    events["y"] = rng.integers(0, sensor.height, events.size)
    events["p"] = rng.random(events.size) < 0.5
    return events


def pixel(x: int, y: int, rate_hz: float, seconds: float) -> Events:
    """Return the events of one pixel, evenly in time."""
    return events_at(*((int(t), x, y) for t in np.arange(0, seconds * 1e6, 1e6 / rate_hz)))


def merged(*streams: Events) -> Events:
    together = np.concatenate(streams)
    return together[np.argsort(together["t"], kind="stable")]


# Background activity


@pytest.mark.parametrize(("dx", "dy"), [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y])
def test_a_neighbours_recent_event_supports_an_event(dx: int, dy: int) -> None:
    stream = events_at((0, 0, 0), (50_000, 5 + dx, 5 + dy), (59_999, 5, 5))
    assert kept(stream, ACTIVITY)[1:] == [(59_999, 5, 5)]


def test_its_own_events_a_far_pixel_or_an_old_event_support_nothing() -> None:
    stream = events_at((0, 0, 0), (50_000, 5, 5), (50_100, 5, 5), (50_200, 7, 5), (60_200, 8, 5))
    assert kept(stream, ACTIVITY) == [(0, 0, 0)]


def test_the_pixels_at_the_edges_are_no_neighbours_of_the_other_edge() -> None:
    stream = events_at((0, 9, 9), (50_000, 19, 4), (50_001, 0, 5), (50_002, 0, 0), (50_003, 0, 14))
    assert kept(stream, ACTIVITY) == [(0, 9, 9)]


@pytest.mark.parametrize("activity_us", [2000, 10_000, 25_000])
def test_the_same_events_are_isolated_as_for_dv_processing(activity_us: int) -> None:
    dv = pytest.importorskip("dv_processing")
    stream = noise(20, 2)
    theirs = dv.noise.BackgroundActivityNoiseFilter(SENSOR, timedelta(microseconds=activity_us))
    store = dv.EventStore()
    for t, x, y, p in stream.tolist():
        store.push_back(1_000_000 + t, x, y, p)
    theirs.accept(store)
    found = theirs.generateEvents().numpy()
    expected = [(int(t) - 1_000_000, int(x), int(y)) for t, x, y in found[["timestamp", "x", "y"]].tolist()]
    first = tuple(stream[0].tolist()[:3])
    assert kept(stream, DenoiseSpec(0, 0, activity_us)) == [first, *expected]
    assert 100 < len(expected) < stream.size - 100


# Refractory time


def test_an_event_too_soon_after_the_last_kept_one_of_its_pixel_is_dropped() -> None:
    stream = events_at((0, 5, 5), (600, 5, 5), (700, 6, 5), (999, 5, 5), (1000, 5, 5), (1999, 5, 5))
    assert kept(stream, REFRACTORY) == [(0, 5, 5), (700, 6, 5), (1000, 5, 5)]


def test_an_event_out_of_order_is_judged_at_the_newest_ones_time_and_keeps_its_own() -> None:
    stream = events_at((5000, 5, 5), (4500, 6, 5), (5900, 6, 5), (6000, 6, 5))
    assert kept(stream, REFRACTORY) == [(5000, 5, 5), (4500, 6, 5), (6000, 6, 5)]


# Hot pixels


def test_a_pixel_busy_among_quiet_neighbours_is_hot_once_it_is_learned() -> None:
    state = DenoiseState(SENSOR)
    quiet = noise(1, 3)
    stream = merged(quiet[(quiet["x"] != 4) | (quiet["y"] != 7)], pixel(4, 7, 50, 3))
    left = kept(stream, HOT, state)
    assert np.argwhere(state.hot).tolist() == [[7, 4]]
    assert not state.learning
    assert max(t for t, x, y in left if (x, y) == (4, 7)) <= LEARNED_US
    assert 150 - state.counts.hot == sum((x, y) == (4, 7) for _, x, y in left)


@pytest.mark.parametrize("place", [(0, 0), (19, 14), (0, 7)])
def test_pixels_at_the_edge_can_be_hot_and_two_side_by_side(place: tuple[int, int]) -> None:
    state = DenoiseState(SENSOR)
    beside = (10, 3), (11, 3)
    kept(merged(noise(1, 3), *(pixel(*at, 100, 3) for at in (place, *beside))), HOT, state)
    assert {(x, y) for y, x in np.argwhere(state.hot).tolist()} == {place, *beside}


@pytest.mark.parametrize("gesture", GESTURES[:2])
def test_a_waving_hand_makes_no_hot_pixels(gesture: str) -> None:
    """The person's own sensor has a few: 0.04 % of 16,384 are seven."""
    state = DenoiseState(RESOLUTION)
    kept(gesture_clip(gesture, 7, 2.0, use="show"), DenoiseSpec(), state)
    assert not state.learning
    assert state.hot.sum() <= 7


def test_a_jump_back_neither_forgets_nor_makes_hot_pixels() -> None:
    state = DenoiseState(SENSOR)
    stream = merged(noise(1, 3), pixel(4, 7, 50, 3))
    kept(stream, HOT, state)
    dropped = state.counts.hot
    kept(stream, HOT, state)
    assert np.argwhere(state.hot).tolist() == [[7, 4]]
    assert state.counts.hot >= dropped + 149


# Time, counts, memory


def test_what_was_active_before_a_jump_back_supports_nothing_after_it() -> None:
    stream = events_at((900_000, 5, 5), (100_000, 1, 1), (100_001, 6, 5), (100_002, 6, 6))
    assert kept(stream, ACTIVITY) == [(900_000, 5, 5), (100_000, 1, 1), (100_002, 6, 6)]


def test_after_a_seek_the_first_event_is_kept_and_the_past_forgotten() -> None:
    state = DenoiseState(SENSOR)
    kept(events_at((0, 5, 5)), ACTIVITY, state)
    state.forget()
    assert kept(events_at((50, 9, 9), (51, 6, 5)), ACTIVITY, state) == [(50, 9, 9)]


def test_every_event_is_counted_once_with_its_reason() -> None:
    state = DenoiseState(SENSOR)
    stream = events_at((0, 5, 5), (1, 6, 5), (2, 6, 5), (3, 12, 12), (4, 20, 5), (5, 5, 15))
    assert kept(stream, DenoiseSpec(), state) == [(0, 5, 5), (1, 6, 5)]
    assert state.counts == DenoiseCounts(events=6, hot=0, refractory=1, isolated=1, outside=2)
    assert (state.counts.kept, state.counts.dropped) == (2, 4)


def test_with_every_filter_off_all_events_pass_untouched() -> None:
    stream = merged(noise(20, 2), pixel(4, 7, 500, 2))
    pieces = [e for e, _ in denoise(stream, DenoiseState(SENSOR), DenoiseSpec(0, 0, 0))]
    assert all(piece.base is None for piece in pieces)  # it holds no more memory than its events
    found = np.concatenate(pieces)
    np.testing.assert_array_equal(found, stream)


def test_the_time_goes_on_where_nothing_is_kept() -> None:
    alone = events_at(*((step * TICK_US // 2, 2 * (step % 2), 5) for step in range(100)))
    state = DenoiseState(SENSOR)
    told = [now_us for _, now_us in denoise(alone, state, ACTIVITY)]
    assert max(np.diff(told)) <= TICK_US
    assert told[-1] == alone["t"][-1]
    assert state.counts.events == 100


@pytest.mark.release
@pytest.mark.parametrize("noise_hz", [0.3, 1.0, 5.0])
def test_noise_is_told_from_signal(noise_hz: float) -> None:
    """As in Guo & Delbruck 2022 (IEEE TPAMI), known noise is added to the events of a sensor without any."""
    shown = performance("hand_clapping", 0, 4.0, use="show")
    quiet = replace(shown.scene.pixel, leak_hz=0.0, noise_hz=0.0, hot_fraction=0.0)
    scene = replace(shown.scene, pixel=quiet, scatter=Scatter(0.0, 1.0), lamp=None)
    signal = Film(scene, shown.limbs, shown.rng).shoot(shapes_of(scene, shown.limbs.part(1)), shown.times_us[1:])
    hot = np.random.default_rng(0).random((RESOLUTION.height, RESOLUTION.width)) < 0.002
    dark = merged(noise(noise_hz, 4, sensor=RESOLUTION), *(pixel(x, y, 50, 4) for y, x in np.argwhere(hot)))
    signal["p"], dark["p"] = True, False  # the truth: no filter looks at the polarity
    state = DenoiseState(RESOLUTION)
    left = np.concatenate([events for events, _ in denoise(merged(signal, dark), state, DenoiseSpec())])
    assert np.count_nonzero(left["p"]) > 0.7 * signal.size
    assert np.count_nonzero(~left["p"]) < 0.5 * dark.size
    assert state.hot[hot].mean() > 0.5
    assert not (state.hot & ~hot).any()


# Packets


def without_noise(packets: list[Packet], state: DenoiseState | None = None) -> list[Packet]:
    return list(denoise_packets(packets, DenoiseState(SENSOR) if state is None else state))


def test_what_was_active_in_another_epoch_supports_nothing() -> None:
    one, other = events_at((0, 5, 5)), events_at((10, 9, 9), (11, 6, 5))
    together = without_noise([Packet(one, epoch=1), Packet(other, epoch=1)])
    apart = without_noise([Packet(one, epoch=1), Packet(other, epoch=2)])
    assert joined(together)["t"].tolist() == [0, 11]
    assert joined(apart)["t"].tolist() == [0, 10]


def test_hot_pixels_stay_hot_in_another_epoch() -> None:
    state = DenoiseState(SENSOR)
    kept(merged(noise(1, 3), pixel(6, 5, 100, 3)), HOT, state)
    dropped = state.counts.hot
    for epoch, t in ((0, 4_000_000), (1, 0)):
        without_noise([Packet(events_at((t, 9, 9), (t + 1, 6, 5)), epoch=epoch)], state)
    assert state.counts.hot == dropped + 2


def test_what_nobody_wants_filtered_passes_and_isnt_counted() -> None:
    packets = [Packet(part) for part in np.array_split(noise(5, 2), 7)]
    state = DenoiseState(SENSOR)
    found = list(denoise_packets(packets, state, enabled=lambda: False))
    assert all(one is other for one, other in zip(found, packets, strict=True))
    assert state.counts == DenoiseCounts()


def test_what_is_known_of_a_packet_stays_with_its_pieces_and_time_goes_on_at_least_to_its_own() -> None:
    alone = events_at((0, 5, 5), *((5_000 * step, 2 * (step % 2), 5) for step in range(1, 10)))
    found = without_noise([Packet(alone, 1.5, 50_000, 3), Packet(NO_EVENTS, 2.5, 60_000, 3)])
    assert [packet.arrived_s for packet in found] == [1.5] * (len(found) - 1) + [2.5]
    assert {packet.epoch for packet in found} == {3}
    told = [packet.now_us or 0 for packet in found]
    assert told == sorted(told)
    assert told[-2:] == [50_000, 60_000]
    assert max(np.diff(told)) <= TICK_US


@pytest.mark.parametrize("parts", [1, 3, 400])
def test_a_scene_with_nothing_but_noise_is_no_jump_in_time(parts: int) -> None:
    """A second in which almost nothing is kept, after a moving bar: longer than the window of 0.1 s."""
    bar = moving_bar(300_000, start_us=0)
    bar = bar[(bar["x"] < SENSOR.width) & (bar["y"] < SENSOR.height)]
    alone = events_at(*((300_000 + 5000 * step, 3 * (step % 5), 2) for step in range(200)))
    rule = SliceRule(delta_t_us=10_000)
    stream = [Packet(part) for part in np.array_split(np.concatenate([bar, alone]), parts)]
    spec = InputSpec(20, 15, rule, window=10)
    found = [*frames(FakeSource(without_noise(stream), resolution=SENSOR), spec)]
    raw = [*frames(FakeSource(stream, resolution=SENSOR), spec)]
    assert [(frame.t, frame.start) for frame in found] == [(frame.t, frame.start) for frame in raw]
    assert len(found) > 120


def test_a_sensor_larger_than_any_is_refused() -> None:
    with pytest.raises(SourceError, match="a sensor of 65000×2"):
        DenoiseState(Resolution(65_000, 2))


def test_a_packet_with_nothing_inside_the_sensor_passes_no_time() -> None:
    outside = events_at((5, SENSOR.width, 0))
    (first,), (second,) = (without_noise([Packet(outside, now_us=now_us)]) for now_us in (None, 7))
    assert (first.events.size, first.now_us) == (0, None)
    assert (second.events.size, second.now_us) == (0, 7)
