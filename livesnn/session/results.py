"""What the network said, with what the window shows beside it: windows' decisions and the last ten seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.infer.decide import Decision, Tally
from livesnn.infer.run import Result

HISTORY_US = 10_000_000
"""Stream time that a `History` goes back."""


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


HISTORY_STEP_US = 20_000  # values nearer to each other than this would fall on one pixel
UNTAKEN = 10_000  # decisions kept for a window that doesn't take them; older ones are forgotten


class AnswerBuilder:
    """Keeps count over the passes of one session; of one thread alone, but for ``decided``.

    Attributes
    ----------
    first_pass, this_pass
        What was decided on the windows of the first pass and of the current one.
    n_decisions
        Windows of every pass with a decision.
    decided
        What was decided on each window of every pass; whoever shows it takes it away.
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
        """Count a pass; ``why`` it begins with the state reset."""
        if self._begun:
            self.this_pass = Tally()
        self._begun = True
        self._reset_by = why

    def reset(self, resets: int, why: str) -> None:
        """Forget the last decision: a person has asked for a reset, ``resets`` times by now."""
        self._resets = resets
        self._reset_by = why
        self._last = None

    def answer(self, result: Result, card: ModelCard, start_us: int) -> Answer:
        """Return what the window shows of a result, and count it; ``start_us`` is when the stream began."""
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
        """Note where the window begins whose first frame ends at ``t_us``: for a fixed count it may be unknown."""
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
        """Take in one time's; return copies of what there is. A jump back, or far, begins again."""
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
    """Say why a recording of so many events, or a video, read to its end, has no whole window."""
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
