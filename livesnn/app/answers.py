"""Results become Answers: what was carried, reset and decided so far. Not here: threads, Qt."""

from __future__ import annotations

from collections import Counter

from livesnn.app.values import Answer
from livesnn.card import InputSpec, ModelCard
from livesnn.infer.decide import Decision, probabilities
from livesnn.infer.pipeline import Result


class Answering:
    """Keeps count over the passes of one session; of one thread alone.

    Attributes
    ----------
    decisions
        Of the windows of the first pass, by label.
    n_decisions
        Windows of every pass with a decision.
    windows
        Whole windows of the current pass, with a decision or without.
    """

    def __init__(self) -> None:
        self.decisions: Counter[str] = Counter()
        self.n_decisions = 0
        self.windows = 0
        self._passes = 0
        self._frames_since_reset = 0
        self._reset_by = ""  # of the frames to come
        self._last_reset_by = ""
        self._resets = 0
        self._last: Decision | None = None

    def begin_pass(self, why: str) -> None:
        """Count a pass; ``why`` it begins with the state reset."""
        self._passes += 1
        self.windows = 0
        self._reset_by = why

    def reset(self, resets: int, why: str) -> None:
        """Forget the last decision: a person has asked for a reset, ``resets`` times by now."""
        self._resets = resets
        self._reset_by = why
        self._last = None

    def answer(self, result: Result, card: ModelCard) -> Answer:
        """Return what the window shows of a result, and count it."""
        if result.reset:
            self._frames_since_reset = 0
            self._last_reset_by = self._reset_by or "a jump in time"
        self._reset_by = ""
        self._frames_since_reset += 1
        window = card.input.window
        if self._frames_since_reset >= window:
            self._last = Decision(result.decision, result.confidence)
        if result.window_end:
            self._count(result.decision)
        return Answer(
            result=result,
            probabilities=probabilities(result.rates, card),
            window=window,
            frames_in_window=(self._frames_since_reset - 1) % window + 1,
            frames_since_reset=self._frames_since_reset,
            reset_by=self._last_reset_by,
            last=self._last,
            resets=self._resets,
        )

    def _count(self, decision: str | None) -> None:
        self.windows += 1
        if decision is None:
            return
        self.n_decisions += 1
        if self._passes == 1:
            self.decisions[decision] += 1


def without_windows(card_input: InputSpec, *, events: int, duration_us: int) -> str:
    """Say why a recording of so many events, read to its end, has no whole window."""
    rule, window = card_input.slice, card_input.window
    if not events:
        return "No events in this recording"
    if rule.delta_t_us is None:
        return f"Fewer events than one window ({window} × {rule.n_events:,})"
    window_us = window * rule.delta_t_us
    if duration_us < window_us:
        return f"Shorter than one window ({window_us / 1e6:.2f} s)"
    return f"No whole window ({window_us / 1e6:.2f} s) without a jump in time"
