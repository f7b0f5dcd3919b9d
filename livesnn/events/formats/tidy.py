"""Putting a packet right: events outside the sensor dropped, times in order, each counted.

Every reader's packets go through here, unless the reader has already seen that there is nothing to do.
"""

from __future__ import annotations

import numpy as np

from livesnn.events.packet import DISORDER_US, Events, Resolution, SourceCounters


def tidy(packet: Events, resolution: Resolution, newest_us: int | None, counters: SourceCounters) -> Events:
    """Return the packet with its events inside the sensor and in order of time.

    Parameters
    ----------
    packet
        EVENTS_DTYPE [N]; not changed.
    resolution
        Of the sensor.
    newest_us
        Time of the last event before this packet; an event that is older by at most DISORDER_US is given it.
        A packet that starts earlier than that follows a jump in time and stays as it is.
    counters
        ``out_of_bounds`` and ``out_of_order`` are added to.
    """
    inside = (packet["x"] < resolution.width) & (packet["y"] < resolution.height)
    inside &= packet["p"].view(np.uint8) <= 1  # damage, in a file that stores a whole octet
    if not inside.all():
        counters.out_of_bounds += int(packet.size - np.count_nonzero(inside))
        packet = packet[inside]
    t = packet["t"]
    if t.size and (t[1:] < t[:-1]).any():
        counters.out_of_order += int(np.count_nonzero(t < np.maximum.accumulate(t)))
        packet = packet[np.argsort(t, kind="stable")]
    if newest_us is not None and packet.size:
        packet = _clamp(packet, newest_us, counters)
    return packet


class Tidier:
    """The packets of one reading of a stream, put right one after the other and cut to where they are to start.

    Parameters
    ----------
    start_us
        Events before it are left out, of the first packets; None: none is.
    """

    def __init__(self, resolution: Resolution, start_us: int | None, counters: SourceCounters) -> None:
        self._resolution = resolution
        self._start_us = start_us
        self._counters = counters
        self._newest_us: int | None = None

    def restart(self) -> None:
        """Take the next packet as the first of a stream: its clock was set anew."""
        self._newest_us = None

    def take(self, packet: Events, *, ordered: bool) -> Events:
        """Return what is left of a packet, maybe nothing; one that is ``ordered`` lies inside the sensor as well."""
        if not ordered or (self._newest_us is not None and packet["t"][0] < self._newest_us):
            packet = tidy(packet, self._resolution, self._newest_us, self._counters)
        self._newest_us = int(packet["t"][-1])
        if self._start_us is not None:
            packet = packet[np.searchsorted(packet["t"], self._start_us) :]
            self._start_us = None if packet.size else self._start_us
        return packet


def _clamp(packet: Events, newest_us: int, counters: SourceCounters) -> Events:
    first = int(packet["t"][0])
    if first >= newest_us or newest_us - first > DISORDER_US:
        return packet
    late = packet["t"] < newest_us
    counters.out_of_order += int(np.count_nonzero(late))
    clamped = packet.copy()
    clamped["t"][late] = newest_us
    return clamped


def notes_on(stream: str, counters: SourceCounters, before: SourceCounters) -> list[str]:
    """Return what was put right in a stream since ``before``, for warnings; one line each, none for nothing."""
    notes = []
    if late := counters.out_of_order - before.out_of_order:
        notes.append(f"{stream}: {late:,} events were out of order of time, and are put in order")
    if outside := counters.out_of_bounds - before.out_of_bounds:
        notes.append(f"{stream}: {outside:,} events outside the sensor, or of no usable time, are left out")
    return notes


def note_on_jumps(stream: str, jumps: int) -> list[str]:
    """Return how often a stream's time jumps back, as one line; none for never."""
    return [f"{stream}: time jumps back {jumps:,} times, as when a clock is set to zero"] * (jumps > 0)
