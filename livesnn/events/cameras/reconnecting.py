"""A live source that may be lost and comes back: `ReconnectingSource`, and the `Connection` that it opens again."""

from __future__ import annotations

import math
import operator
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import astuple
from typing import NamedTuple, Protocol

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import SourceLost
from livesnn.events.cameras.sensor_control import SensorControl
from livesnn.events.packet import (
    DISORDER_US,
    NO_EVENTS,
    Closing,
    Events,
    Packet,
    Resolution,
    SourceCounters,
    order_warnings,
)
from livesnn.progress import Notify, no_notice
from livesnn.threads import in_background


class QuietTime:
    """The time of a stream while nothing comes, as in a quiet scene.

    In silence, all events older than ``late_us`` are taken to have come. One that comes later keeps its time, which
    is a jump back, and so begins a new stream.
    """

    def __init__(self, late_us: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._late_us = late_us
        self._clock = clock
        self.newest_us: int | None = None  # of the last event
        self._noted_s = 0.0
        self.now_us: int | None = None  # no more events come before it; None while events come

    def note_packet(self, events: Events) -> None:
        if events.size:
            self.newest_us, self._noted_s, self.now_us = int(events["t"][-1]), self._clock(), None

    def go_on(self, waited_s: float) -> None:
        """Advance a little at a time: a reader that was busy elsewhere for longer must not see a jump in time."""
        if self.newest_us is not None:
            passed_us = self.newest_us if self.now_us is None else self.now_us
            quiet_us = round((self._clock() - self._noted_s) * 1e6) - self._late_us
            self.now_us = min(self.newest_us + max(quiet_us, 0), passed_us + round(2e6 * waited_s))


class ClockOffset(NamedTuple):
    """What `follow_clock` knows, in µs."""

    offset_us: int  # what to add to the camera's times for those of the computer's clock
    least_us: int  # the least delay in this window
    since_us: int  # when the window began, by the computer's clock
    t_us: int  # when the last packet ended, by the camera's


CLOCK_WINDOW_US = 5_000_000
DRIFT_US = 5_000
"""Clocks of cameras and computers drift apart by less than this in a window: quartz is right to 100 in a million, and
poor oscillators to 1000."""

CLOCK_SET_US = 100_000
"""Where the least delay of a whole window has risen by more, the camera's clock was set."""


def follow_clock(known: ClockOffset | None, t_us: int, arrived_us: int) -> ClockOffset:
    """Return what is known of a camera's clock after a packet that ended at ``t_us`` arrived at ``arrived_us``.

    A packet takes some time to arrive, never less than a least time. So the offset is the least difference of the
    two clocks so far. It falls at once, and rises with each window by at most the drift of clocks.
    """
    delay_us = arrived_us - t_us
    if known is None or t_us < known.t_us - DISORDER_US:  # it begins anew
        return ClockOffset(delay_us, delay_us, arrived_us, t_us)
    offset_us, least_us = min(known.offset_us, delay_us), min(known.least_us, delay_us)
    if arrived_us - known.since_us < CLOCK_WINDOW_US:
        return ClockOffset(offset_us, least_us, known.since_us, t_us)
    rise_us = least_us - offset_us
    offset_us += rise_us if rise_us > CLOCK_SET_US else min(rise_us, DRIFT_US)
    return ClockOffset(offset_us, delay_us, arrived_us, t_us)


class Connection(Protocol):
    """One plugged-in camera, one connected stream: from its opening until it is lost.

    Its name is for people: "camera DVXplorer DXA00093", "tcp://host:7777". The counters are its own.
    """

    name: str
    resolution: Resolution
    counters: SourceCounters

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        """Return the next events and the stream time that has passed (`Packet.now_us`).

        There are no events when none have come in the time. Raises SourceLost, for good.
        """

    def close(self) -> None:
        """Release the device. Safe to call twice."""


_READ_S = 0.02  # of a read: how late `close` can be
_PAUSE_S = 0.05  # between two empty packets while lost
_RELEASE_S = 0.5  # for a read in another thread, before `close` leaves the device to it


class ReconnectingSource(Closing):
    """An `EventSource` over one connection after another: once lost, it waits, connects again and goes on.

    One iteration at a time; the rest may be called from any thread. ``connect`` opens a connection, raising
    SourceError; it is called at once, and after a loss every ``retry_s``, then in a thread of its own. ``notify`` is
    called in the iterating thread. ``serial`` and ``sensor`` are a camera's.
    """

    live = True

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        notify: Notify = no_notice,
        retry_s: float = 0.5,
        serial: str = "",
        sensor: SensorControl | None = None,
    ) -> None:
        self._connect = connect
        self._clock: ClockOffset | None = None  # of this connection
        self._notify = notify
        self._retry_s = retry_s
        self._stop = threading.Event()
        self._lock = threading.Lock()  # of the connection: it isn't closed while it is read
        self._why = ""  # it was lost
        self.lost = ""  # why nothing comes, in one line that says what to do; "" while connected
        self._epoch = 0
        opened = connect()
        self.resolution = opened.resolution
        self.name, self.serial, self.sensor = opened.name, serial, sensor
        # Counters of earlier connections, and this one: one value, so that no thread sees half a change.
        self._connected: tuple[SourceCounters, Connection | None] = (SourceCounters(), opened)

    @property
    def counters(self) -> SourceCounters:
        before, connection = self._connected
        return _sum(before, SourceCounters() if connection is None else connection.counters)

    @property
    def warnings(self) -> list[str]:
        refused = [self.sensor.error] if self.sensor is not None and self.sensor.error else []
        return [*refused, *order_warnings(self.name, self.counters, SourceCounters())]

    def __iter__(self) -> Iterator[Packet]:
        """Yield packets, empty ones at least every 50 ms while nothing comes, until `close`.

        Another epoch begins where the source is lost.

        Raises SourceError when it comes back with another resolution.
        """
        try:
            while not self._stop.is_set():
                _, connection = self._connected
                if connection is None:
                    yield from self._wait()
                else:
                    yield self._read(connection)
        finally:
            if self._stop.is_set():  # the reader may have stopped in the middle, too
                self._release()

    def close(self) -> None:
        """End the iteration and release the device, from any thread. Safe to call twice."""
        self._stop.set()
        if self._lock.acquire(timeout=_RELEASE_S):  # otherwise a driver hangs, and the iteration releases it
            self._lock.release()
            self._release()

    def _read(self, connection: Connection) -> Packet:
        """Return the next packet; an empty one when none has come in the time, and when the source is lost."""
        events, now_us = NO_EVENTS, None
        try:
            with self._lock:
                if not self._stop.is_set():
                    events, now_us = connection.read(_READ_S)
        except SourceLost as error:
            self._release()
            self._epoch += 1
            self._clock = None
            self._why = str(error)
            self.lost = f"{error}. livesnn waits and goes on when it is back"
            self._notify(self.lost)
        return self._packet(events, now_us)

    def _packet(self, events: Events = NO_EVENTS, now_us: int | None = None) -> Packet:
        now_s = time.perf_counter()
        if not events.size or self.sensor is None:
            return Packet(events, now_s, now_us, self._epoch)
        t_us, clock_us = int(events["t"][-1]), round(now_s * 1e6)
        self._clock = follow_clock(self._clock, t_us, clock_us)
        offset_us = self._clock.offset_us
        # A driver keeps what a busy computer doesn't take: that arrived when it was sent.
        arrived_s = min(now_s, (t_us + offset_us) / 1e6)
        own = self.sensor.settings.clock == "internal"
        to_utc_us = offset_us + time.time_ns() // 1000 - clock_us if own else None
        return Packet(events, arrived_s, now_us, self._epoch, to_utc_us)

    def _wait(self) -> Iterator[Packet]:
        """Yield empty packets until an attempt to connect has ended, or it is closed."""
        pauses = max(1, math.ceil(self._retry_s / _PAUSE_S))
        for _ in range(pauses):
            if self._stop.wait(self._retry_s / pauses):
                return
            yield self._packet()
        attempt, ended = in_background("reconnect", self._connect), False  # it may take seconds
        try:
            while not attempt.done():
                yield self._packet()
                if self._stop.wait(_PAUSE_S):
                    return
            ended = True
        finally:
            if not ended:  # nobody waits for it any more
                attempt.add_done_callback(_close_found)
        if isinstance(error := attempt.exception(), SourceError):
            self.lost = f"{self._why}. livesnn still waits for it ({error})"
        else:
            self._adopt(attempt.result())

    def _adopt(self, found: Connection) -> None:
        """Go on with what was found."""
        if found.resolution != self.resolution:
            found.close()
            raise SourceError(
                f"{found.name} is back with {found.resolution.words} pixels instead of {self.resolution.words}: "
                "open it again"
            )
        with self._lock:
            if self._stop.is_set():
                found.close()
                return
            self._connected = (self._connected[0], found)
        self.lost = ""
        self.name = found.name
        self._notify(f"{self.name} is back: going on")

    def _release(self) -> None:
        with self._lock:
            before, connection = self._connected
            if connection is not None:
                connection.close()
                self._connected = (_sum(before, connection.counters), None)


def _close_found(attempt: Future[Connection]) -> None:
    if attempt.exception() is None:
        attempt.result().close()


def _sum(one: SourceCounters, other: SourceCounters) -> SourceCounters:
    return SourceCounters(*map(operator.add, astuple(one), astuple(other)))
