"""A video file as a recording of events, made of its pictures. Not here: how (emulate.py), reading it (video.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from livesnn.errors import SourceError
from livesnn.events import Events, SourceCounters
from livesnn.events.emulate import LONGEST_US, RESOLUTION, Emulator
from livesnn.events.formats import EventStream, OtherContent
from livesnn.events.recording import Recording
from livesnn.events.video_source import RecordedVideo
from livesnn.progress import Progress
from livesnn.video import Video, open_video

STREAM = "emulated"


def open_video_events(path: Path, stream: str | None, progress: Progress) -> Recording:
    """Open a video as its events: the stream `STREAM`, of a sensor of 128×128.

    ``progress`` is told while all of it is read for its duration, where the file doesn't say that.

    Raises
    ------
    SourceError
        There is no such file, another stream is wanted, or it has too few pictures a second.
    FormatError
        It isn't a video that can be decoded.
    """
    if stream not in (None, STREAM):
        raise SourceError(f"{path}: a video has no event stream {stream!r}: leave --stream out")
    video = open_video(path)
    if video.fps < (least := 1_000_000 / LONGEST_US):
        raise SourceError(
            f"{path}: of {float(video.fps):g} pictures a second no events are made: give {least:g} or more"
        )
    reader = VideoReader(video, progress)
    return Recording(path, reader, reader.streams[0])


class VideoReader:
    """A `livesnn.events.formats.Reader` of a video; its events are made anew by each reading, the same each time."""

    format = "video"
    camera = ""
    orientation = "upright"
    resolution = RESOLUTION
    streams = (EventStream(STREAM, "", RESOLUTION),)

    def __init__(self, video: Video, progress: Progress) -> None:
        self._video = video
        self._duration_us = RecordedVideo(video, progress=progress).duration_us

    @property
    def warnings(self) -> list[str]:
        """What is damaged or was assumed, as far as it has been read; and that its events are made."""
        fps = float(self._video.fps)
        made = f"its events are made of {fps:g} pictures a second, as a 128×128 DVS might have seen them"
        return [made, *self._video.warnings]

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield the events of each picture, from the first at or after ``start_us``; none is put right."""
        emulator = Emulator()
        for t_us, picture in self._video.pictures():
            events = emulator.push(picture, t_us)
            if start_us is not None:
                events = events[events["t"] >= start_us]
            if events.size:
                yield events

    def time_range(self, stream: str) -> tuple[int, int]:
        """Return when the video begins and ends, µs."""
        return 0, self._duration_us

    def other_content(self) -> OtherContent:
        """Return that there is none."""
        return OtherContent()

    def close(self) -> None:
        """Do nothing: no file is held open between readings."""
