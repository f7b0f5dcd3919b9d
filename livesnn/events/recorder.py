"""Writing a source to an .aedat4 file, with labels and with what came just before.

The window's record button, and what it says meanwhile, is in app/recording.py.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from livesnn.errors import LivesnnError, SourceError
from livesnn.events.filters import Orientation, orient
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.labels import LabelWriter
from livesnn.events.packet import DISORDER_US, Events, EventSource, Packet, Resolution, copied
from livesnn.events.pipeline import open_pipeline, packet_bytes, packet_queue
from livesnn.signals import ending_sets
from livesnn.threads import WAKE_S, Policy, Worker

LEFT_FREE_BYTES = 200_000_000
"""Of a disk's room, recordings leave this much, or a fiftieth of a small disk: a full disk harms other programs."""

PLENTY = 1 << 62


def require_room(path: Path, more_bytes: int = 0) -> int:
    """Return how many bytes may still be written to a file, which may not exist yet; many, if the system doesn't say.

    ``more_bytes`` are needed to finish the file. Raises SourceError when none are left.
    """
    try:
        usage = shutil.disk_usage(path.parent)
    except OSError:  # writing will say why
        return PLENTY
    room = usage.free - more_bytes - min(LEFT_FREE_BYTES, usage.total // 50)
    if room <= 0:
        raise SourceError(
            f"{path}: only {in_bytes(usage.free)} left on its disk, which is too little for this file: "
            "free some space, or choose another disk"
        )
    return room


def in_bytes(count: int) -> str:
    """Return a size in words: 3.4 MB, 1.23 GB."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


SAME_CLOCK_US = 5_000_000
"""A camera that was away for a while is at most so far from the computer's clock, if it went on counting."""


class RecordingTimeline:
    """The times of a recording; ``continuous`` ones don't jump back.

    A camera's recording begins at the computer's UTC, as it is estimated then, and goes on by the camera's clock.
    A camera that comes back, or a stream that begins anew, may count from another zero than before. Where time jumps
    back, or another epoch's is far from what the clock says, all later times are shifted: they go on after the last
    event as the clock did.
    """

    def __init__(self, *, continuous: bool) -> None:
        self._continuous = continuous
        self._shift_us = 0
        self._first_us: int | None = None
        self._last_us = 0
        self._last_arrived_s = 0.0
        self._epoch = 0  # of the last packet

    @property
    def seconds(self) -> float:
        return 0.0 if self._first_us is None else (self._last_us - self._first_us) / 1e6

    def shifted(self, packet: Packet) -> Events:
        """Return the next packet's events, or a copy with shifted times."""
        events = packet.events
        if not events.size:
            return events
        first_us = int(events["t"][0])
        if self._first_us is None:
            self._shift_us = packet.to_utc_us or 0
            self._first_us = self._last_us = first_us + self._shift_us
            self._epoch = packet.epoch
        elif not self._continuous:
            self._first_us = min(self._first_us, first_us + self._shift_us)
        else:
            expected_us = self._expected_us(packet.arrived_s)
            late_us = first_us + self._shift_us - expected_us
            back = first_us + self._shift_us < self._last_us - DISORDER_US
            if back or (packet.epoch != self._epoch and abs(late_us) > SAME_CLOCK_US):  # it begins anew
                self._shift_us = expected_us - first_us
        if self._shift_us:
            events = copied(events, self._shift_us)
        self._last_us = max(self._last_us, int(events["t"][-1]))
        self._last_arrived_s = packet.arrived_s
        self._epoch = packet.epoch
        return events

    def _expected_us(self, at_s: float) -> int:
        """Return the stream time at a moment of the clock, counted on from the last packet's arrival."""
        return self._last_us + round((at_s - self._last_arrived_s) * 1e6)

    def since_start_us(self, at_s: float) -> int:
        """Return how long after the first event a moment of the clock was, µs; 0 before it."""
        return 0 if self._first_us is None else max(self._expected_us(at_s) - self._first_us, 0)


SYNC_S = 1.0  # What a power failure can lose, unless the disk is late

BUFFER_BYTES = 256_000_000  # 20 million events, a second of the fastest camera

FLUSH_S = 0.02  # Nothing waits longer before it is in the file, unless the disk is late: what a kill can lose


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


class Recorder:
    """Writes packets to a new .aedat4 file, in a thread of its own, until `stop`; another one syncs it to the disk.

    Events in the file + dropped = events put from the start to `stop`, exactly. After an error, such as a full disk
    or a ``path`` that can't be opened, the file has what had reached it, and `put` does nothing. ``orientation`` has
    made the packets upright; those of ``before`` come first. ``policy`` is "drop_oldest" for what can't wait. With
    "block", for a recording, `put` waits for the disk, and times that jump back stay as they are. At most
    ``buffer_bytes`` wait.
    """

    def __init__(
        self,
        path: Path,
        resolution: Resolution,
        name: str,
        *,
        orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
        policy: Policy = "drop_oldest",
        buffer_bytes: int = BUFFER_BYTES,
        before: Iterable[Packet] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.path = path
        self.orientation = orientation
        self.file_bytes = 0  # size of the file a moment ago
        self.room_bytes = PLENTY  # what it may still grow by
        self.recorded = Recorded(path, events=0, dropped=0, seconds=0.0)
        self._resolution = resolution
        self._name = name or "livesnn"
        self._clock = clock
        self._timeline = RecordingTimeline(continuous=policy == "drop_oldest")
        self._labels: deque[tuple[float, str | None]] = deque()  # from when on, not yet written
        self._queue = packet_queue(policy, buffer_bytes)
        earlier = tuple(before)
        self._begun_s = earlier[0].arrived_s if earlier else clock()
        for packet in earlier:
            self._queue.put(packet)
        self._worker = Worker("recorder", self._write, on_error=lambda error: self._queue.end()).start()

    @property
    def seconds(self) -> float:
        """For how long it has been running, what had arrived before included."""
        return self._clock() - self._begun_s

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    @property
    def error(self) -> BaseException | None:
        return self._worker.error

    @property
    def finished(self) -> bool:
        return not self._worker.running

    def put(self, packet: Packet) -> None:
        """Record a packet. One without an arrival time arrives now."""
        self._queue.put(packet if packet.arrived_s else packet._replace(arrived_s=self._clock()))

    def label(self, label: str | None) -> None:
        """Begin a label; None: end the last one."""
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
            writer = Aedat4Writer(self.path, self._resolution, self._name)
            try:
                with writer, _synced(writer, labels) as syncing:
                    self._follow(writer, labels, syncing)
                labels.sync()
            finally:
                self._queue.end()  # after an error too: what comes now isn't counted any more
                never = self._queue.taken - writer.written + self._queue.unread
                self._count(writer.written, self.dropped + never, labels)
                self._update_size()

    def _follow(self, writer: Aedat4Writer, labels: LabelWriter, syncing: Worker) -> None:
        """Write what comes, and nothing later than FLUSH_S after it came."""
        due_s = self._clock()
        while True:
            packet = None
            if self._queue.wait(FLUSH_S) and (packet := self._queue.take()) is None:
                break
            now_s = self._clock() if packet is None else packet.arrived_s
            self._apply_labels(labels, now_s)
            if packet is not None:
                writer.write(self._timeline.shifted(packet))
                self._count(self._queue.taken, self.dropped, labels)
            if self._clock() >= due_s:
                due_s = self._clock() + FLUSH_S
                # Make sure that a kill from now on loses nothing, and that there is room.
                writer.flush()
                labels.reach(self._timeline.since_start_us(now_s))
                self.room_bytes = require_room(self.path, writer.table_bytes)
                self._update_size()
                if syncing.error is not None:
                    raise syncing.error
        self._apply_labels(labels, self._clock())

    def _apply_labels(self, labels: LabelWriter, until_s: float) -> None:
        while self._labels and self._labels[0][0] <= until_s:
            from_s, label = self._labels.popleft()
            labels.begin(label, self._timeline.since_start_us(from_s))

    def _count(self, events: int, dropped: int, labels: LabelWriter) -> None:
        self.recorded = Recorded(self.path, events, dropped, self._timeline.seconds, labels.count)

    def _update_size(self) -> None:
        try:
            self.file_bytes = self.path.stat().st_size
        except OSError as error:
            raise SourceError(
                f"{self.path}: the file has gone ({error.strerror}): record to another folder"
            ) from error


@contextlib.contextmanager
def _synced(writer: Aedat4Writer, labels: LabelWriter) -> Iterator[Worker]:
    """Sync files every SYNC_S, in a thread: writing goes on while a slow disk takes seconds for it."""

    def sync(stop: threading.Event) -> None:
        while not stop.wait(SYNC_S):
            writer.sync()
            labels.sync()

    worker = Worker("sync", sync).start()
    try:
        yield worker
    finally:
        while not worker.close(WAKE_S):
            pass


def with_kept(error: str, recorder: Recorder) -> str:
    """Return an error's text and, if a part of the recording is kept, how much and where."""
    if not recorder.recorded.events or not recorder.path.exists():
        return error
    kept = f"{recorder.recorded.events:,} events until then are in {recorder.path}"
    return f"{error}; {kept}" if error else kept


LONGEST_PRE_ROLL_S = 60.0  # How much of what came before the start a recording may include

RING_BUFFER_BYTES = 128_000_000
"""10 million events, 5 s of 2 million a second: half of what may wait for the disk."""


class RingBuffer:
    """The last seconds of a live source's packets, for the beginning of the next recording.

    It may be used from any thread; packets come from one. ``orientation`` is what has made them upright. Beyond
    ``max_bytes`` the oldest packets are dropped. ``clock`` gives seconds as `Packet.arrived_s`.
    """

    def __init__(
        self,
        source: EventSource,
        orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
        *,
        max_bytes: int = RING_BUFFER_BYTES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source = source
        self._orientation = orientation
        self._resolution = orientation.resolution(source.resolution)
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows; nobody waits for a disk while holding it
        self._seconds = self._before_s = 0.0  # how long packets are kept, and how many of them are recorded
        self._recent: deque[Packet] = deque()
        self._recent_bytes = 0
        self._recorder: Recorder | None = None

    def put(self, packet: Packet) -> None:
        """Keep an upright packet, and record it if there is a recorder.

        A recorder that began when the source was turned otherwise goes on as it began.
        """
        with self._lock:
            if (recorder := self._recorder) is not None:
                turn = recorder.orientation.after(self._orientation)
                recorder.put(packet._replace(events=orient(packet.events, self._resolution, turn)))
            if packet.events.size and self._seconds:
                self._recent.append(packet)
                self._recent_bytes += packet_bytes(packet)
            self._forget(packet.arrived_s)

    def keep(self, seconds: float, *, at_least_s: float = 0.0) -> None:
        """Keep what arrived in so many seconds, from now on, for recordings to begin with; 0: nothing.

        ``at_least_s``: for how long packets are kept in any case, for `copy`.
        """
        with self._lock:
            self._before_s = min(seconds, LONGEST_PRE_ROLL_S)
            self._seconds = max(self._before_s, at_least_s)
            self._forget(self._clock())

    def use(self, recorder: Recorder | None) -> None:
        with self._lock:
            self._recorder = recorder

    def record(self, path: Path) -> Recorder:
        """Return a recorder of what is kept and of what arrives next; no packet is missing or there twice."""
        with self._lock:
            self._recorder = self._recorder_of_recent(path, self._before_s)
            return self._recorder

    def copy(self, path: Path, seconds: float | None = None) -> Recorder:
        """Return a recorder of the last seconds, as far as they are kept, and of nothing that arrives later.

        None: as many as recordings begin with.
        """
        with self._lock:
            recorder = self._recorder_of_recent(path, self._before_s if seconds is None else seconds)
        recorder.stop()
        return recorder

    def _recorder_of_recent(self, path: Path, seconds: float) -> Recorder:
        now_s = self._clock()
        self._forget(now_s)
        return Recorder(
            path,
            self._resolution,
            self._source.name,
            orientation=self._orientation,
            before=[packet for packet in self._recent if now_s - packet.arrived_s < seconds],
            clock=self._clock,
        )

    def _forget(self, now_s: float) -> None:
        while self._recent and (
            self._recent_bytes > self._max_bytes or now_s - self._recent[0].arrived_s >= self._seconds
        ):
            self._recent_bytes -= packet_bytes(self._recent.popleft())


def record(
    source: EventSource,
    out: Path,
    *,
    seconds: float | None = None,
    orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
    buffer_bytes: int = BUFFER_BYTES,
    clock: Callable[[], float] = time.perf_counter,
) -> Recorded:
    """Write a source to a new .aedat4 file until it ends, or Ctrl-C; the file is then complete.

    A live source is recorded at its own pace: what the disk can't take in time is dropped and counted. Nothing of a
    recording is dropped. ``seconds`` are by the clock, or of a recording's time. The source is closed at the end. The
    first Ctrl-C (or SIGTERM, SIGHUP) only stops; a second one raises KeyboardInterrupt. Raises SourceError when the
    file exists or can't be written, or the source fails. What was written until then is kept, and the message says
    so.
    """
    stop = threading.Event()
    with (
        ending_sets(stop),
        open_pipeline(
            source, seconds=seconds, stop=stop, orientation=orientation, policy=None, now_s=clock
        ) as packets,
    ):
        policy: Policy = "drop_oldest" if source.live else "block"
        recorder = Recorder(out, packets.resolution, source.name, policy=policy, buffer_bytes=buffer_bytes)
        try:
            for packet in packets:
                recorder.put(packet)
                if recorder.finished:  # by an error
                    break
            recorder.stop()
            while not recorder.wait(WAKE_S):
                pass
        except (LivesnnError, KeyboardInterrupt) as error:
            recorder.close()
            raise type(error)(with_kept(str(error), recorder)) from error
        finally:
            recorder.close()
    if recorder.error is not None:
        raise SourceError(with_kept(str(recorder.error), recorder)) from recorder.error
    return replace(recorder.recorded, dropped=recorder.recorded.dropped + source.counters.dropped)
