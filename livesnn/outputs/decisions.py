"""What is decided as messages for other programs and for the page: when each is sent, and what is sent between."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from livesnn.card import ModelCard
from livesnn.console import json_line
from livesnn.infer.statistics import Percentiles
from livesnn.outputs.lines import Row, Summary
from livesnn.outputs.loop import Feed, Message, OutputLoop

KEPT_BYTES = 20_000
"""Of lines that may wait for one program, here and again in the system: a second of frames of 50 ms each."""

QUIET_S = 1.0
LAST_LATENCIES = 1000


class DecisionFeeds:
    """Tells programs and pages each decision, all at the same moment.

    Lines are those of `livesnn run --json`, an object each, and these: ``{"source", "model", "classes", "frame_us",
    "window"}`` first; ``{"notice"}`` when the source is lost, when it is back, and of what takes long; ``{"quiet":
    true}`` where nothing came for a second; ``{"missed"}``, how many lines, where a program read too slowly;
    ``{"error"}`` where an error ends it. With ``only_changes``, programs get a row only when the decision changes,
    and after a second without; the page gets every row.
    """

    name = "decisions"

    def __init__(
        self, loop: OutputLoop, source: str, card: ModelCard, *, only_changes: bool = False, quiet_s: float = QUIET_S
    ) -> None:
        self.greeting: dict[str, object] = {  # what every program gets first
            "source": source,
            "model": card.name,
            "classes": card.classes,
            "frame_us": card.input.slice.delta_t_us,
            "window": card.input.window,
        }
        self.card = card
        self.programs = Feed(
            loop, "decisions", most_bytes=KEPT_BYTES, missed=lambda lines: json_line({"missed": lines})
        )
        self.page = Feed(loop, "page", most_bytes=KEPT_BYTES)
        self.last: Row | None = None  # None before the first, and while it is quiet
        self.counts: Counter[str | None] = Counter()  # rows by decision
        self.dropped = 0  # events lost on the way to the network
        self._latencies_ms: deque[float] = deque(maxlen=LAST_LATENCIES)
        self._only_changes, self._quiet_s = only_changes, quiet_s
        self._lock = threading.Lock()  # guards what follows
        self._told: Row | None = None  # to programs, last
        self._told_s = time.monotonic()
        self._ended = False
        self._held: Row | None = None  # not told yet, with what was reset and dropped since the one before
        loop.start(self)

    def tell(self, row: Row | Summary) -> None:
        if isinstance(row, Summary):
            self._tell_all({"summary": row}, last=True)
            return
        self.counts[row.decision] += 1
        self.dropped += row.dropped
        if row.total_ms is not None and row.silence_s is None:
            self._latencies_ms.append(row.total_ms)
        with self._lock:
            self.last = row
            self.page.put(Message(json_line(row), row))
            if (held := self._held) is not None:
                row = replace(row, reset=held.reset or row.reset, dropped=held.dropped + row.dropped)
            self._held = row
            if not self._only_changes or self._told is None or self._told.decision != row.decision:
                self._tell_held()

    def latency_ms(self) -> dict[str, float] | None:
        """Return p50, p95 and p99 of the last rows' `total_ms`; None: none is known."""
        known = list(self._latencies_ms)
        return Percentiles.of(known)._asdict() if known else None

    def notice(self, line: str) -> None:
        self._tell_all({"notice": line})

    def fail(self, error: BaseException) -> None:
        told = str(error) or ("stopped" if isinstance(error, KeyboardInterrupt) else type(error).__name__)
        self._tell_all({"error": told}, last=True)

    async def run(self, ready: Callable[[], None]) -> None:
        """Tell the row again, or that it is quiet, each time that nothing was told for a second, to the last line."""
        ready()
        while not self._ended:
            await asyncio.sleep(max(self._told_s + self._quiet_s - time.monotonic(), 0.0))
            with self._lock:
                if self._ended or time.monotonic() - self._told_s < self._quiet_s:
                    continue
                if self._held is not None:
                    self._tell_held()
                else:
                    self.last = None
                    self._put_all({"quiet": True})

    def _tell_held(self) -> None:
        assert self._held is not None
        self._told, self._told_s = self._held, time.monotonic()
        self._held = None
        self.programs.put(Message(json_line(self._told), self._told))

    def _tell_all(self, line: dict[str, object], *, last: bool = False) -> None:
        with self._lock:
            self._ended |= last
            self._put_all(line)

    def _put_all(self, line: dict[str, object]) -> None:
        self._told, self._told_s = None, time.monotonic()
        message = Message(json_line(line))
        self.programs.put(message)
        self.page.put(message)


def decided(message: Message, before: str | None) -> str | None:
    """Return the decision that holds after a message to programs; ``before``: the one until then."""
    if message.row is not None:
        return message.row.decision
    return None if message.octets.startswith(_NO_DECISION) else before


_NO_DECISION = (b'{"quiet"', b'{"error"', b'{"summary"')
