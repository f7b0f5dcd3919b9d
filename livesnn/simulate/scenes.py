"""What `livesnn simulate` can make, by name. Not here: how it is made (digits.py, gestures.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.packet import Events, Resolution
from livesnn.simulate import digits, gestures, saccades
from livesnn.simulate.motions import GESTURES, PEOPLE

ALL_GESTURES = "gestures"
DIGITS = tuple(f"digit-{digit}" for digit in range(10))
SCENES = (ALL_GESTURES, *PEOPLE, *DIGITS)
SIDES = (16, 1280)
"""Least and most pixels of a sensor's side: on a smaller one nothing is to be seen; HD cameras have the most."""


def check_scene(scene: str, *, seed: int, seconds: float) -> None:
    """Raise SourceError if there is no such scene, seed, or length."""
    if scene not in SCENES:
        raise SourceError(f"no scene {scene!r} to simulate; there is: {', '.join(SCENES)}")
    if seed < 0:
        raise SourceError(f"{seed} is no seed: give 0 or more")
    if not 0 < seconds <= 3600:
        raise SourceError(f"{seconds:g} seconds can't be simulated: give a number above 0, up to 3600")


def scene_resolution(scene: str, sensor: str = "") -> Resolution:
    """Return the size of the sensor that sees a scene: ``sensor``, such as "346x260", or by default its own.

    A person is as high as the shorter side has it; a digit is seen by its own sensor alone, as N-MNIST is.

    Raises
    ------
    SourceError
        It is no size, out of `SIDES`, or not that of a digit.
    """
    own = saccades.RESOLUTION if scene in DIGITS else gestures.RESOLUTION
    if not sensor:
        return own
    found = re.fullmatch(r"([0-9]{1,9})[x×]([0-9]{1,9})", sensor.lower(), re.ASCII)
    least, most = SIDES
    if found is None or not all(least <= int(side) <= most for side in found.groups()):
        raise SourceError(
            f"{sensor!r} is no sensor to simulate: give width and height from {least} to {most}, as 346x260"
        )
    wanted = Resolution(*map(int, found.groups()))
    if scene in DIGITS and wanted != own:
        raise SourceError(
            f"{scene} is seen by N-MNIST's {own.width}x{own.height} pixels alone: leave --sensor out"
        )
    return wanted


def simulate_scene(
    scene: str, *, seed: int, seconds: float, resolution: Resolution | None = None
) -> Iterator[Events]:
    """Yield the events of one scene, the same for the same seed and sensor.

    ``resolution``: of `scene_resolution`; None: the scene's own.

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
    seen_by = resolution or scene_resolution(scene)
    for take in gestures.gesture_stream(seed, use="show", gestures=wanted, resolution=seen_by):
        yield take.events[take.events["t"] < end_us]
        if take.end_us >= end_us:
            return
