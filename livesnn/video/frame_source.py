"""VideoSource: what yields frames itself, and has no events; a video file as one. Not here: reading it (video.py)."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from livesnn.card import InputSpec, SliceRule
from livesnn.errors import SourceError
from livesnn.events.packet import Events, EventSource, Resolution, SourceCounters
from livesnn.events.slicer import Frame
from livesnn.progress import Progress, untold
from livesnn.video.video_file import Video


class VideoSource(EventSource):
    """A source of frames. ``name``: what it is called in errors."""

    name: str

    def __init__(self) -> None:
        self.counters = SourceCounters()

    @property
    def video(self) -> VideoSource:
        """Itself."""
        return self

    @cached_property
    def duration_us(self) -> int | None:
        """Of its own time; None: it goes on until it is closed."""
        return None

    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002 (the card's name)
        """Yield a frame each Δt; the first one's time is 0.

        Raises
        ------
        ModelError
            The model takes events, or the rule has no fixed Δt.
        """
        raise NotImplementedError

    def limited(self, seconds: float, stop: threading.Event) -> VideoSource:
        """Return the first seconds of it, of its own time; a live one ends when ``stop`` is set, too."""
        raise NotImplementedError

    def no_events(self) -> SourceError:
        """Return the error for whoever needs events."""
        return SourceError(
            f"{self.name}: a video has no events: give a recording of events, a camera, or a video file that "
            "livesnn convert has made events of"
        )

    def not_turned(self) -> SourceError:
        """Return the error for whoever wants it upright."""
        return SourceError(f"{self.name}: a video is shown as it is, only events are turned: leave that out")

    def __iter__(self) -> Iterator[Events]:
        """Raise SourceError."""
        raise self.no_events()

    def close(self) -> None:
        """End the iteration over frames, from any thread."""


class RecordedVideo(VideoSource):
    """A video file, read as fast as its frames are asked for; never dropped. No file is held open between iterations.

    Parameters
    ----------
    file
        Read anew by each iteration over `frames`.
    end_us
        Frames at or after this time aren't yielded; None: to the end.
    progress
        Told while all of it is read for its duration, see `Video.count_frames`.
    """

    live = False

    def __init__(self, file: Video, *, end_us: int | None = None, progress: Progress = untold) -> None:
        super().__init__()
        self.file = file
        self.name = str(file.path)
        self.resolution = Resolution(file.width, file.height)
        self._end_us = end_us
        self._progress = progress

    @cached_property
    def duration_us(self) -> int:
        """As the file says; where it doesn't, or says more frames than it has bytes, all of it is read."""
        claimed = self.file.claimed
        believable = 0 < claimed <= self.file.path.stat().st_size
        return self.file.time_us(claimed if believable else self.file.count_frames(self._progress))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is damaged or was assumed, once the video has been read to its end."""
        return self.file.warnings

    def frames(
        self,
        rule: SliceRule,
        input: InputSpec,  # noqa: A002 (the card's name)
        from_us: int = 0,
    ) -> Iterator[Frame]:
        """Yield a frame each Δt, see `Video.samples`; data that is shown for longer is shared."""
        for t, picture in self.file.samples(replace(input, slice=rule), from_us):
            if self._end_us is not None and t >= self._end_us:
                return
            yield Frame(t, picture, 0, start=t == 0)

    def limited(self, seconds: float, stop: threading.Event) -> RecordedVideo:
        """Return the first seconds of it, of its own time."""
        return self if math.isinf(seconds) else RecordedVideo(self.file, end_us=round(seconds * 1e6))
