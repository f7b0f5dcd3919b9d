"""What `livesnn simulate` can make, by name. Not here: how it is made (digits.py, gestures.py)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import Events, Resolution
from livesnn.simulate import digits, gestures, saccades
from livesnn.simulate.motions import GESTURES, NOTHING

ALL_GESTURES = "gestures"
DIGITS = tuple(f"digit-{digit}" for digit in range(10))
SCENES = (ALL_GESTURES, *GESTURES, *NOTHING, *DIGITS)


def check_scene(scene: str, *, seed: int, seconds: float) -> None:
    """Raise SourceError if there is no such scene, seed, or length."""
    if scene not in SCENES:
        raise SourceError(f"no scene {scene!r} to simulate; there is: {', '.join(SCENES)}")
    if seed < 0:
        raise SourceError(f"{seed} is no seed: give 0 or more")
    if not 0 < seconds <= 3600:
        raise SourceError(f"{seconds:g} seconds can't be simulated: give a number above 0, up to 3600")


def scene_resolution(scene: str) -> Resolution:
    """Return the size of the sensor that sees a scene."""
    return saccades.RESOLUTION if scene in DIGITS else gestures.RESOLUTION


def simulate_scene(scene: str, *, seed: int, seconds: float) -> Iterator[Events]:
    """Yield the events of one scene, the same for the same seed.

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
    for take in gestures.gesture_stream(seed, use="show", gestures=wanted):
        yield take.events[take.events["t"] < end_us]
        if take.end_us >= end_us:
            return
