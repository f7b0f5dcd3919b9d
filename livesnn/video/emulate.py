"""Events from pictures, such as those of a video file, as a DVS in the camera's place might have seen them.

After v2e (Hu et al. 2021, "v2e: From Video Frames to Realistic DVS Events", CVPRW), without its interpolation of
movements: between two pictures each pixel's logarithm goes in a line, which for frames of 50 ms is enough
(tests/benchmarks/accuracy.py measures it).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events.formats.reader import EventStream, Reader
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution, SourceCounters
from livesnn.events.recording import Recording
from livesnn.progress import Progress
from livesnn.video.dvs_pixel import SRGB_LIGHT, DvsPixels, DvsPixelSpec, DvsState, FloatImage
from livesnn.video.frame_source import EMULATED
from livesnn.video.video_file import Video, open_video

RESOLUTION = Resolution(128, 128)
PIXEL = DvsPixelSpec(threshold_on=0.15, threshold_off=0.15, leak_hz=0.0, noise_hz=0.0)
"""A DVS without noise of its own, because the camera's pictures have noise."""

GAP_US = 500_000
"""A picture that comes so long after the last one begins a new stream, because what was between is unknown."""

_MOST_EXPOSURE = 20.0  # beyond, or below its inverse, it begins anew too
_BLACK, _CLIPPED = np.float32(1e-3), np.float32(0.98)  # beyond them a pixel says nothing of the exposure
_LEAST_USABLE = 0.02  # of the pixels; with fewer, as of a covered lens, it begins anew
_MIDDLE = 0.18  # median luminance of a picture of exposure 1: after a dark first one it is no less sensitive


class Emulator:
    """A simulated sensor of `RESOLUTION` behind a camera's lens; for one thread at a time."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._pixels = DvsPixels(PIXEL, RESOLUTION, self._random)
        self._before: FloatImage | None = None
        self._exposure = self._first_exposure = 1.0  # of the last picture; 1 where its median is `_MIDDLE`
        self._state: DvsState | None = None

    def push(self, picture: npt.NDArray[np.uint8], t_us: int) -> Events:
        """Return the events after the last picture up to this one, at ``t_us``; none for a first one.

        The brightness of the whole picture doesn't matter, unless it is black or clipped: the camera's exposure, or
        a lamp that is switched on or flickers, makes no events.

        ``picture`` is uint8 [H, W, 3], BGR, gamma-coded as sRGB (IEC 61966-2-1); its largest centred square is seen.
        """
        light, before = _seen(picture), self._before
        self._before = light
        change = None if before is None else _change(before, light)
        self._exposure *= change or 1.0
        known = change and 1 / _MOST_EXPOSURE < self._exposure / self._first_exposure < _MOST_EXPOSURE
        if self._state is None or not known or t_us - self._state.t_us > GAP_US:
            self._exposure = self._first_exposure = max(float(np.median(light)), float(_BLACK)) / _MIDDLE
            self._state = self._pixels.initial_state(light / np.float32(self._exposure), t_us, self._random)
            return np.empty(0, EVENTS_DTYPE)
        even = light / np.float32(self._exposure)
        events, self._state = self._pixels.sequence(even[None], np.array([t_us]), self._state)
        return events


def _change(before: FloatImage, light: FloatImage) -> float | None:
    """Return how much brighter a picture is as a whole; None if too few pixels tell."""
    usable = (np.minimum(light, before) > _BLACK) & (np.maximum(light, before) < _CLIPPED)
    return float(np.median(light[usable] / before[usable])) if usable.mean() > _LEAST_USABLE else None


def _seen(picture: npt.NDArray[np.uint8]) -> FloatImage:
    """Return a picture's largest centred square as luminance of 0 to 1, float32 [128, 128]."""
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    grey = cv2.cvtColor(picture[top : top + side, left : left + side], cv2.COLOR_BGR2GRAY)
    scaled = cv2.resize(SRGB_LIGHT[grey], RESOLUTION, interpolation=cv2.INTER_AREA)
    return np.asarray(scaled, np.float32)


def open_video_events(path: Path, stream: str | None, progress: Progress) -> Recording:
    """Open a video as its events: the stream `EMULATED`, of a sensor of 128×128; raises as `open_video` does.

    SourceError also if another stream is asked for, or it has too few pictures a second.
    """
    if stream not in (None, EMULATED):
        raise SourceError(f"{path}: a video has no event stream {stream!r}: leave --stream out")
    video = open_video(path, progress)
    if video.fps < (least := 1_000_000 / GAP_US):
        raise SourceError(
            f"{path}: {float(video.fps):g} pictures a second are too few to make events: give {least:g} or more"
        )
    reader = VideoReader(video)
    return Recording(path, reader, reader.streams[0])


class VideoReader(Reader):
    """A `Reader` of a video; its events are made anew by each reading, the same each time."""

    format = "video"
    orientation = "upright"
    resolution = RESOLUTION
    streams = (EventStream(EMULATED, "", RESOLUTION),)

    def __init__(self, video: Video) -> None:
        self._video = video

    @property
    def warnings(self) -> list[str]:
        """What is damaged or was assumed, as far as it has been read; and that its events are made."""
        fps = float(self._video.fps)
        made = f"its events are simulated from {fps:g} pictures a second, as a 128×128 DVS might have seen them"
        return [made, *self._video.warnings]

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield the events of each picture, from the first at or after ``start_us``; none needs repair."""
        emulator = Emulator()
        for t_us, picture in self._video.pictures():
            events = emulator.push(picture, t_us)
            if start_us is not None:
                events = events[events["t"] >= start_us]
            if events.size:
                yield events

    def time_range(self, stream: str) -> tuple[int, int]:
        return 0, self._video.duration_us
