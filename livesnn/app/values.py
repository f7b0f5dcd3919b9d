"""What a session tells the window: plain, frozen values. Not here: who makes them (session.py, answers.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.events import Resolution
from livesnn.infer import Model
from livesnn.infer.decide import Decision
from livesnn.infer.pipeline import Result, StateMode

__all__ = ["Answer", "History", "Opened", "Picture", "SessionState", "StateMode", "WindowDecision"]

SessionState = Literal["opening", "playing", "waiting", "paused", "ended", "failed"]
"""What a session is doing; "waiting": for a live source that was lost to come back."""


@dataclass(frozen=True)
class Opened:
    """What is known once a source is open.

    Attributes
    ----------
    engine
        What runs the model: "onnx", "spike" or "torch".
    sensor
        As the network sees it: upright.
    duration_us
        None: it has no end, and can't seek or step.
    live
        Whether it is a camera, a stream or a simulation, which can't wait.
    path
        Of a recording's file.
    """

    name: str
    model: Model
    engine: str
    sensor: Resolution
    duration_us: int | None
    live: bool
    path: Path | None


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
    """

    rgb: npt.NDArray[np.uint8]
    t_us: int
    arrived_s: float


class History(NamedTuple):
    """How the classes' probabilities went in the last 10 s of stream time, oldest first.

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
    probabilities
        float32 [K], 0..1, in the order of the classes.
    window
        Frames in a window.
    frames_in_window
        Frames of the current window so far, 1..window.
    frames_since_reset
        Frames since the windows began afresh, from 1. For how long the membranes have been carried, which the
        planned resets of mode "reset" end as well, see `Result.carried`.
    reset_by
        Why the state was last reset, in words; "" since the start.
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
    probabilities: npt.NDArray[np.float32]
    window: int
    frames_in_window: int
    frames_since_reset: int
    reset_by: str
    last: Decision | None
    resets: int
    frames: tuple[npt.NDArray[np.uint8], ...]
    history: History

    @property
    def first_window_full(self) -> bool:
        """Whether there can be a decision yet."""
        return self.frames_since_reset >= self.window
