"""TCP: a connection that is read in pieces, a server of messages to many programs, and one of events."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
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
from livesnn.events.packet import Closing, Packet, Resolution
from livesnn.threads import WAKE_S, BoundedQueue, Worker

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
    """Reads a socket, which it owns from now on, in pieces of a given size, each in memory of its own.

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
        """Hang up; safe to call twice."""
        self._socket.close()


def reason_of(error: Exception) -> str:
    """Return what an error of the system says, in one line."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())


MOST_LISTENERS = 32
STUCK_S = 10.0
"""After so long a listener that takes nothing is disconnected, because it takes up a place."""
FLUSH_S = 0.5
"""What waits for a listener when the server closes has so long to be sent."""

_BREATH_S = 0.01
_AT_ONCE = 64  # messages to one listener, before the others have their turn
_MOST_READ = 1 << 16
_LAST_PORT = 65_535


class TcpServer(Closing):
    """Sends each message to every program that is connected, in a thread of its own.

    A listener that reads too slowly loses its oldest messages, whole ones, or is disconnected. What listeners send
    isn't read.

    Parameters
    ----------
    address
        Where to listen; port 0: any that is free.
    greeting
        What every listener gets first.
    most_bytes
        Of messages that may wait for one listener; one is always let in, however large.
    missed
        Returns what a listener gets in place of that many missing messages; None: it is disconnected instead.
    buffer_bytes
        What the system may hold for one listener beside those; None: as it likes, which may be megabytes.
    quiet, quiet_s
        A listener gets ``quiet`` after ``quiet_s`` without a message; b"": nothing.
    stuck_s
        A listener that takes nothing for so long, while something waits for it, is disconnected.

    Raises SourceError when there is no such address on this machine, or another program listens there.
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
        stuck_s: float = STUCK_S,
    ) -> None:
        self._greeting, self._most_bytes, self._missed = greeting, most_bytes, missed
        self._quiet, self._quiet_s, self._buffer_bytes = quiet, quiet_s, buffer_bytes
        self._stuck_s = stuck_s
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

        Raises SourceError when the thread has failed, and sends nothing more.
        """
        if (error := self._worker.error) is not None:
            raise SourceError(f"{self.address}: it stopped sending ({error}): start it again") from error
        with self._lock:
            for listener in self._listeners.values():
                listener.put(message, drops=self._missed is not None)
        self._notify()

    def hang_up(self) -> None:
        """Disconnect everyone, once what waits for them has been sent."""
        with self._lock:
            for listener in self._listeners.values():
                listener.leaving = True
        self._notify()

    def close(self) -> None:
        """Send what waits, for half a second at most, and listen no more; safe to call twice."""
        self.hang_up()
        self._worker.stop.set()
        self._notify()
        self._worker.close()
        for each in (self._listening, self._wake, self._woken):
            each.close()

    def _notify(self) -> None:
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
                deadline_s = time.monotonic() + FLUSH_S
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
                listener.put(self._quiet)
            there = listener.send(self._missed, now_s)
        stuck = listener.waiting and now_s - listener.sent_s > self._stuck_s
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
            self._listeners[connected] = _Listener(connected, self._greeting, self._most_bytes)

    def _forget(self, listener: _Listener, ready: selectors.BaseSelector) -> None:
        _watch(listener.socket, 0, ready)
        with self._lock:
            del self._listeners[listener.socket]
        with contextlib.suppress(OSError):
            # Unread input would turn the end into a reset, which loses what the listener hasn't read yet.
            listener.socket.shutdown(socket.SHUT_WR)
            listener.socket.recv(_MOST_READ)
        listener.socket.close()


class _Listener:
    """A program that is connected, and what waits for it.

    ``leaving``: it gets no more than that. ``sent_s``: when it last took something, or something began to wait.
    """

    def __init__(self, connected: socket.socket, greeting: bytes, most_bytes: int) -> None:
        self.socket = connected
        self.leaving = False
        self.sent_s = time.monotonic()
        self._most_bytes = most_bytes
        self._current = memoryview(greeting)  # what is being sent, without what is sent already
        self._queue = self._empty_queue()
        self._reported = 0  # dropped messages that the listener knows of

    def _empty_queue(self) -> BoundedQueue[bytes]:
        return BoundedQueue(policy="drop_oldest", max_bytes=self._most_bytes, size=len)

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return bool(self._current) or self._queue.wait(0.0)

    def put(self, message: bytes, *, drops: bool = True) -> None:
        """Leave a message. Where there is no room, drop the oldest.

        With ``drops`` False, the listener gets the message that is its turn, and no more.
        """
        if self.leaving:
            return
        if not drops and not self._queue.has_room(message):
            self.leaving = True
            first = self._queue.take()
            self._queue = self._empty_queue()
            if first is not None and not self._current:
                self._queue.put(first)
            return
        if not self.waiting:
            self.sent_s = time.monotonic()
        self._queue.put(message)

    def send(self, missed: Callable[[int], bytes] | None, now_s: float) -> bool:
        """Send what the listener takes without waiting; return whether it is still connected."""
        for _ in range(_AT_ONCE):
            if not self._current:
                self._current = self._next(missed)
            if not self._current:
                break
            try:
                count = self.socket.send(self._current)
            except BlockingIOError:
                return True
            except OSError:
                return False
            self.sent_s = now_s
            self._current = self._current[count:]
        return True

    def _next(self, missed: Callable[[int], bytes] | None) -> memoryview:
        """Return the next message, or first what tells that some are missing before it; empty: nothing waits."""
        dropped = self._queue.dropped
        if missed is not None and dropped > self._reported:
            message = missed(dropped - self._reported)
            self._reported = dropped
            return memoryview(message)
        return memoryview((self._queue.take() if self._queue.wait(0.0) else None) or b"")


def _has_hung_up(connected: socket.socket) -> bool:
    """Return whether the other side has closed a non-blocking socket."""
    try:
        return not connected.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _watch(connected: socket.socket, events: int, ready: selectors.BaseSelector) -> None:
    """Watch a socket for these events from now on; 0: for none."""
    known = ready.get_map().get(connected)
    if known is None and events:
        ready.register(connected, events)
    elif known is not None and not events:
        ready.unregister(connected)
    elif known is not None and known.events != events:
        ready.modify(connected, events)


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


WAITING_BYTES = 16_000_000
"""Of packets that may wait for one program: some million events."""


class EventServer(TcpServer):
    """Sends packets to every program that connects, as dv-processing's NetworkWriter does.

    A program that reads too slowly is disconnected, to connect again. So is everyone where another epoch begins, or
    they would take that for a scene in which nothing moves. ``resolution`` and ``name`` are of the packets' sensor.
    """

    def __init__(self, address: Address, resolution: Resolution, name: str) -> None:
        header, _ = build_header(Compression.LZ4, resolution, storable(name or "livesnn"))
        self._epoch: int | None = None
        super().__init__(address, header[len(MAGIC) :], most_bytes=WAITING_BYTES)

    def send_packet(self, packet: Packet) -> None:
        """Leave a packet for those who are connected; never waits for one of them."""
        if self._epoch != packet.epoch:
            if self._epoch is not None:
                self.hang_up()
            self._epoch = packet.epoch
        if packet.events.size and self.listeners:
            packed = compress(build_events(packet.events), Compression.LZ4)
            self.send(PACKET_HEADER.pack(0, len(packed)) + packed)
