"""The law of the fading picture: brightness falls as exp(−age / decay), and a newer event replaces an older one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livesnn.app.accumulator import DEFAULT_PALETTE, LEVELS, PALETTES, Accumulator, Palette
from livesnn.events import EVENTS_DTYPE, Events, Resolution

DECAY_US = 20_000.0
SENSOR = Resolution(7, 5)


def packet(*events: tuple[int, int, int, bool]) -> Events:
    return np.array(list(events), dtype=EVENTS_DTYPE)


def accumulator() -> Accumulator:
    return Accumulator(SENSOR, decay_us=DECAY_US)


@settings(deadline=None)  # the first call compiles
@given(age_us=st.integers(0, 500_000), on=st.booleans())
def test_brightness_falls_exponentially_with_age(age_us: int, on: bool) -> None:
    painter = accumulator()
    painter.add(packet((1000, 3, 2, on)))
    level = round((LEVELS - 1) * float(np.exp(-age_us / DECAY_US)))
    expected = DEFAULT_PALETTE.table()[int(on), level].astype(int)
    shown = painter.picture(1000 + age_us)[2, 3].astype(int)
    neighbours = DEFAULT_PALETTE.table()[int(on), max(level - 1, 0) : level + 2].astype(int)
    assert np.abs(neighbours - expected).max() >= np.abs(shown - expected).max()  # half a level of rounding


def test_one_decay_later_an_on_event_has_37_percent_of_its_level() -> None:
    painter = accumulator()
    painter.add(packet((0, 0, 0, True)))
    assert (painter.picture(int(DECAY_US))[0, 0] == DEFAULT_PALETTE.table()[1, 94]).all()  # 255 / e = 93.8


def test_a_newer_event_replaces_an_older_one_of_either_polarity() -> None:
    painter = accumulator()
    painter.add(packet((0, 1, 1, True), (10, 1, 1, False)))
    assert tuple(painter.picture(10)[1, 1]) == DEFAULT_PALETTE.off


def test_pixels_without_events_have_the_background_at_any_time() -> None:
    picture = accumulator().picture(-(1 << 40))
    assert picture.shape == (5, 7, 3)
    assert (picture == DEFAULT_PALETTE.background).all()


def test_events_outside_the_sensor_are_ignored() -> None:
    painter = accumulator()
    painter.add(packet((0, 7, 0, True), (0, 0, 5, True)))
    assert (painter.picture(0) == DEFAULT_PALETTE.background).all()


@settings(deadline=None)  # the first call compiles
@given(split=st.integers(0, 50), seed=st.integers(0, 20))
def test_how_packets_are_split_changes_nothing(split: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = np.zeros(50, EVENTS_DTYPE)
    events["t"] = np.sort(rng.integers(0, 60_000, 50))
    events["x"], events["y"], events["p"] = (
        rng.integers(0, 7, 50),
        rng.integers(0, 5, 50),
        rng.random(50) < 0.5,
    )
    whole, parts = accumulator(), accumulator()
    whole.add(events)
    parts.add(events[:split])
    parts.add(events[split:])
    assert np.array_equal(whole.picture(60_000), parts.picture(60_000))


def test_a_picture_is_the_takers_own() -> None:
    painter = accumulator()
    before = painter.picture(0)
    painter.add(packet((0, 0, 0, True)))
    painter.picture(0)
    assert (before == DEFAULT_PALETTE.background).all()


def test_a_decay_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="decay_us"):
        Accumulator(SENSOR, decay_us=0)


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_on_and_off_differ_in_brightness_so_that_no_colour_is_needed(palette: Palette) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    on, off = (float(((np.array(colour) / 255) ** 2.2) @ weights) for colour in (palette.on, palette.off))
    assert (on + 0.05) / (off + 0.05) > 1.4
