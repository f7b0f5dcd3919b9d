"""Upright: a source whose packets are made upright. Not here: how events are turned (orientation.py)."""

from __future__ import annotations

from collections.abc import Iterator

from livesnn.events import Events, EventSource, Relay, Resolution
from livesnn.events.orientation import Orientation, orient


class Upright(Relay):
    """Another source's events as an upright camera would see them.

    Parameters
    ----------
    source
        Owned from now on; a video that is to be turned raises SourceError, and is closed.
    orientation
        What makes them upright.
    """

    def __init__(self, source: EventSource, orientation: Orientation) -> None:
        super().__init__(source)
        if source.video is not None and orientation != Orientation():
            source.close()
            raise source.video.not_turned()
        self._orientation = orientation

    @property
    def resolution(self) -> Resolution:
        """Of the upright picture."""
        return self._orientation.resolution(self._source.resolution)

    def __iter__(self) -> Iterator[Events]:
        """Yield each packet, turned."""
        sensor = self._source.resolution
        for packet in self._source:
            yield orient(packet, sensor, self._orientation)
