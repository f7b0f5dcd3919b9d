"""Session on real threads, without a window: pause, step, seek, reset, live sources that stop and come back."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import livesnn
from livesnn.errors import SourceError
from livesnn.events.cameras.reconnecting import ReconnectingSource, SourceLost
from livesnn.events.filters import Orientation
from livesnn.events.packet import NO_EVENTS, Events, Resolution, SourceCounters
from livesnn.events.picture import PALETTES, Picture, ViewSpec
from livesnn.infer.load import load_model
from livesnn.infer.run import Result
from livesnn.session.control import Choices
from livesnn.session.results import ShownResult
from livesnn.session.session import Session
from tests.benchmarks.sustained_window import TimedModel
from tests.fake_source import FakeSource, endless
from tests.synthetic import CARD, SENSOR, moving_bar, write_long_recording, write_recording
from tests.waiting import PATIENCE_S, eventually

START_US = 5_000_000  # of moving_bar
FRAME_US = 10_000


class Newest:
    """Keeps what was last taken from a session's mailboxes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._result: ShownResult | None = None
        self._picture: Picture | None = None

    @property
    def result(self) -> ShownResult | None:
        self._result = self._session.results.take() or self._result
        return self._result

    @property
    def picture(self) -> Picture | None:
        self._picture = self._session.pictures.take() or self._picture
        return self._picture

    def wait_for_result(self, condition: Callable[[ShownResult], bool]) -> ShownResult:
        eventually(lambda: self.result is not None and condition(self.result))
        assert self._result is not None
        return self._result


def paused(session: Session) -> Newest:
    """Pause it after its first window; return once nothing new comes."""
    newest = Newest(session)
    newest.wait_for_result(lambda shown: shown.result.window_seen)
    session.control.toggle()
    assert session.control.state == "paused"
    look_on()
    return newest


def look_on() -> None:
    """Wait as long as several frames would take, did they come."""
    looks = itertools.count()
    eventually(lambda: next(looks) == 25)


def results_of(recording: Path, model_folder: Path) -> list[Result]:
    return list(livesnn.run(recording, load_model(model_folder)))


@pytest.mark.parametrize("n_frames", [1, 3])
def test_a_step_forward_runs_exactly_so_many_frames_with_the_state_carried_and_the_picture_up_to_their_end(
    play: Callable[..., Session], recording: Path, model_folder: Path, n_frames: int
) -> None:
    whole = results_of(recording, model_folder)
    session = play(recording)
    newest = paused(session)
    before = newest.result
    assert before is not None
    for _ in range(2):
        session.control.step(n_frames)
        wanted = before.result.carried + n_frames
        after = newest.wait_for_result(lambda shown, wanted=wanted: shown.result.carried >= wanted)
        assert after.result.carried == wanted
        assert after.result.t == before.result.t + n_frames * FRAME_US
        np.testing.assert_array_equal(after.result.rates, whole[wanted - 1].rates)
        before = after
    look_on()
    assert newest.result is before
    assert session.control.state == "paused"
    assert newest.picture is not None
    assert 0 <= newest.picture.t_us - (before.result.t - START_US) < 2 * FRAME_US


def test_a_step_back_shows_the_frame_before_with_the_state_reset(
    play: Callable[..., Session], recording: Path
) -> None:
    session = play(recording)
    newest = paused(session)
    before = newest.result
    assert before is not None
    session.control.step(-1)
    after = newest.wait_for_result(lambda shown: shown.resets == 1)
    assert after.result.carried == 1
    assert after.reset_by == "seeking"
    assert abs(after.result.t - (before.result.t - FRAME_US)) < FRAME_US / 2
    assert session.control.state == "paused"


def test_after_the_end_a_step_back_shows_the_last_frames_again(play: Callable[..., Session], recording: Path) -> None:
    session = play(recording, speed=float("inf"))
    newest = Newest(session)
    eventually(lambda: session.control.state == "ended")
    session.control.step(-5)
    after = newest.wait_for_result(lambda shown: shown.resets == 1)
    assert session.control.state == "paused"
    assert after.result.t - START_US == pytest.approx(1_000_000 - 5 * FRAME_US, abs=FRAME_US)


def test_after_a_seek_to_the_end_a_step_back_shows_the_last_frame(
    play: Callable[..., Session], recording: Path
) -> None:
    session = play(recording)
    newest = paused(session)
    assert session.opened is not None
    assert session.opened.playback.duration_us is not None
    session.control.seek(session.opened.playback.duration_us)
    eventually(lambda: session.control.state == "ended")
    session.control.step(-1)
    after = newest.wait_for_result(lambda shown: shown.resets == 2)
    assert 0 <= START_US + session.opened.playback.duration_us - after.result.t < 2 * FRAME_US


def test_a_recording_too_short_for_a_frame_is_not_started_again_while_paused(
    play: Callable[..., Session], tmp_path: Path
) -> None:
    session = play(write_recording(tmp_path / "short.npz", moving_bar(FRAME_US // 2)), loop=True)
    eventually(lambda: session.statistics.events)
    session.control.toggle()
    look_on()
    before = session.statistics.events
    look_on()
    assert session.control.state == "paused"
    assert session.statistics.events == before


class ImpatientSession(Session):
    """One that is paused and sent to a place the moment it is seen to be open."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "opened" and value is not None:
            self.control.toggle()
            self.control.seek(500_000)


def test_what_is_seen_to_be_open_can_be_paused_and_sought(play: Callable[..., Session], recording: Path) -> None:
    session = play(recording, kind=ImpatientSession)
    shown = Newest(session).wait_for_result(lambda shown: True)
    assert session.control.state == "paused"
    assert shown.resets == 1
    assert shown.result.t - START_US == pytest.approx(500_000 + FRAME_US, abs=FRAME_US)


def test_steps_are_only_for_paused_recordings(play: Callable[..., Session], recording: Path) -> None:
    session = play(recording, loop=True)
    eventually(lambda: session.control.state == "playing")
    session.control.step(-1)
    session.control.step(1)
    assert session.control.resets == 0
    assert session.control.state == "playing"


def test_a_seek_while_paused_shows_the_frame_there(play: Callable[..., Session], recording: Path) -> None:
    session = play(recording)
    newest = paused(session)
    session.control.seek(500_000)
    shown = newest.wait_for_result(lambda shown: shown.resets == 1)
    look_on()
    assert newest.result is shown
    assert shown.result.t - START_US == pytest.approx(500_000 + FRAME_US, abs=FRAME_US)
    assert newest.picture is not None
    assert newest.picture.t_us == pytest.approx(500_000 + FRAME_US, abs=2 * FRAME_US)


def test_a_reset_by_hand_is_taken_once_with_how_many_there_have_been(
    play: Callable[..., Session], recording: Path
) -> None:
    session = play(recording)
    paused(session)
    assert session.control.take_reset() is None
    session.control.reset()
    session.control.reset()
    assert session.control.take_reset() == 2
    assert session.control.take_reset() is None


def test_every_windows_decision_is_taken_once_in_order(
    play: Callable[..., Session], recording: Path, model_folder: Path
) -> None:
    session = play(recording, speed=float("inf"))
    eventually(lambda: session.control.state == "ended")
    decided = session.take_decisions()
    whole = [result for result in results_of(recording, model_folder) if result.window_end]
    assert [decision.label for decision in decided] == [result.decision for result in whole]
    ends_us = [result.t - whole[0].t + decided[0].end_us for result in whole]
    assert [decision.end_us for decision in decided] == ends_us
    assert [decision.start_us for decision in decided[1:]] == ends_us[:-1]
    assert decided[0].start_us == 0
    assert session.take_decisions() == []


def test_a_result_is_shown_with_the_frames_of_its_window_and_the_history_up_to_it(
    play: Callable[..., Session], recording: Path
) -> None:
    session = play(recording, speed=float("inf"))
    eventually(lambda: session.control.state == "ended")
    shown = session.results.take()
    assert shown is not None
    assert len(shown.frames) == shown.result.frame_in_window == 10
    assert shown.frames[-1] is shown.result.frame.data
    assert shown.history.t_us[-1] == shown.result.t - moving_bar(1_000_500)["t"][0]
    np.testing.assert_array_equal(shown.history.probabilities[-1], shown.result.probabilities)
    assert shown.history.probabilities.shape == (shown.history.t_us.size, len(CARD.classes))
    assert np.all(np.diff(shown.history.t_us) > 0)


def test_the_state_mode_can_change_while_it_plays(play: Callable[..., Session], recording: Path) -> None:
    session = play(recording, loop=True, state_mode="reset")
    newest = Newest(session)
    shown = newest.wait_for_result(lambda shown: shown.result.window >= 2)
    assert shown.result.carried == shown.result.frame_in_window
    session.control.apply(replace(session.control.choices, state_mode="carry"))
    newest.wait_for_result(lambda shown: shown.result.carried > 20)


def test_another_view_is_seen_at_once_while_paused(play: Callable[..., Session], recording: Path) -> None:
    session = play(recording)
    newest = paused(session)
    old = newest.picture
    session.control.apply(Choices(view=ViewSpec(palette=list(PALETTES)[-1])))
    assert newest.picture is not old
    assert old is not None
    assert newest.picture is not None
    assert newest.picture.t_us == old.t_us
    assert (newest.picture.rgb != old.rgb).any()


def test_the_network_and_the_view_see_a_turned_camera_upright(play: Callable[..., Session], tmp_path: Path) -> None:
    bar = moving_bar(300_000)
    sideways = bar.copy()
    sideways["x"], sideways["y"] = bar["y"], 33 - bar["x"]  # a camera turned clockwise sees this
    upright = play(write_recording(tmp_path / "upright.npz", bar), speed=float("inf"))
    turned = play(
        write_recording(tmp_path / "sideways.npz", sideways),
        speed=float("inf"),
        orientation=Orientation(quarter_turns=1),
    )
    eventually(lambda: upright.control.state == turned.control.state == "ended")
    one, other = upright.results.take(), turned.results.take()
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.result.rates, other.result.rates)
    np.testing.assert_array_equal(Newest(upright).picture.rgb, Newest(turned).picture.rgb)  # type: ignore[union-attr]


@pytest.mark.parametrize("source", ["tcp://127.0.0.1:1", "webcam:0", "no-such-file.npz"])
def test_a_source_that_cannot_be_opened_is_one_line(play: Callable[..., Session], source: str) -> None:
    session = play(source)
    eventually(lambda: session.control.state == "failed")
    assert session.error
    assert "\n" not in session.error
    assert source.removeprefix("tcp://") in session.error
    assert not session.model_failed


def camera(*, deaf: bool = False) -> FakeSource:
    """Return a live source of a moving bar without end, 10 ms a packet, each as soon as it is wanted."""
    bar = moving_bar(1_000_000, start_us=0)
    return FakeSource(endless(bar, 1_000_000, FRAME_US), on_demand=True, deaf=deaf)


def test_a_camera_is_let_go_where_the_model_cannot_be_used(tmp_path: Path) -> None:
    source = camera()
    session = Session(source)
    session.start()
    session.go_on(tmp_path / "no-such-model")
    eventually(lambda: session.control.state == "failed")
    assert session.model_failed
    assert source.closed.is_set()
    assert session.stop()


def is_counted(session: Session, source: FakeSource) -> bool:
    counts = session.statistics
    total = counts.events + counts.dropped + counts.skipped + counts.unread
    return total == source.counters.events and not counts.unread


def test_a_paused_camera_is_left_even_if_closing_it_does_not_end_its_reading(
    play: Callable[..., Session],
) -> None:
    source = camera(deaf=True)
    session = play(source)
    source.give(25)
    Newest(session).wait_for_result(lambda shown: shown.result.carried == 24)
    session.control.toggle()
    assert session.stop()
    assert session.error is None


def test_a_paused_camera_freezes_and_what_comes_is_thrown_away_and_counted_apart(
    play: Callable[..., Session],
) -> None:
    source = camera()
    session = play(source)
    newest = Newest(session)
    source.give(25)
    newest.wait_for_result(lambda shown: shown.result.carried == 24)
    session.control.toggle()
    picture, shown, before = newest.picture, newest.result, session.statistics
    source.give(30)
    eventually(lambda: is_counted(session, source) and session.statistics.skipped > before.skipped)
    eventually(lambda: session.statistics.skipped >= 30 * 200)
    assert newest.picture is picture
    assert newest.result is shown
    assert session.statistics.events == before.events
    assert session.statistics.dropped == before.dropped
    skipped = session.statistics.skipped
    session.control.toggle()
    source.give(12)
    after = newest.wait_for_result(lambda shown: shown.reset_by != "")
    assert after.reset_by == "pausing"
    assert after.result.carried <= 11
    assert after.last is None or after.result.window_seen
    session.stop()
    counts = session.statistics
    # On a busy machine the network may be late for a packet, but none of the pause is counted as dropped.
    assert counts.events + counts.dropped + counts.skipped + counts.unread == source.counters.events
    assert counts.skipped >= skipped


def test_the_shortest_pause_of_a_camera_resets_the_state(play: Callable[..., Session]) -> None:
    source = camera()
    session = play(source)
    newest = Newest(session)
    source.give(15)
    newest.wait_for_result(lambda shown: shown.result.carried == 14)
    session.control.toggle()
    session.control.toggle()
    source.give(15)
    shown = newest.wait_for_result(lambda shown: shown.reset_by == "pausing")
    assert shown.result.carried < 15


class Wire:
    """A Connection that gives packets of a moving bar, then is lost, or says nothing more."""

    name = "camera 7"
    resolution = SENSOR

    def __init__(self, *, lost: bool, start_us: int) -> None:
        self.counters = SourceCounters()
        self.closed = threading.Event()
        self._lost = lost
        bar = moving_bar(200_000, start_us=start_us)
        self._packets = iter(np.array_split(bar, 20))

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        packet = next(self._packets, None)
        if packet is not None:
            self.counters.events += packet.size
            return packet, None
        if self._lost:
            raise SourceLost("camera 7 was unplugged: plug it in again")
        self.closed.wait(timeout_s)
        return NO_EVENTS, None

    def close(self) -> None:
        self.closed.set()


def test_a_lost_camera_is_waited_for_and_goes_on_with_the_state_reset(play: Callable[..., Session]) -> None:
    plugged_in = threading.Event()
    wires = [Wire(lost=True, start_us=1_000_000), Wire(lost=False, start_us=1_220_000)]

    def connect() -> Wire:
        if wires and (len(wires) == 2 or plugged_in.is_set()):
            return wires.pop(0)
        raise SourceError("camera 7 isn't there: plug it in")

    session = play(ReconnectingSource(connect, retry_s=0.01))
    newest = Newest(session)
    eventually(lambda: session.control.state == "waiting")
    assert session.control.lost.startswith("camera 7 was unplugged: plug it in again")
    newest.wait_for_result(lambda shown: shown.result.carried > 10)
    assert math.isnan(session.statistics.events_per_s)
    plugged_in.set()
    shown = newest.wait_for_result(lambda shown: shown.reset_by == "reconnecting")
    assert shown.result.carried <= 20
    assert session.control.state == "playing"
    assert session.control.lost == ""


def test_a_camera_can_be_paused_while_it_is_lost(play: Callable[..., Session]) -> None:
    def connect() -> Wire:
        return Wire(lost=True, start_us=0)

    session = play(ReconnectingSource(connect, retry_s=PATIENCE_S))
    eventually(lambda: session.control.state == "waiting")
    session.control.toggle()
    assert session.control.state == "paused"
    assert session.control.lost
    session.control.toggle()
    assert session.control.state == "waiting"


def test_in_a_quiet_scene_the_picture_fades(play: Callable[..., Session]) -> None:
    source = camera()
    session = play(source)
    newest = Newest(session)
    source.give(3)
    eventually(lambda: newest.picture is not None)
    dark = np.array(PALETTES[ViewSpec().palette].background, np.uint8)
    eventually(lambda: newest.picture is not None and (newest.picture.rgb == dark).all())
    assert newest.picture is not None
    assert newest.picture.arrived_s == 0


def test_times_of_a_live_source_count_from_its_first_event(play: Callable[..., Session]) -> None:
    packets = [
        packet
        for start_us in (10_000_000, 2_000_000)  # they start anywhere, and go back once
        for packet in np.array_split(moving_bar(150_000, start_us=start_us), 15)
    ]
    late = FakeSource(packets, on_demand=True)
    session = play(late)
    for _ in range(30):  # one after another, so that none waits too long
        before = late.counters.events
        late.give(1)
        eventually(lambda before=before: late.counters.events > before and is_counted(session, late))
    eventually(lambda: session.control.state == "ended")
    assert session.statistics.dropped == 0
    decided = session.take_decisions()
    assert len(decided) == 2
    assert all(0 <= decision.start_us < decision.end_us for decision in decided)
    picture = session.pictures.take()
    assert picture is not None
    assert picture.t_us == pytest.approx(150_000, abs=5000)


class SlowToOpen(FakeSource):
    """A source that doesn't say how large it is until ``opens`` is set."""

    opens = threading.Event()

    @property
    def resolution(self) -> Resolution:
        assert self.opens.wait(PATIENCE_S)
        return SENSOR

    @resolution.setter
    def resolution(self, resolution: Resolution) -> None:
        pass


def test_a_source_that_opens_after_it_was_left_does_not_step_a_model_that_others_use_by_then(
    model_folder: Path,
) -> None:
    model, source = TimedModel(load_model(model_folder, "onnx")), SlowToOpen()
    session = Session(source)
    session.start()
    session.go_on(model)
    assert not session.stop(0.05)
    source.opens.set()
    assert session.stop()
    assert (model.engines.total(), session.error, session.opened) == (0, None, None)
    assert source.closed.is_set()


def test_an_opening_that_takes_long_tells_how_far_it_is_and_ends_when_it_is_stopped(
    play: Callable[..., Session], tmp_path: Path
) -> None:
    session = play(write_long_recording(tmp_path / "long.raw"))
    eventually(lambda: session.reading)
    reached = session.reading
    eventually(lambda: session.reading is not None and reached is not None and session.reading > reached)
    assert session.stop()
    assert session.reading is not None
    assert session.reading < 0.9
    assert session.opened is None
    assert session.error is None
