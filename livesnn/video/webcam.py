"""Webcams: which there are, and one as events (emulate.py) or, for a model of video, as its pictures."""

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

from livesnn.card import InputSpec
from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device, SourceLost
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.packet import NO_EVENTS, Events, EventSource, SourceCounters
from livesnn.events.slicer import Frame
from livesnn.progress import Notify, no_notice
from livesnn.threads import Latest
from livesnn.video.emulate import RESOLUTION, Emulator
from livesnn.video.frame_source import NO_LIMIT, FrameSource, Limit
from livesnn.video.video_file import Picture, check_takes_video, fit, silence

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
        """Wait for the next picture, however long it takes, and return its events and time; see `Connection.read`."""
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
