"""What a person wants of a session: how it plays, and pause, seek, step, reset and record while it does."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from livesnn.card import ModelCard
from livesnn.events.picture import Display, ViewSpec
from livesnn.events.recorder import LONGEST_PRE_ROLL_S, Recorder
from livesnn.events.slicer import Frame
from livesnn.infer.decide import Decider
from livesnn.infer.run import StateMode
from livesnn.session.playback import EventPlayback, LivePlayback, Playback
from livesnn.threads import WAKE_S

SessionState = Literal["opening", "playing", "waiting", "paused", "ended", "failed"]
"""What a session is doing. "waiting": a live source was lost, and is expected back."""

ShownState = SessionState | Literal["empty"]
"""What the window says about a session. "empty": there has been none yet."""

RUNNING: tuple[SessionState, ...] = ("playing", "waiting", "paused", "ended")
"""In these states a source is open and the network has a state."""


@dataclass(frozen=True)
class Choices:
    """How a session plays; it takes other choices while it plays."""

    loop: bool = False  # whether a recording starts again at its end, with the state reset
    speed: float = 1.0  # multiple of real time, > 0, for recordings; inf is as fast as possible
    state_mode: StateMode = "carry"
    # Seconds of a live source that are kept for the beginning of the next recording.
    pre_roll_s: Annotated[float, Meta(ge=0, le=LONGEST_PRE_ROLL_S)] = 0.0
    view: ViewSpec = field(default_factory=ViewSpec)  # how pictures look
    # Whether noise is filtered out for the network and the picture; recordings always keep it.
    denoise: bool = False
    mirrored: bool = False  # whether a person sees the picture mirrored; the network never does
    # When there is a decision, with any model; it names no classes.
    decider: Decider = field(default_factory=Decider)
    # The rules for a model's classes, by the name on its card: only ``thresholds`` and ``deny`` are used.
    by_model: Mapping[str, Decider] = field(default_factory=dict)

    def decider_of(self, card: ModelCard) -> Decider:
        """Return what decides with this model; rules for classes that it hasn't are left out."""
        rules = self.by_model.get(card.name)
        if rules is None:  # asked for each frame
            return self.decider
        thresholds = {label: value for label, value in rules.thresholds.items() if label in card.classes}
        return replace(self.decider, thresholds=thresholds, allow=(), deny=rules.denied(card))

    def with_decider(self, decider: Decider, card: ModelCard | None) -> Choices:
        """Return choices that decide so; its rules for classes are for the model with this card."""
        by_model = dict(self.by_model)
        if card is not None:
            by_model.pop(card.name, None)
            rules = Decider(thresholds=decider.thresholds, deny=decider.denied(card))
            if rules != Decider():
                by_model[card.name] = rules
        return replace(self, decider=replace(decider, thresholds={}, allow=(), deny=()), by_model=by_model)


STEP_SPEED = 0.5  # of a single step: slow, so that the picture stops where the frame ends
SEEKING, STARTING_AGAIN = "seeking", "starting again"
REMEMBERED_FRAMES = 1000
"""Steps back know where so many frames began. Earlier frames are assumed to follow one another without a silence."""


class PassStart(NamedTuple):
    """Where a pass begins (µs after the start), why, and how many resets and jumps were requested by then."""

    from_us: int
    reason: str
    resets: int
    jumps: int


class Control:
    """The state of a session, and what a person can do with it.

    Every method may be called from any thread, except those at the end, which are for the pipeline's thread.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices  # as they are now; `apply` changes them
        self.resets = 0  # requests by a person: direct ones, seeks and steps back
        self.jumps = 0  # requests for another place
        self.went_on_s = 0.0  # when the last pause ended, by `time.perf_counter`
        self._changed = threading.Condition()  # guards what follows
        self._state: SessionState = "opening"
        self._playback: Playback | None = None
        self._display: Display | None = None
        self._recorder: Recorder | None = None
        self._kept_s = 0.0  # for how long the events of a live source are kept in any case
        self._next_pass: str | None = ""  # the reason for the next pass; None: there is none
        # Where the frames of this pass began, µs after the start. The last one is shown now, or is the next to be.
        self._frame_starts_us = deque([0], REMEMBERED_FRAMES)
        self._shown = False  # a frame has come since the last pass was requested
        self._frame_end_us = self._frame_length_us = 0  # of the last frame
        self._steps = 0  # frames that may pass although it is paused
        self._reset_by_hand = False

    @property
    def state(self) -> SessionState:
        state = self._state
        return "waiting" if state == "playing" and self.lost else state

    @property
    def lost(self) -> str:
        """Why a live source yields nothing, in one line that says what to do; "" otherwise."""
        return "" if self._playback is None else self._playback.lost

    @property
    def position_us(self) -> int:
        """Where it is, µs after the start: playing on from here shows the last frame again, or the one sought."""
        with self._changed:
            return self._frame_starts_us[-1]

    def toggle(self) -> None:
        """Pause, go on, or start a recording again after its end.

        A live source goes on with what comes next, with the state reset. What came during the pause is dropped.
        """
        with self._changed:
            if self._state in ("playing", "paused"):
                self._state = "paused" if self._state == "playing" else "playing"
                self.went_on_s = time.perf_counter()
                sought = self._recorded and not self._shown  # its frame is yet to be shown
                self._steps = int(self._state == "paused" and sought)
                self._update_playback()
            elif self._state == "ended" and self._recorded:
                self._jump([0], STARTING_AGAIN)
        self.show_if_paused()

    def seek(self, t_us: int) -> None:
        """Go on at ``t_us`` after the start, with the state reset. A paused session shows the frame there."""
        with self._changed:
            if self._state in RUNNING and self._recorded:
                self.resets += 1
                self._jump([max(t_us, 0)], SEEKING)

    def step(self, frames: int) -> None:
        """Let a paused recording go on by so many frames; a negative number goes back, with the state reset."""
        with self._changed:
            if frames > 0 and self._state == "paused" and self._recorded:
                self._steps += frames
                self._update_playback()
            elif frames < 0 and self._state in ("paused", "ended") and self._recorded:
                starts_us = self._starts_before(-frames)
                self._state = "paused"
                self.resets += 1
                self._jump(starts_us, SEEKING)

    def reset(self) -> None:
        with self._changed:
            if self._state in RUNNING:
                self.resets += 1
                self._reset_by_hand = True

    def learn_hot_pixels(self) -> None:
        if isinstance(self._playback, EventPlayback):
            self._playback.noise.learn_again()

    def apply(self, choices: Choices) -> None:
        with self._changed:
            before, self.choices = self.choices, choices
            display = self._display
            self._update_playback()
        if display is not None and choices.view != before.view:
            display.set_view(choices.view)

    def record(self, path: Path) -> Recorder | None:
        """Record what arrives from now on. Returns None when no live source of events is open."""
        with self._changed:
            if not isinstance(self._playback, LivePlayback) or self._state in ("ended", "failed"):
                return None
            self._recorder = self._playback.ring_buffer.record(path)
            self._update_playback()
            return self._recorder

    @property
    def recording(self) -> bool:
        """Whether something is being recorded: by request, or a lesson."""
        return self._recorder is not None

    def record_last(self, path: Path, seconds: float | None = None) -> Recorder | None:
        """Write what is kept of a live source's last seconds, and nothing more. Returns None when none is open.

        ``seconds``: how many of them; None: the pre-roll.
        """
        with self._changed:
            playback = self._playback
            return playback.ring_buffer.copy(path, seconds) if isinstance(playback, LivePlayback) else None

    def use_recorder(self, recorder: Recorder | None) -> None:
        """Record with this recorder from now on, or as soon as the source is open; None: record nothing."""
        with self._changed:
            self._recorder = recorder
            self._update_playback()

    def interrupt(self) -> None:
        """Make the pipeline check its stop event soon, wherever it waits."""
        with self._changed:
            if self._playback is not None:
                self._playback.interrupt()
            self._changed.notify_all()

    @property
    def _recorded(self) -> bool:
        return self._playback is not None and not self._playback.live

    def _starts_before(self, frames: int) -> Iterable[int]:
        """Return where frames began, up to the frame so many before the last one."""
        starts_us = list(self._frame_starts_us)
        unknown = frames - len(starts_us) + 1
        if self._state == "ended" and not self._shown:  # too near the end for a frame
            unknown += 1
        return starts_us[:-frames] or [max(starts_us[0] - unknown * self._frame_length_us, 0)]

    def _jump(self, starts_us: Iterable[int], reason: str) -> None:
        """Begin a pass at the last of these places as soon as possible."""
        self.jumps += 1
        self._frame_starts_us = deque(starts_us, REMEMBERED_FRAMES)
        self._next_pass, self._shown = reason, False
        self._steps = int(self._state == "paused")
        if self._state == "ended":
            self._state = "playing"
        if self._playback is not None:
            self._playback.interrupt()
        self._update_playback()

    def _update_playback(self) -> None:
        """Make the playback do what state and choices say."""
        if self._playback is not None:
            paused = self._state == "paused"
            self._playback.set_speed(
                speed=STEP_SPEED if paused else self.choices.speed, paused=paused and not self._steps
            )
        if isinstance(self._playback, EventPlayback):
            self._playback.denoise = self.choices.denoise
            self._playback.ring_buffer.use(self._recorder)
            self._playback.ring_buffer.keep(self.choices.pre_roll_s, at_least_s=self._kept_s)
        self._changed.notify_all()

    # For the pipeline's thread

    def open(self, playback: Playback, display: Display, delta_t_us: int | None, kept_s: float = 0.0) -> None:
        """Play this from now on, and show it there. ``delta_t_us``: length of a frame, where it is fixed.

        ``kept_s``: for how long the events of a live source are kept, for `record_last`.
        """
        with self._changed:
            self._kept_s = kept_s
            self._playback, self._display, self._frame_length_us = playback, display, delta_t_us or 0
            display.set_view(self.choices.view)
            self._state = "playing"
            self._update_playback()

    def fail(self) -> None:
        self._state = "failed"

    def show_if_paused(self) -> None:
        """Show the picture up to where it stopped."""
        if self._state == "paused" and self._display is not None:
            self._display.show()

    def begin(self, playback: Playback, display: Display, stop: threading.Event) -> PassStart | None:
        """Wait until a pass is requested and begin it; return None where none will be."""
        with self._changed:
            while self._next_pass is None and not stop.is_set():
                loops = self.choices.loop and bool(playback.duration_us)
                # Without any frame a step would start it again and again.
                any_frame = self._shown or self._frame_starts_us[-1] > 0
                if loops and (self._state == "playing" or (self._steps and any_frame)):
                    self._frame_starts_us = deque([0], REMEMBERED_FRAMES)
                    self._next_pass = STARTING_AGAIN
                    break
                if not (loops and self._state == "paused"):  # else the last frame stays
                    self._state = "ended"
                self._changed.wait(WAKE_S)
            if self._next_pass is None or stop.is_set():
                return None
            reason, self._next_pass, self._shown = self._next_pass, None, False
            from_us = self._frame_end_us = self._frame_starts_us[-1]
            playback.begin(from_us, display)
            return PassStart(from_us, reason, self.resets, self.jumps)

    def hold_while_paused(self, frame: Frame, playback: Playback, stop: threading.Event) -> Frame | None:
        """Return a frame once it may be shown: a recording's waits during a pause. None: the pass is over."""
        with self._changed:
            held = False
            while self._state == "paused" and not (
                self._steps or playback.live or playback.interrupted or stop.is_set()
            ):
                held = True
                self._changed.wait(WAKE_S)
            if playback.interrupted or stop.is_set():
                return None
            t_us = frame.t - playback.start_us
            if not frame.start or not self._frame_length_us:  # else a silence may be before it
                self._frame_length_us = t_us - self._frame_end_us
            self._frame_end_us = t_us
            video = not playback.has_events  # its frame is shown from its time on, not up to it
            if self._shown:
                self._frame_starts_us.append(t_us if video else t_us - self._frame_length_us)
            elif video:
                self._frame_starts_us[-1] = t_us  # the last frame, where a place beyond the end was sought
            self._shown = True
            if self._steps:
                self._steps -= 1
                self._update_playback()
        # A frame that waited for the end of a pause arrives then.
        return replace(frame, arrived_s=time.perf_counter()) if held else frame

    def take_reset(self) -> int | None:
        """Return `resets` if a person has reset the state directly since the last call."""
        with self._changed:
            requested, self._reset_by_hand = self._reset_by_hand, False
            return self.resets if requested else None
