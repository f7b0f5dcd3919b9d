"""The laws of the picture: how events fade, how they are counted, and what their colours say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livesnn.errors import SourceError
from livesnn.events.packet import EVENTS_DTYPE, TIME_LIMIT_US, Events, Resolution
from livesnn.events.picture import (
    DEFAULT_PALETTE,
    FADE_US,
    FULL_COUNT,
    PALETTES,
    Accumulator,
    Palette,
    ViewMode,
    ViewSpec,
)

SENSOR = Resolution(7, 5)


def packet(*events: tuple[int, int, int, bool]) -> Events:
    return np.array(list(events), dtype=EVENTS_DTYPE)


def accumulator(mode: ViewMode = "decay", palette: str = DEFAULT_PALETTE.name) -> Accumulator:
    return Accumulator(SENSOR, ViewSpec(mode, palette))


def shade(level: float, *, on: bool, palette: Palette = DEFAULT_PALETTE) -> npt.NDArray[np.float64]:
    return palette.shades(np.array(level), on=on)


def random_events(seed: int, n: int = 50, last_us: int = 60_000) -> Events:
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENTS_DTYPE)
    events["t"] = np.sort(rng.integers(0, last_us, n))
    events["x"], events["y"], events["p"] = rng.integers(0, 7, n), rng.integers(0, 5, n), rng.random(n) < 0.5
    return events


# Fading


@given(age_us=st.integers(0, 500_000), on=st.booleans())
def test_brightness_falls_exponentially_with_age(age_us: int, on: bool) -> None:
    painter = accumulator()
    painter.add(packet((1000, 3, 2, on)))
    shown = painter.picture(1000 + age_us)[2, 3]
    level = float(np.exp(-age_us / FADE_US))
    rounding = np.abs(shade(level + 1 / 255, on=on) - shade(level, on=on)) + 1
    assert (np.abs(shown - shade(level, on=on)) <= rounding).all()


def test_a_newer_event_replaces_an_older_one_of_either_polarity() -> None:
    painter = accumulator()
    painter.add(packet((0, 1, 1, True), (10, 1, 1, False)))
    assert tuple(painter.picture(10)[1, 1]) == DEFAULT_PALETTE.off


@pytest.mark.parametrize("t", [1 - TIME_LIMIT_US, -5, TIME_LIMIT_US - 1])
def test_any_time_of_an_event_can_be_shown(t: int) -> None:
    painter = accumulator()
    painter.add(packet((t, 1, 1, True)))
    assert tuple(painter.picture(t)[1, 1]) == DEFAULT_PALETTE.on


# Counting


def level_of(picture: npt.NDArray[np.uint8], x: int, y: int, *, on: bool) -> float:
    """Return the brightness 0..1 that a pixel of one polarity has, by its colour."""
    levels = np.linspace(0, 1, 1001)
    distance = np.abs(DEFAULT_PALETTE.shades(levels, on=on) - picture[y, x]).sum(axis=-1)
    return float(levels[distance.argmin()])


@pytest.mark.parametrize("on", [False, True])
def test_counted_events_add_up_to_full_brightness(on: bool) -> None:
    painter = accumulator("accumulate")
    levels = []
    for count in range(1, 4):
        painter.add(packet((count, 2, 2, on)))
        levels.append(level_of(painter.picture(3), 2, 2, on=on))
    assert levels == pytest.approx([min(count / FULL_COUNT, 1) for count in range(1, 4)], abs=0.02)


def test_a_pixel_with_both_polarities_has_the_colour_between() -> None:
    painter = accumulator("accumulate")
    painter.add(packet((0, 2, 2, True), (1, 2, 2, False)))
    middle = (np.array(DEFAULT_PALETTE.on) + DEFAULT_PALETTE.off) / 2
    assert np.abs(painter.picture(1)[2, 2] - middle).max() <= 1


def test_an_event_counts_for_the_time_constant_and_no_longer() -> None:
    painter = accumulator("accumulate")
    painter.add(packet((0, 2, 2, True), (FADE_US // 2, 2, 2, True)))
    shown = [level_of(painter.picture(now_us), 2, 2, on=True) for now_us in (FADE_US - 1, FADE_US, 3 * FADE_US // 2)]
    assert shown == pytest.approx([2 / FULL_COUNT, 1 / FULL_COUNT, 0], abs=0.02)


def test_after_a_time_that_jumps_back_what_was_before_does_not_count() -> None:
    painter = accumulator("accumulate")
    painter.add(packet((10 * FADE_US, 2, 2, True)))
    painter.add(packet((0, 1, 1, True)))
    picture = painter.picture(0)
    assert tuple(picture[2, 2]) == DEFAULT_PALETTE.background
    assert level_of(picture, 1, 1, on=True) == pytest.approx(1 / FULL_COUNT, abs=0.02)


# Either view

MODES: tuple[ViewMode, ...] = ("decay", "accumulate")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_pixels_without_events_have_the_background_at_any_time(mode: ViewMode, palette: Palette) -> None:
    picture = accumulator(mode, palette.name).picture(-(1 << 40))
    assert picture.shape == (5, 7, 3)
    assert (picture == palette.background).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("on", [False, True])
@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_the_newest_and_the_most_frequent_pixels_have_the_palette_s_colours(
    mode: ViewMode, on: bool, palette: Palette
) -> None:
    painter = accumulator(mode, palette.name)
    painter.add(packet(*[(0, 2, 2, on)] * 2))
    assert tuple(painter.picture(0)[2, 2]) == (palette.on if on else palette.off)


@pytest.mark.parametrize("mode", MODES)
def test_events_outside_the_sensor_are_ignored(mode: ViewMode) -> None:
    painter = accumulator(mode)
    painter.add(packet((0, 7, 0, True), (0, 0, 5, True)))
    assert (painter.picture(0) == DEFAULT_PALETTE.background).all()


@given(split=st.integers(0, 50), seed=st.integers(0, 20), mode=st.sampled_from(MODES))
def test_how_packets_are_split_changes_nothing(split: int, seed: int, mode: ViewMode) -> None:
    events = random_events(seed)
    whole, parts = accumulator(mode), accumulator(mode)
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


@pytest.mark.parametrize("mode", MODES)
def test_after_clear_there_is_nothing(mode: ViewMode) -> None:
    painter = accumulator(mode)
    painter.add(random_events(seed=1))
    painter.clear()
    assert (painter.picture(60_000) == DEFAULT_PALETTE.background).all()


# Changing the view while it runs


@pytest.mark.parametrize(("before", "after"), [MODES, MODES[::-1]])
def test_another_view_shows_what_there_is(before: ViewMode, after: ViewMode) -> None:
    changed, from_the_start = accumulator(before), accumulator(after, "red and green")
    for painter in (changed, from_the_start):
        painter.add(random_events(seed=3))
    changed.set_view(from_the_start.view)
    assert changed.view == from_the_start.view
    assert np.array_equal(changed.picture(60_000), from_the_start.picture(60_000))


# What can't be


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({"mode": "sum"}, "decay, accumulate"),
        ({"palette": "pink"}, "blue and orange, "),
    ],
)
def test_a_view_that_there_is_not_is_refused(view: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ViewSpec(**view)  # type: ignore[arg-type]


def test_a_sensor_larger_than_any_is_refused() -> None:
    with pytest.raises(SourceError, match="65000×2"):
        Accumulator(Resolution(65_000, 2))


# Palettes


def luminance(colour: tuple[int, int, int]) -> float:
    return float(((np.array(colour) / 255) ** 2.2) @ (0.2126, 0.7152, 0.0722))


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_on_and_off_differ_in_brightness_so_that_no_colour_is_needed(palette: Palette) -> None:
    assert contrast(palette.on, palette.off) > 1.4 or not palette.tells_polarity


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_events_and_words_stand_out_from_the_background(palette: Palette) -> None:
    assert min(contrast(colour, palette.background) for colour in (palette.on, palette.off)) > 3
    assert contrast(palette.ink, palette.background) > 15


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_the_brighter_an_event_the_further_it_is_from_the_background(palette: Palette) -> None:
    for on in (False, True):
        shades = palette.shades(np.linspace(0, 1, 20), on=on)
        stand_out = [contrast(tuple(np.rint(shade)), palette.background) for shade in shades]
        assert stand_out == sorted(stand_out)
