"""A webcam's pictures become events: what is seen, what isn't, losing it, and simulated people in front of one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import livesnn
from livesnn.card import SliceRule
from livesnn.errors import ModelError, SourceError
from livesnn.events.cameras.reconnecting import SourceLost
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet
from livesnn.events.slicer import Slicer
from livesnn.infer.load import load_model
from livesnn.outputs.lines import RunOptions, decide_all
from livesnn.sources import is_live, open_source
from livesnn.threads import Worker
from livesnn.video.emulate import GAP_US, RESOLUTION, Emulator
from livesnn.video.frame_source import FrameSource
from livesnn.video.video_file import open_video
from livesnn.video.webcam import WebcamConnection, open_webcam, webcams
from tests.fake_source import PATIENCE_S
from tests.fake_webcam import FPS, FakeCapture, LoopedFile, Picture, gesture_pictures
from tests.synthetic import VIDEO_CARD, VIDEO_FPS


def picture(bar: int = -1, level: int = 80, size: tuple[int, int] = (240, 320)) -> Picture:
    """Return a grey picture with a brighter bar, 40 pixels wide, from column ``bar`` on."""
    shown = np.full((*size, 3), level, np.uint8)
    if bar >= 0:
        shown[:, bar : bar + 40] = 200
    return shown


def ticking(step_s: float = 1 / FPS) -> Callable[[], float]:
    ticks = itertools.count()
    return lambda: 5.0 + next(ticks) * step_s


def pushed(pictures: Iterable[Picture], step_us: int = 33_333) -> list[Events]:
    emulator = Emulator()
    return [emulator.push(shown, number * step_us) for number, shown in enumerate(pictures)]


def test_a_bar_that_moves_makes_events_at_its_edges_between_the_pictures() -> None:
    nothing, moved = pushed([picture(140), picture(160)])
    assert nothing.size == 0
    assert moved.dtype == EVENTS_DTYPE
    assert np.all(np.diff(moved["t"]) >= 0)
    assert 0 < moved["t"][0] <= moved["t"][-1] <= 33_333
    # Of 320×240 the middle 240×240 is seen by 128 pixels: columns 100 to 120 got darker, 140 to 160 brighter.
    columns = {on: moved["x"][moved["p"] == on] * 240 / 128 + 40 for on in (False, True)}
    assert 138 <= columns[False].min() <= columns[False].max() <= 162
    assert 178 <= columns[True].min() <= columns[True].max() <= 202
    assert set(moved["y"]) == set(range(128))


def test_another_exposure_is_no_event_nor_is_what_comes_after_a_long_pause() -> None:
    still = [picture(140, level) for level in (80, 80)]
    brighter = np.clip(np.rint(still[0] * 1.25), 0, 255).astype(np.uint8)
    assert sum(len(events) for events in pushed([*still, brighter, still[0]])) < 20  # of 16,384 pixels
    covered = np.zeros_like(still[0])
    assert [len(events) for events in pushed([*still, covered, still[0], still[0]])] == [0, 0, 0, 0, 0]
    assert [len(events) for events in pushed([picture(140), picture(200)], GAP_US + 1)] == [0, 0]


def test_a_movement_while_the_exposure_changes_is_still_seen() -> None:
    darker = np.rint(picture(160) * 0.8).astype(np.uint8)
    alone, together = (pushed([picture(140), later])[1] for later in (picture(160), darker))
    assert abs(len(together) - len(alone)) < 0.1 * len(alone)


def test_a_still_picture_with_a_cameras_noise_is_nearly_silent() -> None:
    random = np.random.default_rng(2)
    noisy = [np.clip(picture() + random.normal(0, 3, (240, 320, 1)), 0, 255).astype(np.uint8) for _ in range(30)]
    assert sum(len(events) for events in pushed(noisy)) < 128 * 128 * 0.1  # of a second; as a quiet DVS


def test_a_dark_first_picture_makes_it_no_less_sensitive() -> None:
    dark = np.rint(picture(140, 80) * 0.3).astype(np.uint8)
    moves = [picture(140), picture(160), picture(180)]
    usual, after_dark = (sum(len(events) for events in pushed(shown)) for shown in (moves, [dark, *moves]))
    assert abs(after_dark - usual) < 0.2 * usual


@pytest.mark.parametrize("bars", [0.4, 0.6])
def test_black_bars_say_nothing_of_the_exposure(bars: float) -> None:
    shown = picture(140)
    shown[: int(bars * 240)] = 0
    brighter = np.clip(np.rint(shown * 1.2), 0, 255).astype(np.uint8)
    assert sum(len(events) for events in pushed([shown, brighter, shown])) < 600  # at most some of their edges


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (100, 60), (1, 1)])
def test_any_size_is_seen(size: tuple[int, int]) -> None:
    bright = picture(size=size)
    bright[: size[0] // 2] = 255
    whole = np.concatenate(pushed([picture(size=size), bright]))
    assert (whole.size > 0) == (size != (1, 1))
    if whole.size:
        assert abs(int(whole["y"].max()) - 64) <= 1 and whole["x"].max() == 127  # noqa: PT018


def test_webcams_are_listed_by_number_without_their_nodes_that_give_no_pictures(tmp_path: Path) -> None:
    for number, name, index in ((10, "USB camera\n", 0), (2, "Integrated\n", 0), (3, "Integrated\n", 1)):
        node = tmp_path / f"video{number}"
        node.mkdir()
        (node / "name").write_text(name)
        (node / "index").write_text(f"{index}\n")
    (tmp_path / "video4").mkdir()  # just unplugged
    assert [(found.uri, found.name) for found in webcams(tmp_path)] == [
        ("webcam:2", "Integrated"),
        ("webcam:10", "USB camera"),
    ]
    assert webcams(tmp_path / "none") == []


def test_a_webcam_is_a_live_source() -> None:
    capture = FakeCapture([picture(140), picture(150), picture(160)])
    connection = WebcamConnection(2, capture, clock=ticking())
    assert (connection.name, connection.resolution) == ("webcam 2", RESOLUTION)
    came = [connection.read(0.02) for _ in range(3)]
    assert connection.counters.events == sum(events.size for events, _ in came) > 0
    assert came[-1][1] == 100_000
    with pytest.raises(SourceLost, match=r"^webcam 2 is lost \(unplugged, .*: plug it in again$"):
        connection.read(0.02)
    connection.close()
    connection.close()
    assert capture.released == 1
    with pytest.raises(SourceLost, match="webcam 2 is closed"):
        connection.read(0.02)


class SlowCapture(FakeCapture):
    """One whose first picture doesn't come in so many reads."""

    def __init__(self, late: int) -> None:
        super().__init__([picture(140), picture(150)])
        self.late = late

    def read(self) -> tuple[bool, Picture | None]:
        self.late -= 1
        return super().read() if self.late < 0 else (False, None)


def test_a_first_picture_may_take_some_seconds() -> None:
    connection = WebcamConnection(0, SlowCapture(3), clock=ticking(1.0))
    assert [connection.read(0.0)[1] for _ in range(4)] == [None, None, None, 4_000_000]
    never = WebcamConnection(0, SlowCapture(9), clock=ticking(1.0))
    assert [never.read(0.0)[1] for _ in range(4)] == [None] * 4
    with pytest.raises(SourceLost, match="plug it in again"):
        never.read(0.0)


def test_grey_pictures_are_seen_and_other_kinds_said() -> None:
    grey = [picture(bar)[..., 0] for bar in (140, 160)]
    connection = WebcamConnection(0, FakeCapture(grey), clock=ticking())
    counts = [connection.read(0.02)[0].size for _ in grey]
    assert counts[0] == 0 < counts[1]
    for wrong in (picture().astype(np.uint16), picture()[..., :2], np.empty((0, 4, 3), np.uint8)):
        odd = WebcamConnection(0, FakeCapture([wrong]), clock=ticking())
        with pytest.raises(SourceError, match=r"^webcam 0 gives pictures of an unknown kind \(uint"):
            odd.read(0.02)


def test_one_whose_reader_stops_in_the_middle_is_let_go() -> None:
    reading, answer = threading.Event(), threading.Event()

    class Hanging(FakeCapture):
        def read(self) -> tuple[bool, Picture | None]:
            reading.set()
            assert answer.wait(PATIENCE_S)
            return super().read()

    capture = Hanging(itertools.cycle([picture(140), picture(160)]))
    webcam = open_webcam("webcam", capture=lambda number: capture)

    def stop_in_the_middle(stop: threading.Event) -> None:
        packets = iter(webcam)
        next(packets)
        packets.close()  # type: ignore[attr-defined]

    reader = Worker("reader", stop_in_the_middle).start()
    assert reading.wait(PATIENCE_S)
    webcam.close()
    assert capture.released == 0
    answer.set()
    assert reader.close(PATIENCE_S)
    assert capture.released == 1


def test_lost_it_is_waited_for_and_goes_on() -> None:
    captures = iter(
        [
            FakeCapture([picture(140), picture(160)]),
            FakeCapture(opened=False),
            FakeCapture(itertools.cycle([picture(140), picture(160)])),
        ]
    )
    told: list[str] = []
    numbers: list[int] = []

    def capture(number: int) -> FakeCapture:
        numbers.append(number)
        return next(captures)

    with open_webcam("webcam:1", notify=told.append, capture=capture) as webcam:
        came = (packet.epoch for packet in webcam if packet.events.size)
        assert [next(came), next(came)] == [0, 1]
    assert numbers == [1, 1, 1]
    assert told[0].startswith("webcam 1 is lost (unplugged, or another program took it)")
    assert told[1] == "webcam 1 is back: going on"


def test_one_that_is_not_there_is_an_error_in_one_line() -> None:
    capture = FakeCapture(opened=False)
    with pytest.raises(SourceError, match=r"^webcam:0 can't be opened: plug one in, [^\n]*privacy settings$"):
        open_webcam("webcam", capture=lambda number: capture)
    assert capture.released == 1


@pytest.mark.parametrize("uri", ["webcam:", "webcam:-1", "webcam:first", "webcam:1000"])
def test_what_is_no_number_is_said(uri: str) -> None:
    with pytest.raises(SourceError, match="give webcam, or webcam:0 and up"):
        open_source(uri)


def test_it_is_a_source_of_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert is_live("webcam")
    assert is_live("webcam:0")
    with pytest.raises(SourceError, match=r"webcam:99 can't be opened"):
        open_source("webcam:99")
    assert capfd.readouterr() == ("", "")  # OpenCV says nothing of its own


@pytest.mark.parametrize(
    "gesture",
    [
        "right_hand_wave",
        pytest.param("arm_roll", marks=pytest.mark.release),
        pytest.param("left_arm_clockwise", marks=pytest.mark.release),
    ],
)
def test_people_before_a_webcam_are_recognised(gesture: str) -> None:
    model = load_model("gestures", engine="onnx")
    spec, right = model.card.input, 0
    for seed in range(3):
        emulator = Emulator()
        pictures, times_us = gesture_pictures(gesture, seed, 1.1, use="show")
        assert pictures.shape[1:] == (128, 128, 3)
        slicer, state, outputs = Slicer(RESOLUTION, spec), model.initial_state(), []
        for shown, t_us in zip(pictures, times_us, strict=True):
            for frame in slicer.push(Packet(emulator.push(shown, int(t_us)))):
                output, state = model.step(frame, state)
                outputs.append(output)
        right += model.card.classes[int(np.mean(outputs, axis=0).argmax())] == gesture
    assert right >= 2


def frames_of(captures: Iterable[FakeCapture], clock: Callable[[], float]) -> FrameSource:
    left = iter(captures)
    webcam = open_webcam("webcam", pictures=True, capture=lambda number: next(left), clock=clock)
    assert isinstance(webcam, FrameSource)
    return webcam


def test_a_model_of_videos_gets_a_webcam_s_pictures_as_it_gets_those_of_a_file(clip: Path) -> None:
    spec = VIDEO_CARD.input
    of_file = list(open_video(clip).frames(spec))
    with frames_of([LoopedFile(clip)], ticking(1 / VIDEO_FPS)) as webcam:
        live = list(itertools.islice(webcam.frames(spec), 2 * len(of_file)))
    for frame, twice in zip(live, [*of_file, *of_file], strict=True):
        np.testing.assert_array_equal(frame.data, twice.data)
    assert [frame.t for frame in live[: len(of_file)]] == [frame.t for frame in of_file]
    assert [frame.start for frame in live] == [True] + [False] * (len(live) - 1)


def test_rare_pictures_are_repeated_and_after_a_long_gap_the_frames_begin_anew() -> None:
    spec = replace(VIDEO_CARD.input, slice=SliceRule(delta_t_us=100_000))
    shown = [picture(level=level) for level in (10, 20, 30, 40)]
    times_s = iter([0.0, 0.0, 0.1, 0.42, 9.0])  # of the opening, then of each picture
    with frames_of([FakeCapture(shown)], lambda: next(times_s)) as webcam:
        frames = list(itertools.islice(webcam.frames(spec), 6))
    assert [round(float(frame.data.mean())) for frame in frames] == [10, 20, 20, 20, 30, 40]
    assert [frame.t for frame in frames] == [0, 100_000, 200_000, 300_000, 400_000, 500_000]
    assert [frame.start for frame in frames] == [True, False, False, False, False, True]


def test_a_lost_webcam_goes_on_with_new_frames() -> None:
    spec = VIDEO_CARD.input
    captures = [FakeCapture([picture(level=50)]), FakeCapture(itertools.repeat(picture(level=90)))]
    with frames_of(captures, ticking(spec.window * (spec.slice.delta_t_us or 0) / 1e7)) as webcam:
        frames = list(itertools.islice(webcam.frames(spec), 3))
    assert [(round(float(frame.data.mean())), frame.start) for frame in frames] == [
        (50, True),
        (90, True),
        (90, False),
    ]


def test_pictures_of_a_webcam_are_no_frames_for_a_model_of_events() -> None:
    spec = load_model("gestures", engine="onnx").card.input
    with (
        frames_of([FakeCapture([picture()])], ticking()) as webcam,
        pytest.raises(ModelError, match="webcam 0 is a video, but the model reads events: choose a model"),
    ):
        next(webcam.frames(spec))


def test_what_reads_video_gets_pictures_and_other_models_events(
    monkeypatch: pytest.MonkeyPatch, clip: Path, video_model: Path
) -> None:
    looped = LoopedFile(clip)
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: looped)
    results = itertools.islice(livesnn.run("webcam", video_model), 3)
    assert {result.frame.data.shape[0] for result in results} == {VIDEO_CARD.input.channels}
    (summary,) = (
        row for row in decide_all("webcam:0", RunOptions(str(video_model), seconds=0.2)) if hasattr(row, "frames")
    )
    assert summary.frames > 1
    with open_source("webcam") as events:
        assert not isinstance(events, FrameSource)
