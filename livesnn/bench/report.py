"""What repeated measurements come to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return how many measurements there are, n, their median, min and max; ValueError of none."""
    return {
        "n": len(values),
        "median": float(median(values)),
        "min": float(min(values)),
        "max": float(max(values)),
    }
