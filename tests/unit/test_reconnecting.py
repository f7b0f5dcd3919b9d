"""ReconnectingSource: what is yielded, told and counted when a source is lost and comes back, one behaviour each."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.card import InputSpec, SliceRule
from livesnn.errors import SourceError
from livesnn.events.cameras.reconnecting import Connection, ReconnectingSource, SourceLost, follow_clock
from livesnn.events.cameras.sensor_control import SensorControl
from livesnn.events.packet import EVENTS_DTYPE, NO_EVENTS, Events, Packet, Resolution, SourceCounters
from livesnn.events.pipeline import open_pipeline
from livesnn.events.slicer import frames
from livesnn.threads import Latest, Worker
from tests.fake_source import at, joined

pytestmark = pytest.mark.timeout(60)

PATIENCE_S = 20.0
SENSOR = Resolution(4, 3)
TEN_MS = SliceRule(delta_t_us=10_000)
INPUT = InputSpec(4, 3, TEN_MS, window=10)
UNPLUGGED = SourceLost("wire is cut: mend it")


class Wire:
    """A Connection: does one item a read (events, nothing, an error), then says nothing."""

    def __init__(
        self,
        *items: Events | BaseException | None,
        resolution: Resolution = SENSOR,
        now_us: int | None = None,
    ) -> None:
        self.name = "wire"
        self.resolution = resolution
        self.counters = SourceCounters()
        self._now_us = now_us
        self.closed = threading.Event()
        self._items = iter(items)

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        item = next(self._items, None)
        if isinstance(item, BaseException):
            raise item
        if item is None:
            self.closed.wait(timeout_s)
            return NO_EVENTS, self._now_us
        self.counters.events += item.size
        return item, self._now_us

    def close(self) -> None:
        self.closed.set()


def connects(wires: Iterable[Connection | BaseException]) -> Callable[[], Connection]:
    remaining = iter(wires)

    def connect() -> Connection:
        wire = next(remaining)
        if isinstance(wire, BaseException):
            raise wire
        return wire

    return connect


def until(live: ReconnectingSource, enough: Callable[[], bool]) -> Iterator[Packet]:
    """Yield packets until there is enough; none is pulled after that."""
    for packet in live:
        yield packet
        if enough():
            return


def times(packets: Iterable[Packet]) -> list[int]:
    return [int(t) for t in joined(packets)["t"]]


def test_packets_come_through_as_they_are() -> None:
    last = at(3, x=3, y=2, p=False)
    with ReconnectingSource(connects([Wire(at(1, 2), None, last)])) as live:
        assert live.resolution == SENSOR
        assert live.name == "wire"
        begun_s = time.perf_counter()
        found = list(until(live, lambda: live.counters.events == 3))
        np.testing.assert_array_equal(joined(found), np.concatenate([at(1, 2), last]))
        assert {packet.epoch for packet in found} == {0}
        assert live.lost == ""
        arrived_s = [begun_s, *(packet.arrived_s for packet in found), time.perf_counter()]
        assert arrived_s == sorted(arrived_s)


def test_what_cannot_be_connected_at_first_is_an_error_at_once() -> None:
    with pytest.raises(SourceError, match="nobody answers"):
        ReconnectingSource(connects([SourceError("nobody answers")]))


def test_a_loss_is_told_in_one_line_and_empty_packets_follow() -> None:
    told: list[str] = []
    wire = Wire(at(1), UNPLUGGED)
    with ReconnectingSource(connects([wire]), notify=told.append, retry_s=3600) as live:
        iterator = iter(live)
        packets = [next(iterator) for _ in range(3)]
        assert [packet.events.size for packet in packets] == [1, 0, 0]
        assert packets[1].events.dtype == EVENTS_DTYPE
        assert wire.closed.is_set()
        assert told == [live.lost]
        assert live.lost.startswith("wire is cut: mend it. livesnn waits")
        assert "\n" not in live.lost
        assert [packet.epoch for packet in packets] == [0, 1, 1]
        assert live.counters == SourceCounters(events=1)


def test_it_goes_on_by_itself_when_it_is_back() -> None:
    told: list[str] = []
    wires = [Wire(at(1, 2), UNPLUGGED), Wire(at(3)), Wire()]
    with ReconnectingSource(connects(wires), notify=told.append, retry_s=0) as live:
        seen = []
        for packet in until(live, lambda: live.counters.events == 3):
            seen += [(t, packet.epoch) for t in times([packet])]
        assert seen == [(1, 0), (2, 0), (3, 1)]
        assert live.lost == ""
        assert [line.split(":")[0] for line in told] == ["wire is cut", "wire is back"]


def test_what_keeps_it_from_coming_back_is_said_as_the_newest_reason() -> None:
    told: list[str] = []
    failures = [SourceError("port is shut: open it"), SourceError("host is off: switch it on")]
    with ReconnectingSource(
        connects([Wire(UNPLUGGED), *failures, Wire(at(1))]), notify=told.append, retry_s=0
    ) as live:
        said = dict.fromkeys(live.lost for _ in until(live, lambda: live.counters.events == 1))
    assert [*said][1:] == [
        "wire is cut: mend it. livesnn still waits for it (port is shut: open it)",
        "wire is cut: mend it. livesnn still waits for it (host is off: switch it on)",
        "",
    ]
    assert len(told) == 2


def test_it_can_be_lost_more_than_once_and_counts_everything() -> None:
    wires = [Wire(at(number), UNPLUGGED) for number in range(5)]
    for wire in wires:
        wire.counters.out_of_order = 10
    with ReconnectingSource(connects([*wires, Wire()]), retry_s=0) as live:
        found = []
        for packet in live:
            found.append(packet)
            if packet.epoch == 5:
                break
        assert [(t, packet.epoch) for packet in found for t in times([packet])] == [(t, t) for t in range(5)]
        assert live.counters == SourceCounters(events=5, out_of_order=50)
        assert all(wire.closed.is_set() for wire in wires)


def test_coming_back_with_another_resolution_is_an_error() -> None:
    other = Wire(at(1), resolution=Resolution(640, 480))
    with (
        ReconnectingSource(connects([Wire(UNPLUGGED), other]), retry_s=0) as live,
        pytest.raises(SourceError, match=r"back with 640×480 pixels instead of 4×3: open it again$"),
    ):
        list(live)
    assert other.closed.is_set()


@pytest.mark.parametrize(
    ("wires", "error"),
    [
        ([Wire(SourceError("no events in this stream"))], SourceError),  # no loss
        ([Wire(UNPLUGGED), MemoryError("no events in this stream")], MemoryError),
    ],
)
def test_another_error_of_reading_or_connecting_is_raised(
    wires: list[Connection | BaseException], error: type[Exception]
) -> None:
    with (
        ReconnectingSource(connects(wires), retry_s=0) as live,
        pytest.raises(error, match="no events in this stream"),
    ):
        list(live)


@pytest.mark.parametrize("retry_s", [0.0, 3600.0])
@pytest.mark.parametrize("items", [[], [UNPLUGGED]], ids=["silent", "lost"])
def test_closing_from_another_thread_ends_the_iteration(items: list[BaseException], retry_s: float) -> None:
    wire = Wire(*items)
    waiting = threading.Event()
    live = ReconnectingSource(connects([wire, *[SourceError("out")] * 100_000]), retry_s=retry_s)

    def pull(stop: threading.Event) -> None:
        for _ in live:
            waiting.set()

    consumer = Worker("consumer", pull).start()
    assert waiting.wait(PATIENCE_S)
    live.close()
    assert consumer.close(PATIENCE_S)
    assert consumer.error is None
    assert wire.closed.is_set()


def test_closing_twice_or_before_reading_is_fine() -> None:
    wire = Wire(at(1))
    live = ReconnectingSource(connects([wire]))
    live.close()
    live.close()
    assert wire.closed.is_set()
    assert list(live) == []


def test_closing_does_not_wait_for_a_server_that_says_nothing() -> None:
    connecting, answer = threading.Event(), threading.Event()
    late = Wire(at(1))
    wires = iter([Wire(UNPLUGGED), late])

    def connect() -> Connection:
        if threading.current_thread().name == "livesnn-reconnect":
            connecting.set()
            assert answer.wait(PATIENCE_S)
        return next(wires)

    live = ReconnectingSource(connect, retry_s=0)
    for packet in live:
        assert packet.events.size == 0
        if connecting.is_set():
            live.close()
    answer.set()
    assert late.closed.wait(PATIENCE_S)
    assert live.lost


def test_a_read_that_hangs_does_not_hang_closing() -> None:
    reading, answer = threading.Event(), threading.Event()

    class Hanging(Wire):
        def read(self, timeout_s: float) -> tuple[Events, int | None]:
            reading.set()
            assert answer.wait(PATIENCE_S)
            return NO_EVENTS, None

    wire = Hanging()
    live = ReconnectingSource(connects([wire]))
    got: Latest[list[Packet]] = Latest()
    consumer = Worker("consumer", lambda stop: got.put(list(live))).start()
    assert reading.wait(PATIENCE_S)
    live.close()
    assert not wire.closed.is_set()
    answer.set()
    assert consumer.close(PATIENCE_S)
    assert wire.closed.is_set()


def starts(wires: list[Wire]) -> list[tuple[int, bool]]:
    live = ReconnectingSource(connects([*wires, Wire()]), retry_s=0)
    found = []
    with open_pipeline(live, policy="block") as pipeline:
        for frame in frames(pipeline, INPUT):
            found.append((frame.t, frame.start))
            if frame.t == 40_000:
                break
    return found


def test_however_short_the_gap_the_frame_after_a_return_starts_anew() -> None:
    assert starts([Wire(at(0, 10_000), at(20_000, 30_000, 40_000))]) == [
        (10_000, True),
        (20_000, False),
        (30_000, False),
        (40_000, False),
    ]
    assert starts([Wire(at(0, 10_000, 15_000), UNPLUGGED), Wire(at(20_000, 30_000, 40_000))]) == [
        (10_000, True),
        (30_000, True),
        (40_000, False),
    ]


def test_a_connection_tells_how_far_its_time_is_until_it_is_lost() -> None:
    with ReconnectingSource(connects([Wire(at(0), UNPLUGGED, now_us=25_000)]), retry_s=3600) as live:
        iterator = iter(live)
        assert [next(iterator).now_us for _ in range(3)] == [25_000, None, None]


def test_what_was_left_out_or_put_in_order_is_a_warning() -> None:
    wire = Wire(at(1))
    with ReconnectingSource(connects([wire])) as live:
        assert live.warnings == []
        wire.counters.out_of_bounds, wire.counters.out_of_order = 1200, 7
        assert [line.partition(": ")[2] for line in live.warnings] == [
            "7 events were out of order, and are sorted by time",
            "1,200 events outside the sensor, or without a usable time, are left out",
        ]


class TestClock:
    """The estimate of a simulated camera, which runs too fast, and whose packets are 0.3 ms late or later."""

    @staticmethod
    def followed(drift: float, minutes: float, *, jump_at_min: float = math.inf) -> npt.NDArray[np.float64]:
        """Return by how much the estimate is wrong after each packet, in ms; one comes every 0.1 s.

        The camera's clock jumps back by an hour at one minute.
        """
        random = np.random.default_rng(3)
        real_us = np.arange(0, minutes * 60e6, 1e5)
        jumped_us = np.where(real_us >= jump_at_min * 60e6, 3600e6, 0.0)
        camera_us = 9e9 + real_us * (1 + drift) - jumped_us
        late_us = 300 + random.exponential(3000, real_us.size)
        late_us[random.random(real_us.size) < 0.02] += 80_000  # the computer is busy
        known, wrong = None, []
        for t_us, now_us, arrived_us in zip(camera_us, real_us, real_us + late_us, strict=True):
            known = follow_clock(known, round(t_us), round(arrived_us))
            wrong.append((known.offset_us - (now_us - t_us)) / 1e3)
        return np.array(wrong)

    @pytest.mark.parametrize("drift", [-1e-4, 0.0, 5e-5, 1e-4])
    def test_it_is_right_to_two_milliseconds_for_as_long_as_the_camera_runs(self, drift: float) -> None:
        assert abs(self.followed(drift, 60)[600:]).max() < 2.0

    def test_it_follows_a_camera_whose_clock_begins_anew(self) -> None:
        wrong = abs(self.followed(5e-5, 10, jump_at_min=5))
        assert wrong[3000] < 100.0
        assert wrong[3060:].max() < 2.0

    def test_one_late_packet_changes_nothing(self) -> None:
        known = follow_clock(follow_clock(None, 0, 1000), 10_000, 11_000)
        assert follow_clock(known, 20_000, 90_000).offset_us == 1000

    def test_a_camera_that_sends_all_of_it_later_from_now_on_is_not_late_for_ever(self) -> None:
        known = None
        for t_us in range(0, 20_000_000, 10_000):
            known = follow_clock(known, t_us, t_us + (1_000 if t_us < 5_000_000 else 301_000))
        assert known is not None
        assert known.offset_us == 301_000


def test_what_a_camera_sent_long_ago_arrived_when_it_was_sent() -> None:
    silence = [None] * 5  # of 20 ms
    live = ReconnectingSource(connects([Wire(at(500_000), *silence, at(500_001))]), sensor=SensorControl())
    begun_s = time.perf_counter()
    first, *_, second = until(live, lambda: live.counters.events == 2)
    assert begun_s <= first.arrived_s <= time.perf_counter() - 0.1
    assert second.arrived_s == pytest.approx(first.arrived_s, abs=1e-4)
