"""A source as a row of passes, each through its own buffer, that another thread can cut short. Not here: Qt.

A recording is played, sought and looped pass by pass. A live source has one pass; it can't be held, only not
be listened to. Every packet is seen as it arrives, before the buffer, so that the view never waits; and a live
source's can be recorded, even those that nobody listens to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from livesnn.app.statistics import Counts
from livesnn.events import Events, EventSource, Resolution, SourceCounters
from livesnn.events.capture import camera_of
from livesnn.events.orientation import Orientation, orient
from livesnn.events.recording import Recording
from livesnn.events.replay import Replay
from livesnn.events.tape import Tape
from livesnn.sources import open_source
from livesnn.threads import Buffered

Policy = Literal["drop_oldest", "block"]
Take = Callable[[Events, float], None]
RECORDING_BUFFER_BYTES = 256_000  # what a pause or a seek at full speed has to throw away or hold back
PAUSING, RECONNECTING = "pausing", "reconnecting"


class Playback:
    """An open source. A `Pass` is for one thread; the rest may be called from any.

    Parameters
    ----------
    source
        Owned by the playback from now on.
    policy
        Of a live source's buffer; a Replay always waits.
    orientation
        What makes its events upright.
    """

    def __init__(self, source: EventSource, *, policy: Policy, orientation: Orientation) -> None:
        self.orientation = orientation
        self.resolution = orientation.resolution(source.resolution)
        self.replay = source if isinstance(source, Replay) else None
        self.cut = False  # whoever pulls should stop pulling
        self.paused = False
        self.tape: Tape | None = None  # what a live source's packets are recorded on
        self.pauses = 0
        self.skipped = 0  # events thrown away
        self.breaks: list[str] = []  # why a live source's packets didn't follow on, one after another
        self.start_us = 0 if self.replay is None else self.replay.recording.t_start
        self._source = source
        self._policy: Policy = policy if self.replay is None else "block"
        self._speed = 1.0
        self._passes: tuple[int, Buffered[Resolution, SourceCounters] | None] = (
            0,
            None,
        )  # events before, now

    @property
    def duration_us(self) -> int | None:
        """Length of a recording; None for anything else."""
        return None if self.replay is None else self.replay.recording.duration_us

    @property
    def path(self) -> Path | None:
        """File of a recording."""
        return None if self.replay is None else self.replay.recording.path

    @property
    def lost(self) -> str:
        """Why nothing comes from a live source, in one line; "" while it is connected."""
        return str(getattr(self._source, "lost", ""))

    @property
    def counts(self) -> Counts:
        """Where the events went."""
        before, buffer = self._passes
        if buffer is None:
            return Counts(dropped=self._source.counters.dropped)
        counters = buffer.counters
        return Counts(before + counters.events, counters.dropped, self.skipped, buffer.unread)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is damaged or assumed in a recording, as far as it has been read; one line each."""
        return () if self.replay is None else tuple(self.replay.recording.warnings)

    def set_paused(self, paused: bool) -> None:
        """Hold back a recording's packets, or throw away a live source's, until told otherwise."""
        self.pauses += paused and not self.paused
        self.paused = paused
        if self.replay is not None and not self.cut:
            (self.replay.pause if paused else self.replay.resume)()

    def set_speed(self, speed: float) -> None:
        """Play a recording at this multiple of real time; inf is as fast as possible."""
        self._speed = speed
        if self.replay is not None and not self.cut:
            self.replay.set_speed(speed)

    def interrupt(self) -> None:
        """Make the current pass end soon, wherever it waits."""
        self.cut = True
        _, buffer = self._passes
        if self.replay is not None:  # its next packet comes at once, and nobody sees it
            self.replay.set_speed(None)
            self.replay.resume()
        elif buffer is not None:
            buffer.interrupt()

    def begin(self, from_us: int, take: Take) -> Pass:
        """Return the pass from ``from_us`` after the start.

        ``take`` is called in the capturing thread with each packet, upright, and the `time.perf_counter` at which
        it arrived.
        """
        self.cut = False
        before, last = self._passes
        buffer: Buffered[Resolution, SourceCounters]
        if self.replay is None:
            buffer = Buffered(_Tap(self._source, self, take), policy=self._policy)
        else:
            self.replay.seek(self.start_us + from_us)
            self.set_speed(self._speed)
            self.set_paused(self.paused)
            buffer = Buffered(_Tap(self.replay, self, take), policy="block", max_bytes=RECORDING_BUFFER_BYTES)
        self._passes = (before + (0 if last is None else last.counters.events), buffer)
        return Pass(buffer, self)

    def new_tape(self, path: Path) -> Tape:
        """Return a tape for the source's events as they come, not upright; `tape` may be set to it."""
        return Tape(path, self._source.resolution, camera_of(self._source))

    def close(self) -> None:
        """End the current pass and release the source. Safe to call twice."""
        self.interrupt()
        _, buffer = self._passes
        if buffer is not None:
            buffer.close()
        self._source.close()


class Pass:
    """An EventSource for `events.frames.frames`: one run through a part of the source."""

    def __init__(self, buffer: Buffered[Resolution, SourceCounters], playback: Playback) -> None:
        self._buffer = buffer
        self._playback = playback
        self.read_to_end = False  # nobody has cut it short

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels, upright."""
        return self._buffer.resolution

    @property
    def counters(self) -> SourceCounters:
        """Events let through and lost."""
        return self._buffer.counters

    @property
    def arrived_s(self) -> float:
        """When the packet just yielded arrived, by `time.perf_counter`."""
        return self._buffer.arrived_s

    @property
    def now_us(self) -> int | None:
        """Stream time that had passed when it arrived (events.frames); None when unknown."""
        return self._buffer.now_us

    @property
    def connection(self) -> int:
        """How many of `Playback.breaks` came before the packet just yielded."""
        return self._buffer.connection

    def __iter__(self) -> Iterator[Events]:
        """Yield packets to the end, or until the pass is cut; then let go of the buffer."""
        try:
            for packet in self._buffer:
                yield packet
                if self._playback.cut:
                    return
            self.read_to_end = not self._playback.cut
        finally:
            self.close()

    def close(self) -> None:
        """End the buffer's thread."""
        self._playback.interrupt()
        self._buffer.close()


class _Tap:
    """The source as its buffer reads it: upright, seen on its way, and silent while a live source is paused."""

    def __init__(self, source: EventSource, playback: Playback, take: Take) -> None:
        self._source = source
        self._playback = playback
        self._take = take
        self._connection = getattr(source, "connection", 0)
        self._pauses = playback.pauses
        self._begun = False  # an event has come

    @property
    def resolution(self) -> Resolution:
        return self._playback.resolution

    @property
    def counters(self) -> SourceCounters:
        return self._source.counters

    @property
    def now_us(self) -> int | None:
        now_us: int | None = getattr(self._source, "now_us", None)
        return now_us

    @property
    def connection(self) -> int:
        return len(self._playback.breaks)

    def __iter__(self) -> Iterator[Events]:
        playback = self._playback
        live = playback.replay is None
        for packet in self._source:
            heard = self._listen(packet) if live else True
            if playback.cut and not (live and heard):  # what was heard live is yielded, to be counted
                return
            if heard:
                upright = orient(packet, self._source.resolution, playback.orientation)
                self._take(upright, time.perf_counter())
                yield upright

    def _listen(self, packet: Events) -> bool:
        """Record a live source's packet, and note where it doesn't follow on; False while nobody listens."""
        playback = self._playback
        if (tape := playback.tape) is not None:
            tape.put(packet)
        if self._connection != (connection := getattr(self._source, "connection", 0)):
            self._connection = connection
            playback.breaks.append(RECONNECTING)
        if playback.paused:
            playback.skipped += packet.size
            return False
        if self._pauses != playback.pauses:
            self._pauses = playback.pauses
            playback.breaks.append(PAUSING)
        if packet.size:
            first_us = int(packet["t"][0])
            playback.start_us = min(playback.start_us, first_us) if self._begun else first_us
            self._begun = True
        return True

    def close(self) -> None:
        """Release a live source; a recording is the playback's."""
        if self._playback.replay is None:
            self._source.close()


def open_playback(source: str | Path | EventSource, *, policy: Policy, orientation: Orientation) -> Playback:
    """Open a SOURCE (sources.open_source, which says what it raises), or take over an open one."""
    opened = open_source(source) if isinstance(source, str | Path) else source
    paced = Replay(opened) if isinstance(opened, Recording) else opened
    return Playback(paced, policy=policy, orientation=orientation)
