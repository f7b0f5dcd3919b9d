"""What a person wants of a session (pause, seek, step, reset, record), and the pictures it shows."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.events.packet import Events, Resolution
from livesnn.events.pipeline import See
from livesnn.events.recorder import Recorder
from livesnn.events.slicer import Frame
from livesnn.session.playback import EventPlayback, LivePlayback, Playback
from livesnn.session.values import RUNNING, Choices, Picture, SessionState
from livesnn.session.view import Accumulator, ViewSpec
from livesnn.threads import WAKE_S, Latest


class Display:
    """Shows what arrives, whatever the network does.

    `add` is for the thread that captures, `begin` for before it does. The rest may be called from any thread; a
    picture that is half of the one packet and half of the next does no harm.

    Parameters
    ----------
    pictures
        Gets them.
    every_s
        Least real time between two pictures; 0: one a packet.
    """

    def __init__(self, resolution: Resolution, pictures: Latest[Picture], *, every_s: float) -> None:
        self._accumulator = Accumulator(resolution)
        self._pictures = pictures
        self._every_s = every_s
        self._showing = threading.Lock()
        self._shown_s = 0.0
        self._jumps = 0
        self._start_us = self._newest_us = 0
        self._arrived_s = 0.0  # of the newest event; 0: there is none yet

    def begin(self, jumps: int = 0) -> None:
        """Forget every event: what comes doesn't follow on, after so many jumps of a person's."""
        self._jumps = jumps
        self._forget()

    def _forget(self) -> None:
        self._accumulator.clear()
        self._arrived_s = 0.0

    def add(self, packet: Events, arrived_s: float, start_us: int) -> None:
        """Take in a packet, in microseconds, and show it when it is time, in milliseconds.

        An empty one says that nothing came: what there is fades by the clock. Where time jumps back it begins
        again. ``arrived_s`` is by `time.perf_counter`; pictures count from ``start_us``.
        """
        self._start_us = start_us
        if packet.size:
            newest_us = int(packet["t"][-1])
            if self._arrived_s and newest_us < self._newest_us:
                self._forget()
            self._accumulator.add(packet)
            self._newest_us, self._arrived_s = newest_us, arrived_s
        if arrived_s - self._shown_s >= self._every_s:
            self._shown_s = arrived_s
            quiet_us = 0 if packet.size else round(1e6 * (arrived_s - self._arrived_s))
            self._show(self._newest_us + quiet_us, arrived_s if packet.size else 0.0)

    def show_frame(self, frame: Frame, start_us: int) -> None:
        """Show a video's frame, uint8 [1 or 3, H, W], as the network sees it."""
        rgb = np.broadcast_to(frame.data, (3, *frame.data.shape[1:])).transpose(1, 2, 0)
        self._pictures.put(
            Picture(np.ascontiguousarray(rgb), frame.t - start_us, frame.arrived_s, self._jumps)
        )

    def show(self) -> None:
        """Show what there is at once, if there is anything: where a recording stops, or looks another way."""
        self._show(self._newest_us, 0.0)

    def set_view(self, view: ViewSpec) -> None:
        """Show it another way from now on, at once."""
        self._accumulator.set_view(view)
        self.show()

    def _show(self, t_us: int, arrived_s: float) -> None:
        if not self._arrived_s:
            return
        with self._showing:
            self._pictures.put(
                Picture(self._accumulator.picture(t_us), t_us - self._start_us, arrived_s, self._jumps)
            )


STEP_SPEED = 0.5  # of a single step: slow, so that the picture stops where the frame ends
SEEKING, STARTING_AGAIN = "seeking", "starting again"
PLACES = 1000
"""Frames whose places are known, for steps back; what is before them is taken for frames that follow one another."""


class Begun(NamedTuple):
    """Where a pass begins (µs after the start), why, and a person's resets and jumps up to then."""

    from_us: int
    why: str
    resets: int
    jumps: int


class Control:
    """The state of a session and what is to become of it. May be used from any thread, but for what is said below.

    Attributes
    ----------
    choices
        As they are now; `apply` changes them.
    resets
        How often a person has asked for one: by hand, by a seek, or by a step back.
    jumps
        How often a person has asked for another place.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.resets = self.jumps = 0
        self._changed = threading.Condition()  # guards what follows
        self._state: SessionState = "opening"
        self._playback: Playback | None = None
        self._display: Display | None = None
        self._recorder: Recorder | None = None
        self._next_pass: str | None = ""  # why somebody wants one, from the last place on
        # From where a pass shows each frame, µs after the start. The last one is shown now, or the next to be.
        self._places = deque([0], PLACES)
        self._shown = False  # a frame has come since the last pass was wanted
        self._frame_us = self._length_us = 0  # the last frame's end; how long one is
        self._steps = 0  # frames that may pass though it is paused
        self._reset_by_hand = False

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
    def place_us(self) -> int:
        """Where it is, after the start: whoever goes on there sees the last frame, or the one that was sought."""
        with self._changed:
            return self._places[-1]

    def toggle(self) -> None:
        """Pause, go on, or start a recording again after its end.

        A live source goes on with what comes then, with the state reset; what came meanwhile is thrown away.
        """
        with self._changed:
            if self._state in ("playing", "paused"):
                self._state = "paused" if self._state == "playing" else "playing"
                yet_to_show = self._recorded and not self._shown  # a place just sought
                self._steps = int(self._state == "paused" and yet_to_show)
                self._follow()
            elif self._state == "ended" and self._recorded:
                self._jump([0], STARTING_AGAIN)
        self.show_if_paused()

    def seek(self, t_us: int) -> None:
        """Go on at ``t_us`` after the start, with the state reset; a paused session shows the frame there."""
        with self._changed:
            if self._state in RUNNING and self._recorded:
                self.resets += 1
                self._jump([max(t_us, 0)], SEEKING)

    def step(self, frames: int) -> None:
        """Let a paused recording go on by so many frames; back, with the state reset, where they are negative."""
        with self._changed:
            if frames > 0 and self._state == "paused" and self._recorded:
                self._steps += frames
                self._follow()
            elif frames < 0 and self._state in ("paused", "ended") and self._recorded:
                places = self._places_before(-frames)
                self._state = "paused"
                self.resets += 1
                self._jump(places, SEEKING)

    def reset(self) -> None:
        """Reset the network's state before its next frame."""
        with self._changed:
            if self._state in RUNNING:
                self.resets += 1
                self._reset_by_hand = True

    def learn_hot_pixels(self) -> None:
        """Learn again which pixels are hot, while noise is filtered."""
        if isinstance(self._playback, EventPlayback):
            self._playback.noise.learn_again()

    def apply(self, choices: Choices) -> None:
        """Play in this way from now on; a view is seen at once."""
        with self._changed:
            before, self.choices = self.choices, choices
            display = self._display
            self._follow()
        if display is not None and choices.view != before.view:
            display.set_view(choices.view)

    def record(self, path: Path) -> Recorder | None:
        """Record what arrives from now on; None: nothing that is live is open."""
        with self._changed:
            if not isinstance(self._playback, LivePlayback) or self._state in ("ended", "failed"):
                return None
            self._recorder = self._playback.ring_buffer.record(path)
            self._follow()
            return self._recorder

    def use_recorder(self, recorder: Recorder | None) -> None:
        """Record there from now on, or as soon as the source is open; None: nowhere."""
        with self._changed:
            self._recorder = recorder
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

    def _places_before(self, frames: int) -> Iterable[int]:
        """Return the places up to that of the frame so many before."""
        places = list(self._places)
        unknown = frames - len(places) + 1
        if self._state == "ended" and not self._shown:  # too near the end for a frame
            unknown += 1
        return places[:-frames] or [max(places[0] - unknown * self._length_us, 0)]

    def _jump(self, places: Iterable[int], why: str) -> None:
        """Begin at the last of these as soon as may be."""
        self.jumps += 1
        self._places = deque(places, PLACES)
        self._next_pass, self._shown = why, False
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
            self._playback.follow(
                speed=STEP_SPEED if paused else self.choices.speed,
                paused=paused and not self._steps,
            )
        if isinstance(self._playback, EventPlayback):
            self._playback.denoise = self.choices.denoise
            self._playback.ring_buffer.use(self._recorder)
            self._playback.ring_buffer.keep(self.choices.pre_roll_s)
        self._changed.notify_all()

    # For the pipeline's thread

    def open(self, playback: Playback, display: Display, delta_t_us: int | None) -> None:
        """Play this from now on, in frames of this length, if they have one, and let it be seen there."""
        with self._changed:
            self._playback, self._display, self._length_us = playback, display, delta_t_us or 0
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

    def begin(self, playback: Playback, arrived: See, show: See, stop: threading.Event) -> Begun | None:
        """Begin the next pass, once somebody wants one; None: nobody will."""
        with self._changed:
            while self._next_pass is None and not stop.is_set():
                loops = self.choices.loop and bool(playback.duration_us)
                any_frame = self._shown or self._places[-1] > 0  # else it would begin again and again for one
                if loops and (self._state == "playing" or (self._steps and any_frame)):
                    self._places, self._next_pass = deque([0], PLACES), STARTING_AGAIN
                    break
                if not (loops and self._state == "paused"):  # else the last frame is held
                    self._state = "ended"
                self._changed.wait(WAKE_S)
            if self._next_pass is None or stop.is_set():
                return None
            why, self._next_pass, self._shown = self._next_pass, None, False
            from_us = self._frame_us = self._places[-1]
            playback.begin(from_us, arrived, show)
            return Begun(from_us, why, self.resets, self.jumps)

    def let(self, frame: Frame, playback: Playback, stop: threading.Event) -> Frame | None:
        """Hold a recording's frame while paused, then return it; None: the pass is over."""
        with self._changed:
            held = False
            while self._holds(playback) and not (playback.cut or stop.is_set()):
                held = True
                self._changed.wait(WAKE_S)
            if playback.cut or stop.is_set():
                return None
            self._note_place(frame, playback)
            if self._steps:
                self._steps -= 1
                self._follow()
        # What waited for the end of a pause arrives then.
        return replace(frame, arrived_s=time.perf_counter()) if held else frame

    def _note_place(self, frame: Frame, playback: Playback) -> None:
        t_us = frame.t - playback.start_us
        if not frame.start or not self._length_us:  # else a silence may be before it
            self._length_us = t_us - self._frame_us
        self._frame_us = t_us
        video = not playback.has_events  # a frame of it is seen at its time, not up to it
        if self._shown:
            self._places.append(t_us if video else t_us - self._length_us)
        elif video:
            self._places[-1] = t_us  # the last one, where it was sought beyond the end
        self._shown = True

    def _holds(self, playback: Playback) -> bool:
        return self._state == "paused" and not self._steps and not playback.live

    def take_reset(self) -> int | None:
        """Return `resets` if a person has asked for one by hand since the last call."""
        with self._changed:
            asked, self._reset_by_hand = self._reset_by_hand, False
            return self.resets if asked else None
