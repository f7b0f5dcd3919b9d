"""The signals that ask a program to end: Ctrl-C, kill, a terminal that is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def usual_handlers() -> dict[int, Any]:
    """Return what handles each of the `ENDING` signals; not a closed terminal that is ignored, as nohup asks for."""
    handlers = {number: signal.getsignal(number) for number in ENDING}
    hang_up = getattr(signal, "SIGHUP", None)
    if hang_up in handlers and handlers[hang_up] is signal.SIG_IGN:
        del handlers[hang_up]
    return handlers


@contextmanager
def ending_sets(stop: threading.Event) -> Iterator[None]:
    """Let the first of the `ENDING` signals only set ``stop``, so that what is under way is finished.

    A second one is as usual. Only the main thread gets signals; in another nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = usual_handlers()

    def as_usual() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        as_usual()
        stop.set()

    for number in usual:
        signal.signal(number, handle)
    try:
        yield
    finally:
        as_usual()
