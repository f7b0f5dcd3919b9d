"""Events from the pictures of a video file or a webcam, as a DVS in the camera's place might have seen them.

After v2e (Hu et al. 2021, "v2e: From Video Frames to Realistic DVS Events", CVPRW), without its interpolation of
movements: between two pictures each pixel's logarithm goes in a line, which for frames of 50 ms is enough
(tests/benchmarks/accuracy.py measures it).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device, SourceLost
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.formats.reader import EventStream, Reader
from livesnn.events.packet import EVENTS_DTYPE, NO_EVENTS, Events, EventSource, Resolution, SourceCounters
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame
from livesnn.progress import Notify, Progress, no_notice
from livesnn.threads import Latest
from livesnn.video.dvs_pixel import SRGB_LIGHT, DvsPixels, DvsPixelSpec, DvsState, FloatImage
from livesnn.video.frame_source import EMULATED, NO_LIMIT, FrameSource, Limit
from livesnn.video.video_file import Picture, Video, check_takes_video, fit, open_video, silence

RESOLUTION = Resolution(128, 128)
PIXEL = DvsPixelSpec(threshold_on=0.15, threshold_off=0.15, leak_hz=0.0, noise_hz=0.0)
"""A DVS without noise of its own, because the camera's pictures have noise."""

LONGEST_US = 500_000
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
        Raises SourceError when ``t_us`` isn't later than the last one.
        """
        light, before = _seen(picture), self._before
        self._before = light
        change = None if before is None else _change(before, light)
        self._exposure *= change or 1.0
        known = change and 1 / _MOST_EXPOSURE < self._exposure / self._first_exposure < _MOST_EXPOSURE
        if self._state is None or not known or t_us - self._state.t_us > LONGEST_US:
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
    """Open a video as its events: the stream `EMULATED`, of a sensor of 128×128.

    ``progress`` reports while all of it is read for its duration, where the file doesn't give it. Raises SourceError
    if there is no such file, another stream is asked for, or it has too few pictures a second, and FormatError if it
    isn't a video that can be decoded.
    """
    if stream not in (None, EMULATED):
        raise SourceError(f"{path}: a video has no event stream {stream!r}: leave --stream out")
    video = open_video(path, progress)
    if video.fps < (least := 1_000_000 / LONGEST_US):
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


SeePicture = Callable[[Picture, int], Events]
"""Gets a picture uint8 [H, W, 3], BGR, and its time, µs; returns the events that it makes."""

FIRST_PICTURE_S = 5.0  # How long a webcam may take for its first picture

_NAMED = re.compile(r"webcam(?::(\d{1,3}))?", re.ASCII)
_LISTED = Path("/sys/class/video4linux")


def webcams(listed: Path = _LISTED) -> list[Device]:
    """Return the webcams that Linux lists, by number; elsewhere none: opening one would be the only way to know."""
    found: dict[int, Device] = {}
    for node in listed.glob("video[0-9]*") if listed.is_dir() else ():
        with contextlib.suppress(OSError, ValueError):  # just unplugged
            number, name = int(node.name.removeprefix("video")), (node / "name").read_text(errors="replace")
            if (node / "index").read_text().strip() == "0":  # the others of a webcam give no pictures
                found[number] = Device("webcam", f"webcam:{number}", name.strip(), "", None)
    return [found[number] for number in sorted(found)]


def open_webcam(
    uri: str,
    *,
    pictures: bool = False,
    notify: Notify = no_notice,
    capture: Callable[[int], cv2.VideoCapture] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> EventSource | FrameSource:
    """Open ``webcam``, the first one, or ``webcam:NUMBER``, from 0; after a loss, that very one again.

    ``uri``, ``pictures`` and ``notify`` are as for `livesnn.sources.open_source`. ``capture`` opens the camera of a
    number, by default with OpenCV. Raises SourceError when there is no such webcam, or it can't be opened.
    """
    named = _NAMED.fullmatch(uri)
    if named is None:
        raise SourceError(f"{uri}: give webcam, or webcam:0 and up")
    number, opened = int(named[1] or 0), capture or _capture

    def connect(see: SeePicture | None = None) -> WebcamConnection:
        return WebcamConnection(number, opened(number), see=see, clock=clock)

    return WebcamPictures(connect, notify) if pictures else ReconnectingSource(connect, notify=notify)


class WebcamPictures(FrameSource):
    """A webcam's pictures as frames, for a model of video. Lost, it is waited for, and the frames begin anew."""

    def __init__(self, connect: Callable[[SeePicture], WebcamConnection], notify: Notify) -> None:
        newest: Latest[tuple[Picture, int]] = Latest()

        def see(picture: Picture, t_us: int) -> Events:
            newest.put((picture, t_us))
            return NO_EVENTS

        self._newest = newest
        self._source = ReconnectingSource(lambda: connect(see), notify=notify)
        self.name, self.resolution = self._source.name, self._source.resolution

    @property
    def lost(self) -> str:
        return self._source.lost

    def frames(self, input: InputSpec, from_us: int = 0, limit: Limit = NO_LIMIT) -> Iterator[Frame]:  # noqa: A002
        """Yield the first picture at or after each multiple of Δt, as the model takes it, until `close`.

        Where pictures come more rarely than that, the one before is repeated, as in a video file. After a gap of more
        than a window the frames begin anew.
        """
        delta_t_us = check_takes_video(input, self.name, "choose a model for video (ucf6)")
        epoch, t_us, due_us = -1, 0, 0  # ``due_us``: by the webcam's clock, when the frame of ``t_us`` is due
        before: Picture | None = None
        for packet in self._source:
            if (limit.stop is not None and limit.stop.is_set()) or t_us >= limit.end_us:
                return
            if (came := self._newest.take()) is None or (came[1] < due_us and packet.epoch == epoch):
                continue
            start = packet.epoch != epoch or came[1] - due_us > input.window * delta_t_us
            if start:
                epoch, due_us = packet.epoch, came[1]
            data = fit(came[0], input)
            late = (came[1] - due_us) // delta_t_us
            for picture in (*[data if before is None else before] * late, data):
                yield Frame(t_us, picture, 0, packet.arrived_s, start)
                t_us += delta_t_us
            due_us += (late + 1) * delta_t_us
            before = data

    def close(self) -> None:
        self._source.close()


class WebcamConnection:
    """An open webcam, a `livesnn.events.cameras.reconnecting.Connection`; used from one thread at a time.

    A picture's events are there when it is. Times are µs since the webcam was opened, by the computer's clock: when
    the picture came, so that its exposure and the way to here are before. It owns ``capture``.
    """

    resolution = RESOLUTION  # of the sensor that its pictures are made events of; pictures may have any

    def __init__(
        self,
        number: int,
        capture: cv2.VideoCapture,
        *,
        see: SeePicture | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"webcam {number}"
        self.counters = SourceCounters()  # without pictures that the system loses
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"webcam:{number} can't be opened: plug one in, close other programs that use it, and allow this "
                "one in the system's privacy settings"
            )
        self._capture: cv2.VideoCapture | None = capture
        self._clock, self._opened_s = clock, clock()
        self._see = see or Emulator().push
        self._now_us: int | None = None

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        """Wait for the next picture, however long it takes, and return its events and time.

        Raises SourceLost when the webcam has been unplugged, or closed, and SourceError when its pictures aren't of 8
        bits and one, three or four channels.
        """
        if self._capture is None:
            raise SourceLost(f"{self.name} is closed: open it again")
        try:
            picture: Any  # None too, which cv2's stub doesn't say
            came, picture = self._capture.read()
        except cv2.error as error:
            reason = str(error).partition("\n")[0]
            raise SourceLost(f"{self.name} is lost ({reason}): plug it in again") from error
        if not came and self._now_us is None and self._clock() - self._opened_s < FIRST_PICTURE_S:
            time.sleep(timeout_s)
            return NO_EVENTS, None
        if not came or picture is None:
            raise SourceLost(f"{self.name} is lost (unplugged, or another program took it): plug it in again")
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=-1)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (3, 4) or not picture.size:
            kind = f"{picture.dtype} {list(picture.shape)}"
            raise SourceError(f"{self.name} gives pictures of an unknown kind ({kind}): choose another")
        now_us = round((self._clock() - self._opened_s) * 1e6)
        self._now_us = now_us if self._now_us is None else max(now_us, self._now_us + 1)
        events = self._see(picture, self._now_us)
        self.counters.events += events.size
        return events, self._now_us

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
        self._capture = None


def _capture(number: int) -> cv2.VideoCapture:
    silence()
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")  # s; a webcam that hangs is closed sooner
    return cv2.VideoCapture(number)
