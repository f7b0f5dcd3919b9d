"""Served: a source that other programs can see too, by TCP. Not here: reading such a stream (network.py)."""

from __future__ import annotations

from collections.abc import Iterator

from livesnn.events import Events, EventSource, Relay
from livesnn.events.formats.aedat4_layout import MAGIC, PACKET_HEADER, build_events, build_header
from livesnn.events.formats.compression import Compression, pack
from livesnn.events.recorder import storable
from livesnn.events.tcp import Address
from livesnn.events.tcp_server import TcpServer

KEPT_BYTES = 16_000_000
"""Of packets that may wait for one program: some million events."""


class Served(Relay):
    """Another source's packets, which every program that connects gets too, as from dv-processing's NetworkWriter.

    Nobody is waited for: who reads too slowly is let go, to connect again, and so is everyone where the source is
    lost, and where it begins anew: else all of them would take that for a scene in which nothing moves.

    Parameters
    ----------
    source
        Owned from now on.
    address
        Where to listen; port 0: any that is free.

    Raises
    ------
    SourceError
        It can't listen there, or the source is a video, which has no events; the source is closed then.
    """

    def __init__(self, source: EventSource, address: Address) -> None:
        super().__init__(source)
        try:
            if source.video is not None:
                raise source.video.no_events()
            header, _ = build_header(Compression.LZ4, source.resolution, storable(source.camera or "livesnn"))
            self._server = TcpServer(address, header[len(MAGIC) :], most_bytes=KEPT_BYTES)
        except BaseException:
            source.close()
            raise
        self._before = self._now()

    @property
    def address(self) -> Address:
        """Where programs connect to."""
        return self._server.address

    @property
    def listeners(self) -> int:
        """How many are connected."""
        return self._server.listeners

    def __iter__(self) -> Iterator[Events]:
        """Yield each packet, after it has been left for those who are connected."""
        for packet in self._source:
            if (now := self._now()) != self._before:
                self._before = now
                self._server.hang_up()
            if packet.size and self._server.listeners:
                packed = pack(build_events(packet), Compression.LZ4)
                self._server.send(PACKET_HEADER.pack(0, len(packed)) + packed)
            yield packet

    def close(self) -> None:
        """Close the source, and let everyone go."""
        try:
            self._source.close()
        finally:
            self._server.close()

    def _now(self) -> tuple[int, bool]:
        """Return which connection it is, and whether that is lost."""
        return self._source.connection, bool(self._source.lost)
