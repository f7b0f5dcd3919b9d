"""VideoSource: a video as a source that yields frames itself, and has no events. Not here: reading it (video.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from livesnn.card import InputSpec, SliceRule
from livesnn.errors import SourceError
from livesnn.events import Events, EventSource, Resolution, SourceCounters
from livesnn.events.frames import Frame
from livesnn.video import Video


class VideoSource(EventSource):
    """A recorded video, read as fast as its frames are asked for; never dropped.

    Parameters
    ----------
    file
        Read anew by each iteration over `frames`.
    end_us
        Frames at or after this time aren't yielded; None: to the end.
    """

    live = False

    def __init__(self, file: Video, *, end_us: int | None = None) -> None:
        self.file = file
        self.resolution = Resolution(file.width, file.height)
        self.counters = SourceCounters()
        self._end_us = end_us

    @property
    def video(self) -> VideoSource:
        """Itself."""
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is damaged or was assumed, once the video has been read to its end."""
        return self.file.warnings

    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002 (the card's name)
        """Yield a frame each Δt from 0 on, see `Video.samples`; data that is shown for longer is shared.

        Raises
        ------
        ModelError
            The model takes events, or the rule has no fixed Δt.
        """
        for t, picture in self.file.samples(replace(input, slice=rule)):
            if self._end_us is not None and t >= self._end_us:
                return
            yield Frame(t, picture, 0, time.perf_counter(), start=t == 0)

    def first(self, seconds: float) -> VideoSource:
        """Return the first seconds of it, of its own time."""
        return VideoSource(self.file, end_us=round(seconds * 1e6))

    def no_events(self) -> SourceError:
        """Return the error for whoever needs events."""
        return SourceError(
            f"{self.file.path}: a video has no events: give a recording of events, or a camera"
        )

    def __iter__(self) -> Iterator[Events]:
        """Raise SourceError."""
        raise self.no_events()

    def close(self) -> None:
        """Do nothing: no file is held open between iterations."""
