"""The window's session on frames instead of events: video files, and digits that turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from livesnn.app.main_window import MainWindow
from livesnn.app.player import Player
from livesnn.app.settings import SettingsFile
from livesnn.card import SliceRule
from livesnn.infer.run import Result, run
from livesnn.session.session import Session, SourceLike
from livesnn.session.values import Answer, Choices
from livesnn.video.video_file import Reading, open_video

from .synthetic import CARD, wait_until, write_model

FPS, FRAMES, WINDOW = 50, 60, 5
GREY = replace(
    CARD,
    input=replace(
        CARD.input,
        kind="video",
        channels=1,
        count_max=255,
        scale=1 / 255,
        slice=SliceRule(20_000),
        window=WINDOW,
    ),
    sensor=None,
)


@pytest.fixture(scope="module")
def video_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "grey", GREY)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a bright bar that goes from the left to the right, each frame another."""
    path = tmp_path_factory.mktemp("videos") / "bar.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 64))
    for n in range(FRAMES):
        image = np.zeros((64, 64, 3), np.uint8)
        image[:, n : n + 4] = 255
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def play(video_model: Path) -> Iterator[Callable[..., Session]]:
    sessions: list[Session] = []

    def start(source: SourceLike, model: Path = video_model, **choices: object) -> Session:
        session = Session(source, model, choices=Choices(**choices))  # type: ignore[arg-type]
        sessions.append(session)
        session.start()
        return session

    yield start
    for session in sessions:
        assert session.stop()


def results_of(clip: Path, model_folder: Path) -> list[Result]:
    return list(run(clip, model_folder))


def last_answer(session: Session, wanted: Callable[[Answer], bool]) -> Answer:
    found: list[Answer] = []

    def come() -> bool:
        answer = session.answers.take()
        found.extend([answer] if answer is not None and wanted(answer) else [])
        return bool(found)

    wait_until(come)
    return found[-1]


def test_a_video_is_played_to_its_end_with_the_decisions_of_livesnn_run(
    play: Callable[..., Session], clip: Path, video_model: Path
) -> None:
    whole = results_of(clip, video_model)
    session = play(clip, speed=float("inf"))
    wait_until(lambda: session.control.state == "ended")
    decided = [(decision.end_us, decision.label) for decision in session.take_decisions()]
    assert decided == [(result.t, result.decision) for result in whole if result.window_end]
    assert len(decided) == FRAMES // WINDOW
    assert session.opened is not None
    assert session.opened.duration_us == FRAMES * 1_000_000 // FPS
    assert session.error is None


def test_a_video_may_be_larger_than_any_sensor(play: Callable[..., Session], tmp_path: Path) -> None:
    path = tmp_path / "wide.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), FPS, (5312, 64))
    for n in range(2 * WINDOW):
        writer.write(np.full((64, 5312, 3), 20 * n, np.uint8))
    writer.release()
    session = play(path, speed=float("inf"))
    wait_until(lambda: session.control.state == "ended")
    assert session.error is None
    assert session.opened is not None
    assert session.opened.sensor == (5312, 64)
    assert session.take_decisions()


def test_the_picture_is_what_the_network_sees(
    play: Callable[..., Session], clip: Path, video_model: Path
) -> None:
    session = play(clip, speed=float("inf"))
    wait_until(lambda: session.control.state == "ended")
    picture = session.pictures.take()
    assert picture is not None
    last = results_of(clip, video_model)[-1]
    np.testing.assert_array_equal(picture.rgb, np.repeat(last.frame.data.transpose(1, 2, 0), 3, axis=2))
    assert picture.t_us == last.t


def test_a_video_keeps_its_own_time(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip)
    first = last_answer(session, lambda answer: True)
    begun_s = time.perf_counter()
    last = last_answer(session, lambda answer: answer.result.t >= first.result.t + 400_000)
    passed_us = (time.perf_counter() - begun_s) * 1e6
    assert passed_us == pytest.approx(last.result.t - first.result.t, rel=0.3, abs=50_000)


def test_a_paused_video_goes_on_frame_by_frame(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip)
    held = last_answer(session, lambda answer: answer.result.window_seen)
    session.control.toggle()
    time.sleep(0.1)
    held = session.answers.take() or held
    session.control.step(1)
    after = last_answer(session, lambda answer: True)
    assert after.result.carried == held.result.carried + 1
    time.sleep(0.1)
    assert session.answers.take() is None


def test_a_sought_video_begins_there_with_the_state_reset(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip)
    last_answer(session, lambda answer: answer.result.window_seen)
    session.control.seek(900_000)
    there = last_answer(session, lambda answer: answer.resets == 1)
    assert there.result.t >= 900_000
    assert there.result.t - 900_000 <= 20_000 * there.result.carried
    assert there.reset_by == "seeking"


def shown_at(session: Session) -> Callable[[], int]:
    """Return what waits for the next picture and returns its time, µs."""

    def next_us() -> int:
        shown: list[int] = []
        wait_until(lambda: shown.extend(p.t_us for p in [session.pictures.take()] if p) or shown)
        return shown[-1]

    return next_us


def test_steps_back_show_the_frames_before_one_after_another(
    play: Callable[..., Session], clip: Path
) -> None:
    session = play(clip)
    next_us = shown_at(session)
    next_us()
    session.control.toggle()
    session.control.seek(900_000)
    wait_until(lambda: next_us() == 900_000)
    seen = []
    for by in (-1, -1, -3, 1, -1, -100, -1):
        session.control.step(by)
        seen.append(next_us())
    assert seen == [880_000, 860_000, 800_000, 820_000, 800_000, 0, 0]


@pytest.fixture
def player(video_model: Path) -> Iterator[Player]:
    made = Player(str(video_model), "onnx", SettingsFile())
    yield made
    made.end()


def test_however_often_a_paused_video_is_opened_again_the_same_frame_is_shown(
    player: Player, clip: Path
) -> None:
    def first_late_us() -> int:
        assert player.session is not None
        return next(us for us in iter(shown_at(player.session), None) if us > 500_000)

    player.play(str(clip))
    wait_until(player.newly_opened)
    player.toggle()
    player.seek(0.9)
    assert first_late_us() == 900_000
    player.step(1)
    shown = [first_late_us()]
    for _ in range(2):
        player.play_again()
        wait_until(player.newly_opened)
        shown.append(first_late_us())
    assert shown == [920_000] * 3


def test_past_its_end_a_video_shows_its_last_frame(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip, loop=True)
    next_us = shown_at(session)
    next_us()
    session.control.toggle()
    session.control.seek(FRAMES * 1_000_000 // FPS)
    wait_until(lambda: next_us() == (FRAMES - 1) * 1_000_000 // FPS)
    session.control.step(-1)
    assert next_us() == (FRAMES - 2) * 1_000_000 // FPS


def test_a_video_too_short_for_a_window_says_so(play: Callable[..., Session], tmp_path: Path) -> None:
    path = tmp_path / "short.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 64))
    writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    session = play(path)
    wait_until(lambda: session.control.state == "ended" and session.note)
    assert session.note == "Shorter than one window (0.10 s)"


def test_more_frames_than_bytes_are_not_believed(
    play: Callable[..., Session], clip: Path, tmp_path: Path
) -> None:
    data = bytearray(clip.read_bytes())
    for place in (data.index(b"avih") + 24, data.index(b"strh") + 40):
        data[place : place + 4] = (900_000_000).to_bytes(4, "little")
    path = tmp_path / "huge.avi"
    path.write_bytes(data)
    session = play(path)
    wait_until(lambda: session.opened is not None)
    assert session.opened is not None
    assert session.opened.duration_us == FRAMES * 1_000_000 // FPS
    assert session.warnings == ("huge.avi is cut short or damaged: 60 of 900,000,000 frames can be read",)


def test_a_video_whose_frames_are_being_counted_can_be_left(
    play: Callable[..., Session], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = open_video(clip)
    video.claimed = 0
    monkeypatch.setattr(Reading, "grab", lambda reading: time.sleep(0.01) or True)
    monkeypatch.setattr("livesnn.video.video_file.open_video", lambda path: video)
    session = play(clip)
    wait_until(lambda: session.reading is not None)
    assert session.stop()
    assert session.error is None


def test_a_video_that_loops_starts_again(play: Callable[..., Session], clip: Path) -> None:
    session = play(clip, speed=float("inf"), loop=True)
    wait_until(lambda: session.n_decisions > 2 * FRAMES // WINDOW)
    assert session.control.state == "playing"


def test_a_video_and_a_model_of_events_are_refused_and_the_model_is_to_blame(
    play: Callable[..., Session], clip: Path, model_folder: Path
) -> None:
    session = play(clip, model_folder)
    wait_until(lambda: session.control.state == "failed")
    assert session.error is not None
    assert "choose a model for video" in session.error
    assert session.model_failed


def test_turning_digits_are_held_by_a_pause_and_go_on_with_the_state_reset(
    play: Callable[..., Session],
) -> None:
    session = play("simulate:digits")
    last_answer(session, lambda answer: answer.result.window_seen)
    session.control.toggle()
    time.sleep(0.1)
    session.answers.take()
    time.sleep(0.1)
    assert session.answers.take() is None
    session.control.toggle()
    after = last_answer(session, lambda answer: answer.reset_by != "")
    assert after.reset_by == "pausing"


def test_turning_digits_cannot_be_recorded_and_have_no_legend_of_events(
    make_window: Callable[..., MainWindow], video_model: Path
) -> None:
    window = make_window(model=str(video_model))
    window.open("simulate:digits")
    wait_until(lambda: window.poll() or window.view.shown > 3)
    assert not window.player.can_record
    assert window.view.legend.isHidden()
    assert "digits that turn" in window.windowTitle()
    assert window.transport.live.text() == "SIMULATED"


def test_recent_digits_are_opened_with_the_model_that_knows_them(
    make_window: Callable[..., MainWindow],
) -> None:
    settings = SettingsFile()
    settings.change(recent=["simulate:digits:5"])
    window = make_window(settings=settings)
    window.commands.recent.actions()[0].trigger()
    wait_until(lambda: window.poll() or window.view.shown > 3)
    assert window.player.model == "mnist-seq2"
