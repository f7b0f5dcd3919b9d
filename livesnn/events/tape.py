"""Tape: a new .aedat4 file and its labels, written by a thread of its own. Not here: whose events (capture.py)."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from livesnn.errors import SourceError
from livesnn.events import Events, Resolution
from livesnn.events.disk import PLENTY, require_room
from livesnn.events.labels import LabelWriter
from livesnn.events.orientation import Orientation
from livesnn.events.recorder import Aedat4Writer
from livesnn.events.timing import Timing
from livesnn.threads import PacketQueue, Policy, Queued, Worker

BUFFER_BYTES = 256_000_000
"""20 million events, a second of the fastest camera."""

KEPT_BACK_S = 0.02
"""Nothing that has come waits longer before it is in the file, unless the disk is late: what a kill can lose."""


@dataclass(frozen=True)
class Recorded:
    """What has been written so far.

    ``dropped`` never got into the file; ``seconds`` is from its first event to its last; ``labels`` are beside it.
    """

    path: Path
    events: int
    dropped: int
    seconds: float
    labels: int = 0


class Tape:
    """Writes the packets put into a new .aedat4 file, in a thread of its own, until `stop`.

    Events in the file + dropped = events put from the start to `stop`, exactly. After an error, such as a full disk,
    the file has what had reached it, and `put` does nothing.

    Parameters
    ----------
    path
        A new file, of suffix .aedat4; opened in the thread, so that what is wrong with it is in `error`.
    resolution, camera
        Of the events that are put; the camera's name for the file.
    orientation
        What has made them upright: for whoever puts others.
    policy
        "drop_oldest" for what can't wait, "block" for a recording: `put` waits for the disk, and times that jump
        back stay as they are.
    buffer_bytes
        What may wait for the disk.
    before
        What had arrived before, which comes first.
    clock
        Monotonic seconds.

    Attributes
    ----------
    file_bytes, room_bytes
        Size of the file, and what it may still grow by, a moment ago.
    recorded
        What is in it, as `Recorded`.
    """

    def __init__(
        self,
        path: Path,
        resolution: Resolution,
        camera: str,
        *,
        orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
        policy: Policy = "drop_oldest",
        buffer_bytes: int = BUFFER_BYTES,
        before: Iterable[Queued] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.path = path
        self.orientation = orientation
        self.file_bytes = 0
        self.room_bytes = PLENTY
        self.recorded = Recorded(path, events=0, dropped=0, seconds=0.0)
        self._resolution = resolution
        self._camera = camera or "livesnn"
        self._clock = clock
        self._timing = Timing(goes_on=policy == "drop_oldest")
        self._labels: deque[tuple[float, str | None]] = deque()  # from when on, not yet written
        self._queue = PacketQueue(policy=policy, max_bytes=buffer_bytes, clock=clock)
        earlier = tuple(before)
        self._begun_s = earlier[0].arrived_s if earlier else clock()
        for queued in earlier:
            self._queue.put_queued(queued)
        self._worker = Worker("tape", self._write, on_error=lambda error: self._queue.end()).start()

    @property
    def seconds(self) -> float:
        """For how long it has been running, what had arrived before included."""
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

    def put(self, packet: Events, connection: int = 0) -> None:
        """Record a packet, EVENTS_DTYPE [N] in order of time, which nobody may change any more.

        ``connection``: of its source, see `EventSource.connection`.
        """
        self._queue.put(packet, connection=connection)

    def label(self, label: str | None) -> None:
        """Say what happens from now on; None: nothing that has a label."""
        self._labels.append((self._clock(), label))

    def stop(self) -> None:
        """Record nothing more; what has been put is still written. Returns at once, safe to call twice."""
        self.label(None)
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
        self.room_bytes = require_room(self.path)
        with LabelWriter(self.path) as labels:
            writer = Aedat4Writer(self.path, self._resolution, self._camera)
            try:
                with writer:
                    self._follow(writer, labels)
            finally:
                self._queue.end()  # after an error too: what comes now isn't counted any more
                never = self._queue.taken - writer.written + self._queue.unread
                self._count(writer.written, self.dropped + never, labels)
                self._look()

    def _follow(self, writer: Aedat4Writer, labels: LabelWriter) -> None:
        """Write what comes, and nothing later than KEPT_BACK_S after it came."""
        due_s = self._clock()
        while True:
            queued = None
            if self._queue.wait(KEPT_BACK_S) and (queued := self._queue.take()) is None:
                break
            now_s = self._clock() if queued is None else queued.arrived_s
            self._apply_labels(labels, now_s)
            if queued is not None:
                writer.write(self._timing.put_right(queued))
                self._count(self._queue.taken, self.dropped, labels)
            if self._clock() >= due_s:
                due_s = self._clock() + KEPT_BACK_S
                self._keep_up(writer, labels, now_s)
        self._apply_labels(labels, self._clock())

    def _apply_labels(self, labels: LabelWriter, until_s: float) -> None:
        while self._labels and self._labels[0][0] <= until_s:
            from_s, label = self._labels.popleft()
            labels.begin(label, self._timing.since_start_us(from_s))

    def _keep_up(self, writer: Aedat4Writer, labels: LabelWriter, now_s: float) -> None:
        """Make sure that a kill from now on loses nothing, and that there is room."""
        writer.flush()
        labels.reach(self._timing.since_start_us(now_s))
        self.room_bytes = require_room(self.path, writer.table_bytes)
        self._look()

    def _count(self, events: int, dropped: int, labels: LabelWriter) -> None:
        self.recorded = Recorded(self.path, events, dropped, self._timing.seconds, labels.count)

    def _look(self) -> None:
        try:
            self.file_bytes = self.path.stat().st_size
        except OSError as error:
            raise SourceError(
                f"{self.path}: is no longer there ({error.strerror}): record to another folder"
            ) from error


def with_kept(error: str, tape: Tape) -> str:
    """Return what an error says, and what of the recording is kept, if anything is."""
    if not tape.recorded.events or not tape.path.exists():
        return error
    kept = f"{tape.recorded.events:,} events until then are in {tape.path}"
    return f"{error}; {kept}" if error else kept
