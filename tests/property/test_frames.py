"""The laws of the slicer, beside a slow reference that sees the whole stream. Not here: single cases."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from livesnn.card import InputSpec, SliceRule
from livesnn.events.packet import DISORDER_US, EVENTS_DTYPE, Events, Packet, Resolution
from livesnn.events.slicer import GAP_FIXED_COUNT_US, Frame, Slicer, without_flicker

laws = settings(max_examples=200)


class Case(NamedTuple):
    rule: SliceRule
    sensor: Resolution
    input: InputSpec
    events: Events

    def slicer(self) -> Slicer:
        return Slicer(self.sensor, self.input)

    def gap_us(self) -> int:
        return GAP_FIXED_COUNT_US if self.rule.delta_t_us is None else self.input.window * self.rule.delta_t_us


rules = st.one_of(
    st.integers(1, 5_000).map(lambda value: SliceRule(delta_t_us=value)),
    st.integers(1, 12).map(lambda value: SliceRule(n_events=value)),
)
sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    jumps: bool = True,
    sizes: st.SearchStrategy = sizes,
) -> Case:
    rule = draw(rules)
    width, height = draw(sizes)
    sensor = Resolution(*draw(sizes))
    case = Case(rule, sensor, InputSpec(width, height, rule, window=draw(st.integers(1, 5))), np.empty(0))
    gap = case.gap_us()
    slice_us = rule.delta_t_us or 100
    steps = [st.just(0), st.integers(0, slice_us), st.sampled_from([slice_us - 1, slice_us, gap])]
    if jumps:
        edges = [gap + 1, 3 * gap, -1, -DISORDER_US, -DISORDER_US - 1, -5 * DISORDER_US]
        steps += [st.integers(-slice_us, 0), st.sampled_from(edges)]
    event = st.tuples(
        st.one_of(steps),
        st.integers(0, sensor.width),  # one too far on purpose
        st.integers(0, sensor.height),
        st.booleans(),
    )
    listed = draw(st.lists(event, max_size=60))
    events = np.array(listed, dtype=EVENTS_DTYPE) if listed else np.empty(0, EVENTS_DTYPE)
    events["t"] = draw(st.integers(-(2**40), 2**40)) + np.cumsum(events["t"])
    return case._replace(events=np.repeat(events, draw(st.sampled_from([1, 1, 300]))))


def reference(case: Case) -> list[Frame]:
    """Slice a whole stream: first find where time jumps, then cut each piece, then count with bincount."""
    pieces: list[list[tuple[int, int]]] = []  # (index, time in order) of each event of each piece
    for index, t in enumerate(case.events["t"].tolist()):
        newest = pieces[-1][-1][1] if pieces else None
        if newest is None or t - newest > case.gap_us() or newest - t > DISORDER_US:
            pieces.append([(index, t)])
        else:
            pieces[-1].append((index, max(t, newest)))
    return [frame for piece in pieces for frame in _cut(case, *map(np.array, zip(*piece, strict=True)))]


def _cut(case: Case, indices: np.ndarray, times: np.ndarray) -> list[Frame]:
    cells = _cells(case)[indices]
    if case.rule.delta_t_us is not None:
        slices = (times - times[0]) // case.rule.delta_t_us
        ends = [int(times[0]) + (k + 1) * case.rule.delta_t_us for k in range(int(slices[-1]))]
        contents = [cells[(slices == k) & (cells >= 0)] for k in range(len(ends))]
    else:
        times, cells = times[cells >= 0], cells[cells >= 0]
        count = case.rule.n_events or 0
        lasts = range(count - 1, len(cells), count)
        ends = [int(times[last]) for last in lasts]
        contents = [cells[last - count + 1 : last + 1] for last in lasts]
    return [
        Frame(end, _histogram(case, content), len(content), start=number == 0)
        for number, (end, content) in enumerate(zip(ends, contents, strict=True))
    ]


def _histogram(case: Case, cells: np.ndarray) -> np.ndarray:
    shape = (2, case.input.height, case.input.width)
    return np.minimum(np.bincount(cells, minlength=int(np.prod(shape))), 255).astype(np.uint8).reshape(shape)


def _cells(case: Case) -> np.ndarray:
    """Return each event's index into a flat frame, -1 outside the crop."""
    (sensor_width, sensor_height), width, height = case.sensor, case.input.width, case.input.height
    if sensor_width * height > sensor_height * width:  # wider than the model
        crop_width, crop_height = max(1, sensor_height * width // height), sensor_height
    else:
        crop_width, crop_height = sensor_width, max(1, sensor_width * height // width)
    x = case.events["x"].astype(int) - (sensor_width - crop_width) // 2
    y = case.events["y"].astype(int) - (sensor_height - crop_height) // 2
    inside = (x >= 0) & (x < crop_width) & (y >= 0) & (y < crop_height)
    flat = (case.events["p"] * height + y * height // crop_height) * width + x * width // crop_width
    return np.where(inside, flat, -1)


def assert_same(actual: list[Frame], expected: list[Frame]) -> None:
    assert [(f.t, f.n_events, f.start) for f in actual] == [(f.t, f.n_events, f.start) for f in expected]
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one.data, other.data)


def push_in_parts(case: Case, cuts: list[int]) -> list[Frame]:
    slicer = case.slicer()
    return [frame for packet in np.split(case.events, sorted(cuts)) for frame in slicer.push(Packet(packet))]


def cut_points(case: Case) -> st.SearchStrategy[list[int]]:
    """Where to split the events; a point drawn twice makes an empty packet."""
    return st.lists(st.integers(0, len(case.events)), max_size=8)


@given(st.data(), cases())
@laws
def test_frames_are_those_of_the_reference_however_the_packets_are_split(data: st.DataObject, case: Case) -> None:
    frames = push_in_parts(case, data.draw(cut_points(case)))
    assert_same(frames, reference(case))
    assert all(f.data.dtype == np.uint8 and f.data.shape == (2, case.input.height, case.input.width) for f in frames)


@given(st.data(), cases())
@laws
def test_later_events_never_change_an_earlier_frame(data: st.DataObject, case: Case) -> None:
    cut = data.draw(st.integers(0, len(case.events)))
    slicer = case.slicer()
    early = slicer.push(Packet(case.events[:cut]))
    copies = [Frame(f.t, f.data.copy(), f.n_events, start=f.start) for f in early]
    late = slicer.push(Packet(case.events[cut:]))
    assert_same(early, copies)
    assert_same(early + late, reference(case))


@given(st.data(), cases(jumps=False))
@laws
def test_a_clock_that_keeps_to_the_events_changes_no_frame(data: st.DataObject, case: Case) -> None:
    slicer = case.slicer()
    packets = np.split(case.events, sorted(data.draw(cut_points(case))))
    ends = np.cumsum([len(packet) for packet in packets])
    frames: list[Frame] = []
    for packet, end in zip(packets, ends, strict=True):
        before = int(case.events["t"][end - 1]) if end else None
        after = int(case.events["t"][end]) if end < len(case.events) else before
        now = None if before is None else data.draw(st.integers(before, after))
        frames += slicer.push(Packet(packet, now_us=now))
    assert_same(frames, reference(case))


@given(cases(sizes=st.tuples(st.integers(1, 3), st.just(1))))  # so small that most pixels have events
@laws
def test_a_light_s_flicker_is_taken_from_the_frames_as_they_are(case: Case) -> None:
    steady = Slicer(case.sensor, replace(case.input, without_flicker=True))
    frames, counted = steady.push(Packet(case.events)), case.slicer().push(Packet(case.events))
    assume(all(f.data.max() < 255 for f in counted))  # what saturates does so after flicker is taken
    assert_same(frames, [replace(f, data=without_flicker(f.data)[0]) for f in counted])
    assert [f.light_flicker for f in frames] == [without_flicker(f.data)[1].sum() for f in counted]


@given(st.data(), cases())
@laws
def test_after_a_reset_the_frames_are_those_of_a_new_slicer(data: st.DataObject, case: Case) -> None:
    slicer = case.slicer()
    slicer.push(Packet(case.events[: data.draw(st.integers(0, len(case.events)))]))
    slicer.reset()
    assert_same(slicer.push(Packet(case.events)), case.slicer().push(Packet(case.events)))
