"""RingBuffer: what arrived before the button is recorded once, in order, with its times; and memory is bounded."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import Events, Packet, Resolution
from livesnn.events.recorder import LONGEST_PRE_ROLL_S, RingBuffer
from livesnn.events.recording import open_recording
from tests.fake_camera import VGA
from tests.fake_source import FakeSource, at, joined
from tests.waiting import PATIENCE_S, HeldClock

pytestmark = pytest.mark.timeout(60)


def camera(resolution: Resolution = VGA) -> FakeSource:
    return FakeSource(resolution=resolution, name="DVXplorer 1")


def times(path: Path) -> list[int]:
    with open_recording(path) as recording:
        return [int(t) for t in joined(recording)["t"]]


def put(ring: RingBuffer, clock: HeldClock, *arrivals: tuple[float, Events]) -> None:
    for clock.now_s, events in arrivals:
        ring.put(Packet(events, clock.now_s))


def test_the_last_seconds_come_first_and_then_what_arrives(tmp_path: Path) -> None:
    clock = HeldClock()
    ring = RingBuffer(camera(), clock=clock)
    ring.keep(2.0)
    put(ring, clock, (10.0, at(100)), (11.0, at(1_000_100)), (12.5, at(2_500_100, 2_500_200)))
    clock.now_s = 12.9
    recorder = ring.record(tmp_path / "a.aedat4")
    assert recorder.seconds == pytest.approx(1.9)
    put(ring, clock, (13.0, at(3_000_100)))
    assert recorder.close(PATIENCE_S)
    assert times(recorder.path) == [1_000_100, 2_500_100, 2_500_200, 3_000_100]
    assert (recorder.recorded.events, recorder.recorded.dropped) == (4, 0)


def test_a_copy_holds_the_seconds_that_are_asked_for_and_a_recording_its_pre_roll(tmp_path: Path) -> None:
    clock = HeldClock()
    ring = RingBuffer(camera(), clock=clock)
    ring.keep(1.0, at_least_s=5.0)
    put(ring, clock, *((float(second), at(second)) for second in range(10, 20)))
    for seconds, expected in ((3.0, [17, 18, 19]), (None, [19]), (60.0, [15, 16, 17, 18, 19])):
        recorder = ring.copy(tmp_path / f"{seconds}.aedat4", seconds)
        assert recorder.close(PATIENCE_S)
        assert times(recorder.path) == expected
    recorder = ring.record(tmp_path / "b.aedat4")
    assert recorder.close(PATIENCE_S)
    assert times(recorder.path) == [19]


def test_nothing_is_kept_where_nobody_wants_it(tmp_path: Path) -> None:
    clock = HeldClock()
    ring = RingBuffer(camera(), clock=clock)
    put(ring, clock, (10.0, at(100)))
    ring.keep(5.0)
    put(ring, clock, (10.1, at(200)))
    ring.keep(0.0)
    recorder = ring.record(tmp_path / "a.aedat4")
    assert recorder.close(PATIENCE_S)
    assert times(recorder.path) == []


def test_the_oldest_go_where_memory_ends(tmp_path: Path) -> None:
    clock = HeldClock()
    ring = RingBuffer(camera(), max_bytes=1_000, clock=clock)
    ring.keep(LONGEST_PRE_ROLL_S)
    put(ring, clock, *((number / 1000, at(number)) for number in range(100)))
    recorder = ring.record(tmp_path / "a.aedat4")
    assert recorder.close(PATIENCE_S)
    assert times(recorder.path) == [97, 98, 99]  # a packet counts for what holds it too: some 270 bytes


def test_what_a_camera_gave_before_it_was_lost_keeps_its_distance(tmp_path: Path) -> None:
    clock = HeldClock()
    ring = RingBuffer(camera(), clock=clock)
    ring.keep(10.0)
    put(ring, clock, (10.0, at(5_000_000)), (12.5, at(0)))  # back, and counting from zero
    recorder = ring.record(tmp_path / "a.aedat4")
    assert recorder.close(PATIENCE_S)
    assert times(recorder.path) == [5_000_000, 7_500_000]


def test_another_recording_begins_with_what_the_one_before_ends_with(tmp_path: Path) -> None:
    clock = HeldClock()
    ring = RingBuffer(camera(), clock=clock)
    ring.keep(1.0)
    first = ring.record(tmp_path / "a.aedat4")
    put(ring, clock, (10.0, at(1)), (10.9, at(2)))
    ring.use(None)
    put(ring, clock, (11.5, at(3)))
    second = ring.record(tmp_path / "b.aedat4")
    assert first.close(PATIENCE_S)
    assert second.close(PATIENCE_S)
    assert (times(first.path), times(second.path)) == ([1, 2], [2, 3])


def places(path: Path) -> list[tuple[int, int, int, bool]]:
    with open_recording(path) as recording:
        return [event for packet in recording for event in packet.events.tolist()]


def test_what_is_recorded_of_a_turned_camera_is_upright_from_before_the_button_on(tmp_path: Path) -> None:
    clock = HeldClock()
    ring = RingBuffer(camera(), Orientation(quarter_turns=1), clock=clock)
    ring.keep(1.0)
    put(ring, clock, (10.0, at(1, x=476, y=0)))  # upright packets: 480×640
    recorder = ring.record(tmp_path / "a.aedat4")
    put(ring, clock, (10.1, at(2, x=0, y=639, p=False)))
    assert recorder.close(PATIENCE_S)
    assert places(recorder.path) == [(1, 476, 0, True), (2, 0, 639, False)]
    with open_recording(recorder.path) as recording:
        assert recording.resolution == (480, 640)
        assert recording.name == "DVXplorer 1"


def test_a_recording_goes_on_as_it_began_when_the_camera_is_turned_otherwise(tmp_path: Path) -> None:
    clock = HeldClock()
    hung, turned = Orientation(quarter_turns=2), Orientation(quarter_turns=1, mirrored=True)
    before, after = (RingBuffer(camera(), orientation, clock=clock) for orientation in (hung, turned))
    after.keep(1.0)
    recorder = before.record(tmp_path / "a.aedat4")
    put(before, clock, (10.0, orient(at(1, x=0, y=3), VGA, hung)))
    after.use(recorder)
    put(after, clock, (10.1, orient(at(2, x=0, y=3), VGA, turned)))
    other = after.record(tmp_path / "b.aedat4")
    assert recorder.close(PATIENCE_S)
    assert other.close(PATIENCE_S)
    assert places(recorder.path) == [(1, 639, 476, True), (2, 639, 476, True)]
    assert places(other.path) == [(2, 476, 639, True)]


def test_no_packet_is_missing_or_twice_whenever_the_button_is_pressed(tmp_path: Path) -> None:
    ring = RingBuffer(camera())
    ring.keep(LONGEST_PRE_ROLL_S)
    half, done = threading.Event(), threading.Event()

    def capture() -> None:
        for number in range(4000):
            ring.put(Packet(at(number), time.perf_counter()))
            if number == 1000:
                half.set()
        done.set()

    thread = threading.Thread(target=capture)
    thread.start()
    assert half.wait(PATIENCE_S)
    recorder = ring.record(tmp_path / "a.aedat4")
    thread.join(PATIENCE_S)
    assert done.is_set()
    assert recorder.close(PATIENCE_S)
    np.testing.assert_array_equal(times(recorder.path), np.arange(4000))
