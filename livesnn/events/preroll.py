"""PreRoll: what is live goes on the tape, if there is one, upright, and is kept for some seconds, for the next one.

Not here: the file (tape.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from livesnn.events import Events, EventSource
from livesnn.events.orientation import Orientation, orient
from livesnn.events.tape import Tape
from livesnn.threads import Queued

LONGEST_S = 60.0
KEPT_BYTES = 128_000_000
"""10 million events, 5 s of 2 million a second: half of what a tape lets wait for the disk."""


class PreRoll:
    """The last seconds of a live source. May be used from any thread; packets come from one.

    Parameters
    ----------
    source
        Whose packets these are, for the file.
    orientation
        What makes them upright.
    kept_bytes
        At most; the oldest go first.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        source: EventSource,
        orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
        *,
        kept_bytes: int = KEPT_BYTES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source = source
        self._orientation = orientation
        self._kept_bytes = kept_bytes
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows; nobody waits for a disk while holding it
        self._seconds = 0.0
        self._recent: deque[Queued] = deque()
        self._recent_bytes = 0
        self._tape: Tape | None = None

    def put(self, packet: Events) -> None:
        """Keep a packet as it comes, EVENTS_DTYPE [N], which nobody may change any more, and put it on the tape.

        A tape that began when the source was turned otherwise goes on as it began.
        """
        sensor = self._source.resolution
        upright = orient(packet, sensor, self._orientation)
        queued = Queued(upright, self._clock(), None, self._source.connection)
        with self._lock:
            if (tape := self._tape) is not None:
                as_begun = tape.orientation == self._orientation
                tape.put(upright if as_begun else orient(packet, sensor, tape.orientation), queued.connection)
            if packet.size and self._seconds:
                self._recent.append(queued)
                self._recent_bytes += queued.cost
            self._forget(queued.arrived_s)

    def keep(self, seconds: float) -> None:
        """Keep what arrived in so many seconds, from now on; 0: nothing."""
        with self._lock:
            self._seconds = min(seconds, LONGEST_S)
            self._forget(self._clock())

    def use(self, tape: Tape | None) -> None:
        """Put what arrives from now on on this tape; None: on none."""
        with self._lock:
            self._tape = tape

    def new_tape(self, path: Path) -> Tape:
        """Return a tape with what is kept, which goes on with what arrives next: no packet is missing or twice."""
        with self._lock:
            self._forget(self._clock())
            self._tape = Tape(
                path,
                self._orientation.resolution(self._source.resolution),
                self._source.camera,
                orientation=self._orientation,
                before=self._recent,
                clock=self._clock,
            )
            return self._tape

    def _forget(self, now_s: float) -> None:
        while self._recent and (
            self._recent_bytes > self._kept_bytes or now_s - self._recent[0].arrived_s >= self._seconds
        ):
            self._recent_bytes -= self._recent.popleft().cost
