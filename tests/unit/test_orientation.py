"""A camera that hangs sideways, upside down or before a mirror is put upright."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livesnn.errors import SourceError
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution

orientations = st.builds(Orientation, quarter_turns=st.integers(0, 3), mirrored=st.booleans())
sensors = st.builds(Resolution, st.integers(1, 50), st.integers(1, 50))


def random_events(sensor: Resolution, seed: int, n: int = 40) -> Events:
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENTS_DTYPE)
    events["t"] = np.sort(rng.integers(0, 10_000, n))
    events["x"], events["y"] = rng.integers(0, sensor.width, n), rng.integers(0, sensor.height, n)
    events["p"] = rng.random(n) < 0.5
    return events


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_events_go_where_numpy_turns_the_picture(quarter_turns: int, mirrored: bool) -> None:
    sensor = Resolution(7, 4)
    events = np.zeros(28, EVENTS_DTYPE)
    events["y"], events["x"] = np.divmod(np.arange(28), 7)
    picture = np.arange(28).reshape(4, 7)
    upright = np.rot90(np.fliplr(picture) if mirrored else picture, -quarter_turns)
    moved = orient(events, sensor, Orientation(quarter_turns, mirrored))
    assert np.array_equal(upright[moved["y"], moved["x"]], np.arange(28))


@pytest.mark.parametrize(
    ("orientation", "words"),
    [
        (Orientation(), ""),
        (Orientation(2), "turned 180°"),
        (Orientation(mirrored=True), "mirrored"),
        (Orientation(3, mirrored=True), "turned 270°, mirrored"),
    ],
)
def test_an_orientation_is_said_in_words(orientation: Orientation, words: str) -> None:
    assert orientation.words == words


def test_an_upright_camera_s_events_are_returned_themselves() -> None:
    events = random_events(Resolution(9, 9), seed=0)
    assert orient(events, Resolution(9, 9), Orientation()) is events


@given(sensor=sensors, seed=st.integers(0, 1000), orientation=orientations)
def test_events_stay_inside_with_their_times_and_polarities_and_the_packet_is_not_changed(
    sensor: Resolution, seed: int, orientation: Orientation
) -> None:
    events = random_events(sensor, seed)
    before = events.copy()
    moved = orient(events, sensor, orientation)
    size = orientation.resolution(sensor)
    assert moved["x"].max() < size.width
    assert moved["y"].max() < size.height
    assert np.array_equal(moved[["t", "p"]], events[["t", "p"]])
    assert np.array_equal(events, before)


@given(orientation=orientations, x=st.integers(0, 0xFFFF), y=st.integers(0, 0xFFFF))
def test_events_outside_stay_outside(orientation: Orientation, x: int, y: int) -> None:
    sensor = Resolution(30, 20)
    moved = orient(np.array([(0, x, y, True)], EVENTS_DTYPE), sensor, orientation)[0]
    size = orientation.resolution(sensor)
    assert (moved["x"] < size.width and moved["y"] < size.height) == (x < 30 and y < 20)


@pytest.mark.parametrize("quarter_turns", [-1, 4, 90])
def test_other_turns_are_refused(quarter_turns: int) -> None:
    with pytest.raises(SourceError, match="quarter turns"):
        Orientation(quarter_turns)
