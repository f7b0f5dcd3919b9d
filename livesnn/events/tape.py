"""Tape: what arrives from a live source goes to a file as well, while it plays. Not here: whose events, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from livesnn.errors import SourceError
from livesnn.events import Events, Resolution
from livesnn.events.capture import BUFFER_BYTES, Capture, Recorded
from livesnn.packet_queue import PacketQueue
from livesnn.threads import Worker

_LOOK_S = 0.25  # at the file's size


class Tape:
    """Writes the packets put into a new .aedat4 file, in a thread of its own, until `stop`.

    Events in the file + dropped = events put from the start to `stop`, exactly: what the disk can't take in time
    is dropped, the oldest first. After an error the file has what had reached it, and `put` does nothing.

    Parameters
    ----------
    path
        A new file; opened in the thread, so that what is wrong with it is in `error`.
    resolution, camera
        Of the events, as the camera gives them; the camera's name for the file.
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
        buffer_bytes: int = BUFFER_BYTES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.path = path
        self.file_bytes = 0
        self.recorded = Recorded(path, events=0, dropped=0, seconds=0.0)
        self._resolution = resolution
        self._camera = camera
        self._clock = clock
        self._begun_s = clock()
        self._queue = PacketQueue(policy="drop_oldest", max_bytes=buffer_bytes, clock=clock)
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
        """Record a packet, EVENTS_DTYPE [N], which nobody may change any more; never waits for the disk."""
        self._queue.put(packet)

    def stop(self) -> None:
        """Record nothing more; what has been put is still written. Returns at once, safe to call twice."""
        self._queue.end()

    def close(self, timeout_s: float = 4.0) -> bool:
        """Stop, and wait for the file to be complete; return whether it is.

        What the disk hasn't taken in that time is lost, and the file is finished without it.
        """
        self.stop()
        if not self._worker.close(timeout_s):
            self._queue.close()
        return self._worker.close(timeout_s)

    def _write(self, stop: threading.Event) -> None:
        """Run in the thread, until there is nothing more: `stop` alone would lose what waits."""
        with Capture(self.path, self._resolution, self._camera) as capture:
            looked_s = -_LOOK_S
            while (queued := self._queue.take()) is not None:
                capture.write(queued.packet, queued.arrived_s)
                self.recorded = capture.so_far(self.dropped)
                if self._clock() - looked_s >= _LOOK_S:
                    looked_s = self._clock()
                    self._look()
        self.recorded = capture.so_far(self.dropped + self._queue.unread)
        self._look()

    def _look(self) -> None:
        try:
            self.file_bytes = self.path.stat().st_size
        except OSError as error:
            raise SourceError(
                f"{self.path}: is no longer there ({error.strerror}): record to another folder"
            ) from error
