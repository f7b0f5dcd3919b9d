"""A light's flicker in frames. Not here: that the slicer takes it away (property/test_frames.py)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from livesnn.events.slicer import without_flicker


def plane(*counts: int) -> np.ndarray:
    """Return a frame [1, 1, W] of one channel and one row."""
    return np.array(counts, np.uint8)[None, None]


@pytest.mark.parametrize(
    ("counts", "left"),
    [
        ((0, 0, 9), (0, 0, 9)),
        ((3, 3, 9), (0, 0, 6)),
        ((3, 4, 9), (0, 0, 5)),  # what most have is the middle one's, and none is left with less than nothing
        ((0, 0, 9, 9), (0, 0, 9, 9)),  # half of the pixels are no majority
        ((0, 2, 2, 7), (0, 0, 0, 5)),
        ((255, 255, 255), (0, 0, 0)),
    ],
)
def test_what_most_pixels_have_is_taken_from_all(counts: tuple[int, ...], left: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(without_flicker(plane(*counts))[0], plane(*left))


def test_each_frame_and_polarity_flickers_on_its_own() -> None:
    frames = np.array([[[[1, 1, 2]], [[0, 0, 2]]], [[[0, 0, 0]], [[5, 6, 6]]]], np.uint8)
    expected = np.array([[[[0, 0, 1]], [[0, 0, 2]]], [[[0, 0, 0]], [[0, 0, 0]]]], np.uint8)
    steady, taken = without_flicker(frames)
    np.testing.assert_array_equal(steady, expected)
    np.testing.assert_array_equal(taken, [[1, 0], [0, 6]])
    np.testing.assert_array_equal([without_flicker(frame)[0] for frame in frames], expected)


def test_frames_in_steady_light_are_returned_as_they_are() -> None:
    frame = plane(0, 0, 7)
    assert without_flicker(frame)[0] is frame


@given(arrays(np.uint8, (2, 5, 7), elements=st.integers(0, 100)), st.integers(1, 155))
def test_a_light_that_adds_as_much_to_all_pixels_changes_nothing(moving: np.ndarray, flicker: int) -> None:
    lit = moving + np.uint8(flicker)
    before = lit.copy()
    (steady, taken), (expected, before_it) = without_flicker(lit), without_flicker(moving)
    np.testing.assert_array_equal(steady, expected)
    np.testing.assert_array_equal(taken, before_it + flicker)
    np.testing.assert_array_equal(lit, before)
