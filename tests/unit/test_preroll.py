"""PreRoll: what arrived before the button is on the tape, once, in order, with its times; and memory is bounded."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from livesnn.events.filters import Orientation
from livesnn.events.packet import Events, EventSource
from livesnn.events.recorder import LONGEST_S, PreRoll
from livesnn.events.recording import open_recording
from tests.fake_camera import VGA, at

pytestmark = pytest.mark.timeout(60)

PATIENCE_S = 20.0


class Camera(EventSource):
    resolution = VGA
    camera = "DVXplorer 1"


class HeldClock:
    """Seconds that are set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def times(path: Path) -> list[int]:
    with open_recording(path) as recording:
        return [t for packet in recording for t in packet["t"].tolist()]


def put(pre_roll: PreRoll, clock: HeldClock, *arrivals: tuple[float, Events]) -> None:
    for clock.now_s, packet in arrivals:
        pre_roll.put(packet)


def test_the_last_seconds_come_first_and_then_what_arrives(tmp_path: Path) -> None:
    clock = HeldClock()
    pre_roll = PreRoll(Camera(), clock=clock)
    pre_roll.keep(2.0)
    put(pre_roll, clock, (10.0, at(100)), (11.0, at(1_000_100)), (12.5, at(2_500_100, 2_500_200)))
    clock.now_s = 12.9
    tape = pre_roll.new_tape(tmp_path / "a.aedat4")
    assert tape.seconds == pytest.approx(1.9)
    put(pre_roll, clock, (13.0, at(3_000_100)))
    assert tape.close(PATIENCE_S)
    assert times(tape.path) == [1_000_100, 2_500_100, 2_500_200, 3_000_100]
    assert (tape.recorded.events, tape.recorded.dropped) == (4, 0)


def test_nothing_is_kept_where_nobody_wants_it(tmp_path: Path) -> None:
    clock = HeldClock()
    pre_roll = PreRoll(Camera(), clock=clock)
    put(pre_roll, clock, (10.0, at(100)))
    pre_roll.keep(5.0)
    put(pre_roll, clock, (10.1, at(200)))
    pre_roll.keep(0.0)
    tape = pre_roll.new_tape(tmp_path / "a.aedat4")
    assert tape.close(PATIENCE_S)
    assert times(tape.path) == []


def test_the_oldest_go_where_memory_ends(tmp_path: Path) -> None:
    clock = HeldClock()
    pre_roll = PreRoll(Camera(), kept_bytes=1_000, clock=clock)
    pre_roll.keep(LONGEST_S)
    put(pre_roll, clock, *((number / 1000, at(number)) for number in range(100)))
    tape = pre_roll.new_tape(tmp_path / "a.aedat4")
    assert tape.close(PATIENCE_S)
    assert times(tape.path) == [97, 98, 99]  # a packet counts for what holds it too: some 270 bytes


def test_what_a_camera_gave_before_it_was_lost_keeps_its_distance(tmp_path: Path) -> None:
    clock = HeldClock()
    pre_roll = PreRoll(Camera(), clock=clock)
    pre_roll.keep(10.0)
    put(pre_roll, clock, (10.0, at(5_000_000)), (12.5, at(0)))  # back, and counting from zero
    tape = pre_roll.new_tape(tmp_path / "a.aedat4")
    assert tape.close(PATIENCE_S)
    assert times(tape.path) == [5_000_000, 7_500_000]


def test_another_recording_begins_with_what_the_one_before_ends_with(tmp_path: Path) -> None:
    clock = HeldClock()
    pre_roll = PreRoll(Camera(), clock=clock)
    pre_roll.keep(1.0)
    first = pre_roll.new_tape(tmp_path / "a.aedat4")
    put(pre_roll, clock, (10.0, at(1)), (10.9, at(2)))
    pre_roll.use(None)
    put(pre_roll, clock, (11.5, at(3)))
    second = pre_roll.new_tape(tmp_path / "b.aedat4")
    assert first.close(PATIENCE_S)
    assert second.close(PATIENCE_S)
    assert (times(first.path), times(second.path)) == ([1, 2], [2, 3])


def places(path: Path) -> list[tuple[int, int, int, bool]]:
    with open_recording(path) as recording:
        return [event for packet in recording for event in packet.tolist()]


def test_what_is_recorded_of_a_turned_camera_is_upright_from_before_the_button_on(tmp_path: Path) -> None:
    clock = HeldClock()
    pre_roll = PreRoll(Camera(), Orientation(quarter_turns=1), clock=clock)
    pre_roll.keep(1.0)
    put(pre_roll, clock, (10.0, at(1, x=0, y=3)))
    tape = pre_roll.new_tape(tmp_path / "a.aedat4")
    put(pre_roll, clock, (10.1, at(2, x=639, y=479, p=False)))
    assert tape.close(PATIENCE_S)
    assert places(tape.path) == [(1, 476, 0, True), (2, 0, 639, False)]
    with open_recording(tape.path) as recording:
        assert recording.resolution == (480, 640)


def test_a_recording_goes_on_as_it_began_when_the_camera_is_turned_otherwise(tmp_path: Path) -> None:
    clock = HeldClock()
    before = PreRoll(Camera(), Orientation(quarter_turns=2), clock=clock)
    after = PreRoll(Camera(), Orientation(quarter_turns=1, mirrored=True), clock=clock)
    after.keep(1.0)
    tape = before.new_tape(tmp_path / "a.aedat4")
    put(before, clock, (10.0, at(1, x=0, y=3)))
    after.use(tape)
    put(after, clock, (10.1, at(2, x=0, y=3)))
    other = after.new_tape(tmp_path / "b.aedat4")
    assert tape.close(PATIENCE_S)
    assert other.close(PATIENCE_S)
    assert places(tape.path) == [(1, 639, 476, True), (2, 639, 476, True)]
    assert places(other.path) == [(2, 476, 639, True)]


def test_no_packet_is_missing_or_twice_whenever_the_button_is_pressed(tmp_path: Path) -> None:
    pre_roll = PreRoll(Camera())
    pre_roll.keep(LONGEST_S)
    half, done = threading.Event(), threading.Event()

    def capture() -> None:
        for number in range(4000):
            pre_roll.put(at(number))
            if number == 1000:
                half.set()
        done.set()

    thread = threading.Thread(target=capture)
    thread.start()
    assert half.wait(PATIENCE_S)
    tape = pre_roll.new_tape(tmp_path / "a.aedat4")
    thread.join(PATIENCE_S)
    assert done.is_set()
    assert tape.close(PATIENCE_S)
    np.testing.assert_array_equal(times(tape.path), np.arange(4000))
