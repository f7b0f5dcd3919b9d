"""EventRate: events a second of a stream's own time, through silence, jumps and lost connections."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livesnn.events.event_rate import EventRate
from livesnn.events.packet import EVENTS_DTYPE, Packet


def packet_of(n_events: int, t_us: int | None, arrived_s: float = 0.0, *, epoch: int = 0) -> Packet:
    """Return a packet of events at a time; an empty one tells the time, unless it is None."""
    events = np.zeros(n_events, EVENTS_DTYPE)
    events["t"] = t_us or 0
    return Packet(events, arrived_s, None if n_events else t_us, epoch)


def test_the_event_rate_is_in_the_recordings_own_time() -> None:
    rate = EventRate()
    for packet in range(400):
        rate.add(packet_of(50, 10_000 * packet))
    assert rate.per_s == pytest.approx(5000.0)


def test_a_jump_back_in_time_starts_the_event_rate_again() -> None:
    rate = EventRate()
    for t_us in (200_000, 210_000, 220_000, 0, 1000):
        rate.add(packet_of(10, t_us))
    assert rate.per_s == pytest.approx(10_000.0)


def test_where_nothing_comes_the_event_rate_falls_to_zero() -> None:
    rate = EventRate()
    for packet in range(400):
        rate.add(packet_of(50 if packet < 100 else 0, 10_000 * packet))
    assert rate.per_s == 0.0


def test_where_a_source_says_no_time_its_silence_goes_by_the_clock() -> None:
    rate = EventRate()
    for packet in range(100):
        rate.add(packet_of(50, 10_000 * packet, 0.01 * packet))
    for packet in range(100, 301):
        rate.add(packet_of(0, None, 0.01 * packet))
    assert rate.per_s == 0.0
    rate.add(packet_of(50, 2_950_000, 3.01))  # its clock is a little behind
    assert rate.per_s == pytest.approx(25, rel=0.05)


def test_what_lies_between_two_connections_is_no_time_for_events() -> None:
    rate = EventRate()
    for packet in range(10):
        rate.add(packet_of(10, 1000 * packet))
    for packet in range(10):
        rate.add(packet_of(10, 1_000_000 + 1000 * packet, epoch=1))
    assert rate.per_s == pytest.approx(10_000.0)


def test_before_two_packets_have_come_no_rate_is_known() -> None:
    rate = EventRate()
    rate.add(packet_of(10, 0))
    assert math.isnan(rate.per_s)
