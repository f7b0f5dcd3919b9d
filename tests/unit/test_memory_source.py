"""MemorySource: every event, in order, a packet a millisecond, once or again and again."""

from __future__ import annotations

from itertools import islice

import numpy as np

from livesnn.bench.memory_source import MemorySource
from livesnn.events.packet import EVENTS_DTYPE, Events, EventSource, Resolution
from tests.fake_source import joined

SENSOR = Resolution(8, 8)


def events(n: int, duration_us: int) -> Events:
    found = np.zeros(n, EVENTS_DTYPE)
    found["t"] = np.arange(n) * duration_us // n
    found["x"] = np.arange(n) % 8
    return found


def test_all_events_come_in_order_in_packets_of_a_millisecond() -> None:
    given = events(1000, 10_500)
    source = MemorySource(given, SENSOR, duration_us=10_500, paced=False)
    packets = list(source)
    assert isinstance(source, EventSource)
    assert len(packets) == 11
    assert all(np.ptp(packet.events["t"]) < 1000 for packet in packets)
    np.testing.assert_array_equal(joined(packets), given)
    assert source.counters.events == 1000


def test_repeated_they_come_again_and_the_time_goes_on() -> None:
    given = events(300, 3000)
    source = MemorySource(given, SENSOR, duration_us=3000, paced=False, repeated=True)
    t = joined(islice(source, 9))["t"]
    np.testing.assert_array_equal(t, np.concatenate([given["t"] + 3000 * turn for turn in range(3)]))
    assert given["t"][0] == 0  # what was given is as it was


def test_closed_it_ends() -> None:
    source = MemorySource(events(10, 1000), SENSOR, duration_us=1000, repeated=True)
    taken = 0
    for _ in source:
        taken += 1
        source.close()
    assert taken == 1
