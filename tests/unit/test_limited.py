"""Limited: when a source's packets end, of a recording and of a live source."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.filters import Limited
from livesnn.events.packet import Events, EventSource, Resolution, SourceCounters
from tests.fake_camera import at


class Source(EventSource):
    """Ten packets of two events, 100 ms apart, that say much about themselves."""

    camera = "camera 7"
    connection = 3
    now_us = 99
    arrived_s = 1.5
    lost = "unplugged"
    warnings = ("a guess",)

    def __init__(self, *, live: bool) -> None:
        self.resolution = Resolution(4, 3)
        self.counters = SourceCounters(events=20)
        self.live = live
        self.closed = 0

    def __iter__(self) -> Iterator[Events]:
        for number in range(10):
            yield at(100_000 * number, 100_000 * number + 50_000)

    def close(self) -> None:
        self.closed += 1


def limited(*, live: bool, seconds: float | None, stop: threading.Event | None = None) -> Limited:
    ticks = itertools.count()  # a second a look
    return Limited(Source(live=live), seconds, stop or threading.Event(), clock=lambda: float(next(ticks)))


@pytest.mark.parametrize(
    ("seconds", "events"),
    [
        (None, 20),
        (float("inf"), 20),
        (1e300, 20),
        (1e303, 20),
        (100.0, 20),
        (0.5, 10),
        (0.55, 11),
        (0.04, 1),
        (1e-6, 1),
    ],
)
def test_a_recording_ends_in_its_own_time(seconds: float | None, events: int) -> None:
    found = np.concatenate([*limited(live=False, seconds=seconds)])
    np.testing.assert_array_equal(found, np.concatenate([*Source(live=False)])[:events])


def test_what_lies_behind_the_end_is_not_counted() -> None:
    source = limited(
        live=False, seconds=0.95
    )  # one event of the last packet, of a source that has counted both
    assert sum(packet.size for packet in source) == source.counters.events == 19


@pytest.mark.parametrize(("seconds", "packets"), [(None, 10), (100.0, 10), (3.0, 3), (0.5, 1)])
def test_a_live_source_ends_by_the_clock(seconds: float | None, packets: int) -> None:
    assert len([*limited(live=True, seconds=seconds)]) == packets


@pytest.mark.parametrize("live", [True, False])
def test_it_ends_when_told_to_and_nothing_is_pulled_after(live: bool) -> None:
    stop = threading.Event()
    found = []
    for packet in limited(live=live, seconds=None, stop=stop):
        found.append(packet)
        if len(found) == 4:
            stop.set()
    assert len(found) == 4


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_refused_and_the_source_closed(seconds: float) -> None:
    source = Source(live=True)
    with pytest.raises(SourceError, match="give more than 0") as raised:
        Limited(source, seconds, threading.Event())
    assert "\n" not in str(raised.value)
    assert source.closed == 1


def test_all_that_is_known_of_the_source_is_handed_on() -> None:
    source = limited(live=True, seconds=None)
    assert source.resolution == Resolution(4, 3)
    assert source.counters == SourceCounters(events=20)
    assert (source.camera, source.connection, source.now_us) == ("camera 7", 3, 99)
    assert (source.arrived_s, source.lost, source.warnings) == (1.5, "unplugged", ("a guess",))


def test_a_source_knows_no_more_than_it_says() -> None:
    class Silent(EventSource):
        pass

    source = Silent()
    assert (source.camera, source.connection, source.now_us, source.live) == ("", 0, None, True)
    assert (source.lost, [*source.warnings]) == ("", [])
    before_s = time.perf_counter()
    assert before_s <= source.arrived_s <= time.perf_counter()


def test_closing_closes_the_source() -> None:
    source = Source(live=False)
    with Limited(source, None, threading.Event()):
        assert source.closed == 0
    assert source.closed == 1
