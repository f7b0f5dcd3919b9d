"""Webcams for tests: `cv2.VideoCapture`s that give the pictures they are told to; pictures of simulated people."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.simulate.gestures import Use, performance
from livesnn.simulate.scene import FRAME_US, lit, paint, shapes_of, surrounded
from livesnn.video.video_file import open_video

Picture = npt.NDArray[np.uint8]

FPS = 30.0
EXPOSURE_US = 16_000
NOISE = 1.0  # Standard deviation of the noise of a webcam's pixel, of 255

BRIGHT = 0.8  # The exposure brings the 95th percentile of a picture to this share of full scale.


class FakeCapture:
    """A `cv2.VideoCapture`: gives these pictures, an error raised instead, then none."""

    def __init__(self, pictures: Iterable[Picture | Exception] = (), *, opened: bool = True) -> None:
        self._pictures = iter(pictures)
        self._opened = opened
        self.released = 0

    def isOpened(self) -> bool:  # noqa: N802
        return self._opened

    def read(self) -> tuple[bool, Picture | None]:
        given = next(self._pictures, None)
        if isinstance(given, Exception):
            raise given
        return given is not None, given

    def release(self) -> None:
        self.released += 1


class LoopedFile(FakeCapture):
    """A webcam before a screen that plays a video file again and again."""

    def __init__(self, path: Path) -> None:
        pictures = [shown for _, shown in open_video(path).pictures()]
        super().__init__(itertools.cycle(pictures))


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
