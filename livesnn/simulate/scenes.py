"""What `livesnn simulate` can make, by name. Not here: how it is made (digits.py, saccades.py)."""

from __future__ import annotations

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import Events, Resolution
from livesnn.simulate import digits, saccades

SCENES = tuple(f"digit-{digit}" for digit in range(10))


def simulate_scene(scene: str, *, seed: int, seconds: float) -> tuple[Events, Resolution]:
    """Return the events of one scene, the same for the same seed.

    Raises
    ------
    SourceError
        No such scene, or no time to show it.
    """
    if scene not in SCENES:
        raise SourceError(f"no scene {scene!r} to simulate; there is: {', '.join(SCENES)}")
    if not 0 < seconds <= 3600:
        raise SourceError(f"{seconds:g} seconds can't be simulated: give a number above 0, up to 3600")
    digit = int(scene.removeprefix("digit-"))
    return digits.digit_recording(digit, np.random.default_rng(seed), seconds), saccades.RESOLUTION
