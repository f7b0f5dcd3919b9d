"""A source as a row of passes, each through its own buffer, that another thread can cut short. Not here: Qt.

A recording is played, sought and looped pass by pass; anything else has one pass. Whoever pulls may hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from livesnn.events import Events, EventSource, Resolution, SourceCounters
from livesnn.events.recording import open_recording
from livesnn.events.replay import Replay
from livesnn.threads import Buffered

Policy = Literal["drop_oldest", "block"]
RECORDING_BUFFER_BYTES = 256_000  # what a pause or a seek at full speed has to throw away or hold back


class Playback:
    """An open source. `passed` is for one thread; the rest may be called from any.

    Parameters
    ----------
    source
        Owned by the playback from now on.
    policy
        Of the buffer; a Replay always waits.
    """

    def __init__(self, source: EventSource, *, policy: Policy) -> None:
        self._source = source
        self._replay = source if isinstance(source, Replay) else None
        self._policy: Policy = policy if self._replay is None else "block"
        self._speed = None if self._replay is None else self._replay.speed
        self._buffer: Buffered[Resolution, SourceCounters] | None = None
        self.cut = False  # whoever pulls should stop pulling

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels."""
        return self._source.resolution

    @property
    def start_us(self) -> int:
        """Time of the first event; 0 when unknown."""
        return 0 if self._replay is None else self._replay.recording.t_start

    @property
    def duration_us(self) -> int | None:
        """Length of a recording; None for anything else."""
        return None if self._replay is None else self._replay.recording.duration_us

    @property
    def dropped(self) -> int:
        """Events lost so far."""
        return (self._buffer or self._source).counters.dropped

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is damaged or assumed in a recording, as far as it has been read; one line each."""
        return () if self._replay is None else tuple(self._replay.recording.warnings)

    def set_paused(self, paused: bool) -> None:
        """Hold back, or let through, a recording's packets; not anything else, nor a cut pass."""
        if self._replay is not None and not self.cut:
            (self._replay.pause if paused else self._replay.resume)()

    def set_speed(self, speed: float) -> None:
        """Play a recording at this multiple of real time; inf is as fast as possible."""
        self._speed = speed
        if self._replay is not None and not self.cut:
            self._replay.set_speed(speed)

    def interrupt(self) -> None:
        """Make the current pass end soon, wherever it waits."""
        self.cut = True
        if self._replay is not None:  # its next packet comes at once, and Pass is the last to see it
            self._replay.set_speed(None)
            self._replay.resume()
        elif self._buffer is not None:
            self._buffer.close()

    def begin(self, from_us: int, take: Callable[[Events], bool]) -> Pass:
        """Return the pass from ``from_us`` after the start; ``take`` sees each packet, False ends it."""
        self.cut = False
        if self._replay is None:
            self._buffer = Buffered(self._source, policy=self._policy)
        else:
            self._replay.seek(self.start_us + from_us)
            self._replay.set_speed(self._speed)
            self._replay.resume()
            self._buffer = Buffered(
                _Shared(self._replay, self), policy="block", max_bytes=RECORDING_BUFFER_BYTES
            )
        return Pass(self._buffer, self, take)

    def close(self) -> None:
        """End the current pass and release the source. Safe to call twice."""
        self.interrupt()
        if self._buffer is not None:
            self._buffer.close()
        self._source.close()


class Pass:
    """An EventSource for `events.frames.frames`: one run through a part of the source."""

    def __init__(
        self,
        buffer: Buffered[Resolution, SourceCounters],
        playback: Playback,
        take: Callable[[Events], bool],
    ) -> None:
        self._buffer = buffer
        self._playback = playback
        self._take = take
        self.read_to_end = False  # nobody has cut it short
        self.held_until_s = 0.0  # a packet that waited for the end of a pause has arrived then

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels."""
        return self._buffer.resolution

    @property
    def counters(self) -> SourceCounters:
        """Events let through and lost."""
        return self._buffer.counters

    @property
    def arrived_s(self) -> float:
        """When the packet just yielded arrived, by `time.perf_counter`."""
        return max(self._buffer.arrived_s, self.held_until_s)

    def __iter__(self) -> Iterator[Events]:
        """Yield packets to the end, or until the pass is cut; then let go of the buffer."""
        try:
            for packet in self._buffer:
                if self._playback.cut or not self._take(packet):
                    return
                yield packet
            self.read_to_end = not self._playback.cut
        finally:
            self.close()

    def close(self) -> None:
        """End the buffer's thread."""
        self._playback.interrupt()
        self._buffer.close()


class _Shared:
    """A Replay that a buffer reads but doesn't close, and whose iteration ends when the pass is cut."""

    def __init__(self, replay: Replay, playback: Playback) -> None:
        self._replay = replay
        self._playback = playback

    @property
    def resolution(self) -> Resolution:
        return self._replay.resolution

    @property
    def counters(self) -> SourceCounters:
        return self._replay.counters

    def __iter__(self) -> Iterator[Events]:
        for packet in self._replay:
            if self._playback.cut:
                return
            yield packet

    def close(self) -> None:
        """Leave it open: the playback owns it."""


def open_playback(source: str | Path | EventSource, *, policy: Policy, speed: float) -> Playback:
    """Open a path, or take over an open source; raises what `open_recording` raises."""
    if isinstance(source, str | Path):
        return Playback(Replay(open_recording(source), speed=speed), policy="block")
    return Playback(source, policy=policy)
