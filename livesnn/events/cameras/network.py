"""Reading the stream of a dv-processing NetworkWriter over TCP. Sending one is in outputs/tcp.py.

The stream is that of an .aedat4 file without its first line and its table: the header, size-prefixed, then
packets. Read by a socket of our own: dv-processing 2.0.4's NetworkReader waits for ever, and holds the GIL, on a
server that sends no header or garbage, and says that it runs after the server hung up (measured).
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

import numpy as np

from livesnn.errors import SourceError, reason_of
from livesnn.events.cameras.driver import SourceLost
from livesnn.events.cameras.reconnecting import QuietTime, ReconnectingSource
from livesnn.events.formats.aedat4_layout import PACKET_HEADER, Decompressor, Header, parse_header
from livesnn.events.formats.aedat4_reader import decode_events
from livesnn.events.packet import NO_EVENTS, Events, EventSource, Resolution, SourceCounters
from livesnn.files import closed_on_error
from livesnn.progress import Notify
from livesnn.untrusted import HEADER_BYTES, PIECE_BYTES, DamageError

_LEAST_WAIT_S = 0.001  # a socket's timeout of 0 means something else
# A computer that is switched off, or a cable pulled, is noticed after 5 s of silence and 3 × 2 s without an answer.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPALIVE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}


class Address(NamedTuple):
    """Where a server listens; its text is that of a SOURCE."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


def open_socket(address: Address, timeout_s: float) -> socket.socket:
    """Connect to a server that answers in the time. Raises SourceError."""
    try:
        connected = socket.create_connection(address, timeout=timeout_s)
    except (OSError, ValueError) as error:  # ValueError: a host name that can't be one
        raise SourceError(
            f"{address}: can't connect ({reason_of(error)}): start the server, and check host and port"
        ) from error
    keep_alive(connected)
    return connected


def keep_alive(connected: socket.socket) -> None:
    """Let the system ask whether the other side is still there."""
    with contextlib.suppress(OSError):  # then it is noticed later that it is gone
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, number in _KEEPALIVE.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), number)


class Incoming:
    """Reads a socket, which it owns from now on, in pieces of a given size, each in memory of its own."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._piece = memoryview(b"")
        self.filled = 0  # octets of the piece that is being waited for
        self.last_s = time.monotonic()  # when the last octet came

    def take(self, size: int, deadline_s: float) -> memoryview | None:
        """Return the next ``size`` octets; None when they aren't all here at the deadline: ask for them again.

        Raises OSError when the connection is lost.
        """
        if not self.filled:
            self._piece = np.empty(size, np.uint8).data
        while self.filled < size:
            remaining_s = deadline_s - time.monotonic()
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

    def close(self) -> None:
        self._socket.close()


CONNECT_S = 5.0
STALL_S = 5.0
DELIVERED_US = 200_000  # For `QuietTime`: a server sends every few milliseconds, and a network may hold it up.

_LEAST_PACKET_BYTES = 8
_RESTART = "start the server again"


def open_stream(uri: str, *, notify: Notify) -> EventSource:
    """Connect to ``tcp://HOST:PORT``, and again whenever the server comes back. Raises SourceError."""
    address = parse_address(uri)
    return ReconnectingSource(lambda: StreamConnection(address), notify=notify)


def parse_address(uri: str) -> Address:
    """Read ``tcp://HOST:PORT``; an IPv6 address stands in brackets. Raises SourceError."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    plain = uri.isprintable() and " " not in uri
    if not (host and port and plain and parts.username is None and uri == f"tcp://{parts.netloc}"):
        raise SourceError(f"{uri!r} isn't a stream's address: give tcp://HOST:PORT, port 1 to 65535")
    return Address(host, port)


def _read_header(address: Address, incoming: Incoming, timeout_s: float) -> Header:
    deadline_s = time.monotonic() + timeout_s
    content = None
    try:
        if (start := incoming.take(4, deadline_s)) is not None:
            if bytes(start) == b"#!AE":
                raise _refused(address, "it sends a file, or an older AEDAT")
            size = int.from_bytes(start, "little")
            if not 16 <= size <= HEADER_BYTES:
                raise _refused(address, "it doesn't start with a header")
            content = incoming.take(size, deadline_s)
    except OSError as error:
        raise SourceError(
            f"{address}: the server closed the connection before it sent a header ({reason_of(error)}): "
            f"check that it sends events, and how many clients it allows"
        ) from error
    if content is None:
        what = "nothing" if start is None else "only a part of its header"
        raise _refused(address, f"it sent {what} within {timeout_s:g} s")
    if bytes(content[4:8]) != b"IOHE":
        raise _refused(address, "it doesn't start with a header")
    try:
        return parse_header(content)
    except DamageError as error:
        raise _refused(address, str(error)) from error


def _refused(address: Address, reason: str) -> SourceError:
    return SourceError(
        f"{address}: this isn't a dv-processing stream ({reason}): start a NetworkWriter of events there"
    )


def _choose_stream(address: Address, header: Header) -> tuple[int, Resolution]:
    """Return which stream is the first of events, and the sensor's size."""
    chosen = next((stream for stream in header.streams if stream.type == "EVTS"), None)
    if chosen is None:
        found = ", ".join(sorted({stream.type for stream in header.streams}))
        raise SourceError(f"{address}: this stream has no events, only {found!r}: give the port that sends events")
    if chosen.resolution is None:
        raise SourceError(f"{address}: the stream doesn't give the sensor's size: set the resolution on the server")
    return chosen.id, chosen.resolution


class StreamConnection:
    """One connection to a server, a `Connection`; for one thread at a time. Raises SourceError as `open_stream` does.

    The server must answer in ``connect_s``, and send its header in that time again. A packet that has begun must go
    on in ``stall_s``.
    """

    def __init__(self, address: Address, *, connect_s: float = CONNECT_S, stall_s: float = STALL_S) -> None:
        self.name = str(address)
        with closed_on_error(Incoming(open_socket(address, connect_s))) as self._incoming:
            header = _read_header(address, self._incoming, connect_s)
            self._events, self.resolution = _choose_stream(address, header)
        self._streams = frozenset(stream.id for stream in header.streams)
        self._stall_s = stall_s
        self._decompressor = Decompressor(header.compression)
        self.counters = SourceCounters()  # nothing is dropped here
        self._begun: tuple[int, int] | None = None
        self._quiet = QuietTime(DELIVERED_US)

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        """See `Connection.read`; SourceLost: it hung up, stopped within a packet, sent none, or is closed."""
        deadline_s = time.monotonic() + timeout_s
        try:
            content = self._next_content(deadline_s)
        except OSError as error:
            self._lose(f"the server is lost ({reason_of(error)}): {_RESTART}, or check the network", error)
        if content is not None:
            return self._decode(content), self._quiet.now_us
        if self._begun is None and not self._incoming.filled:  # else one is on its way
            self._quiet.go_on(timeout_s)
        return NO_EVENTS, self._quiet.now_us

    def _next_content(self, deadline_s: float) -> memoryview | None:
        """Return the next packet of events as it came; None at the deadline."""
        while True:
            if self._begun is None:
                head = self._incoming.take(PACKET_HEADER.size, deadline_s)
                self._begun = None if head is None else self._check_head(*PACKET_HEADER.unpack(head))
            if self._begun is None or (content := self._incoming.take(self._begun[1], deadline_s)) is None:
                self._check_stall()
                return None
            stream, self._begun = self._begun[0], None
            if stream == self._events:
                return content
            if time.monotonic() >= deadline_s:
                return None

    def _check_head(self, stream: int, size: int) -> tuple[int, int]:
        if stream not in self._streams or not _LEAST_PACKET_BYTES <= size <= PIECE_BYTES:
            self._lose(f"the server sent something that isn't a packet (stream {stream}, {size:,} bytes): {_RESTART}")
        return stream, size

    def _check_stall(self) -> None:
        within = self._begun is not None or self._incoming.filled
        if within and time.monotonic() - self._incoming.last_s > self._stall_s:
            self._lose(
                f"the server stopped {self._stall_s:g} s ago in the middle of a packet: {_RESTART}, or check the "
                "network"
            )

    def _lose(self, reason: str, cause: Exception | None = None) -> NoReturn:
        self.close()  # for good: after garbage the next packet's beginning can't be found
        raise SourceLost(f"{self.name}: {reason}") from cause

    def _decode(self, packed: memoryview) -> Events:
        try:
            content = self._decompressor.decompress(packed)
            packet, _ = decode_events(content, self.resolution, self._quiet.newest_us, self.counters)
        except DamageError as error:
            self._lose(f"a damaged packet came ({error}): {_RESTART}", error)
        self._quiet.note_packet(packet)
        self.counters.events += packet.size
        return packet

    def close(self) -> None:
        self._incoming.close()


def is_loopback(host: str) -> bool:
    """Return whether only programs of this computer reach a server at this address."""
    return host in ("localhost", "::1") or host.startswith("127.")


def shown_host(host: str) -> str:
    """Return what other computers call a host: an address of this one, where it listens at all of them."""
    if host in ("0.0.0.0", "::"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unsent:
            try:
                unsent.connect(("192.0.2.1", 9))  # chooses a route; nothing is sent
                host = unsent.getsockname()[0]
            except OSError:
                host = socket.gethostname()
    return f"[{host}]" if ":" in host else host
