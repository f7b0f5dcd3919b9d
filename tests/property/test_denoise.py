"""The laws of the noise filters: any packet split keeps the same, and kept + dropped = came."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livesnn.card import InputSpec, SliceRule
from livesnn.events.denoise import INTERVAL_US, TICK_US, DenoiseSpec, DenoiseState, denoise
from livesnn.events.packet import DISORDER_US, EVENTS_DTYPE, Events, Packet, Resolution
from livesnn.events.slicer import Frame, Slicer
from tests.fake_source import joined

laws = settings(max_examples=100)
SENSOR = Resolution(5, 4)

specs = st.builds(
    DenoiseSpec,
    hot_hz=st.sampled_from([0.0, 8.0, 20.0]),
    refractory_us=st.sampled_from([0, 1, 500, 30_000]),
    activity_us=st.sampled_from([0, 1, 10_000, 2 * TICK_US]),
)


@st.composite
def streams(draw: st.DrawFn, *, jumps: bool = True, disorder: bool = True) -> Events:
    """Return up to some seconds of events; with jumps in time if wanted.

    With disorder, some are out of order or outside the sensor. The filter doesn't look at an event outside, and so
    may see disorder where the slicer sees a jump back.
    """
    steps = [st.integers(0, 4000), st.integers(0, TICK_US + 1), st.sampled_from([0, 499, 500, TICK_US])]
    if jumps:
        steps += [st.sampled_from([-DISORDER_US - 1, -5_000_000, 700_000])]
    if disorder:
        steps += [st.integers(-DISORDER_US, 0)]
    event = st.tuples(
        st.one_of(steps),
        st.integers(0, SENSOR.width - 1 + disorder),
        st.integers(0, SENSOR.height - 1 + disorder),
        st.booleans(),
    )
    often = draw(st.sampled_from([1, 1, 1, 150]))  # again and again: pixels become hot
    few = np.array(draw(st.lists(event, max_size=40 if often == 1 else 4)), EVENTS_DTYPE)
    events = np.tile(few, often)
    events["t"] = draw(st.integers(-(2**40), 2**40)) + np.cumsum(events["t"])
    return events


def filtered(parts: list[Events], spec: DenoiseSpec) -> tuple[list[Packet], DenoiseState]:
    """Return what is kept, with the time that has passed."""
    state = DenoiseState(SENSOR)
    return [Packet(e, now_us=now_us) for part in parts for e, now_us in denoise(part, state, spec)], state


def split(data: st.DataObject, events: Events) -> list[Events]:
    return np.split(events, sorted(data.draw(st.lists(st.integers(0, events.size), max_size=8))))


@given(st.data(), streams(), specs)
@laws
def test_any_packet_split_keeps_the_same_events_and_learns_the_same_pixels(
    data: st.DataObject, events: Events, spec: DenoiseSpec
) -> None:
    whole, one = filtered([events], spec)
    parts, other = filtered(split(data, events), spec)
    np.testing.assert_array_equal(joined(whole), joined(parts))
    np.testing.assert_array_equal(one.hot, other.hot)
    assert (one.counts, one.learning) == (other.counts, other.learning)


@given(st.data(), streams(), specs)
@laws
def test_kept_and_dropped_are_what_came_and_nothing_is_changed(
    data: st.DataObject, events: Events, spec: DenoiseSpec
) -> None:
    before = events.copy()
    pieces, state = filtered(split(data, events), spec)
    np.testing.assert_array_equal(events, before)
    kept = joined(pieces)
    assert state.counts.events == events.size
    assert state.counts.kept == kept.size
    assert state.counts.outside == np.count_nonzero((events["x"] >= 5) | (events["y"] >= 4))
    remaining = iter(events.tolist())
    assert all(event in remaining for event in kept.tolist())  # in their order


def sliced(pieces: list[Packet], rule: SliceRule, window: int) -> list[Frame]:
    slicer = Slicer(SENSOR, InputSpec(5, 4, rule, window=window))
    return [frame for piece in pieces for frame in slicer.push(piece)]


@given(st.data(), streams(disorder=False), specs, st.integers(1, 5))
@laws
def test_any_packet_split_gives_the_same_frames_after_the_filters(
    data: st.DataObject, events: Events, spec: DenoiseSpec, window: int
) -> None:
    """Of events in order: a late one, behind a dropped one that ended its frame, counts in this or the next."""
    rule = SliceRule(delta_t_us=TICK_US + 1)
    whole, parts = (sliced(filtered(packets, spec)[0], rule, window) for packets in ([events], split(data, events)))
    assert [(f.t, f.n_events, f.start) for f in whole] == [(f.t, f.n_events, f.start) for f in parts]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.data, other.data)


@given(st.data(), streams(jumps=False, disorder=False), specs)
@laws
def test_frames_end_when_they_do_without_the_filters(data: st.DataObject, events: Events, spec: DenoiseSpec) -> None:
    rule = SliceRule(delta_t_us=INTERVAL_US // 3)
    raw = Slicer(SENSOR, InputSpec(5, 4, rule, window=2)).push(Packet(events))
    found = sliced(filtered(split(data, events), spec)[0], rule, 2)
    assert [(f.t, f.start) for f in found] == [(f.t, f.start) for f in raw]
    assert all(one.n_events <= other.n_events for one, other in zip(found, raw, strict=True))
