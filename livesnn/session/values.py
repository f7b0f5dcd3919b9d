"""What a session is told and what it reports: frozen values, and the builder of its answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from livesnn.card import InputSpec, ModelCard
from livesnn.events.filters import Orientation
from livesnn.events.labels import Label
from livesnn.events.packet import Resolution
from livesnn.events.recorder import LONGEST_S
from livesnn.infer.decide import Decider, Decision, Tally
from livesnn.infer.model import Model
from livesnn.infer.run import Result, StateMode
from livesnn.session.view import ViewSpec

SessionState = Literal["opening", "playing", "waiting", "paused", "ended", "failed"]
"""What a session is doing; "waiting": for a lost live source to come back."""

ShownState = SessionState | Literal["empty"]
"""What the window says about a session; "empty" before the first."""

RUNNING: tuple[SessionState, ...] = ("playing", "waiting", "paused", "ended")
"""In these a source is open and the network has a state."""

HISTORY_US = 10_000_000
"""Stream time that a `History` goes back."""


@dataclass(frozen=True)
class Choices:
    """How a session plays; it takes other choices while it plays.

    Attributes
    ----------
    loop
        Whether a recording starts again at its end, with the state reset.
    speed
        Multiple of real time, > 0, for recordings; inf is as fast as possible.
    pre_roll_s
        Seconds of a live source that are kept for the beginning of the next recording.
    view
        How pictures look.
    denoise
        Whether noise is filtered out for the network and the picture; recordings always keep it.
    decider
        When there is a decision, with any model; it names no classes.
    by_model
        What differs for the classes of one model, by the name on its card: only ``thresholds`` and ``deny`` are used.
    """

    loop: bool = False
    speed: float = 1.0
    state_mode: StateMode = "carry"
    pre_roll_s: Annotated[float, Meta(ge=0, le=LONGEST_S)] = 0.0
    view: ViewSpec = field(default_factory=ViewSpec)
    denoise: bool = False
    decider: Decider = field(default_factory=Decider)
    by_model: Mapping[str, Decider] = field(default_factory=dict)

    def decider_of(self, card: ModelCard) -> Decider:
        """Return what decides with this model; rules for classes that it doesn't have are ignored."""
        rules = self.by_model.get(card.name)
        if rules is None:  # asked for each frame
            return self.decider
        deny = tuple(label for label in rules.deny if label in card.classes)
        thresholds = {label: value for label, value in rules.thresholds.items() if label in card.classes}
        return replace(self.decider, allow=(), deny=deny, thresholds=thresholds)

    def with_decider(self, decider: Decider, card: ModelCard | None) -> Choices:
        """Return choices that decide so; its classes are those of ``card``, and without one all rules stay.

        Rules for classes that only another model of the same name has stay too.
        """
        by_model = dict(self.by_model)
        if card is not None:
            last = by_model.pop(card.name, Decider())
            deny = (*(label for label in last.deny if label not in card.classes), *decider.denied(card))
            others = {label: value for label, value in last.thresholds.items() if label not in card.classes}
            thresholds = others | dict(decider.thresholds)
            if deny or thresholds:
                by_model[card.name] = Decider(deny=deny, thresholds=thresholds)
        return replace(self, decider=replace(decider, thresholds={}, allow=(), deny=()), by_model=by_model)


@dataclass(frozen=True)
class Opened:
    """What is known about a source once it is open.

    Attributes
    ----------
    sensor
        As the network sees it: upright.
    orientation
        What makes it upright.
    serial
        See `EventSource.serial`.
    duration_us
        None: the source has no end and can't seek or step.
    path
        Of a recording's file.
    labels
        Read from the table beside the recording.
    has_events
        Whether there are events to record and filter; a video has none.
    """

    name: str
    model: Model
    sensor: Resolution
    duration_us: int | None
    path: Path | None
    labels: tuple[Label, ...] = ()
    has_events: bool = True
    orientation: Orientation = field(default_factory=Orientation)
    serial: str = ""

    @property
    def live(self) -> bool:
        """Whether it is a camera, a stream or a simulation, which can't wait."""
        return self.duration_us is None


@dataclass(frozen=True)
class Picture:
    """What the sensor sees.

    Attributes
    ----------
    rgb
        uint8 [H, W, 3]; never changed later.
    t_us
        Of its newest event, from the start of the recording or from a live source's first event.
    arrived_s
        When that event arrived, by `time.perf_counter`; 0: nothing new is in it.
    jumps
        How many times a person had jumped to another place before it.
    """

    rgb: npt.NDArray[np.uint8]
    t_us: int
    arrived_s: float
    jumps: int = 0


class History(NamedTuple):
    """The classes' probabilities in the last HISTORY_US, oldest first.

    ``t_us``: int64 [N], from the start of the recording, increasing; ``probabilities``: float32 [N, K].
    """

    t_us: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]


class WindowDecision(NamedTuple):
    """The decision on one window, µs from the start of the recording; label None: nothing was decided."""

    start_us: int
    end_us: int
    label: str | None


@dataclass(frozen=True)
class Answer:
    """A Result, with what else the window shows.

    Attributes
    ----------
    reset_by
        Why the state was last zeroed, in words; "" at the start, or if mode "reset" did it.
    last
        Of the last full window, maybe before the end of a recording that started again; None: there was none
        since the source was opened, or since a person's last reset or seek, or since the source came back.
    resets
        How many times a person had reset or sought before this frame.
    frames
        uint8 [C, H, W] each: the frames of the current window so far, this one last.
    history
        Of the probabilities, up to this frame.
    """

    result: Result
    reset_by: str
    last: Decision | None
    resets: int
    frames: tuple[npt.NDArray[np.uint8], ...]
    history: History


HISTORY_STEP_US = 20_000  # values nearer to each other than this would fall on one pixel
UNTAKEN = 10_000  # decisions kept until a display takes them; older ones are forgotten


class AnswerBuilder:
    """Counts over the passes of one session. Only for one thread, except ``decided``.

    Attributes
    ----------
    first_pass, this_pass
        What was decided on the windows of the first pass and of the current one.
    n_decisions
        Windows of every pass with a decision.
    decided
        The decision on each window of every pass, to be taken away by the display.
    """

    def __init__(self) -> None:
        self.first_pass = self.this_pass = Tally()
        self.n_decisions = 0
        self.decided: deque[WindowDecision] = deque(maxlen=UNTAKEN)
        self._begun = False
        self._reset_by = ""  # of the frames to come
        self._last_reset_by = ""
        self._resets = 0
        self._last: Decision | None = None
        self._frames: list[npt.NDArray[np.uint8]] = []  # of the current window
        self._window_us = self._frame_us = 0  # when the current window began, and the last frame ended
        self._history = _Track()

    def begin_pass(self, why: str) -> None:
        """Begin a pass; ``why`` the state is reset at its beginning."""
        if self._begun:
            self.this_pass = Tally()
        self._begun = True
        self._reset_by = why

    def reset(self, resets: int, why: str) -> None:
        """Forget the last decision: a person has reset the state, ``resets`` times by now."""
        self._resets = resets
        self._reset_by = why
        self._last = None

    def answer(self, result: Result, card: ModelCard, start_us: int) -> Answer:
        """Count a result, and return its answer; ``start_us`` is when the stream began."""
        if result.carried == 1:
            self._last_reset_by = (self._reset_by or "a jump in time") if result.reset else ""
        self._reset_by = ""
        t_us = result.t - start_us
        if result.frame_in_window == 1:
            self._begin_window(t_us, card.input.slice.delta_t_us, follows_on=not result.reset)
        self._frames.append(result.frame.data)
        self._frame_us = t_us
        if result.window_seen:
            self._last = Decision(result.decision, result.confidence)
        if result.window_end:
            self.this_pass.add(result.decision)
            self.n_decisions += result.decision is not None
            self.decided.append(WindowDecision(self._window_us, t_us, result.decision))
        return Answer(
            result=result,
            reset_by=self._last_reset_by,
            last=self._last,
            resets=self._resets,
            frames=tuple(self._frames),
            history=self._history.add(t_us, result.probabilities),
        )

    def _begin_window(self, t_us: int, delta_t_us: int | None, *, follows_on: bool) -> None:
        """Note when the window begins whose first frame ends at ``t_us``; of a fixed count this may be unknown."""
        self._frames = []
        if delta_t_us is not None:
            self._window_us = t_us - delta_t_us
        else:
            self._window_us = self._frame_us if follows_on else t_us


class _Track:
    """The probabilities of the last HISTORY_US, about one every HISTORY_STEP_US, the newest always."""

    def __init__(self) -> None:
        self._first = self._end = 0  # of what is kept in these
        self._t_us = np.zeros(4 * HISTORY_US // HISTORY_STEP_US, np.int64)
        self._probabilities = np.zeros((self._t_us.size, 0), np.float32)

    def add(self, t_us: int, probabilities: npt.NDArray[np.float32]) -> History:
        """Add probabilities, and return a copy of all. A jump back or far ahead begins again."""
        if self._probabilities.shape[1] != probabilities.size:
            self._probabilities = np.zeros((self._t_us.size, probabilities.size), np.float32)
        kept_us = self._t_us[self._first : self._end]
        if kept_us.size and not 0 <= t_us - kept_us[-1] <= HISTORY_US:
            self._first = self._end = 0
        elif kept_us.size and (
            t_us == kept_us[-1] or (kept_us.size > 1 and kept_us[-1] - kept_us[-2] < HISTORY_STEP_US)
        ):
            self._end -= 1
        self._first += int(np.searchsorted(kept_us[: self._end - self._first], t_us - HISTORY_US))
        self._append(t_us, probabilities)
        kept = slice(self._first, self._end)
        return History(self._t_us[kept].copy(), self._probabilities[kept].copy())

    def _append(self, t_us: int, probabilities: npt.NDArray[np.float32]) -> None:
        if self._end == self._t_us.size:
            kept = slice(self._first, self._end)
            self._first, self._end = 0, self._end - self._first
            self._t_us[: self._end] = self._t_us[kept]
            self._probabilities[: self._end] = self._probabilities[kept]
        self._t_us[self._end] = t_us
        self._probabilities[self._end] = probabilities
        self._end += 1


def without_windows(card_input: InputSpec, *, events: int, duration_us: int) -> str:
    """Say why a recording or a video that was read to its end has no whole window."""
    rule, window = card_input.slice, card_input.window
    is_video = card_input.kind == "video"
    if not (events or is_video):
        return "No events in this recording"
    if rule.delta_t_us is None:
        return f"Fewer events than one window ({window} × {rule.n_events:,})"
    window_us = window * rule.delta_t_us
    if is_video or duration_us < window_us:
        return f"Shorter than one window ({window_us / 1e6:.2f} s)"
    return f"No whole window ({window_us / 1e6:.2f} s) without a jump in time"
