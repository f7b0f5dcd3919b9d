"""Timing: times of a recording that go on where its source begins anew. Not here: the recording (tape.py)."""

from __future__ import annotations

from livesnn.events import DISORDER_US, Events
from livesnn.threads import Queued


class Timing:
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

    def since_start_us(self, at_s: float) -> int:
        """Return how long after the first event a moment of the clock was, µs; 0 before it."""
        if self._first_us is None:
            return 0
        after_last_us = round((at_s - self._last_arrived_s) * 1e6)
        return max(self._last_us + after_last_us - self._first_us, 0)
