"""A video, or what is drawn frame by frame, as a playback: the pipeline's thread pulls its frames when they are due.

Not here: making the frames (events/video_source.py, simulate/turning.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from livesnn.app.playing.passes import Pass
from livesnn.app.playing.playback import PAUSING, Playback
from livesnn.app.playing.tap import See
from livesnn.card import InputSpec, SliceRule
from livesnn.events.frames import Frame
from livesnn.events.orientation import Orientation
from livesnn.events.pace import Pace
from livesnn.events.video_source import RecordedVideo, VideoSource

LAST_US = 1_000_000
"""Before a place beyond the end: here the last frame is looked for, before all of the video is read for it."""


class VideoPlayback(Playback):
    """A recorded video waits, goes at any speed, begins anywhere; of a live one, what comes in a pause is lost."""

    has_events = False

    def __init__(self, source: VideoSource) -> None:
        super().__init__(source, Orientation())
        self.duration_us = source.duration_us
        self.path = source.file.path if isinstance(source, RecordedVideo) else None
        self.pace = Pace()
        self._video = source

    def follow(self, *, speed: float, paused: bool) -> None:
        """Play a recorded video at this multiple of real time, or hold it; look at another or not."""
        self.pace.set_speed(speed)
        (self.pace.pause if paused else self.pace.resume)()

    def begin(self, from_us: int, see: See) -> Pass:
        """Return the pass from ``from_us`` on; nothing is seen but its frames."""
        self._current = VideoPass(self._video, self, from_us)
        return self._current

    def interrupt(self) -> None:
        """Make the current pass end before its next frame."""
        super().interrupt()
        if self.live:
            self._video.close()  # which may be waiting for its next frame
        self.pace.restart()


class VideoPass(Pass):
    """The frames from ``from_us`` on, each when it is due."""

    def __init__(self, video: VideoSource, playback: VideoPlayback, from_us: int) -> None:
        super().__init__(video)
        self._video = video
        self._playback = playback
        self._from_us = from_us

    @property
    def connection(self) -> int:
        """How often it has been paused, where what came then is lost."""
        return len(self._playback.breaks)

    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002 (the card's name)
        """Yield the frames to the end, or until the pass is cut."""
        if isinstance(self._video, RecordedVideo):
            yield from self._due(self._sought(self._video, rule, input))
        else:
            yield from self._heard(self._video.frames(rule, input))
        self.read_to_end = not self.cut

    def _due(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if not self._playback.pace.wait(frame.t, frame.t, lambda: not self.cut):
                return
            yield replace(frame, arrived_s=time.perf_counter())

    def _sought(self, video: RecordedVideo, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002
        """Yield the frames from ``from_us`` on; where there are none, the last one."""
        frames = video.frames(rule, input, self._from_us)
        first = next(frames, None)
        near_us = self._from_us - max(LAST_US, 2 * (rule.delta_t_us or 0))
        for from_us in (near_us, 0):
            if first is None:
                first = self._last(video.frames(rule, input, from_us))
        if first is not None:
            yield replace(first, start=True)
        yield from frames

    def _last(self, frames: Iterator[Frame]) -> Frame | None:
        """Return the last frame, or where the pass is cut, the newest by then; None where there is none."""
        newest = None
        for frame in frames:
            newest = frame
            if self.cut:
                break
        return newest

    def _heard(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        missed = False
        for frame in frames:
            if self.cut:
                return
            if self._playback.pace.paused:
                missed = True
                continue
            if missed:
                self._playback.breaks.append(PAUSING)
            yield replace(frame, start=frame.start or missed)
            missed = False

    def close(self) -> None:
        """Do nothing: the video is still needed."""
