"""What a session tells the window: plain, frozen values. Not here: who makes them (session.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from livesnn.events import Resolution
from livesnn.infer import Model
from livesnn.infer.decide import Decision
from livesnn.infer.pipeline import Result

SessionState = Literal["opening", "playing", "paused", "ended", "failed"]


@dataclass(frozen=True)
class Opened:
    """What is known once a source is open. ``duration_us`` None: it has no end, and can't seek."""

    name: str
    model: Model
    sensor: Resolution
    duration_us: int | None


@dataclass(frozen=True)
class Picture:
    """uint8 [H, W, 3], owned by whoever takes it; ``t_us`` counts from the start of the recording."""

    rgb: npt.NDArray[np.uint8]
    t_us: int


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
        Frames the state has been carried for, from 1.
    reset_by
        Why the state was last reset, in words; "" since the start.
    last
        Of the last full window, maybe before the end of a recording that started again; None: there was none
        since the source was opened, or since a person's last reset or seek.
    resets
        How many of a person's resets and seeks had been done before this frame.
    """

    result: Result
    probabilities: npt.NDArray[np.float32]
    window: int
    frames_in_window: int
    frames_since_reset: int
    reset_by: str
    last: Decision | None
    resets: int

    @property
    def first_window_full(self) -> bool:
        """Whether there can be a decision yet."""
        return self.frames_since_reset >= self.window
