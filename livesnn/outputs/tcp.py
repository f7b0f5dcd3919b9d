"""TCP: lines of decisions, or events, for every program that connects; it waits for none of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from livesnn.events.cameras.network import Address
from livesnn.events.formats.aedat4_layout import (
    MAGIC,
    PACKET_HEADER,
    Compression,
    build_events,
    build_header,
    compress,
)
from livesnn.events.formats.aedat4_writer import storable
from livesnn.events.packet import Packet, Resolution
from livesnn.outputs.loop import STUCK_S, Feed, Message, OutputLoop, keep_little, listening_socket

MOST_LISTENERS = 100


class TcpOutput:
    """Sends a feed to every program that connects, after a greeting. What programs send isn't read.

    At port 0 it listens at any that is free; raises SourceError where it can't. The system may hold ``buffer_bytes``
    for one listener beside the feed's queue (None: as it likes, which may be megabytes). A listener that takes
    nothing for ``stuck_s`` is disconnected.
    """

    def __init__(
        self,
        loop: OutputLoop,
        address: Address,
        feed: Feed,
        greeting: bytes,
        *,
        buffer_bytes: int | None = None,
        stuck_s: float = STUCK_S,
    ) -> None:
        self._listening: socket.socket | None = listening_socket(address)
        self.address = Address(address.host, self._listening.getsockname()[1])
        self.name = f"{feed.kind} at {self.address}"
        self.feed = feed
        self._say, self._greeting = loop.say, greeting
        self._buffer_bytes, self._stuck_s = buffer_bytes, stuck_s
        loop.start(self)

    async def run(self, ready: Callable[[], None]) -> None:
        listening, self._listening = self._listening or listening_socket(self.address), None
        server = await asyncio.start_server(self._attend, sock=listening)
        try:
            ready()
            await asyncio.get_running_loop().create_future()  # until it is cancelled
        finally:
            server.close()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.feed.receivers >= MOST_LISTENERS:
            self._say("full", f"{self.name}: more than {MOST_LISTENERS} programs: one was refused")
            writer.transport.abort()
            return
        host, port, *_ = writer.get_extra_info("peername") or ("?", 0)
        with self.feed.join(f"{host}:{port}") as receiver:
            try:
                # With 0, `drain` waits until the system has all of a message.
                writer.transport.set_write_buffer_limits(high=0)
                keep_little(writer.transport, self._buffer_bytes)
                await self._send(writer, self._greeting)
                while (message := await receiver.next()) is not None:
                    await self._send(writer, message.octets)
                writer.close()
                await writer.wait_closed()
            except TimeoutError:
                self._say("stuck", f"{receiver.name} took nothing for {self._stuck_s:g} s: disconnected")
            except OSError:
                pass  # it has hung up
            finally:
                writer.transport.abort()

    async def _send(self, writer: asyncio.StreamWriter, octets: bytes) -> None:
        writer.write(octets)
        async with asyncio.timeout(self._stuck_s):
            await writer.drain()


WAITING_BYTES = 16_000_000  # Of packets that may wait for one program: some million events.


class EventOutput(TcpOutput):
    """Sends packets to every program that connects, as dv-processing's NetworkWriter does.

    A program that reads too slowly is disconnected, to connect again. So is everyone where another epoch begins, or
    they would take that for a scene in which nothing moves. ``resolution`` and ``name`` are of the packets' sensor.
    """

    def __init__(self, loop: OutputLoop, address: Address, resolution: Resolution, name: str) -> None:
        header, _ = build_header(Compression.LZ4, resolution, storable(name or "livesnn"))
        self._epoch: int | None = None
        packets = Feed(loop, "events", most_bytes=WAITING_BYTES, drops=False)
        super().__init__(loop, address, packets, header[len(MAGIC) :])

    def send_packet(self, packet: Packet) -> None:
        """Leave a packet for those who are connected; never waits for one of them."""
        if self._epoch != packet.epoch:
            if self._epoch is not None:
                self.feed.let_go()
            self._epoch = packet.epoch
        if packet.events.size and self.feed.receivers:
            packed = compress(build_events(packet.events), Compression.LZ4)
            self.feed.put(Message(PACKET_HEADER.pack(0, len(packed)) + packed))
