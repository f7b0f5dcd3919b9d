"""Reports of how much of a long piece of work is done. console.py and the window show them."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]
"""Called again and again with the share that is done, 0 to 1; work in two parts counts twice. What it raises ends the
work."""


def untold(share: float) -> None:
    """Do nothing."""


def share_of_time(t_us: int, start_us: int, end_us: int) -> float:
    """Return how much of the time from ``start_us`` to ``end_us`` has passed at ``t_us``, 0 to 1."""
    return min(max((t_us - start_us) / max(end_us - start_us, 1), 0.0), 1.0)
