"""What yields frames itself, such as a video: `FrameSource`; and which files are videos. This imports no OpenCV."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from livesnn.card import InputSpec
from livesnn.errors import FormatError, SourceError
from livesnn.events.filters import Orientation
from livesnn.events.formats.registry import FORMATS
from livesnn.events.packet import Closing, Resolution
from livesnn.events.slicer import Frame
from livesnn.files import file_head

EMULATED = "emulated"
"""The stream of the events that are made of a video's pictures, as in clip.avi?stream=emulated."""

HEAD_BYTES = 64
_SUFFIXES = (".avi", ".mp4", ".mov", ".m4v", ".mkv", ".webm")


def is_video(path: Path) -> bool:
    """Whether a file is a video by its first bytes, or named as one and no recording of a known format."""
    named = path.suffix.lower() in _SUFFIXES
    try:
        head = file_head(path, HEAD_BYTES, "video")
    except (SourceError, FormatError):  # as a video it says why
        return named
    return container_of(head) is not None or (named and not any(known.fits(path, head) for known in FORMATS))


def container_of(head: bytes) -> str | None:
    """Return the name of the container that begins so; None: of none that is read."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return "mp4" if head[4:8] == b"ftyp" and head[8:10] != b"qt" else "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in head else "matroska"
    return None


class Limit(NamedTuple):
    """When frames end early: at a time of their own, µs; those of a live source when ``stop`` is set, too."""

    end_us: float = math.inf
    stop: threading.Event | None = None


NO_LIMIT = Limit()


class FrameSource(Closing, ABC):
    """What yields frames itself and has no events, such as a video."""

    name: str  # What it is called in errors
    resolution: Resolution
    live: bool = True  # Whether it runs in real time
    warnings: tuple[str, ...] = ()  # What was damaged or assumed so far, one line each

    @property
    def duration_us(self) -> int | None:
        """How long it lasts by its own time; None: until it is closed."""
        return None

    @abstractmethod
    def frames(self, input: InputSpec, from_us: int = 0, limit: Limit = NO_LIMIT) -> Iterator[Frame]:  # noqa: A002
        """Yield a frame each Δt, before ``limit``; the first one's time is 0.

        A source that can't seek ignores ``from_us``.

        Raises ModelError when the model takes events, or has no fixed Δt.
        """

    def no_events(self) -> SourceError:
        return SourceError(
            f"{self.name}: a video has no events: give a recording of events, a camera, or a video file that "
            "livesnn convert has made events of"
        )

    def require_upright(self, orientation: Orientation) -> None:
        """Raise SourceError where its pictures are to be rotated or mirrored."""
        if orientation != Orientation():
            raise SourceError(f"{self.name}: a video can't be rotated or mirrored, only events can: leave that out")

    def close(self) -> None:
        """End the iteration over frames, from any thread."""
