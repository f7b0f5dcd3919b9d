"""Control on a recording whose frames are pulled one by one, without the pipeline's thread: places, steps back."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import SliceRule
from livesnn.events.filters import Orientation
from livesnn.events.packet import EVENTS_DTYPE, Packet
from livesnn.events.picture import Display
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Frame
from livesnn.session.control import REMEMBERED_FRAMES, Choices, Control
from livesnn.session.playback import RecordedPlayback
from livesnn.threads import Latest
from tests.synthetic import CARD, SENSOR, write_recording

FRAME_US = 10_000
TEN_MS, TEN_EVENTS = SliceRule(delta_t_us=FRAME_US), SliceRule(n_events=10)
LAST_US, AGAIN_US = 490_000, 6_000_000
"""Of `gap`: the end of the last frame before the silence, and of the silence."""


def ignore(packet: Packet) -> None:
    """Look away."""


class HeldPlayback(RecordedPlayback):
    """One that knows whether it was last told to wait."""

    held = False

    def set_speed(self, *, speed: float, paused: bool) -> None:
        self.held = paused
        super().set_speed(speed=speed, paused=paused)


class Reel:
    """A recording whose frames come when they are asked for."""

    def __init__(self, path: Path, rule: SliceRule) -> None:
        self.playback = HeldPlayback(open_recording(path), Orientation())
        self.control = Control(Choices(speed=math.inf))
        self._rule = rule
        self._stop = threading.Event()
        self._frames: Iterator[Frame] = iter(())
        self._display = Display(SENSOR, Latest(), every_s=math.inf)
        self.control.open(self.playback, self._display, rule.delta_t_us)

    def begin(self) -> None:
        """Begin the pass that somebody wants."""
        self.playback.end_pass()
        begun = self.control.begin(self.playback, self._display, self._stop)
        assert begun is not None
        self._frames = self.playback.frames(replace(CARD.input, slice=self._rule), ignore)

    def show(self, frames: int = 1) -> int:
        """Let so many frames through; return when the last one ends, after the start."""
        ends_us = -1
        for frame in islice(self._frames, frames):
            assert self.control.hold_while_paused(frame, self.playback, self._stop) is not None
            ends_us = frame.t - self.playback.start_us
        return ends_us

    def step(self, frames: int) -> int:
        """Step, and return when the frame that is shown ends."""
        self.control.step(frames)
        if frames < 0:
            self.begin()
        return self.show()


def every_millisecond(*stretches_us: tuple[int, int]) -> np.ndarray:
    t = np.concatenate([np.arange(first, end, 1000) for first, end in stretches_us])
    events = np.zeros(t.size, EVENTS_DTYPE)
    events["t"] = 5_000_000 + t
    return events


@pytest.fixture(scope="module")
def gap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of events, a silence of 5.5 s, and 0.3 s of events."""
    events = every_millisecond((0, LAST_US + FRAME_US), (AGAIN_US, AGAIN_US + 300_000))
    return write_recording(tmp_path_factory.mktemp("recordings") / "gap.npz", events)


@pytest.fixture
def pull(gap: Path) -> Iterator[Callable[..., Reel]]:
    """Return a function that plays the first frames of the recording, and pauses it there."""
    reels: list[Reel] = []

    def make(frames: int, *, rule: SliceRule = TEN_MS, path: Path = gap, paused: bool = True) -> Reel:
        reel = Reel(path, rule)
        reels.append(reel)
        reel.begin()
        reel.show(frames)
        if paused:
            reel.control.toggle()
        return reel

    yield make
    for reel in reels:
        reel.playback.close()


@pytest.mark.parametrize("begun", [False, True])
def test_two_steps_back_before_the_first_ones_frame_are_two_frames(pull: Callable[..., Reel], begun: bool) -> None:
    reel = pull(20)
    reel.control.step(-1)
    if begun:
        reel.begin()
    reel.control.step(-1)
    reel.begin()
    assert reel.show() == 18 * FRAME_US


def test_a_step_back_counts_from_a_place_that_was_sought(pull: Callable[..., Reel]) -> None:
    reel = pull(20)
    reel.control.seek(300_000)
    reel.control.step(-1)
    reel.begin()
    assert reel.show() == 300_000
    assert reel.control.position_us == 290_000


def test_steps_back_cross_a_silence_to_the_frame_before_it(pull: Callable[..., Reel]) -> None:
    reel = pull(50)
    assert reel.control.position_us == AGAIN_US
    assert reel.step(-1) == LAST_US
    assert reel.step(-1) == LAST_US - FRAME_US


@pytest.mark.parametrize("rule", [TEN_MS, TEN_EVENTS], ids=str)
@pytest.mark.parametrize("by", [(-3,), (-1, -1, -1), (-2, -2, 1)])
def test_however_they_are_stepped_three_frames_back_are_three(
    pull: Callable[..., Reel], by: tuple[int, ...], rule: SliceRule
) -> None:
    reel = pull(52, rule=rule)
    ends_us = [reel.step(frames) for frames in by]
    assert ends_us[-1] == pytest.approx(LAST_US, abs=0 if rule is TEN_MS else FRAME_US)


def test_before_the_frames_that_are_known_they_are_taken_to_follow_one_another(
    pull: Callable[..., Reel],
) -> None:
    reel = pull(0)
    reel.control.seek(100_000)
    reel.begin()
    assert reel.show() == 110_000
    assert [reel.step(frames) for frames in (-4, -1, -100, -1)] == [70_000, 60_000, 10_000, 10_000]


def test_of_a_long_recording_only_the_last_places_are_kept(pull: Callable[..., Reel], tmp_path: Path) -> None:
    n_frames = REMEMBERED_FRAMES + 50
    path = write_recording(tmp_path / "long.npz", every_millisecond((0, (n_frames + 1) * FRAME_US)))
    reel = pull(n_frames, path=path)
    assert reel.step(-REMEMBERED_FRAMES - 20) == 30 * FRAME_US


def test_a_place_that_is_sought_is_shown_though_it_is_paused_before_its_frame_comes(
    pull: Callable[..., Reel],
) -> None:
    reel = pull(20, paused=False)
    reel.control.seek(300_000)
    reel.begin()
    reel.control.toggle()
    assert not reel.playback.held
    assert reel.show() == 310_000
    assert reel.playback.held


def test_a_pause_between_two_frames_holds_at_once(pull: Callable[..., Reel]) -> None:
    assert pull(20).playback.held
