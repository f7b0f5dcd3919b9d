"""Single cases of the slicer: crop, time, clock, sources, clips. Its laws are in property/test_frames.py."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from livesnn.bench.throughput import bench_slicer, moving_blob
from livesnn.card import InputSpec, SliceRule
from livesnn.errors import ModelError, SourceError
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet, Resolution, checked_packets
from livesnn.events.slicer import GAP_FIXED_COUNT_US, Frame, Slicer, frames, stack_clip
from livesnn.threads import Worker
from tests.fake_source import PATIENCE_S, FakeSource, at

TEN_MS = SliceRule(delta_t_us=10_000)
SENSOR = Resolution(4, 3)
INPUT = InputSpec(4, 3, TEN_MS, window=10)


def slicer(rule: SliceRule = TEN_MS) -> Slicer:
    return Slicer(SENSOR, replace(INPUT, slice=rule))


def told(ended: list[Frame]) -> list[tuple[int, int, bool]]:
    return [(frame.t, frame.n_events, frame.start) for frame in ended]


class TestCrop:
    @pytest.mark.parametrize(
        ("sensor", "size", "x", "expected"),
        [
            ((346, 260), 34, 42, None),
            ((346, 260), 34, 43, 0),
            ((346, 260), 34, 302, 33),
            ((346, 260), 34, 303, None),
            ((640, 480), 64, 79, None),
            ((640, 480), 64, 80, 0),
            ((640, 480), 64, 87, 0),
            ((640, 480), 64, 88, 1),
            ((640, 480), 64, 559, 63),
            ((640, 480), 64, 560, None),
            ((128, 128), 34, 127, 33),
            ((17, 17), 34, 16, 32),
        ],
    )
    def test_columns_of_known_sensors(self, sensor: tuple[int, int], size: int, x: int, expected: int | None) -> None:
        rule = SliceRule(n_events=1)
        ended = Slicer(Resolution(*sensor), InputSpec(size, size, rule)).push(Packet(at(0, x=x)))
        assert [int(np.flatnonzero(frame.data[1, 0])[0]) for frame in ended] == (
            [] if expected is None else [expected]
        )

    def test_a_tall_sensor_is_cropped_above_and_below(self) -> None:
        rule = SliceRule(n_events=1)
        cut = Slicer(Resolution(2, 6), InputSpec(2, 2, rule))
        rows = [[int(np.flatnonzero(f.data[1, :, 0])[0]) for f in cut.push(Packet(at(0, y=y)))] for y in range(6)]
        assert rows == [[], [], [0], [1], [], []]

    def test_off_is_channel_0_and_on_is_channel_1(self) -> None:
        (frame,) = slicer(SliceRule(n_events=3)).push(
            Packet(np.concatenate([at(0, 1, x=2, y=1, p=False), at(2, x=3, y=2, p=True)]))
        )
        assert frame.data[0, 1, 2] == 2
        assert frame.data[1, 2, 3] == 1
        assert frame.data.sum() == 3

    def test_counts_stop_at_255(self) -> None:
        (frame,) = slicer(SliceRule(n_events=300)).push(Packet(at(*range(300), x=1)))
        assert (int(frame.data[1, 0, 1]), int(frame.data.sum()), frame.n_events) == (255, 255, 300)

    def test_a_video_models_input_is_refused(self) -> None:
        with pytest.raises(ModelError, match=r"1 channel\(s\) of video.*choose a model for events"):
            Slicer(SENSOR, InputSpec(28, 28, TEN_MS, kind="video", channels=1))


class TestFixedTime:
    def test_a_slice_ends_with_the_first_event_at_its_end_which_belongs_to_the_next(self) -> None:
        cut = slicer()
        assert cut.push(Packet(at(500, 10_499))) == []
        assert told(cut.push(Packet(at(10_500)))) == [(10_500, 2, True)]
        assert told(cut.push(Packet(at(20_500)))) == [(20_500, 1, False)]

    def test_each_event_of_a_thinned_packet_counts_for_those_left_out(self) -> None:
        cut = slicer()
        cut.push(Packet(at(0, 10, x=1), one_of=4))
        (frame,) = cut.push(Packet(at(20, 10_000, x=1)))
        assert (int(frame.data[1, 0, 1]), frame.n_events) == (9, 3)

    def test_an_event_outside_the_crop_starts_the_clock_and_ends_slices_uncounted(self) -> None:
        assert told(slicer().push(Packet(np.concatenate([at(0, x=9), at(10_000, y=9)])))) == [(10_000, 0, True)]

    def test_silence_of_a_window_becomes_empty_frames(self) -> None:
        ended = slicer().push(Packet(at(0, 100_000)))
        assert told(ended) == [(10_000 * k, int(k == 1), k == 1) for k in range(1, 11)]
        assert all(frame.data.sum() == 0 for frame in ended[1:])

    def test_silence_of_more_than_a_window_starts_again_and_drops_the_unfinished_slice(self) -> None:
        assert told(slicer().push(Packet(at(0, 10_000, 110_001, 120_001)))) == [
            (10_000, 1, True),
            (120_001, 1, True),
        ]


class TestFixedCount:
    def test_a_slice_ends_at_its_last_event_without_waiting_for_another(self) -> None:
        cut = slicer(SliceRule(n_events=2))
        assert cut.push(Packet(at(5))) == []
        assert told(cut.push(Packet(at(7)))) == [(7, 2, True)]

    def test_a_second_of_silence_is_a_pause_and_more_starts_again(self) -> None:
        cut = slicer(SliceRule(n_events=2))
        assert told(cut.push(Packet(at(0, GAP_FIXED_COUNT_US)))) == [(GAP_FIXED_COUNT_US, 2, True)]
        assert told(cut.push(Packet(at(GAP_FIXED_COUNT_US, 2 * GAP_FIXED_COUNT_US + 1)))) == []
        assert told(cut.push(Packet(at(2 * GAP_FIXED_COUNT_US + 2)))) == [(2 * GAP_FIXED_COUNT_US + 2, 2, True)]


class TestClock:
    def test_a_quiet_scene_gives_frames_as_time_passes(self) -> None:
        cut = slicer()
        cut.push(Packet(at(0)))
        nothing = at()
        assert told(cut.push(Packet(nothing, now_us=9_999))) == []
        assert told(cut.push(Packet(nothing, now_us=10_000))) == [(10_000, 1, True)]
        later = [frame for now in range(20_000, 500_001, 20_000) for frame in cut.push(Packet(nothing, now_us=now))]
        assert told(later) == [(t, 0, False) for t in range(20_000, 500_001, 10_000)]

    def test_an_event_after_a_quiet_scene_follows_on(self) -> None:
        cut = slicer()
        cut.push(Packet(at(0)))
        for now in range(0, 300_001, 50_000):
            cut.push(Packet(at(), now_us=now))
        assert told(cut.push(Packet(at(310_000)))) == [(310_000, 0, False)]

    def test_a_clock_that_moves_by_a_window_gives_the_windows_frames(self) -> None:
        cut = slicer()
        cut.push(Packet(at(0)))
        assert told(cut.push(Packet(at(), now_us=100_000))) == [
            (10_000 * k, int(k == 1), k == 1) for k in range(1, 11)
        ]

    def test_a_clock_that_jumps_by_more_than_a_window_starts_again(self) -> None:
        cut = slicer()
        cut.push(Packet(at(0)))
        assert cut.push(Packet(at(), now_us=100_001)) == []
        assert told(cut.push(Packet(at(100_002, 110_002)))) == [(110_002, 1, True)]

    def test_a_clock_behind_the_events_changes_nothing(self) -> None:
        cut = slicer()
        cut.push(Packet(at(0, 5_000), now_us=-1_000_000))
        assert told(cut.push(Packet(at(10_000)))) == [(10_000, 2, True)]

    def test_a_clock_starts_no_stream(self) -> None:
        cut = slicer()
        assert cut.push(Packet(at(), now_us=50_000)) == []
        assert told(cut.push(Packet(at(60_000, 70_000)))) == [(70_000, 1, True)]

    def test_fixed_count_waits_for_events_only(self) -> None:
        cut = slicer(SliceRule(n_events=2))
        cut.push(Packet(at(0), now_us=900_000))
        assert told(cut.push(Packet(at(800_000)))) == [(800_000, 2, True)]


class TestPackets:
    def test_read_only_and_strided_packets_are_read_as_they_are(self) -> None:
        events = at(*range(0, 60_000, 100))
        read_only = np.frombuffer(events.tobytes(), EVENTS_DTYPE)
        doubled = np.repeat(events, 2)[::2]
        assert told(slicer().push(Packet(read_only))) == told(slicer().push(Packet(events))) != []
        assert told(slicer().push(Packet(doubled))) == told(slicer().push(Packet(events)))

    def test_the_packet_is_left_alone(self) -> None:
        events = at(5, 3, 10_005)
        slicer().push(Packet(events))
        np.testing.assert_array_equal(events, at(5, 3, 10_005))

    def test_every_frame_owns_its_counts(self) -> None:
        first, second = slicer().push(Packet(at(0, 10_000, 20_000)))
        first.data[:] = 7
        assert second.data.sum() == 1

    def test_frames_carry_the_arrival_of_the_packet_that_ended_them(self) -> None:
        cut = slicer()
        cut.push(Packet(at(0), 1.5))
        assert [frame.arrived_s for frame in cut.push(Packet(at(10_000), 2.5))] == [2.5]

    def test_other_threads_run_while_packets_are_counted(self) -> None:
        cut, packet = slicer(), Packet(at(*[0] * 1_000_000))
        never_told = threading.Event()

        def push(stop: threading.Event) -> None:
            for _ in range(200):
                cut.push(packet)
                if stop.is_set():
                    return
            never_told.set()

        cut.push(packet)  # compiles
        switch_s = sys.getswitchinterval()
        sys.setswitchinterval(PATIENCE_S)  # no other thread runs unless the counting lets it
        try:
            assert Worker("pushes", push).start().close(PATIENCE_S)
        finally:
            sys.setswitchinterval(switch_s)
        assert not never_told.is_set()

    @pytest.mark.parametrize("rule", [TEN_MS, SliceRule(n_events=2)])
    def test_fields_are_read_by_their_names_whatever_their_order_and_type(self, rule: SliceRule) -> None:
        events = np.concatenate([at(0, 1, x=3, y=2), at(10_000, 20_000, x=1, p=False)])
        other = np.zeros(events.size, [("x", "<i2"), ("p", "u1"), ("more", "<f8"), ("t", ">i8"), ("y", "<i4")])
        for name in ("t", "x", "y", "p"):
            other[name] = events[name]
        (packet,) = checked_packets([Packet(other)])
        expected, found = slicer(rule).push(Packet(events)), slicer(rule).push(packet)
        assert told(found) == told(expected) != []
        np.testing.assert_array_equal([f.data for f in found], [f.data for f in expected])

    @pytest.mark.parametrize(
        ("packet", "message"),
        [
            (np.arange(5), "1-D array with fields"),
            (np.zeros(2, [("t", "<i8"), ("x", "<u2"), ("y", "<u2")]), "1-D array with fields"),
            (at(1, 2, 3, 4).reshape(2, 2), "1-D array with fields"),
            (np.ones(1, [("t", "<f8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")]), "t must be whole numbers"),
            (
                np.full(1, -1, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?")]),
                r"x must be within 0\.\.",
            ),
            (np.full(1, 2**63, [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")]), "t must be within"),
            (
                np.full(1, 2, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")]),
                r"p must be within 0\.\.1",
            ),
        ],
    )
    def test_what_is_no_packet_is_refused(self, packet: Events, message: str) -> None:
        with pytest.raises(SourceError, match=message):
            list(checked_packets([Packet(packet)]))


class TestImpossible:
    @pytest.mark.timeout(20)
    @pytest.mark.parametrize("rule", [TEN_MS, SliceRule(n_events=1)])
    @pytest.mark.parametrize("t", [2**63 - 1, 2**62, -(2**62), -(2**63)])
    def test_times_near_the_end_of_the_numbers_are_refused(self, rule: SliceRule, t: int) -> None:
        cut = slicer(rule)
        with pytest.raises(SourceError, match="is impossible"):
            cut.push(Packet(at(5, t)))
        assert told(cut.push(Packet(at(0, 10_000))))[0][2]

    @pytest.mark.parametrize("t", [2**62 - 1, 1 - 2**62])
    def test_the_last_times_that_can_be_are_like_any_other(self, t: int) -> None:
        assert told(slicer(SliceRule(n_events=1)).push(Packet(at(t)))) == [(t, 1, True)]
        assert told(slicer().push(Packet(at(t, t + 10_000)))) == [(t + 10_000, 1, True)]

    @pytest.mark.parametrize("sensor", [(0, 0), (0, 3), (4, -1), (1 << 17, 3)])
    def test_a_sensor_that_cannot_be_is_refused(self, sensor: tuple[int, int]) -> None:
        with pytest.raises(SourceError, match="a sensor can't be"):
            Slicer(Resolution(*sensor), INPUT)


class TestFrames:
    def test_any_source_gives_its_frames_without_the_unfinished_last(self) -> None:
        source = FakeSource([at(0, 1), at(), at(10_000, 19_999), at(20_000)], resolution=SENSOR)
        before_s = time.perf_counter()
        ended = list(frames(source, INPUT))
        assert told(ended) == [(10_000, 2, True), (20_000, 2, False)]
        assert before_s <= ended[0].arrived_s <= ended[1].arrived_s <= time.perf_counter()

    def test_a_light_s_flicker_is_taken_before_counts_saturate(self) -> None:
        pixels = [
            at(*[0] * (310 if moves else 300), x=x, y=y)
            for x in range(4)
            for y in range(3)
            for moves in (x + y == 0,)
        ]
        cut = Slicer(Resolution(4, 3), replace(INPUT, without_flicker=True))
        (frame,) = cut.push(Packet(np.concatenate([*pixels, at(10_000)])))
        assert (frame.data[1, 0, 0], frame.data.sum(), frame.light_flicker) == (10, 10, 300)

    def test_another_epoch_starts_anew_however_short_the_gap(self) -> None:
        one, other = at(0, 10_000, 15_000), at(20_000, 30_000, 40_000)
        same = FakeSource([Packet(one, epoch=3), Packet(other, epoch=3)], resolution=SENSOR)
        assert [(*told([frame])[0], frame.epoch) for frame in frames(same, INPUT)] == [
            (10_000, 1, True, 3),
            (20_000, 2, False, 3),
            (30_000, 1, False, 3),
            (40_000, 1, False, 3),
        ]
        apart = FakeSource([Packet(one, epoch=3), Packet(other, epoch=4)], resolution=SENSOR)
        assert [(*told([frame])[0], frame.epoch) for frame in frames(apart, INPUT)] == [
            (10_000, 1, True, 3),
            (30_000, 1, True, 4),
            (40_000, 1, False, 4),
        ]


class TestClips:
    events = moving_blob(20_000, SENSOR, seed=3, duration_us=95_000)

    def test_a_clip_has_the_frames_of_the_stream(self) -> None:
        clip = stack_clip(self.events, SENSOR, INPUT, 5)
        assert clip.dtype == np.uint8
        np.testing.assert_array_equal(clip, [frame.data for frame in slicer().push(Packet(self.events))[:5]])
        assert all(frame.any() for frame in clip)

    def test_a_shorter_clip_ends_in_empty_frames(self) -> None:
        clip = stack_clip(self.events, SENSOR, INPUT, 12)
        assert clip.shape == (12, 2, 3, 4)
        assert [bool(frame.any()) for frame in clip] == [True] * 9 + [False] * 3


class TestCountsOfOtherSensors:
    """A sensor of 8×6, and so of four pixels a cell of the model's 4×3."""

    @pytest.mark.parametrize(
        ("cell_pixels", "events", "expected"),
        [
            (4.0, 3, 3),
            (1.0, 8, 2),
            (1.0, 3, 1),  # rounded
            (1.0, 1, 0),
            (1.0, 1000, 250),  # more than an octet holds
            (16.0, 3, 12),
            (16.0, 100, 255),
        ],
    )
    def test_they_are_scaled_by_area(self, cell_pixels: float, events: int, expected: int) -> None:
        cut = Slicer(Resolution(8, 6), replace(INPUT, cell_pixels=cell_pixels))
        (frame,) = cut.push(Packet(np.concatenate([at(*range(events)), at(10_000)])))
        assert (int(frame.data.max()), frame.n_events) == (expected, events)

    def test_a_frame_of_so_many_events_is_as_it_is(self) -> None:
        rule = SliceRule(n_events=8)
        spec = replace(INPUT, slice=rule, cell_pixels=1.0)
        (frame,) = Slicer(Resolution(8, 6), spec).push(Packet(at(*range(8))))
        assert frame.data.max() == 8


class TestBench:
    def test_the_events_are_ordered_seeded_and_mostly_in_a_blob_that_moves(self) -> None:
        sensor = Resolution(640, 480)
        events = moving_blob(50_000, sensor, seed=1)
        np.testing.assert_array_equal(events, moving_blob(50_000, sensor, seed=1))
        assert not np.array_equal(events, moving_blob(50_000, sensor, seed=2))
        assert np.all(np.diff(events["t"]) >= 0)
        assert events["x"].max() < 640
        assert events["y"].max() < 480
        assert 0.4 < events["p"].mean() < 0.6
        quarter = events[: len(events) // 50]
        assert np.median(np.abs(quarter["x"] - np.median(quarter["x"]))) < 640 / 8

    def test_it_reports_a_rate_for_each_sensor_and_counts_its_events(self) -> None:
        results = bench_slicer(2, n_events=200_000)
        assert list(results) == ["640x480 to 64x64", "346x260 to 34x34", "128x128 to 128x128"]
        for result in results.values():
            assert result["events"] == 200_000
            assert result["frames"] > 0
            assert 0 < result["events_in_frames"] <= 200_000
            speed = result["mev_per_s"]
            assert speed["n"] == 2
            assert 0 < speed["min"] <= speed["median"] <= speed["max"]
