"""What `livesnn simulate` can make, by name. Not here: how it is made (digits.py, saccades.py)."""

from __future__ import annotations

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import Events
from livesnn.simulate import digits, saccades

SCENES = tuple(f"digit-{digit}" for digit in range(10))


RESOLUTION = saccades.RESOLUTION


def check_scene(scene: str, *, seed: int, seconds: float) -> None:
    """Raise SourceError if there is no such scene, seed, or length."""
    if scene not in SCENES:
        raise SourceError(f"no scene {scene!r} to simulate; there is: {', '.join(SCENES)}")
    if seed < 0:
        raise SourceError(f"{seed} is no seed: give 0 or more")
    if not 0 < seconds <= 3600:
        raise SourceError(f"{seconds:g} seconds can't be simulated: give a number above 0, up to 3600")


def simulate_scene(scene: str, *, seed: int, seconds: float) -> Events:
    """Return the events of one scene on a sensor of `RESOLUTION`, the same for the same seed.

    Raises
    ------
    SourceError
        See `check_scene`.
    """
    check_scene(scene, seed=seed, seconds=seconds)
    digit = int(scene.removeprefix("digit-"))
    return digits.digit_recording(digit, np.random.default_rng(seed), seconds)
