"""Video files and webcams, as frames or, through an emulated sensor, as events."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator

from livesnn.card import InputSpec
from livesnn.errors import SourceError
from livesnn.events.filters import Orientation
from livesnn.events.packet import Closing, Resolution
from livesnn.events.slicer import Frame

EMULATED = "emulated"
"""The stream of the events that are made of a video's pictures, as in clip.avi?stream=emulated."""


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
    def frames(self, input: InputSpec, from_us: int = 0) -> Iterator[Frame]:  # noqa: A002
        """Yield a frame each Δt; the first one's time is 0.

        A source that can't seek ignores ``from_us``.

        Raises ModelError when the model takes events, or has no fixed Δt.
        """

    @abstractmethod
    def limited(self, seconds: float, stop: threading.Event) -> FrameSource:
        """Return the first seconds of it, of its own time; a live one ends when ``stop`` is set, too."""

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
