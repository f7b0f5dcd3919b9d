"""Timing: times of a recording that go on where its source begins anew. Not here: the recording (tape.py)."""

from __future__ import annotations

from livesnn.events import DISORDER_US, Events
from livesnn.threads import Queued

SAME_CLOCK_US = 5_000_000
"""A camera that was away for a while is at most so far from the computer's clock, if it went on counting."""


class Timing:
    """The times of what is recorded, going on where ``goes_on``.

    A camera that comes back, or a stream that begins anew, may count from another zero than before: where time
    jumps back, or another connection's is far from where the clock says, all times from there on are moved, so that
    they go on after the last event as the clock did.
    """

    def __init__(self, *, goes_on: bool) -> None:
        self._goes_on = goes_on
        self._moved_us = 0
        self._first_us: int | None = None
        self._last_us = 0
        self._last_arrived_s = 0.0
        self._connection = 0  # of the last packet

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
            self._connection = queued.connection
        elif not self._goes_on:
            self._first_us = min(self._first_us, first_us)
        elif self._begins_anew(queued, first_us + self._moved_us):
            self._moved_us = self._last_us + self._gap_us(queued.arrived_s) - first_us
        if self._moved_us:
            packet = packet.copy()
            packet["t"] += self._moved_us
        self._last_us = max(self._last_us, int(packet["t"][-1]))
        self._last_arrived_s = queued.arrived_s
        self._connection = queued.connection
        return packet

    def _begins_anew(self, queued: Queued, t_us: int) -> bool:
        if t_us < self._last_us - DISORDER_US:
            return True
        late_us = t_us - self._last_us - self._gap_us(queued.arrived_s)
        return queued.connection != self._connection and abs(late_us) > SAME_CLOCK_US

    def _gap_us(self, at_s: float) -> int:
        """Return the time between the last packet's arrival and a moment of the clock."""
        return round((at_s - self._last_arrived_s) * 1e6)

    def since_start_us(self, at_s: float) -> int:
        """Return how long after the first event a moment of the clock was, µs; 0 before it."""
        if self._first_us is None:
            return 0
        return max(self._last_us + self._gap_us(at_s) - self._first_us, 0)
