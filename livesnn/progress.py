"""How work tells how far it is, and what a person should know; and how it is slowed down or stopped on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Progress = Callable[[float], None]
"""Called again and again with the share that is done, 0 to 1; work in two parts counts twice. What it raises ends the
work."""


class Stopped(Exception):  # noqa: N818 (nothing is wrong)
    """What a `Progress` raises where nobody wants the work any more."""


def no_progress(share: float) -> None:
    """Do nothing."""


Notify = Callable[[str], None]
"""Gets one line for a person, such as that a camera is lost, and that it is back."""


def no_notice(line: str) -> None:
    """Do nothing."""


WORK_S = 0.01
"""Seconds of computing between two rests."""


def resting(stop: threading.Event, cpu_share: float, work_s: float = WORK_S) -> Progress:
    """Return a callback that rests so that its thread takes no more than a share of a core, until ``stop`` is set."""
    rested_at_s = time.thread_time()

    def rest(_: float) -> None:
        nonlocal rested_at_s
        busy_s = time.thread_time() - rested_at_s
        if busy_s >= work_s and cpu_share < 1:
            stop.wait(busy_s * (1 / cpu_share - 1))
            rested_at_s = time.thread_time()

    return rest


def share_of_time(t_us: int, start_us: int, end_us: int) -> float:
    """Return how much of the time from ``start_us`` to ``end_us`` has passed at ``t_us``, 0 to 1."""
    return min(max((t_us - start_us) / max(end_us - start_us, 1), 0.0), 1.0)
