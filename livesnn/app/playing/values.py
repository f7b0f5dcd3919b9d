"""What a session is told, and what it tells the window: frozen values. Not here: who makes them (session.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.app.playing.accumulator import ViewSpec
from livesnn.card import ModelCard
from livesnn.events import Resolution
from livesnn.events.labels import Label
from livesnn.events.orientation import Orientation
from livesnn.infer import Model
from livesnn.infer.decide import Decider, Decision
from livesnn.infer.pipeline import Result, StateMode

__all__ = [
    "HISTORY_US",
    "RUNNING",
    "Answer",
    "Choices",
    "History",
    "Opened",
    "Picture",
    "SessionState",
    "ShownState",
    "StateMode",
    "WindowDecision",
]

SessionState = Literal["opening", "playing", "waiting", "paused", "ended", "failed"]
"""What a session is doing; "waiting": for a live source that was lost to come back."""

ShownState = SessionState | Literal["empty"]
"""What the window says of a session, "empty" before the first."""

RUNNING: tuple[SessionState, ...] = ("playing", "waiting", "paused", "ended")
"""In these a source is open and the network has a state."""

HISTORY_US = 10_000_000
"""Stream time that a `History` goes back."""


@dataclass(frozen=True)
class Choices:
    """How a person wants a session to play; another while it plays is no new session.

    Attributes
    ----------
    loop
        Whether a recording starts again at its end, with the state reset.
    speed
        Multiple of real time, > 0; inf is as fast as possible. For recordings.
    pre_roll_s
        How much of a live source is kept, for the beginning of what is recorded next.
    view
        How pictures look.
    denoise
        Whether noise is filtered, for the network and the picture; never of what is recorded.
    decider
        When there is a decision, whichever the model; names no classes.
    denied, thresholds
        Classes that are never decided, and thresholds of those that have one of their own, by the name on the card
        of the model that has them.
    """

    loop: bool = False
    speed: float = 1.0
    state_mode: StateMode = "carry"
    pre_roll_s: float = 0.0
    view: ViewSpec = field(default_factory=ViewSpec)
    denoise: bool = False
    decider: Decider = field(default_factory=Decider)
    denied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def decider_of(self, card: ModelCard) -> Decider:
        """Return what decides on this model's rates; a class that it no longer has is no matter."""
        deny = tuple(label for label in self.denied.get(card.name, ()) if label in card.classes)
        own = self.thresholds.get(card.name, {})
        thresholds = {label: own[label] for label in card.classes if label in own}
        if not (deny or thresholds):  # asked for each frame
            return self.decider
        return replace(self.decider, allow=(), deny=deny, thresholds=thresholds)


@dataclass(frozen=True)
class Opened:
    """What is known once a source is open.

    Attributes
    ----------
    sensor
        As the network sees it: upright.
    orientation
        What makes it upright.
    serial
        See `EventSource.serial`.
    duration_us
        None: it has no end, and can't seek or step.
    path
        Of a recording's file.
    labels
        Beside it: what a person has said of it.
    has_events
        Whether there is something to record and to filter; of a video there isn't.
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
        uint8 [H, W, 3], owned by whoever takes it.
    t_us
        Of its newest event, from the start of the recording or from a live source's first event.
    arrived_s
        When that event arrived, by `time.perf_counter`; 0: nothing new is in it.
    jumps
        How many of a person's jumps to another place had been done before it.
    """

    rgb: npt.NDArray[np.uint8]
    t_us: int
    arrived_s: float
    jumps: int = 0


class History(NamedTuple):
    """How the classes' probabilities went in the last HISTORY_US, oldest first.

    ``t_us``: int64 [N], from the start of the recording, increasing; ``probabilities``: float32 [N, K].
    """

    t_us: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]


class WindowDecision(NamedTuple):
    """What was decided on one window, µs from the start of the recording; label None: nothing."""

    start_us: int
    end_us: int
    label: str | None


@dataclass(frozen=True)
class Answer:
    """A Result with what the window shows beside it.

    Attributes
    ----------
    reset_by
        Why the state was last zeroed, in words; "" at the start, or as planned by mode "reset".
    last
        Of the last full window, maybe before the end of a recording that started again; None: there was none
        since the source was opened, or since a person's last reset or seek, or since the source came back.
    resets
        How many of a person's resets and seeks had been done before this frame.
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
