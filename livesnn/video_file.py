"""A video file as OpenCV reads it: what container it is, and its frames one after another.

Not here: which of them are wanted (video.py).
"""

from __future__ import annotations

import os
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.errors import FormatError, SourceError
from livesnn.files import file_head

Picture = npt.NDArray[np.uint8]

REWRITE = "write it again with ffmpeg, such as `ffmpeg -i IN -r 30 OUT.mp4`"

HEAD_BYTES = 64
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_LATEST_MS = 1e10  # a later time is none
_BEFORE = 3  # frames before the one that is sought: what comes then may be one too late, and is looked at
_FIRST = 3  # frames that tell how late by their own time all are: those of UCF-101's .avi but the first, by a frame


class Reading:
    """One reading of a video, from its first frame or another on: OpenCV, by FFmpeg alone and in one thread.

    By FFmpeg alone: others take "%" in a name for a row of pictures. In one thread: with more, what is decoded
    before damage depends on how many; and it is as fast (1080p: 1.4 ms MPEG-4, 4.2 ms VP9 a frame).
    """

    def __init__(self, path: Path, fps: Fraction) -> None:
        silence()
        self._path = path
        self._interval_ms = 1000 / float(fps)
        self.next_frame = 0  # its number
        self.uneven_s = 0.0  # how far a frame's own time was from an even row's
        self._capture = _capture(path)

    def get(self, property_id: int) -> float:
        """Return one of OpenCV's CAP_PROP_…."""
        return self._capture.get(property_id)

    def skip_to(self, frame: int) -> None:
        """Go on at a frame, or some before it; at the first, where there is no telling which one would come."""
        for _ in range(_FIRST):
            self.grab()
        late_ms = self._own_ms() - (self.next_frame - 1) * self._interval_ms
        sought = self._capture.set(cv2.CAP_PROP_POS_FRAMES, frame - _BEFORE) and self._capture.grab()
        own_ms = self._own_ms() if sought else 0.0
        self.next_frame = round((own_ms - late_ms) / self._interval_ms) + 1 if own_ms else 0
        if not 0 < self.next_frame <= frame:
            self._capture.release()
            self._capture, self.next_frame = _capture(self._path), 0

    def grab(self) -> bool:
        """Decode the next frame; False at the end, and at damage."""
        if not self._capture.grab():
            return False
        if own_ms := self._own_ms():
            self.uneven_s = max(self.uneven_s, abs(own_ms - self.next_frame * self._interval_ms) / 1000)
        self.next_frame += 1
        return True

    def _own_ms(self) -> float:
        """Return when the frame grabbed last is to be shown, as the file says; 0 where it doesn't."""
        own_ms: float = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return own_ms if 0 < own_ms < _LATEST_MS else 0.0

    def retrieve(self) -> Picture | None:
        """Return the frame just grabbed, BGR [H, W, 3], upright; None when it can't be had."""
        try:
            done, image = self._capture.retrieve()
        except cv2.error:  # such as too little memory
            return None
        return np.asarray(image, np.uint8) if done and image is not None and image.ndim == 3 else None

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *exception: object) -> None:
        self._capture.release()


def _capture(path: Path) -> cv2.VideoCapture:
    try:
        capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    except (cv2.error, UnicodeError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(f"{str(path)!r}: can't be opened ({reason}): rename it") from error
    if not capture.isOpened():
        raise FormatError(
            f"{path}: no video in it can be decoded: it is damaged, or of a kind that isn't known: get it "
            f"again, or {REWRITE}"
        )
    return capture


@cache
def silence() -> None:
    """Stop OpenCV and FFmpeg from writing to stdout and stderr, unless the user's environment asks for it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; OpenCV reads it with every opening
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def container_of(head: bytes) -> str | None:
    """Return the name of the container that begins so; None: of none that is read."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] in _MOV_BOXES:
        return "mp4" if head[4:8] == b"ftyp" and head[8:10] != b"qt" else "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in head else "matroska"
    return None


def avi_is_cut(path: Path) -> bool:
    """Whether an .avi is shorter than its head says."""
    return 8 + int.from_bytes(file_head(path, HEAD_BYTES)[4:8], "little") > path.stat().st_size
