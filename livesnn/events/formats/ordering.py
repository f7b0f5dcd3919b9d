"""Sorting events that are out of order and dropping those outside the sensor; both are counted.

Every reader uses it, unless it has already checked that there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from livesnn.events.packet import DISORDER_US, Events, Resolution, SourceCounters


def put_in_order(
    packet: Events, resolution: Resolution, newest_us: int | None, counters: SourceCounters
) -> Events:
    """Return the packet's events that lie inside the sensor, sorted by time.

    ``newest_us`` is the time of the last event before it. An event that is older by at most DISORDER_US gets this
    time. A packet that starts even earlier follows a jump in time and keeps its times. ``out_of_bounds`` and
    ``out_of_order`` of the ``counters`` are added to.
    """
    inside = (packet["x"] < resolution.width) & (packet["y"] < resolution.height)
    inside &= packet["p"].view(np.uint8) <= 1  # in damaged files that store a whole byte
    if not inside.all():
        counters.out_of_bounds += int(packet.size - np.count_nonzero(inside))
        packet = packet[inside]
    t = packet["t"]
    if t.size and (t[1:] < t[:-1]).any():
        counters.out_of_order += int(np.count_nonzero(t < np.maximum.accumulate(t)))
        packet = packet[np.argsort(t, kind="stable")]
    if newest_us is None or not packet.size or not 0 < newest_us - int(packet["t"][0]) <= DISORDER_US:
        return packet
    late = packet["t"] < newest_us
    counters.out_of_order += int(np.count_nonzero(late))
    clamped = packet.copy()
    clamped["t"][late] = newest_us
    return clamped


class PacketSorter:
    """Sorts the packets of one pass through a stream, one after the other, and cuts off what lies before the start.

    With ``start_us`` None nothing is cut off.
    """

    def __init__(self, resolution: Resolution, start_us: int | None, counters: SourceCounters) -> None:
        self._resolution = resolution
        self._start_us = start_us
        self._counters = counters
        self._newest_us: int | None = None

    def restart(self) -> None:
        """Take the next packet as the first of a stream, because the camera's clock was reset."""
        self._newest_us = None

    def sort(self, packets: Iterable[tuple[Events, bool]]) -> Iterator[Events]:
        """Yield what is left of each packet, unless it is nothing.

        With each comes whether it is in order, which also means that all of it is inside the sensor.
        """
        for packet, ordered in packets:
            if (left := self._sort_one(packet, ordered=ordered)).size:
                yield left

    def _sort_one(self, packet: Events, *, ordered: bool) -> Events:
        if not ordered or (self._newest_us is not None and packet["t"][0] < self._newest_us):
            packet = put_in_order(packet, self._resolution, self._newest_us, self._counters)
        self._newest_us = int(packet["t"][-1])
        if self._start_us is not None:
            packet = packet[np.searchsorted(packet["t"], self._start_us) :]
            self._start_us = None if packet.size else self._start_us
        return packet


def order_warnings(stream: str, counters: SourceCounters, before: SourceCounters) -> list[str]:
    """Return one line each for the events of a stream that were sorted or dropped since ``before``, if any."""
    found = []
    if late := counters.out_of_order - before.out_of_order:
        found.append(f"{stream}: {late:,} events were out of order, and are sorted by time")
    if outside := counters.out_of_bounds - before.out_of_bounds:
        found.append(
            f"{stream}: {outside:,} events outside the sensor, or without a usable time, are left out"
        )
    return found


def jump_warnings(jumps: int, stream: str = "") -> list[str]:
    """Return a line that says how often time jumps back; none if it never does."""
    where = f"{stream}: " if stream else ""
    return [f"{where}time jumps back {jumps:,} times, as when the camera's clock is reset"] if jumps else []
