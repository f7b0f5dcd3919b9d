"""An ordinary webcam, by OpenCV, as an event camera: emulate.py makes events of its pictures."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device
from livesnn.events.cameras.reconnecting import Notify, ReconnectingSource, SourceLost, ignore
from livesnn.events.packet import NO_EVENTS, Events, EventSource, SourceCounters
from livesnn.video.emulate import RESOLUTION, Emulator
from livesnn.video.video_file import silence

FIRST_PICTURE_S = 5.0
"""So long a webcam that was just opened may take for its first picture."""

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
    notify: Notify = ignore,
    capture: Callable[[int], cv2.VideoCapture] | None = None,
) -> EventSource:
    """Open ``webcam``, the first one, or ``webcam:NUMBER``, from 0; after a loss, that very one again.

    ``uri`` and ``notify`` are as for `livesnn.sources.open_source`. ``capture`` opens the camera of a number, by
    default with OpenCV. Raises SourceError when there is no such webcam, or it can't be opened.
    """
    named = _NAMED.fullmatch(uri)
    if named is None:
        raise SourceError(f"{uri}: give webcam, or webcam:0 and up")
    number, opened = int(named[1] or 0), capture or _capture
    return ReconnectingSource(lambda: WebcamConnection(number, opened(number)), notify=notify)


class WebcamConnection:
    """An open webcam, a `livesnn.events.cameras.reconnecting.Connection`; used from one thread at a time.

    A picture's events are there when it is. Times are µs since the webcam was opened, by the computer's clock: when
    the picture came, so that its exposure and the way to here are before. It owns ``capture``.
    """

    resolution = RESOLUTION  # of the sensor that its pictures are made events of

    def __init__(
        self, number: int, capture: cv2.VideoCapture, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = f"webcam {number}"
        self.counters = SourceCounters()  # without pictures that the system loses
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"webcam:{number} can't be opened: plug one in, close other programs that use it, and let this one "
                "use the camera (the system's privacy settings)"
            )
        self._capture: cv2.VideoCapture | None = capture
        self._clock, self._opened_s = clock, clock()
        self._emulator = Emulator()
        self._now_us: int | None = None

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        """Wait for the next picture, however long it takes, and return its events and time.

        Raises
        ------
        SourceLost
            When the webcam has been unplugged, or closed.
        SourceError
            When its pictures aren't of 8 bits and one, three or four channels.
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
        if (
            picture.dtype != np.uint8
            or picture.ndim != 3
            or picture.shape[2] not in (3, 4)
            or not picture.size
        ):
            kind = f"{picture.dtype} {list(picture.shape)}"
            raise SourceError(f"{self.name} gives pictures of an unknown kind ({kind}): choose another")
        now_us = round((self._clock() - self._opened_s) * 1e6)
        self._now_us = now_us if self._now_us is None else max(now_us, self._now_us + 1)
        events = self._emulator.push(picture, self._now_us)
        self.counters.events += events.size
        return events, self._now_us

    def close(self) -> None:
        """Close the webcam. Safe to call twice."""
        if self._capture is not None:
            self._capture.release()
        self._capture = None


def _capture(number: int) -> cv2.VideoCapture:
    silence()
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")  # s; a webcam that hangs is closed sooner
    return cv2.VideoCapture(number)
