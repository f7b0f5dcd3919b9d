"""Frames with few events are lifted: at once less with more events, slowly more with fewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livesnn.card import InputSpec, SliceRule
from livesnn.events.packet import EVENTS_DTYPE, Packet, Resolution
from livesnn.events.slicer import LIFT_MOST, LIFT_RELEASE, Frame, Slicer, lift
from livesnn.infer.reason import count_blocks

SPEC = InputSpec(16, 16, SliceRule(delta_t_us=1000), lift_to=0.5)
PIXELS = 2 * 16 * 16


def frames_of(counts: list[int], spec: InputSpec = SPEC) -> list[Frame]:
    """Return the frames of a stream in which frame k has ``counts[k]`` events, spread over the picture."""
    slicer, found = Slicer(Resolution(16, 16), spec), []
    for number, count in enumerate(counts):
        events = np.zeros(count, EVENTS_DTYPE)
        events["t"], events["x"], events["y"] = (
            1000 * number,
            np.arange(count) % 16,
            np.arange(count) // 16 % 16,
        )
        found += slicer.push(Packet(events, now_us=1000 * (number + 1)))
    return found


def test_few_events_are_lifted_to_the_mean_count() -> None:
    few = PIXELS // 8  # a mean count of 1/8, which is lifted by 4
    lifted = frames_of([few] * 5)
    plain = frames_of([few] * 5, replace(SPEC, lift_to=None))
    for frame, raw in zip(lifted, plain, strict=True):
        assert (frame.lift, raw.lift) == (4, 1)
        np.testing.assert_array_equal(frame.data, 4 * raw.data)
        np.testing.assert_allclose(count_blocks(frame), count_blocks(raw))


def test_many_events_are_left_as_they_are() -> None:
    many = [PIXELS, 2 * PIXELS]
    for frame, raw in zip(frames_of(many), frames_of(many, replace(SPEC, lift_to=None)), strict=True):
        assert frame.lift == 1
        np.testing.assert_array_equal(frame.data, raw.data)


def test_the_gain_falls_at_once_and_rises_slowly() -> None:
    gains = [frame.lift for frame in frames_of([PIXELS // 8] * 3 + [PIXELS] + [PIXELS // 8] * 40)]
    assert gains[:4] == [4, 4, 4, 1]
    rising = gains[4:]
    assert rising == sorted(rising)
    assert rising[0] == 1
    assert 3.5 < rising[-1] < 4


def test_a_gain_has_a_limit_and_an_empty_stream_too() -> None:
    assert frames_of([1] * 3)[-1].lift == LIFT_MOST
    assert lift(None, 0.0, 0.5) == (0.0, LIFT_MOST)


def test_a_new_stream_begins_anew() -> None:
    slicer = Slicer(Resolution(16, 16), SPEC)
    bright, dim = np.zeros(2 * PIXELS, EVENTS_DTYPE), np.zeros(PIXELS // 8, EVENTS_DTYPE)
    assert [frame.lift for frame in slicer.push(Packet(bright, now_us=1000))] == [1]
    slicer.reset()
    assert [frame.lift for frame in slicer.push(Packet(dim, now_us=1000))] == [4]


@pytest.mark.parametrize(
    ("before", "mean", "level"), [(None, 2.0, 2.0), (1.0, 2.0, 2.0), (2.0, 1.0, 2 - LIFT_RELEASE)]
)
def test_the_level(before: float | None, mean: float, level: float) -> None:
    assert lift(before, mean, 0.5)[0] == pytest.approx(level)
