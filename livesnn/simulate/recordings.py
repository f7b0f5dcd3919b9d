"""The recordings that `livesnn simulate` makes, by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.packet import Events, Resolution
from livesnn.simulate import digits, gestures, saccades
from livesnn.simulate.motions import GESTURES, PEOPLE, names_like

ALL_GESTURES = "gestures"
DIGITS = tuple(f"digit-{digit}" for digit in range(10))
SCENES = (ALL_GESTURES, *PEOPLE, *DIGITS)
SIDES = (16, 1280)
"""Fewest and most pixels of a sensor's side: smaller sensors show nothing, and HD cameras have the most."""


def check_scene(scene: str, *, seed: int, seconds: float) -> None:
    """Raise SourceError for an unknown scene, a negative seed, or an impossible length."""
    if scene not in SCENES:
        more = f"{ALL_GESTURES}, {DIGITS[0]} to {DIGITS[-1]}"
        raise SourceError(f"no scene {scene!r} to simulate: give one of {more}, {names_like(scene)}")
    if seed < 0:
        raise SourceError(f"--seed can't be {seed}: give 0 or more")
    if not 0 < seconds <= 3600:
        raise SourceError(f"--seconds can't be {seconds:g}: give more than 0, and at most 3600")


def scene_resolution(scene: str, sensor: str = "") -> Resolution:
    """Return the size of the sensor that sees a scene: ``sensor``, such as "346x260", or the scene's default.

    People fill the shorter side. Digits have only N-MNIST's sensor.

    Raises
    ------
    SourceError
        The size can't be read, is outside `SIDES`, or isn't that of digits.
    """
    own = saccades.RESOLUTION if scene in DIGITS else gestures.RESOLUTION
    if not sensor:
        return own
    found = re.fullmatch(r"([0-9]{1,9})[x×]([0-9]{1,9})", sensor.lower(), re.ASCII)
    least, most = SIDES
    if found is None or not all(least <= int(side) <= most for side in found.groups()):
        raise SourceError(
            f"{sensor!r} isn't a sensor size: give width and height from {least} to {most}, such as 346x260"
        )
    wanted = Resolution(*map(int, found.groups()))
    if scene in DIGITS and wanted != own:
        raise SourceError(
            f"the scene {scene} always has N-MNIST's {own.width}x{own.height} pixels: leave --sensor out"
        )
    return wanted


def simulate_scene(
    scene: str, *, seed: int, seconds: float, resolution: Resolution | None = None
) -> Iterator[Events]:
    """Yield the events of one scene. The same seed and sensor give the same events.

    ``resolution`` comes from `scene_resolution`; None is the scene's default.

    Raises
    ------
    SourceError
        See `check_scene`.
    """
    check_scene(scene, seed=seed, seconds=seconds)
    if scene in DIGITS:
        yield digits.digit_recording(DIGITS.index(scene), np.random.default_rng(seed), seconds)
        return
    wanted = GESTURES if scene == ALL_GESTURES else (scene,)
    end_us = round(seconds * 1e6)
    sensor = resolution or scene_resolution(scene)
    for take in gestures.gesture_stream(seed, use="show", gestures=wanted, resolution=sensor):
        yield take.events[take.events["t"] < end_us]
        if take.end_us >= end_us:
            return
