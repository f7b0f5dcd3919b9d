"""Percentiles of times, and counts of decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np


class Percentiles(NamedTuple):
    """Percentiles of times, ms; nan while nothing has been measured."""

    p50: float = float("nan")
    p95: float = float("nan")
    p99: float = float("nan")

    def named(self) -> dict[str, float]:
        """Return them by the names ms_p50, ms_p95 and ms_p99."""
        return {f"ms_{name}": value for name, value in self._asdict().items()}

    @classmethod
    def of(cls, values: Collection[float]) -> Percentiles:
        numbers = np.fromiter(values, np.float64, len(values))
        known = numbers[np.isfinite(numbers)]
        return cls(*np.percentile(known, (50, 95, 99)).tolist()) if known.size else cls()


class Tally:
    """Counts the decisions of windows."""

    def __init__(self) -> None:
        self.windows = 0  # all of them
        self.decisions: Counter[str] = Counter()  # windows with a decision, by label

    def add(self, decision: str | None) -> None:
        """Count one window; None: nothing was decided."""
        self.windows += 1
        if decision is not None:
            self.decisions[decision] += 1

    @property
    def majority(self) -> str | None:
        """The most frequent decision, of equals the earliest; None: there is none."""
        most = self.decisions.most_common(1)
        return most[0][0] if most else None
