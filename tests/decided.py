"""Results with a decision, made on the spot."""

from __future__ import annotations

import numpy as np

from livesnn.events.slicer import Frame
from livesnn.infer.run import Latency, Result

EMPTY = np.zeros(0, np.float32)


def result(t_ms: float, decision: str | None, *, reset: bool = False) -> Result:
    """Return a result at this time that decides so, or nothing."""
    return Result(
        t=round(1000 * t_ms),
        window=1,
        frame_in_window=1,
        rates=EMPTY,
        decision=decision,
        confidence=0.875,
        probabilities=EMPTY,
        frame=Frame(0, np.zeros((2, 1, 1), np.uint8), 0),
        latency=Latency(0, 0, 0),
        reset=reset,
        density=EMPTY,
        window_end=False,
        membrane=EMPTY,
        carried=1,
    )
