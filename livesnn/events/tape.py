"""Tape: a new .aedat4 file, written by a thread of its own. Not here: whose events, and until when (capture.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from livesnn.errors import SourceError
from livesnn.events import DISORDER_US, Events, Resolution
from livesnn.events.recorder import Aedat4Writer
from livesnn.threads import PacketQueue, Policy, Queued, Worker

BUFFER_BYTES = 256_000_000
"""20 million events, a second of the fastest camera."""

_LOOK_S = 0.25  # at the file's size


@dataclass(frozen=True)
class Recorded:
    """What has been written so far: ``dropped`` were lost before, ``seconds`` is from its first event to its last."""

    path: Path
    events: int
    dropped: int
    seconds: float


class Tape:
    """Writes the packets put into a new .aedat4 file, in a thread of its own, until `stop`.

    Events in the file + dropped = events put from the start to `stop`, exactly. After an error the file has what
    had reached it, and `put` does nothing.

    Parameters
    ----------
    path
        A new file, of suffix .aedat4; opened in the thread, so that what is wrong with it is in `error`.
    resolution, camera
        Of the events, as the camera gives them; the camera's name for the file.
    policy
        "drop_oldest" for what can't wait, "block" for a recording: `put` waits for the disk, and times that jump
        back stay as they are.
    buffer_bytes
        What may wait for the disk.
    clock
        Monotonic seconds.

    Attributes
    ----------
    file_bytes
        Size of the file, a moment ago.
    recorded
        What is in it, as `Recorded`.
    """

    def __init__(
        self,
        path: Path,
        resolution: Resolution,
        camera: str,
        *,
        policy: Policy = "drop_oldest",
        buffer_bytes: int = BUFFER_BYTES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.path = path
        self.file_bytes = 0
        self.recorded = Recorded(path, events=0, dropped=0, seconds=0.0)
        self._resolution = resolution
        self._camera = camera or "livesnn"
        self._clock = clock
        self._begun_s = clock()
        self._timing = _Timing(goes_on=policy == "drop_oldest")
        self._queue = PacketQueue(policy=policy, max_bytes=buffer_bytes, clock=clock)
        self._worker = Worker("tape", self._write, on_error=lambda error: self._queue.end()).start()

    @property
    def seconds(self) -> float:
        """For how long it has been running."""
        return self._clock() - self._begun_s

    @property
    def dropped(self) -> int:
        """Events lost because the disk was late."""
        return self._queue.dropped

    @property
    def error(self) -> BaseException | None:
        """Why it ended early; None: it didn't."""
        return self._worker.error

    @property
    def finished(self) -> bool:
        """Whether nothing more will be written."""
        return not self._worker.running

    def put(self, packet: Events) -> None:
        """Record a packet, EVENTS_DTYPE [N] in order of time, which nobody may change any more."""
        self._queue.put(packet)

    def stop(self) -> None:
        """Record nothing more; what has been put is still written. Returns at once, safe to call twice."""
        self._queue.end()

    def wait(self, timeout_s: float) -> bool:
        """After `stop`, wait at most so long for the file to be complete; return whether it is."""
        return self._worker.close(timeout_s)

    def close(self, timeout_s: float = 4.0) -> bool:
        """Stop, and wait for the file to be complete; return whether it is.

        What the disk hasn't taken in that time is lost, and the file is finished without it.
        """
        self.stop()
        if not self.wait(timeout_s):
            self._queue.close()
        return self.wait(timeout_s)

    def _write(self, stop: threading.Event) -> None:
        """Run in the thread, until there is nothing more: `stop` alone would lose what waits."""
        with Aedat4Writer(self.path, self._resolution, self._camera) as writer:
            looked_s = -_LOOK_S
            while (queued := self._queue.take()) is not None:
                writer.write(self._timing.put_right(queued))
                self._count(self.dropped)
                if self._clock() - looked_s >= _LOOK_S:
                    looked_s = self._clock()
                    self._look()
        self._count(self.dropped + self._queue.unread)
        self._look()

    def _count(self, dropped: int) -> None:
        self.recorded = Recorded(self.path, self._queue.taken, dropped, self._timing.seconds)

    def _look(self) -> None:
        try:
            self.file_bytes = self.path.stat().st_size
        except OSError as error:
            raise SourceError(
                f"{self.path}: is no longer there ({error.strerror}): record to another folder"
            ) from error


class _Timing:
    """The times of what is recorded, going on where ``goes_on``.

    A camera that comes back, or a stream that begins anew, may count from another zero than before: where time
    jumps back, all times from there on are moved, so that they go on after the last event as the clock did.
    """

    def __init__(self, *, goes_on: bool) -> None:
        self._goes_on = goes_on
        self._moved_us = 0
        self._first_us: int | None = None
        self._last_us = 0
        self._last_arrived_s = 0.0

    @property
    def seconds(self) -> float:
        """From the first event to the last."""
        return 0.0 if self._first_us is None else (self._last_us - self._first_us) / 1e6

    def put_right(self, queued: Queued) -> Events:
        """Return the next packet, or a copy of it with other times."""
        packet = queued.packet
        if not packet.size:
            return packet
        first_us = int(packet["t"][0])
        if self._first_us is None:
            self._first_us = self._last_us = first_us
        elif not self._goes_on:
            self._first_us = min(self._first_us, first_us)
        elif first_us + self._moved_us < self._last_us - DISORDER_US:
            gap_us = round((queued.arrived_s - self._last_arrived_s) * 1e6)
            self._moved_us = self._last_us + gap_us - first_us
        if self._moved_us:
            packet = packet.copy()
            packet["t"] += self._moved_us
        self._last_us = max(self._last_us, int(packet["t"][-1]))
        self._last_arrived_s = queued.arrived_s
        return packet
