"""A source that can be lost and comes back: Live, and what it connects to. Not here: cameras, network."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import NamedTuple, Protocol

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import EVENTS_DTYPE, Closing, Events, Resolution, SourceCounters
from livesnn.threads import Worker

Notify = Callable[[str], None]
"""Gets one line for a person when a source is lost, and one when it is back ("" is nothing to say)."""


def ignore(line: str) -> None:
    """Tell nobody."""


class SourceLost(SourceError):  # noqa: N818 (not always one: it may come back)
    """The camera was unplugged, the server went away: it may come back. In words: what, why, what to do."""


class Connection(Protocol):
    """One plugged-in camera, one connected stream: from its opening until it is lost."""

    @property
    def name(self) -> str:
        """What a person calls it: "camera DVXplorer DXA00093", "tcp://host:7777"."""
        ...

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels."""
        ...

    @property
    def counters(self) -> SourceCounters:
        """Since the connection was opened."""
        ...

    def read(self, timeout_s: float) -> Events | None:
        """Return the next packet; None when none has come in the time. Raises SourceLost, for good."""
        ...

    def close(self) -> None:
        """Let go of the device; safe to call twice."""
        ...


_READ_S = 0.02  # of a read: how late `close` can be
_PAUSE_S = 0.05  # between two empty packets while lost
_LET_GO_S = 0.5  # for a read in another thread, before `close` leaves the device to it


class _Held(NamedTuple):
    """What is counted: one value, so that a reader in another thread can't see half a change."""

    before: SourceCounters  # of the connections let go
    connection: Connection | None


class Live(Closing):
    """An event source over one connection after another: lost, it waits, connects again and goes on.

    One iteration at a time; the rest may be called from any thread.

    Parameters
    ----------
    connect
        Opens a connection, raising SourceError; called at once, and after a loss every ``retry_s``, then in
        a thread of its own.
    notify
        Called in the iterating thread at each loss and each return.
    """

    def __init__(
        self, connect: Callable[[], Connection], *, notify: Notify = ignore, retry_s: float = 0.5
    ) -> None:
        self._connect = connect
        self._notify = notify
        self._pauses = max(1, math.ceil(retry_s / _PAUSE_S))
        self._pause_s = retry_s / self._pauses
        self._stop = threading.Event()
        self._lock = threading.Lock()  # of the connection: it isn't closed while it is read
        self._number = 0
        self._lost = ""
        opened = connect()
        self._resolution = opened.resolution
        self._name = opened.name
        self._held = _Held(SourceCounters(), opened)

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels, the same after every return."""
        return self._resolution

    @property
    def camera(self) -> str:
        """What a person calls it."""
        return self._name

    @property
    def counters(self) -> SourceCounters:
        """Over all connections."""
        before, connection = self._held
        return _sum(before, SourceCounters() if connection is None else connection.counters)

    @property
    def connection(self) -> int:
        """Number of the connection the last packet came by, from 0: where it changes, nothing follows on."""
        return self._number

    @property
    def now_us(self) -> int | None:
        """As for `events.frames.frames`, where the connection has it; None while lost."""
        return getattr(self._held.connection, "now_us", None)

    @property
    def lost(self) -> str:
        """Why nothing comes, in one line that says what to do; "" while connected."""
        return self._lost

    def __iter__(self) -> Iterator[Events]:
        """Yield packets, empty ones at least every 50 ms while nothing comes, until `close`.

        Raises
        ------
        SourceError
            When it comes back with another resolution.
        """
        while not self._stop.is_set():
            connection = self._held.connection
            if connection is None:
                yield from self._wait()
            else:
                yield self._read(connection)
        self._let_go()

    def close(self) -> None:
        """End the iteration and let go of the device, from any thread; safe to call twice."""
        self._stop.set()
        if self._lock.acquire(timeout=_LET_GO_S):  # otherwise a driver hangs, and the iteration lets go
            self._lock.release()
            self._let_go()

    def _read(self, connection: Connection) -> Events:
        """Return the next packet; an empty one when none has come in the time, and when it is lost."""
        packet: Events | None = None
        try:
            with self._lock:
                if not self._stop.is_set():
                    packet = connection.read(_READ_S)
        except SourceLost as error:
            self._let_go()
            self._lost = f"{error}; waiting for it, and going on when it is back"
            self._notify(self._lost)
        return _nothing() if packet is None else packet

    def _wait(self) -> Iterator[Events]:
        """Yield empty packets until it is back, or closed."""
        for _ in range(self._pauses):
            if self._stop.wait(self._pause_s):
                return
            yield _nothing()
        attempt = Worker("reconnect", self._try_again).start()  # a server that says nothing takes seconds
        while attempt.running:
            yield _nothing()
            if self._stop.wait(_PAUSE_S):
                return
        if attempt.error is not None:
            raise attempt.error
        if self._held.connection is not None:
            self._notify(f"{self._name} is back: going on from the network's initial state")

    def _try_again(self, stop: threading.Event) -> None:
        """Run in the thread: connect, unless it still can't be."""
        try:
            opened = self._connect()
        except SourceError:
            return
        found = opened.resolution
        with self._lock:
            if self._stop.is_set() or found != self._resolution:
                opened.close()
            else:
                self._number += 1
                self._lost = ""
                self._name = opened.name
                self._held = self._held._replace(connection=opened)
        if found != self._resolution:
            raise SourceError(
                f"{opened.name} is back with {found.width}×{found.height} pixels instead of "
                f"{self._resolution.width}×{self._resolution.height}: open it again"
            )

    def _let_go(self) -> None:
        with self._lock:
            before, connection = self._held
            if connection is not None:
                connection.close()
                self._held = _Held(_sum(before, connection.counters), None)


def _nothing() -> Events:
    return np.empty(0, EVENTS_DTYPE)


def _sum(one: SourceCounters, other: SourceCounters) -> SourceCounters:
    names = [field.name for field in fields(SourceCounters)]
    return SourceCounters(**{name: getattr(one, name) + getattr(other, name) for name in names})
