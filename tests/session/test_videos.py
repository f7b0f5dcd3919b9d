"""A session on frames instead of events: video files, and digits that turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import livesnn
from livesnn.infer.run import Result
from livesnn.session.results import ShownResult
from livesnn.session.session import Session
from tests.synthetic import VIDEO_CARD, VIDEO_FPS, VIDEO_FRAMES, next_picture_us, write_video
from tests.waiting import eventually

FPS, FRAMES, WINDOW = VIDEO_FPS, VIDEO_FRAMES, VIDEO_CARD.input.window


@pytest.fixture
def play(play: Callable[..., Session], video_model: Path) -> Callable[..., Session]:
    """Return a function that starts a session of a model for videos."""
    return lambda source, model=video_model, **choices: play(source, model, **choices)


def look_on() -> None:
    """Wait as long as several frames would take, did they come."""
    looks = itertools.count()
    eventually(lambda: next(looks) == 50)


def results_of(clip: Path, model_folder: Path) -> list[Result]:
    return list(livesnn.run(clip, model_folder))


def last_result(session: Session, wanted: Callable[[ShownResult], bool]) -> ShownResult:
    found: list[ShownResult] = []

    def come() -> bool:
        shown = session.results.take()
        found.extend([shown] if shown is not None and wanted(shown) else [])
        return bool(found)

    eventually(come)
    return found[-1]


def test_a_video_is_played_to_its_end_with_the_decisions_of_livesnn_run(
    play: Callable[..., Session], clip: Path, video_model: Path
) -> None:
    whole = results_of(clip, video_model)
    session = play(clip, speed=float("inf"))
    eventually(lambda: session.control.state == "ended")
    decided = [(decision.end_us, decision.label) for decision in session.take_decisions()]
    assert decided == [(result.t, result.decision) for result in whole if result.window_end]
    assert len(decided) == FRAMES // WINDOW
    assert session.opened is not None
    assert session.opened.playback.duration_us == FRAMES * 1_000_000 // FPS
    assert session.error is None
    picture = session.pictures.take()
    assert picture is not None  # it is what the network sees
    np.testing.assert_array_equal(picture.rgb, np.repeat(whole[-1].frame.data.transpose(1, 2, 0), 3, axis=2))
    assert picture.t_us == whole[-1].t


def test_a_video_may_be_larger_than_any_sensor(play: Callable[..., Session], tmp_path: Path) -> None:
    wide = (np.full((64, 5312, 3), 20 * n, np.uint8) for n in range(2 * WINDOW))
    path = write_video(tmp_path / "wide.avi", wide)
    session = play(path, speed=float("inf"))
    eventually(lambda: session.control.state == "ended")
    assert session.error is None
    assert session.opened is not None
    assert session.opened.playback.resolution == (5312, 64)
    assert session.take_decisions()


def test_a_video_keeps_its_own_time_at_any_speed(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip, speed=1e-9)
    first = last_result(session, lambda shown: True)
    assert first.result.carried == 1
    look_on()
    assert session.results.take() is None  # the next one is due in years
    session.control.apply(replace(session.control.choices, speed=math.inf))
    eventually(lambda: session.control.state == "ended")


def test_a_paused_video_goes_on_frame_by_frame(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip)
    held = last_result(session, lambda shown: shown.result.window_seen)
    session.control.toggle()
    look_on()
    held = session.results.take() or held
    session.control.step(1)
    after = last_result(session, lambda shown: True)
    assert after.result.carried == held.result.carried + 1
    look_on()
    assert session.results.take() is None


def test_a_sought_video_begins_there_with_the_state_reset(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip)
    last_result(session, lambda shown: shown.result.window_seen)
    session.control.seek(900_000)
    there = last_result(session, lambda shown: shown.resets == 1)
    assert there.result.t >= 900_000
    assert there.result.t - 900_000 <= 20_000 * there.result.carried
    assert there.reset_by == "seeking"


def test_steps_back_show_the_frames_before_one_after_another(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip)
    next_us = next_picture_us(session)
    next_us()
    session.control.toggle()
    session.control.seek(900_000)
    eventually(lambda: next_us() == 900_000)
    seen = []
    for by in (-1, -1, -3, 1, -1, -100, -1):
        session.control.step(by)
        seen.append(next_us())
    assert seen == [880_000, 860_000, 800_000, 820_000, 800_000, 0, 0]


def test_past_its_end_a_video_shows_its_last_frame(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip, loop=True)
    next_us = next_picture_us(session)
    next_us()
    session.control.toggle()
    session.control.seek(FRAMES * 1_000_000 // FPS)
    eventually(lambda: next_us() == (FRAMES - 1) * 1_000_000 // FPS)
    session.control.step(-1)
    assert next_us() == (FRAMES - 2) * 1_000_000 // FPS


def test_a_video_too_short_for_a_window_says_so(play: Callable[..., Session], tmp_path: Path) -> None:
    session = play(write_video(tmp_path / "short.avi", [np.zeros((64, 64, 3), np.uint8)]))
    eventually(lambda: session.control.state == "ended" and session.note)
    assert session.note == "Shorter than one window (0.10 s)"


def with_frame_count(clip: Path, path: Path, count: int) -> Path:
    """Write a copy of an .avi whose header claims so many frames."""
    data = bytearray(clip.read_bytes())
    for place in (data.index(b"avih") + 24, data.index(b"strh") + 40):
        data[place : place + 4] = count.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_more_frames_than_bytes_are_not_believed(play: Callable[..., Session], clip: Path, tmp_path: Path) -> None:
    session = play(with_frame_count(clip, tmp_path / "huge.avi", 900_000_000))
    eventually(lambda: session.opened is not None)
    assert session.opened is not None
    assert session.opened.playback.duration_us == FRAMES * 1_000_000 // FPS
    assert session.warnings == ("huge.avi is cut short or damaged: 60 of 900,000,000 frames can be read",)


def test_a_video_whose_frames_are_being_counted_can_be_left(play: Callable[..., Session], tmp_path: Path) -> None:
    long = write_video(tmp_path / "long.avi", itertools.repeat(np.zeros((16, 16, 3), np.uint8), 20_000))
    session = play(with_frame_count(long, tmp_path / "counted.avi", 0))
    eventually(lambda: session.reading is not None)
    assert session.stop()
    assert session.reading is not None
    assert (session.opened, session.error) == (None, None)


def test_a_video_that_loops_starts_again(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip, speed=float("inf"), loop=True)
    eventually(lambda: session.n_decisions > 2 * FRAMES // WINDOW)
    assert session.control.state == "playing"


def test_a_video_and_a_model_of_events_are_refused_and_the_model_is_to_blame(
    play: Callable[..., Session], clip: Path, model_folder: Path
) -> None:
    session = play(clip, model_folder)
    eventually(lambda: session.control.state == "failed")
    assert session.error is not None
    assert "choose a model for video" in session.error
    assert session.model_failed


def test_turning_digits_are_held_by_a_pause_and_go_on_with_the_state_reset(
    play: Callable[..., Session],
) -> None:
    session = play("simulate:digits")
    last_result(session, lambda shown: shown.result.window_seen)
    session.control.toggle()
    look_on()
    session.results.take()
    look_on()
    assert session.results.take() is None
    session.control.toggle()
    after = last_result(session, lambda shown: shown.reset_by != "")
    assert after.reset_by == "pausing"
