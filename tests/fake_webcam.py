"""Webcams for tests: `cv2.VideoCapture`s that give the pictures they are told to."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.video.video_file import open_video

Picture = npt.NDArray[np.uint8]


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
