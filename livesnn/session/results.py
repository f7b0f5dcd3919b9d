"""Results as the window shows them, with what was decided and reset before: `ResultTracker`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.infer.decide import Decision
from livesnn.infer.run import Result
from livesnn.infer.statistics import Tally

HISTORY_US = 10_000_000  # Stream time that a `History` goes back
HISTORY_STEP_US = 20_000  # Values nearer to each other than this would fall on one pixel


class History(NamedTuple):
    """The classes' probabilities over the last HISTORY_US, oldest first.

    About one every HISTORY_STEP_US, and always the newest. ``t_us``: int64 [N], from the start of the recording,
    increasing; ``probabilities``: float32 [N, K].
    """

    t_us: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    def then(self, t_us: int, probabilities: npt.NDArray[np.float32]) -> History:
        """Return a history that goes on with these [K]; a jump in time begins it again."""
        known_us, known = self
        if known_us.size and not 0 <= t_us - known_us[-1] <= HISTORY_US:
            known_us, known = NO_HISTORY
        end = known_us.size
        if end and (t_us == known_us[-1] or (end > 1 and known_us[-1] - known_us[-2] < HISTORY_STEP_US)):
            end -= 1
        used = slice(int(np.searchsorted(known_us, t_us - HISTORY_US)), end)
        rows = known[used].reshape(-1, probabilities.size)
        return History(np.append(known_us[used], t_us), np.concatenate([rows, probabilities[None]]))


NO_HISTORY = History(np.zeros(0, np.int64), np.zeros((0, 0), np.float32))


class WindowDecision(NamedTuple):
    """The decision on one window, µs from the start of the recording; label None: there was no decision."""

    start_us: int
    end_us: int
    label: str | None


@dataclass(frozen=True)
class ShownResult:
    """A Result with what the window shows beside it."""

    result: Result
    reset_by: str  # why the state was last reset; "" at the start, or where mode "reset" does it
    # Decision on the last full window, which may lie before the end of a recording that started again.
    # None: there was no full window since the source was opened, a person reset or sought, or a lost source
    # came back.
    last: Decision | None
    resets: int  # resets and seeks that a person requested before this frame
    # uint8 [C, H, W] each: the frames of the current window so far, this one last.
    frames: tuple[npt.NDArray[np.uint8], ...]
    history: History  # the probabilities up to this frame
    second: ShownResult | None = None  # of what the session is compared with


MOST_DECISIONS = 10_000  # kept for a window that doesn't take them; the oldest go first


class ResultTracker:
    """Makes results ready to be shown, and counts decisions over the passes of one session.

    For one thread, except ``decided``.
    """

    def __init__(self) -> None:
        self.first_pass = self.this_pass = Tally()  # decisions on windows
        self.n_decisions = 0  # windows of all passes that had a decision
        # The decision on each window of all passes. Who shows a decision removes it.
        self.decided: deque[WindowDecision] = deque(maxlen=MOST_DECISIONS)
        self._begun = False
        self._next_reset_by = ""  # of the frames to come
        self._reset_by = ""
        self._resets = 0
        self._last: Decision | None = None
        self._frames: list[npt.NDArray[np.uint8]] = []  # of the current window
        self._window_start_us = self._frame_end_us = 0  # of the current window and the last frame
        self._history = NO_HISTORY

    def begin_pass(self, reason: str) -> None:
        """Count a pass, which begins with the state reset for this reason."""
        if self._begun:
            self.this_pass = Tally()
        self._begun = True
        self._next_reset_by = reason

    def reset(self, resets: int, reason: str) -> None:
        """Forget the last decision because the state is reset; ``resets`` were requested by now."""
        self._resets = resets
        self._next_reset_by = reason
        self._last = None

    def add(self, result: Result, card: ModelCard, start_us: int) -> ShownResult:
        """Count a result and return it as the window shows it; ``start_us`` is when the stream began."""
        if result.carried == 1:
            self._reset_by = (self._next_reset_by or "a jump in time") if result.reset else ""
        self._next_reset_by = ""
        t_us = result.t - start_us
        if result.frame_in_window == 1:
            self._frames = []
            if (delta_t_us := card.input.slice.delta_t_us) is not None:
                self._window_start_us = t_us - delta_t_us
            else:  # of a fixed count, the first window's start is unknown
                self._window_start_us = t_us if result.reset else self._frame_end_us
        self._frames.append(result.frame.data)
        self._frame_end_us = t_us
        if result.window_seen:
            self._last = Decision(result.decision, result.confidence)
        if result.window_end:
            self.this_pass.add(result.decision)
            self.n_decisions += result.decision is not None
            self.decided.append(WindowDecision(self._window_start_us, t_us, result.decision))
        self._history = self._history.then(t_us, result.probabilities)
        return ShownResult(
            result=result,
            reset_by=self._reset_by,
            last=self._last,
            resets=self._resets,
            frames=tuple(self._frames),
            history=self._history,
        )


def why_no_window(card_input: InputSpec, *, events: int, duration_us: int) -> str:
    """Return why a recording with so many events, or a video, has no whole window although it was read to its end."""
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
