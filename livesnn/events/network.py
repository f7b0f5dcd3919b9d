"""A stream of dv-processing's NetworkWriter over TCP. Not here: coming back after a loss (live.py), serving one.

The stream is that of an .aedat4 file without its first line and its table: the header, size-prefixed, then
packets. Read by a socket of our own: dv-processing 2.0.4's NetworkReader waits for ever, and holds the GIL, on a
server that sends no header or garbage, and says that it runs after the server hung up (measured).
"""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import Closing, Events, EventSource, Resolution, SourceCounters
from livesnn.events.formats.aedat4 import decode_events
from livesnn.events.formats.aedat4_layout import MAX_HEADER_BYTES, PACKET_HEADER, Header, parse_header
from livesnn.events.formats.compression import MAX_PACKET_BYTES, PackedError, Unpacker
from livesnn.events.formats.flat import FlatError
from livesnn.events.live import Live, Notify, SourceLost

CONNECT_S = 5.0
"""A server must answer, and then send its header, in this time."""

STALL_S = 5.0
"""A packet that has begun must go on in this time."""

_LEAST_PACKET_BYTES = 8
_LEAST_WAIT_S = 0.001  # a socket's timeout of 0 means something else
_RESTART = "start the server again"
# A computer that is switched off, or a cable pulled, is noticed after 5 s of silence and 3 × 2 s without an answer.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPALIVE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


def open_stream(uri: str, *, notify: Notify) -> EventSource:
    """Connect to ``tcp://HOST:PORT``, and again whenever the server comes back.

    Raises
    ------
    SourceError
        When the address can't be one, nobody answers there, or what answers isn't a stream of events.
    """
    address = parse_address(uri)
    return Live(lambda: StreamConnection(address), notify=notify)


def parse_address(uri: str) -> Address:
    """Read ``tcp://HOST:PORT``; an IPv6 address stands in brackets. Raises SourceError."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_address(uri, str(error)) from None
    if not host or any(character.isspace() or not character.isprintable() for character in uri):
        raise _bad_address(uri, "it names no host")
    if not port:
        raise _bad_address(uri, "it names no port")
    if parts.scheme != "tcp" or parts.username is not None or uri.partition("://")[2] != parts.netloc:
        raise _bad_address(uri, "it has more than a host and a port")
    return Address(host, port)


def _bad_address(uri: str, reason: str) -> SourceError:
    return SourceError(f"{uri!r} is no address of a stream ({reason}): give tcp://HOST:PORT, port 1 to 65535")


class StreamConnection(Closing):
    """One connection to a server, a `Connection`; for one thread at a time.

    Raises
    ------
    SourceError
        When nobody answers at the address, or what answers isn't a stream of events.
    """

    def __init__(self, address: Address) -> None:
        self.name = str(address)
        self._socket = _connect(address)
        try:
            self._incoming = _Incoming(self._socket)
            header = self._read_header()
            self._choose_stream(header)
        except BaseException:
            self._socket.close()
            raise

    def _read_header(self) -> Header:
        deadline = time.monotonic() + CONNECT_S
        try:
            start = self._incoming.take(4, deadline)
            size = int.from_bytes(start or b"", "little")
            if start is not None and bytes(start) == b"#!AE":
                self._refuse("it sends a file, or an older AEDAT")
            if start is not None and not 16 <= size <= MAX_HEADER_BYTES:
                self._refuse("it doesn't start with a header")
            content = None if start is None else self._incoming.take(size, deadline)
        except OSError as error:
            raise SourceError(
                f"{self.name}: the server hung up before it sent a header ({_reason(error)}): "
                f"check that it serves events, and its limit of clients"
            ) from error
        if content is None:
            self._refuse(f"nothing came from it in {CONNECT_S:.0f} s")
        if bytes(content[4:8]) != b"IOHE":
            self._refuse("it doesn't start with a header")
        try:
            return parse_header(content)
        except FlatError as error:
            self._refuse(str(error))

    def _refuse(self, reason: str) -> NoReturn:
        raise SourceError(
            f"{self.name}: not a stream of dv-processing ({reason}): start a NetworkWriter of events there"
        )

    def _choose_stream(self, header: Header) -> None:
        chosen = next((stream for stream in header.streams if stream.type == "EVTS"), None)
        if chosen is None:
            found = ", ".join(sorted({stream.type for stream in header.streams}))
            raise SourceError(
                f"{self.name}: no events in this stream (it has {found!r}): give the port of the events"
            )
        if chosen.resolution is None:
            raise SourceError(
                f"{self.name}: the stream doesn't give its sensor's size: set the resolution at the server"
            )
        self.resolution: Resolution = chosen.resolution
        self._stream = chosen.id
        self._known = frozenset(stream.id for stream in header.streams)
        self._unpacker = Unpacker(header.compression)
        self._counters = SourceCounters()
        self._newest_us: int | None = None
        self._begun: tuple[int, int] | None = None

    @property
    def counters(self) -> SourceCounters:
        """Events let through and put right, since the connection was opened; nothing is dropped here."""
        return replace(self._counters)

    def read(self, timeout_s: float) -> Events | None:
        """Return the next packet; None when none has come whole in the time.

        Raises
        ------
        SourceLost
            When the server hangs up, stops within a packet, or sends what isn't a packet; or after `close`.
        """
        deadline = time.monotonic() + timeout_s
        try:
            content = self._next_content(deadline)
        except OSError as error:
            self._lose(f"the server is gone ({_reason(error)}): {_RESTART}, or check the network", error)
        return None if content is None else self._decode(content)

    def _next_content(self, deadline: float) -> memoryview | None:
        """Return the next packet of events as it came; None at the deadline."""
        while True:
            if self._begun is None:
                head = self._incoming.take(PACKET_HEADER.size, deadline)
                self._begun = None if head is None else self._check_head(*PACKET_HEADER.unpack(head))
            if self._begun is None or (content := self._incoming.take(self._begun[1], deadline)) is None:
                self._check_stall()
                return None
            stream, self._begun = self._begun[0], None
            if stream == self._stream:
                return content
            if time.monotonic() >= deadline:
                return None

    def _check_head(self, stream: int, size: int) -> tuple[int, int]:
        if stream not in self._known or not _LEAST_PACKET_BYTES <= size <= MAX_PACKET_BYTES:
            self._lose(f"what came is no packet (stream {stream}, {size:,} bytes): {_RESTART}")
        return stream, size

    def _check_stall(self) -> None:
        within = self._begun is not None or self._incoming.filled
        if within and time.monotonic() - self._incoming.last_s > STALL_S:
            self._lose(
                f"the server stopped within a packet, {STALL_S:.0f} s ago: {_RESTART}, or check the network"
            )

    def _lose(self, reason: str, cause: Exception | None = None) -> NoReturn:
        self.close()  # for good: what comes after garbage can't be told from it
        raise SourceLost(f"{self.name}: {reason}") from cause

    def _decode(self, packed: memoryview) -> Events:
        try:
            content = self._unpacker.unpack(packed)
            packet, _ = decode_events(content, self.resolution, self._newest_us, self._counters)
        except (PackedError, FlatError) as error:
            self._lose(f"a damaged packet came ({error}): {_RESTART}", error)
        if packet.size:
            self._newest_us = int(packet["t"][-1])
            self._counters.events += packet.size
        return packet

    def close(self) -> None:
        """Hang up; safe to call twice."""
        self._socket.close()


class _Incoming:
    """What comes over a socket, taken in pieces of a wanted size, each in memory of its own.

    Attributes
    ----------
    filled
        Octets of the piece that is being waited for that are here already.
    last_s
        When the last octet came, `time.monotonic()`.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._piece = memoryview(b"")
        self.filled = 0
        self.last_s = time.monotonic()

    def take(self, size: int, deadline: float) -> memoryview | None:
        """Return the next ``size`` octets; None when they aren't all here at the deadline: ask for them again.

        Raises
        ------
        OSError
            When the connection is lost.
        """
        if not self.filled:
            self._piece = np.empty(size, np.uint8).data
        while self.filled < size:
            remaining_s = deadline - time.monotonic()
            self._socket.settimeout(max(remaining_s, _LEAST_WAIT_S))
            try:
                count = self._socket.recv_into(self._piece[self.filled :])
            except TimeoutError as error:
                if error.errno is not None:  # the system's: the keepalive found nobody
                    raise
                return None
            if not count:
                raise ConnectionResetError("it hung up")
            self.filled += count
            self.last_s = time.monotonic()
            if self.filled < size and remaining_s <= 0:
                return None
        self.filled = 0
        return self._piece


def _connect(address: Address) -> socket.socket:
    try:
        connected = socket.create_connection(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:  # ValueError: a host name that can't be one
        raise SourceError(
            f"{address}: no connection ({_reason(error)}): start the server, and check host and port"
        ) from error
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in _KEEPALIVE.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), number)
    return connected


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
