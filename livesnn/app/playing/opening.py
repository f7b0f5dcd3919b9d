"""Which playback a source is. Not here: playing it (playback.py, video_playback.py)."""

from __future__ import annotations

from pathlib import Path

from livesnn.app.playing.mounting import Mounting
from livesnn.app.playing.playback import LivePlayback, Playback, RecordedPlayback
from livesnn.errors import SourceError
from livesnn.events import EventSource
from livesnn.events.orientation import Orientation
from livesnn.events.recording import Recording
from livesnn.progress import Progress, untold
from livesnn.sources import open_source


def open_playback(
    source: str | Path | EventSource, mounting: Mounting, progress: Progress = untold
) -> Playback:
    """Open a SOURCE (sources.open_source, which says what it raises), or take over an open one.

    A video that a person wants turned raises SourceError.
    """
    opened = open_source(source, progress=progress) if isinstance(source, str | Path) else source
    orientation = mounting.of(opened, source)
    if opened.video is not None:
        if orientation != Orientation():
            opened.close()
            raise opened.video.not_turned()
        from livesnn.app.playing.video_playback import VideoPlayback  # OpenCV, for those who watch videos

        return VideoPlayback(opened.video)
    try:
        if isinstance(opened, Recording):
            return RecordedPlayback(opened, orientation)
        return LivePlayback(opened, orientation)
    except SourceError:  # a sensor larger than any
        opened.close()
        raise
