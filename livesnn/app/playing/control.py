"""What a person wants of a session, and how its pipeline waits for it: pause, seek, step, reset, choices, recording.

Not here: the threads themselves (session.py), how a source is held or cut short (playback.py).
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from livesnn.app.playing.display import Display
from livesnn.app.playing.passes import Pass
from livesnn.app.playing.playback import Playback
from livesnn.app.playing.tap import See
from livesnn.app.playing.values import RUNNING, Choices, SessionState
from livesnn.events.frames import Frame
from livesnn.events.tape import Tape
from livesnn.threads import WAKE_S

STEP_SPEED = 0.5  # of a single step: slow, so that the picture stops where the frame ends
SEEKING, STARTING_AGAIN = "seeking", "starting again"


class Begun(NamedTuple):
    """A pass, where it begins (µs after the start), why, and how many resets a person had asked for by then."""

    current: Pass
    from_us: int
    why: str
    resets: int


class Control:
    """The state of a session and what is to become of it. May be used from any thread, but for what is said below.

    Attributes
    ----------
    choices
        As they are now; `apply` changes them.
    resets
        How often a person has asked for one: by hand, by a seek, or by a step back.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.resets = 0
        self._changed = threading.Condition()  # guards what follows
        self._state: SessionState = "opening"
        self._playback: Playback | None = None
        self._display: Display | None = None
        self._tape: Tape | None = None
        self._next_pass: tuple[int, str] | None = (0, "")  # µs after the start, why
        self._steps = 0  # frames that may pass though it is paused
        self._reset_by_hand = False
        self._begin_us = self._frame_us = self._frame_length_us = (
            0  # of the last frame: from the start, its end
        )

    @property
    def state(self) -> SessionState:
        """What the session is doing."""
        state = self._state
        return "waiting" if state == "playing" and self.lost else state

    @property
    def lost(self) -> str:
        """Why nothing comes from a live source, in one line that says what to do; "" otherwise."""
        return "" if self._playback is None else self._playback.lost

    @property
    def frame_begin_us(self) -> int:
        """Where the last frame began, or the one sought will, after the start: whoever goes on there sees it."""
        with self._changed:
            return self._begin_us if self._next_pass is None else self._next_pass[0]

    def toggle(self) -> None:
        """Pause, go on, or start a recording again after its end.

        A live source goes on with what comes then, with the state reset; what came meanwhile is thrown away.
        """
        with self._changed:
            if self._state in ("playing", "paused"):
                self._state = "paused" if self._state == "playing" else "playing"
                yet_to_show = self._next_pass is not None  # a place just sought
                self._steps = int(self._state == "paused" and yet_to_show)
                self._follow()
            elif self._state == "ended" and self._recorded:
                self._jump(0, STARTING_AGAIN)
        self.show_if_paused()

    def seek(self, t_us: int) -> None:
        """Go on at ``t_us`` after the start, with the state reset; a paused session shows the frame there."""
        with self._changed:
            if self._state in RUNNING and self._recorded:
                self.resets += 1
                self._jump(t_us, SEEKING)

    def step(self, frames: int) -> None:
        """Let a paused recording go on by so many frames; back, with the state reset, where they are negative."""
        with self._changed:
            if frames > 0 and self._state == "paused" and self._recorded:
                self._steps += frames
                self._follow()
            elif frames < 0 and self._state in ("paused", "ended") and self._recorded:
                assert self._playback is not None  # it is recorded
                self._state = "paused"
                self.resets += 1
                length_us = self._frame_length_us
                self._jump(self._playback.place_before(self._frame_us, length_us, -frames), SEEKING)

    def reset(self) -> None:
        """Reset the network's state before its next frame."""
        with self._changed:
            if self._state in RUNNING:
                self.resets += 1
                self._reset_by_hand = True

    def learn_hot_pixels(self) -> None:
        """Learn again which pixels are hot, while noise is filtered."""
        if self._playback is not None:
            self._playback.noise.learn_again()

    def apply(self, choices: Choices) -> None:
        """Play in this way from now on; a view is seen at once."""
        with self._changed:
            before, self.choices = self.choices, choices
            display = self._display
            self._follow()
        if display is not None and choices.view != before.view:
            display.set_view(choices.view)

    def record(self, path: Path) -> Tape | None:
        """Record what arrives from now on; None: nothing that is live is open."""
        with self._changed:
            if self._playback is None or self._recorded or self._state in ("ended", "failed"):
                return None
            self._tape = self._playback.new_tape(path)
            self._follow()
            return self._tape

    def use_tape(self, tape: Tape | None) -> None:
        """Record on this tape from now on, or as soon as the source is open; None: on none."""
        with self._changed:
            self._tape = tape
            self._follow()

    def interrupt(self) -> None:
        """Make the pipeline look at its stop event soon, wherever it waits."""
        with self._changed:
            if self._playback is not None:
                self._playback.interrupt()
            self._changed.notify_all()

    @property
    def _recorded(self) -> bool:
        return self._playback is not None and not self._playback.live

    def _jump(self, t_us: int, why: str) -> None:
        self._next_pass = (max(t_us, 0), why)
        self._steps = int(self._state == "paused")
        if self._state == "ended":
            self._state = "playing"
        if self._playback is not None:
            self._playback.interrupt()
        self._follow()

    def _follow(self) -> None:
        """Make the playback do what the state says."""
        if self._playback is not None:
            paused = self._state == "paused"
            self._playback.denoise = self.choices.denoise
            self._playback.follow(
                speed=STEP_SPEED if paused else self.choices.speed,
                paused=paused and not self._steps,
            )
            self._playback.record(tape=self._tape, pre_roll_s=self.choices.pre_roll_s)
        self._changed.notify_all()

    # For the pipeline's thread

    def open(self, playback: Playback, display: Display) -> None:
        """Play this from now on, and let it be seen there."""
        with self._changed:
            self._playback, self._display = playback, display
            display.set_view(self.choices.view)
            self._state = "playing"
            self._follow()

    def fail(self) -> None:
        """Nothing more can be played."""
        self._state = "failed"

    def show_if_paused(self) -> None:
        """Show the picture up to where it stopped."""
        if self._state == "paused" and self._display is not None:
            self._display.show()

    def begin(self, playback: Playback, see: See, stop: threading.Event) -> Begun | None:
        """Begin the next pass, once somebody wants one; None: nobody will."""
        with self._changed:
            while self._next_pass is None and not stop.is_set():
                loops = self.choices.loop and bool(playback.duration_us)
                if loops and (self._state == "playing" or self._steps):
                    self._next_pass = (0, STARTING_AGAIN)
                    break
                if not (loops and self._state == "paused"):  # else the last frame is held
                    self._state = "ended"
                self._changed.wait(WAKE_S)
            if self._next_pass is None or stop.is_set():
                return None
            (self._frame_us, why), self._next_pass = self._next_pass, None
            self._begin_us = self._frame_us
            return Begun(playback.begin(self._frame_us, see), self._frame_us, why, self.resets)

    def let(self, frame: Frame, playback: Playback, stop: threading.Event) -> Frame | None:
        """Hold a recording's frame while paused, then return it; None: the pass is over."""
        with self._changed:
            held = False
            while self._holds(playback) and not (playback.cut or stop.is_set()):
                held = True
                self._changed.wait(WAKE_S)
            if playback.cut or stop.is_set():
                return None
            t_us = frame.t - playback.start_us
            self._begin_us, self._frame_us = self._frame_us, t_us
            self._frame_length_us = max(t_us - self._begin_us, 0)
            if self._steps:
                self._steps -= 1
                self._follow()
        # What waited for the end of a pause arrives then.
        return replace(frame, arrived_s=time.perf_counter()) if held else frame

    def _holds(self, playback: Playback) -> bool:
        return self._state == "paused" and not self._steps and not playback.live

    def take_reset(self) -> int | None:
        """Return `resets` if a person has asked for one by hand since the last call."""
        with self._changed:
            asked, self._reset_by_hand = self._reset_by_hand, False
            return self.resets if asked else None
