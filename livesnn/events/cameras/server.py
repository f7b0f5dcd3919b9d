"""TCP: connecting to a server, and what comes from it in pieces. Not here: what they mean (network.py), being one."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.formats.aedat4_layout import (
    MAGIC,
    PACKET_HEADER,
    Compression,
    build_events,
    build_header,
    compress,
)
from livesnn.events.formats.aedat4_writer import storable
from livesnn.events.packet import Closing, Events, EventSource, Relay
from livesnn.threads import WAKE_S, Worker

_LEAST_WAIT_S = 0.001  # a socket's timeout of 0 means something else
# A computer that is switched off, or a cable pulled, is noticed after 5 s of silence and 3 × 2 s without an answer.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPALIVE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}


class Address(NamedTuple):
    """Where a server listens."""

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
            f"{address}: no connection ({reason_of(error)}): start the server, and check host and port"
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
    """What comes over a socket, owned from now on, taken in pieces of a wanted size, each in memory of its own.

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

    def take(self, size: int, deadline_s: float) -> memoryview | None:
        """Return the next ``size`` octets; None when they aren't all here at the deadline: ask for them again.

        Raises
        ------
        OSError
            When the connection is lost.
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
        """Hang up; safe to call twice."""
        self._socket.close()


def reason_of(error: Exception) -> str:
    """Return what an error of the system says, in one line."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())


MOST_LISTENERS = 32
STUCK_S = 10.0
"""A listener that takes nothing for so long, while something waits for it, is let go: it keeps another one out."""
LAST_WORDS_S = 0.5
"""What waits for a listener when the server closes has so long to be sent."""

_BREATH_S = 0.01
_AT_ONCE = 64  # messages to one listener, before the others have their turn
_MOST_READ = 1 << 16
_LAST_PORT = 65_535


class TcpServer(Closing):
    """Sends each message to every program that is connected, in a thread of its own.

    A listener that reads too slowly loses its oldest messages, whole ones, or is let go. What listeners send isn't
    read.

    Parameters
    ----------
    address
        Where to listen; port 0: any that is free.
    greeting
        What every listener gets first.
    most_bytes
        Of messages that may wait for one listener; one is always let in, however large.
    missed
        What a listener gets where so many messages, given, are missing; None: it is let go instead.
    buffer_bytes
        What the system may hold for one listener beside those; None: as it likes, which may be megabytes.
    quiet, quiet_s
        What a listener gets that has got nothing for so long; b"": nothing.

    Raises
    ------
    SourceError
        When there is no such address on this machine, or another program listens there.
    """

    def __init__(
        self,
        address: Address,
        greeting: bytes,
        *,
        most_bytes: int,
        missed: Callable[[int], bytes] | None = None,
        buffer_bytes: int | None = None,
        quiet: bytes = b"",
        quiet_s: float = 1.0,
    ) -> None:
        self._greeting, self._most_bytes, self._missed = greeting, most_bytes, missed
        self._quiet, self._quiet_s, self._buffer_bytes = quiet, quiet_s, buffer_bytes
        self._wake, self._woken = socket.socketpair()
        with contextlib.suppress(OSError):  # of Windows', which are TCP and would wait for more to send
            self._wake.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._listening = _listen(address)
        except BaseException:
            self._wake.close()
            self._woken.close()
            raise
        for each in (self._listening, self._wake, self._woken):
            each.setblocking(False)
        self._lock = threading.Lock()
        self._listeners: dict[socket.socket, _Listener] = {}
        self.address = Address(address.host, self._listening.getsockname()[1])
        self._worker = Worker("tcp-server", self._serve).start()

    @property
    def listeners(self) -> int:
        """How many programs are connected."""
        return len(self._listeners)

    def send(self, message: bytes) -> None:
        """Leave a message for everyone who is connected now; never waits for one of them.

        Raises
        ------
        SourceError
            The thread has failed: nobody gets anything any more.
        """
        if (error := self._worker.error) is not None:
            raise SourceError(f"{self.address}: sends no more ({error}): start again") from error
        with self._lock:
            for listener in self._listeners.values():
                listener.put(message, self._most_bytes, drops=self._missed is not None)
        self._look()

    def hang_up(self) -> None:
        """Let go of everyone who is connected, once what waits for them has been sent: who comes back is new."""
        with self._lock:
            for listener in self._listeners.values():
                listener.leaving = True
        self._look()

    def close(self) -> None:
        """Send what waits, for half a second at most, and listen no more; safe to call twice."""
        self.hang_up()
        self._worker.stop.set()
        self._look()
        self._worker.close()
        for each in (self._listening, self._wake, self._woken):
            each.close()

    def _look(self) -> None:
        """Wake the thread."""
        with contextlib.suppress(OSError):  # it is full, and so it will wake; or closed
            self._wake.send(b"\0")

    def _serve(self, stop: threading.Event) -> None:
        """Run in the thread."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._listening, selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            try:
                while not stop.is_set():
                    self._turn(ready)
                ready.unregister(self._listening)
                deadline_s = time.monotonic() + LAST_WORDS_S
                while self._listeners and time.monotonic() < deadline_s:
                    self._turn(ready)
            finally:
                for listener in list(self._listeners.values()):
                    self._forget(listener, ready)

    def _turn(self, ready: selectors.BaseSelector) -> None:
        """Wait for something to do, at most `WAKE_S`, and do it."""
        for key, _ in ready.select(WAKE_S):
            if key.fileobj is self._listening:
                self._accept(ready)
            elif key.fileobj is self._woken:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(_MOST_READ)
        now_s = time.monotonic()
        for listener in list(self._listeners.values()):
            self._attend(listener, ready, now_s)

    def _attend(self, listener: _Listener, ready: selectors.BaseSelector, now_s: float) -> None:
        """Send a listener what it can take, and wait for it where there is more."""
        with self._lock:
            if self._quiet and not listener.waiting and now_s - listener.sent_s >= self._quiet_s:
                listener.put(self._quiet, self._most_bytes)
            there = listener.send(self._missed, now_s)
        stuck = listener.waiting and now_s - listener.sent_s > STUCK_S
        if not there or stuck or (listener.leaving and not listener.waiting):
            self._forget(listener, ready)
        else:
            _watch(listener.socket, selectors.EVENT_WRITE if listener.waiting else 0, ready)

    def _accept(self, ready: selectors.BaseSelector) -> None:
        try:
            connected, _ = self._listening.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError):  # no more files may be open: nor will they be at once
                self._worker.stop.wait(_BREATH_S)
            return
        if len(self._listeners) >= MOST_LISTENERS:  # who hung up is forgotten when something is sent, or here
            for listener in [each for each in self._listeners.values() if _has_hung_up(each.socket)]:
                self._forget(listener, ready)
        if len(self._listeners) >= MOST_LISTENERS:
            connected.close()
            return
        connected.setblocking(False)
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._buffer_bytes is not None:
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
        keep_alive(connected)
        with self._lock:
            self._listeners[connected] = _Listener(connected, self._greeting)

    def _forget(self, listener: _Listener, ready: selectors.BaseSelector) -> None:
        _watch(listener.socket, 0, ready)
        with self._lock:
            del self._listeners[listener.socket]
        with contextlib.suppress(OSError):
            # What it said unasked would make the end an error, in which what it hasn't read yet is lost.
            listener.socket.shutdown(socket.SHUT_WR)
            listener.socket.recv(_MOST_READ)
        listener.socket.close()


class _Listener:
    """A program that is connected, and what waits for it.

    ``leaving``: it gets no more than that. ``sent_s``: when it last took something, or had to.
    """

    def __init__(self, connected: socket.socket, greeting: bytes) -> None:
        self.socket = connected
        self.leaving = False
        self.sent_s = time.monotonic()
        self._queue = deque([greeting])
        self._bytes = len(greeting)
        self._begun = 0  # octets of the first message that are sent
        self._missed = 0

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return bool(self._queue)

    def put(self, message: bytes, most_bytes: int, *, drops: bool = True) -> None:
        """Leave a message; where there is no room let the oldest go, but the first, which may be on its way.

        ``drops`` False: then it gets none of them, and no more.
        """
        if self.leaving:
            return
        if not drops and self.waiting and self._bytes + len(message) > most_bytes:
            self.leaving = True
            while len(self._queue) > 1:
                self._bytes -= len(self._queue.pop())
            return
        while len(self._queue) > 1 and self._bytes + len(message) > most_bytes:
            self._bytes -= len(self._queue[1])
            del self._queue[1]
            self._missed += 1
        if not self._queue:
            self.sent_s = time.monotonic()
        self._queue.append(message)
        self._bytes += len(message)

    def send(self, missed: Callable[[int], bytes] | None, now_s: float) -> bool:
        """Send what it takes without waiting; return whether it is still there."""
        for _ in range(_AT_ONCE):
            if not self._queue:
                break
            try:
                count = self.socket.send(memoryview(self._queue[0])[self._begun :])
            except BlockingIOError:
                return True
            except OSError:
                return False
            self.sent_s = now_s
            self._begun += count
            if self._begun == len(self._queue[0]):
                self._bytes -= len(self._queue.popleft())
                self._begun = 0
                self._own_up(missed)
        return True

    def _own_up(self, missed: Callable[[int], bytes] | None) -> None:
        """Put first what says that messages are missing here, if some are."""
        if self._missed and missed is not None:
            words = missed(self._missed)
            self._queue.appendleft(words)
            self._bytes += len(words)
        self._missed = 0


def _has_hung_up(connected: socket.socket) -> bool:
    """Return whether the other side of a socket that doesn't block says no more."""
    try:
        return not connected.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _watch(connected: socket.socket, wanted: int, ready: selectors.BaseSelector) -> None:
    """Watch a socket for what is wanted, whatever it has been watched for until now; 0: for nothing."""
    known = ready.get_map().get(connected)
    if known is None and wanted:
        ready.register(connected, wanted)
    elif known is not None and not wanted:
        ready.unregister(connected)
    elif known is not None and known.events != wanted:
        ready.modify(connected, wanted)


def _listen(address: Address) -> socket.socket:
    if not address.host or not 0 <= address.port <= _LAST_PORT:
        raise SourceError(f"{address}: can't listen there: give a host, and a port from 1 to {_LAST_PORT}")
    try:
        family, _, _, _, where = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        return socket.create_server(where, family=family)
    except (OSError, ValueError) as error:  # ValueError: a host name that can't be one
        reason, _, _ = reason_of(error).partition(" (while")
        raise SourceError(
            f"{address}: can't listen there ({reason}): give another port, and a host of this machine"
        ) from error


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
                packed = compress(build_events(packet), Compression.LZ4)
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
