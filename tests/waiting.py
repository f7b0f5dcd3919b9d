"""The one place where tests poll, `eventually`; and the clock that is given to what is tested, `HeldClock`.

A test waits for an event, a thread's or process's end, or a line of output where it can. What is left is what only
looking shows: a file or a process of another program, or a thread of livesnn that tells nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 20.0
EVERY_S = 0.002


def eventually(condition: Callable[[], T], timeout_s: float = PATIENCE_S, every_s: float = EVERY_S) -> T:
    """Look again and again, with pauses between; return what the condition returns once that is true.

    Fails after ``timeout_s``, which is never reached unless something is broken.
    """
    ends_s, tick = time.monotonic() + timeout_s, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < ends_s, f"it didn't happen in {timeout_s:g} s"
        tick.wait(every_s)
    return found


class HeldClock:
    """Seconds that are set by hand."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s
