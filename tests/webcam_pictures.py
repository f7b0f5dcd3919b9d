"""What a webcam films of a simulated person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livesnn.simulate.gestures import Use, performance
from livesnn.simulate.scene import FRAME_US, lit, paint, shapes_of, surrounded

FPS = 30.0
EXPOSURE_US = 16_000
NOISE = 1.0  # Standard deviation of the noise of a webcam's pixel, of 255

BRIGHT = 0.8  # The exposure brings the 95th percentile of a picture to this share of full scale.


def gesture_pictures(
    gesture: str, seed: int, seconds: float, *, use: Use
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return what a webcam films of the person of `gesture_clip`: grey pictures uint8 [T, 128, 128, 3], times in µs.

    `FPS` pictures a second, exposed for `EXPOSURE_US` from its time on, with noise, coded as sRGB (IEC 61966-2-1).
    """
    scene, limbs, times_us, rng = performance(gesture, seed, seconds, use=use)
    canvas = np.empty((len(times_us), *scene.background.shape), np.float32)
    shapes, drift = surrounded(scene, shapes_of(scene, limbs), times_us)
    light = lit(scene, paint(scene, shapes, canvas, drift), times_us)
    light *= BRIGHT / np.percentile(light[0], 95)
    taken_us = np.arange(0, times_us[-1] - EXPOSURE_US, 1e6 / FPS).astype(np.int64)
    exposed = EXPOSURE_US // FRAME_US
    shown = np.stack([light[first : first + exposed].mean(0) for first in taken_us // FRAME_US]).clip(0, 1)
    coded = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)
    noisy = 255 * coded + rng.normal(0, NOISE, coded.shape)
    grey = np.rint(noisy).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), taken_us
