"""Denoised: a source whose packets go through the noise filters. Not here: the filters (denoise.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from livesnn.errors import SourceError
from livesnn.events import Events, EventSource, Relay
from livesnn.events.denoise import DenoiseCounts, DenoiseSpec, DenoiseState, Kept, denoise

SPEC = DenoiseSpec()


class Denoised(Relay):
    """Another source's events without its noise; its counters are still those of all events.

    A packet may come in several pieces, and empty ones come too: `now_us` says that time goes by.

    Parameters
    ----------
    source
        Owned from now on; a video, or a sensor larger than any, raises SourceError, and is closed.
    state
        To go on with; None: a new one.
    wanted
        Asked once a packet: False lets it pass as it is. Called in the thread that iterates.

    Attributes
    ----------
    state
        Of the filters: what is hot, what was dropped.
    came
        Events of the source that the piece just yielded was made of.
    """

    def __init__(
        self,
        source: EventSource,
        *,
        state: DenoiseState | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(source)
        if source.video is not None:
            source.close()
            raise source.video.no_events()
        try:
            self.state = state or DenoiseState(source.resolution)
        except SourceError:
            source.close()
            raise
        self.came = 0
        self._wanted = wanted
        self._now_us: int | None = None

    @property
    def counts(self) -> DenoiseCounts:
        """Where the events went."""
        return self.state.counts

    @property
    def now_us(self) -> int | None:
        """Stream time that has passed with the piece just yielded."""
        return self._now_us

    def __iter__(self) -> Iterator[Events]:
        """Yield what is left of each packet."""
        connection = self._source.connection
        for packet in self._source:
            if connection != (connection := self._source.connection):
                self.state.forget()
            *pieces, last = self._pieces(packet)
            for piece in pieces:
                yield self._hand_on(piece)
            yield self._hand_on(last._replace(now_us=_later(last.now_us, self._source.now_us)))

    def _pieces(self, packet: Events) -> list[Kept]:
        if packet.size and self._wanted():
            return [*denoise(packet, self.state, SPEC)]
        return [Kept(packet, packet.size, None)]

    def _hand_on(self, piece: Kept) -> Events:
        self.came, self._now_us = piece.came, piece.now_us
        return piece.events


def _later(one: int | None, other: int | None) -> int | None:
    return max((t for t in (one, other) if t is not None), default=None)
