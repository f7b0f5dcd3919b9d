"""open_pipeline: the order of its parts, what each of them sees, what is counted, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.denoise import DenoiseState
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import EVENTS_DTYPE, NO_EVENTS, Events, Packet, Resolution, SourceCounters
from livesnn.events.pipeline import on_time, open_pipeline, packet_bytes
from livesnn.events.playback_clock import PlaybackClock
from livesnn.threads import Latest, Worker
from tests.fake_source import PATIENCE_S, SMALL, FakeSource, at, joined

TEN = at(*range(10))
THREE_PACKETS = 3 * packet_bytes(Packet(TEN))
SENSOR = Resolution(20, 15)
HUNG = Orientation(1, mirrored=True)


def tens(packets: int) -> list[Events]:
    """Return so many packets of ten events, whose times go on."""
    return [at(*range(10 * number, 10 * number + 10)) for number in range(packets)]


def times(packets: Iterable[Packet]) -> list[int]:
    return [int(t) for t in joined(packets)["t"]]


def capture_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "livesnn-capture"]


def noisy() -> list[Events]:
    """Return a pair of neighbours that are active together, and pixels that are active by themselves, 20 times."""
    made = []
    for number in range(20):
        t = 20_000 * number
        places = [(t, 5, 5), (t + 100, 6, 5), (t + 200, 15 - number % 2 * 10, 10 - number % 2 * 8)]
        made.append(np.array([(*place, True) for place in places], EVENTS_DTYPE))
    return made


class TestOrder:
    def test_what_is_recorded_is_upright_and_has_its_noise_and_what_is_shown_is_filtered(self) -> None:
        recorded: list[Packet] = []
        shown: list[Packet] = []
        with open_pipeline(
            FakeSource(noisy(), resolution=SENSOR),
            orientation=HUNG,
            record=recorded.append,
            noise=DenoiseState(HUNG.resolution(SENSOR)),
            show=shown.append,
            policy=None,
        ) as pipeline:
            taken = list(pipeline)
            upright = orient(np.concatenate(noisy()), SENSOR, HUNG)
            assert pipeline.resolution == (15, 20)
            np.testing.assert_array_equal(joined(recorded), upright)
            assert (pipeline.arrived.total, pipeline.filtered.total) == (upright.size, joined(taken).size)
            np.testing.assert_array_equal(joined(shown), joined(taken))
            assert 0 < joined(taken).size < upright.size
            assert pipeline.noise is not None
            assert pipeline.noise.counts.events == upright.size
            assert pipeline.noise.counts.kept == joined(taken).size

    def test_the_gate_is_behind_the_recording_and_before_all_that_is_counted(self) -> None:
        recorded: list[Packet] = []

        def every_other(packets: Iterable[Packet]) -> Iterator[Packet]:
            return (packet for number, packet in enumerate(packets) if number % 2)

        with open_pipeline(FakeSource(tens(4)), record=recorded.append, gate=every_other, policy=None) as pipeline:
            assert times(pipeline) == [*range(10, 20), *range(30, 40)]
            assert times(recorded) == [*range(40)]
            assert pipeline.counters == SourceCounters(events=20)

    def test_what_arrived_too_long_ago_is_recorded_but_neither_shown_nor_taken_and_it_is_counted(
        self,
    ) -> None:
        recorded: list[Packet] = []
        shown: list[Packet] = []
        now_s = time.perf_counter()
        late, new = Packet(at(1, 2, 3), now_s - 60), Packet(at(4, 5), now_s + 60)
        with open_pipeline(FakeSource([late, new]), record=recorded.append, show=shown.append) as pipeline:
            assert times(pipeline) == times(shown) == [4, 5]
            assert times(recorded) == [1, 2, 3, 4, 5]
            assert pipeline.counters == SourceCounters(events=2, dropped=3)

    def test_where_what_follows_is_too_slow_every_slice_keeps_a_fair_share_and_none_of_it_is_late(
        self,
    ) -> None:
        now_s, counters = 0.0, SourceCounters()

        def clock() -> float:
            return now_s

        def camera() -> Iterator[Packet]:
            """Yield 100 events every 4 ms, each packet a millisecond after it came or after it was asked for."""
            nonlocal now_s
            for number in range(1000):
                arrived_s = 0.004 * (number + 1)
                now_s = max(now_s, arrived_s) + 0.001
                yield Packet(at(*range(4000 * number, 4000 * number + 4000, 40)), arrived_s)

        kept, late_s = [], []
        for packet in on_time(camera(), 0.1, counters, clock=clock):
            now_s += 0.00008 * packet.events.size  # 8 ms for all of them: for 3 / 8 there is time
            kept.append(packet.events.size)
            late_s.append(now_s - packet.arrived_s)
        slices = [sum(kept[first : first + 12]) / 1200 for first in range(100, 988, 12)]
        assert 0.3 < min(slices) <= max(slices) < 0.45
        assert max(late_s) <= 0.1
        assert counters.dropped == 100_000 - sum(kept)

    def test_a_short_delay_costs_no_event_and_a_longer_one_thins_first_and_keeps_no_more_memory(self) -> None:
        counters = SourceCounters()
        late_ms = (50, 65, 75, 85, 99, 101)
        packets = [Packet(at(*range(320)), 1.0 - late / 1e3, one_of=2) for late in late_ms]
        thinned = [*on_time(packets, 0.1, counters, clock=lambda: 1.0)]
        assert [packet.events.size for packet in thinned] == [320, 160, 80, 40, 10, 0]
        assert [packet.one_of for packet in thinned] == [2, 4, 8, 16, 64, 2]
        assert thinned[4].events["t"].tolist() == [*range(0, 320, 32)]
        assert all(packet.events.base is None for packet in thinned)
        assert counters.dropped == 5 * 320 - 290

    def test_a_time_limit_ends_the_recording_too(self) -> None:
        recorded: list[Packet] = []
        source = FakeSource([at(0, 400_000), at(600_000)], live=False)
        with open_pipeline(source, seconds=0.5, record=recorded.append, policy=None) as pipeline:
            assert times(pipeline) == times(recorded) == [0, 400_000]

    def test_a_set_event_ends_it_behind_the_packet_that_was_read(self) -> None:
        stop = threading.Event()
        source = FakeSource(tens(9), after=lambda number: None)
        with open_pipeline(
            source,
            stop=stop,
            show=lambda packet: stop.set() if packet.events["t"][0] == 30 else None,
            policy=None,
        ) as pipeline:
            assert times(pipeline) == [*range(40)]

    def test_the_noise_filter_is_asked_for_once_a_packet(self) -> None:
        asked = iter([True] * 10 + [False] * 10)
        with open_pipeline(
            FakeSource(noisy(), resolution=SENSOR),
            noise=DenoiseState(SENSOR),
            denoise=asked.__next__,
            policy=None,
        ) as pipeline:
            found = joined(pipeline)
        assert next(asked, None) is None
        later = np.concatenate(noisy()[10:])
        np.testing.assert_array_equal(found[found["t"] >= later["t"][0]], later)
        assert found.size < 60

    def test_a_clock_plays_a_recording_in_its_own_time(self) -> None:
        source = FakeSource([at(*range(0, 100_000, 1000))], live=False)
        with open_pipeline(source, clock=PlaybackClock(), policy=None) as pipeline:
            found = list(pipeline)
        assert times(found) == [*range(0, 100_000, 1000)]
        assert all(one.arrived_s < other.arrived_s for one, other in pairwise(found))
        assert max(np.ptp(packet.events["t"]) for packet in found) <= 10_000


class TestBuffer:
    def test_blocking_never_reads_ahead_more_than_the_bound(self) -> None:
        source = FakeSource(tens(50), live=False)
        # Three packets in the queue; one more is in the capture thread's hand.
        pipeline = open_pipeline(source, policy="block", max_bytes=THREE_PACKETS)
        ahead = [source.counters.events - pipeline.counters.events for _ in pipeline]
        assert max(ahead) <= 40
        pipeline.close()

    def test_a_camera_read_too_slowly_loses_its_oldest_packets_and_counts_them(self) -> None:
        source = FakeSource(tens(50), on_demand=True, counters=SourceCounters(dropped=7))
        pipeline = open_pipeline(source, max_bytes=THREE_PACKETS, max_age_s=PATIENCE_S)
        iterator = iter(pipeline)
        source.give()
        assert times([next(packet for packet in iterator if packet.events.size)]) == list(range(10))
        source.give(49)
        assert source.exhausted.wait(PATIENCE_S)
        assert times(iterator) == list(range(470, 500))
        assert pipeline.counters == SourceCounters(events=40, dropped=7 + 460)
        pipeline.close()

    def test_packets_that_waited_too_long_are_dropped_and_counted(self) -> None:
        begun_s = time.perf_counter()
        packets = [
            Packet(at(0), begun_s), Packet(at(1, 2), begun_s - 100), Packet(at(3, 4, 5, 6), begun_s),
        ]  # fmt: skip
        pipeline = open_pipeline(FakeSource(packets), max_age_s=50.0)
        found = list(pipeline)
        assert times(found) == [0, 3, 4, 5, 6]
        assert {packet.arrived_s for packet in found if packet.events.size} == {begun_s}
        assert pipeline.counters == SourceCounters(events=5, dropped=2)
        pipeline.close()

    @pytest.mark.parametrize("policy", ["block", None])
    def test_a_recording_comes_whole_and_is_never_too_old(self, policy: None) -> None:
        packets = [Packet(events, 1e-9) for events in tens(50)]
        with open_pipeline(FakeSource(packets, live=False), policy=policy, max_bytes=400) as pipeline:
            assert times(pipeline) == list(range(500))
            assert pipeline.counters == SourceCounters(events=500)
            assert (pipeline.unread, pipeline.resolution) == (0, SMALL)
            assert policy is not None or not capture_threads()

    def test_what_is_known_of_a_packet_stays_with_it_and_one_without_an_arrival_arrives_now(self) -> None:
        begun_s = time.perf_counter()
        packets = [Packet(at(0), 5.0, 77, 3), Packet(at(1)), Packet(NO_EVENTS, now_us=99, epoch=4)]
        pipeline = open_pipeline(FakeSource(packets, live=False), policy="block")
        one, other, last = pipeline
        assert (one.arrived_s, one.now_us, one.epoch) == (5.0, 77, 3)
        assert begun_s < other.arrived_s < last.arrived_s < time.perf_counter()
        assert (other.now_us, other.epoch, last.now_us, last.epoch) == (None, 0, 99, 4)
        pipeline.close()

    def test_noise_is_counted_among_the_events_that_came_and_the_lost_ones_are_not(self) -> None:
        source = FakeSource(noisy(), resolution=SENSOR)
        noise = DenoiseState(SENSOR)
        pipeline = open_pipeline(source, noise=noise, max_age_s=PATIENCE_S)
        kept = joined(pipeline).size
        assert 0 < kept == noise.counts.kept < 60
        assert pipeline.counters == SourceCounters(events=60)
        pipeline.close()


class TestEnd:
    @pytest.mark.parametrize("policy", ["block", None])
    def test_an_error_of_the_source_is_raised_after_the_packets_before_it(self, policy: None) -> None:
        error = SourceError("camera unplugged")
        pipeline = open_pipeline(FakeSource([at(0, 1, 2), at(3, 4, 5)], then=error), policy=policy)
        seen: list[Packet] = []
        with pytest.raises(SourceError, match="camera unplugged") as caught:
            seen.extend(pipeline)
        assert caught.value is error
        assert times(seen) == list(range(6))
        pipeline.close()

    def test_an_error_is_raised_again_at_every_later_pull(self) -> None:
        pipeline = open_pipeline(FakeSource(then=SourceError("camera unplugged")), policy="block")
        for _ in range(2):
            with pytest.raises(SourceError, match="camera unplugged"):
                next(iter(pipeline))
        pipeline.close()

    def test_closing_early_ends_the_thread_and_counts_what_was_left_unread(self) -> None:
        source = FakeSource(tens(50), live=False)
        pipeline = open_pipeline(source, policy="block", max_bytes=1000)
        next(iter(pipeline))
        pipeline.close()
        assert capture_threads() == []
        assert source.counters.events == pipeline.counters.events + pipeline.unread
        assert pipeline.counters.dropped == 0
        assert list(pipeline) == []

    def test_closing_twice_or_before_reading_is_fine(self) -> None:
        source = FakeSource([TEN], live=False)
        pipeline = open_pipeline(source, policy="block")
        pipeline.close()
        pipeline.close()
        assert source.closings == 2
        assert list(pipeline) == []
        assert source.counters.events == 0

    def test_a_source_that_is_not_owned_stays_open(self) -> None:
        source = FakeSource(tens(2))
        with open_pipeline(source, policy=None, owns_source=False) as pipeline:
            assert times(pipeline) == list(range(20))
        assert not source.closed.is_set()

    def test_no_time_at_all_is_refused_and_the_source_closed_if_it_is_owned(self) -> None:
        for owned in (True, False):
            source = FakeSource()
            with pytest.raises(SourceError, match="give more than 0"):
                open_pipeline(source, seconds=0.0, owns_source=owned)
            assert source.closed.is_set() == owned

    def test_closing_wakes_a_waiting_consumer_and_a_waiting_source(self) -> None:
        source = FakeSource(then="wait")
        pipeline = open_pipeline(source)
        got: Latest[list[Packet]] = Latest()
        consumer = Worker("consumer", lambda stop: got.put(list(pipeline))).start()
        assert source.exhausted.wait(PATIENCE_S)
        pipeline.close(timeout_s=0.1)
        assert consumer.close(PATIENCE_S)
        assert got.take() == []
        assert capture_threads() == []

    def test_an_interruption_ends_the_iteration_and_leaves_the_source_to_whoever_iterates(self) -> None:
        source = FakeSource(tens(2), then="silence")
        pipeline = open_pipeline(source)
        ended = threading.Event()
        seen = threading.Event()

        def consume(stop: threading.Event) -> None:
            for _ in pipeline:
                seen.set()
            ended.set()

        consumer = Worker("consumer", consume).start()
        assert seen.wait(PATIENCE_S)
        pipeline.interrupt()
        assert ended.wait(PATIENCE_S)
        assert not source.closed.is_set()
        pipeline.close()
        assert consumer.close(PATIENCE_S)

    def test_a_source_that_does_not_let_go_is_reported_in_bounded_time(self) -> None:
        source = FakeSource(then="wait", deaf=True)
        pipeline = open_pipeline(source)
        got: Latest[list[Packet]] = Latest()
        consumer = Worker("consumer", lambda stop: got.put(list(pipeline))).start()
        assert source.exhausted.wait(PATIENCE_S)
        with pytest.raises(SourceError, match=r"didn't stop within 0\.02 s"):
            pipeline.close(timeout_s=0.02)
        source.release()
        pipeline.close(timeout_s=PATIENCE_S)
        assert consumer.close(PATIENCE_S)
        assert capture_threads() == []
