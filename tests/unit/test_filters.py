"""Filters of packets: when a source's packets end, and packets put upright."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.filters import Orientation, check_seconds, orient, orient_packets, take_seconds
from livesnn.events.packet import Packet, Resolution
from tests.fake_source import at, joined

PACKETS = [
    Packet(at(100_000 * number, 100_000 * number + 50_000, x=1), 1.5 + number, 99 + number, number // 3)
    for number in range(10)
]
"""Two events each, 100 ms apart."""


def taken(*, live: bool, seconds: float | None, stop: threading.Event | None = None) -> Iterator[Packet]:
    ticks = itertools.count()  # a second a look
    return take_seconds(PACKETS, seconds, live=live, stop=stop, clock=lambda: float(next(ticks)))


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
    np.testing.assert_array_equal(joined(taken(live=False, seconds=seconds)), joined(PACKETS)[:events])


@pytest.mark.parametrize(("seconds", "packets"), [(None, 10), (100.0, 10), (3.0, 3), (0.5, 1)])
def test_a_live_source_ends_by_the_clock(seconds: float | None, packets: int) -> None:
    assert len([*taken(live=True, seconds=seconds)]) == packets


@pytest.mark.parametrize("live", [True, False])
def test_it_ends_when_told_to_and_nothing_is_pulled_after(live: bool) -> None:
    stop = threading.Event()
    found = []
    for packet in taken(live=live, seconds=None, stop=stop):
        found.append(packet)
        if len(found) == 4:
            stop.set()
    assert len(found) == 4


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_refused_in_one_line(seconds: float) -> None:
    with pytest.raises(SourceError, match="give more than 0") as raised:
        check_seconds(seconds)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("live", [True, False])
def test_what_is_known_of_a_packet_stays_with_it(live: bool) -> None:
    found = [*taken(live=live, seconds=None if live else 0.55)]
    assert [packet[1:] for packet in found] == [packet[1:] for packet in PACKETS[: len(found)]]


def test_packets_are_put_upright_and_what_is_known_of_them_stays() -> None:
    sensor, hung = Resolution(4, 3), Orientation(1, mirrored=True)
    found = [*orient_packets(PACKETS, sensor, hung)]
    for packet, upright in zip(PACKETS, found, strict=True):
        np.testing.assert_array_equal(upright.events, orient(packet.events, sensor, hung))
        assert upright[1:] == packet[1:]
    assert PACKETS[0].events["x"].tolist() == [1, 1]  # not changed
