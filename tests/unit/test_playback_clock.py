"""PlaybackClock, and paced: when a recording's packets come, at any speed, in pauses and at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.packet import NO_EVENTS, Packet
from livesnn.events.playback_clock import PlaybackClock, paced
from livesnn.threads import Worker
from tests.fake_source import PATIENCE_S, at, joined

TIMES_US = range(1_000_000, 1_200_000, 20)
WHOLE = at(*TIMES_US)
PACKETS = [Packet(events, epoch=7) for events in np.array_split(WHOLE, 3)]
HOUR_US = 3_600_000_000
GAP = [Packet(at(*range(100))), Packet(at(*range(HOUR_US, HOUR_US + 100)))]
"""Two bursts, an hour apart."""


class StepClock:
    """Seconds that go on by 2 ms each time they are looked at, so that nothing takes real time to speak of."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.002
        return self.now


def played(speed: float | None, clock: StepClock | None = None) -> Iterator[Packet]:
    playback = PlaybackClock(clock or StepClock())
    playback.play(speed)
    return paced(PACKETS, playback)


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0, None, float("inf")])
def test_every_event_comes_once_in_order(speed: float | None) -> None:
    np.testing.assert_array_equal(joined(played(speed)), WHOLE)


@pytest.mark.parametrize("speed", [0.5, 1.0, 3.0])
def test_a_packet_never_comes_before_its_last_event_is_due(speed: float) -> None:
    clock = StepClock()
    for packet in played(speed, clock):
        assert clock.now >= (packet.events["t"][-1] - TIMES_US.start) / 1e6 / speed
    assert clock.now <= 0.2 / speed + 0.1


def test_packets_are_short_enough_for_a_smooth_view() -> None:
    assert max(np.ptp(packet.events["t"]) for packet in played(2.0)) <= 10_000
    assert max(np.ptp(packet.events["t"]) for packet in played(0.25)) <= 2_500


def test_a_packet_arrives_when_it_is_due_and_keeps_what_else_is_known_of_it() -> None:
    found = list(played(1.0))
    assert all(one.arrived_s < other.arrived_s for one, other in pairwise(found))
    assert {(packet.now_us, packet.epoch) for packet in found} == {(None, 7)}


def test_nobody_waits_for_what_comes_as_fast_as_it_is_asked_for() -> None:
    assert [packet.arrived_s for packet in played(None)] == [0.0] * len(PACKETS)


def test_an_empty_packet_comes_at_once() -> None:
    quiet = Packet(NO_EVENTS, now_us=HOUR_US)
    assert list(paced([quiet], PlaybackClock())) == [quiet]


def test_real_time_is_real_time() -> None:
    begun_s = time.perf_counter()
    clock = PlaybackClock()
    clock.play(2.0)
    assert joined(paced(PACKETS, clock)).size == WHOLE.size
    assert time.perf_counter() - begun_s >= 0.09


def test_a_consumer_that_is_late_shifts_the_rest_instead_of_being_rushed() -> None:
    clock = StepClock()
    packets = played(1.0, clock)
    next(packets)
    clock.now += 5.0
    late = clock.now
    rest = list(packets)
    assert clock.now - late >= (rest[-1].events["t"][-1] - rest[0].events["t"][-1]) / 1e6


def test_after_a_restart_what_comes_next_is_due_now() -> None:
    clock = StepClock()
    playback = PlaybackClock(clock)
    assert playback.wait(0, 0)
    playback.restart()
    assert playback.wait(HOUR_US, HOUR_US)
    assert clock.now < 1.0


def test_times_that_jump_back_are_due_at_once() -> None:
    clock = StepClock()
    playback = PlaybackClock(clock)
    assert playback.wait(HOUR_US, HOUR_US)
    assert playback.wait(5, 5)
    assert clock.now < 1.0


class Consumer:
    """Iterates in a thread, and says when a packet came."""

    def __init__(self, packets: Iterable[Packet]) -> None:
        self.came = threading.Semaphore(0)
        self.packets: list[Packet] = []
        self._packets = packets
        self.worker = Worker("consumer", self._run).start()

    def _run(self, stop: threading.Event) -> None:
        for packet in self._packets:
            self.packets.append(packet)
            self.came.release()

    def wait_for_one(self) -> bool:
        return self.came.acquire(timeout=PATIENCE_S)


def test_another_speed_takes_effect_during_a_wait() -> None:
    clock = PlaybackClock()
    consumer = Consumer(paced(GAP, clock))
    assert consumer.wait_for_one()
    clock.play(None)
    assert consumer.wait_for_one()
    assert consumer.worker.close(PATIENCE_S)
    np.testing.assert_array_equal(joined(consumer.packets), joined(GAP))


def test_a_wait_ends_when_nobody_wants_it_any_more() -> None:
    clock = PlaybackClock()
    asked, unwanted = threading.Event(), threading.Event()
    found: list[bool] = []

    def wanted() -> bool:
        asked.set()
        return not unwanted.is_set()

    worker = Worker("waits", lambda stop: found.append(clock.wait(HOUR_US, 0, wanted))).start()
    assert asked.wait(PATIENCE_S)
    unwanted.set()
    clock.restart()
    assert worker.close(PATIENCE_S)
    assert found == [False]


def test_paused_nothing_comes_until_it_is_resumed() -> None:
    clock = PlaybackClock()
    clock.play(1.0, paused=True)
    assert clock.paused
    consumer = Consumer(paced(GAP, clock))
    assert not consumer.came.acquire(timeout=0.1)
    clock.play(1.0)
    assert consumer.wait_for_one()
    clock.play(1.0, paused=True)
    assert len(consumer.packets) == 1
    clock.play(None)
    assert consumer.worker.close(PATIENCE_S)
    np.testing.assert_array_equal(joined(consumer.packets), joined(GAP))


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    clock = PlaybackClock()
    with pytest.raises(SourceError, match="give a number above 0"):
        clock.play(speed)
    assert clock.speed == 1.0
