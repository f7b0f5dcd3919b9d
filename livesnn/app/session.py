"""One source on one model, in threads: what is played, what came out, what went wrong. Not here: Qt.

The pipeline's thread pulls packets from the capture thread's buffer, feeds the accumulator and run(), and
leaves the newest picture and the newest answer in two mailboxes.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from livesnn.app.accumulator import Accumulator
from livesnn.app.answers import Answering, without_windows
from livesnn.app.playback import Pass, Playback, open_playback
from livesnn.app.statistics import Rolling, Statistics
from livesnn.app.values import Answer, Opened, Picture, SessionState
from livesnn.errors import LivesnnError, ModelError
from livesnn.events import EVENTS_DTYPE, Events, EventSource
from livesnn.events.frames import Frame, Slicer, frames
from livesnn.infer import Model, load_model
from livesnn.infer.pipeline import Result, run
from livesnn.infer.synops import mean_density
from livesnn.threads import Latest, Worker

SourceLike = str | Path | EventSource
PICTURE_EVERY_S = 0.012  # a little faster than the window polls
STATISTICS_EVERY_S = 0.1
PREVIEW_US = 20_000  # a seek while paused plays so much, to have something to show
SEEKING = "seeking"
_WAKE_S = 0.2


class Session:
    """Plays ``source`` to ``model`` from `start` to `stop`.

    Parameters
    ----------
    source
        A path, or an open source (closed by `stop`).
    model
        A name, a folder, or a loaded model.
    loop
        Whether a recording starts again at its end, with the state reset.
    speed
        Multiple of real time, > 0; inf is as fast as possible. For recordings.
    picture_every_s
        Least real time between two pictures; 0: one a packet.
    policy
        Of the buffer, for open sources; recordings always wait.
    """

    def __init__(
        self,
        source: SourceLike,
        model: str | Path | Model,
        *,
        loop: bool = False,
        speed: float = 1.0,
        picture_every_s: float = PICTURE_EVERY_S,
        policy: Literal["drop_oldest", "block"] = "drop_oldest",
    ) -> None:
        self.name = Path(source).name if isinstance(source, str | Path) else type(source).__name__
        self.pictures: Latest[Picture] = Latest()
        self.answers: Latest[Answer] = Latest()
        self.pictures_put = 0
        self.opened: Opened | None = None
        self.error: str | None = None
        self.model_failed = False  # whether the error is the model's, not the source's
        self.warnings: tuple[str, ...] = ()  # of the recording, as far as it has been read
        self.note = ""  # why a recording read to its end has no whole window
        self.statistics = Statistics()
        self.resets = 0  # asked for by a person: by hand, or by a seek
        self._source = source
        self._model = model
        self._policy: Literal["drop_oldest", "block"] = policy
        self._picture_every_s = picture_every_s
        self._changed = threading.Condition()  # guards what follows
        self._state: SessionState = "opening"
        self._loop = loop
        self._speed = speed
        self._playback: Playback | None = None
        self._next_pass: tuple[int, str] | None = (0, "")  # µs after the start, why
        self._reset_by_hand = False
        self._worker = Worker("pipeline", self._work, on_error=self._fail)
        # Of the pipeline's thread alone:
        self._rolling = Rolling()
        self._answering = Answering()
        self._accumulator: Accumulator
        self._current: Pass
        self._statistics_at_s = self._picture_at_s = 0.0
        self._from_us = self._t_us = 0

    # From any thread

    @property
    def state(self) -> SessionState:
        """What the session is doing."""
        return self._state

    @property
    def decisions(self) -> Counter[str]:
        """Windows of the first pass, by decision."""
        return self._answering.decisions

    @property
    def n_decisions(self) -> int:
        """Windows of every pass that had a decision."""
        return self._answering.n_decisions

    def start(self) -> None:
        """Open source and model, then play; returns at once."""
        self._worker.start()

    def stop(self, timeout_s: float = 4.0) -> bool:
        """End both threads, close the source; return whether all ended in time. Safe to call twice."""
        self._worker.stop.set()
        with self._changed:
            if self._playback is not None:
                self._playback.interrupt()
            self._changed.notify_all()
        return self._worker.close(timeout_s)

    def toggle(self) -> None:
        """Pause, go on, or start again after the end."""
        with self._changed:
            if self._state == "playing":
                self._set_state("paused")
            elif self._state == "paused":
                self._set_state("playing")
            elif self._state == "ended":
                self._jump(0, "starting again")

    def seek(self, t_us: int) -> None:
        """Go on at ``t_us`` after the start, with the state reset; a paused session stays paused."""
        with self._changed:
            if (
                self._state in ("playing", "paused", "ended")
                and self.opened
                and self.opened.duration_us is not None
            ):
                self.resets += 1
                self._jump(t_us, SEEKING)

    def reset(self) -> None:
        """Reset the network's state before its next frame."""
        with self._changed:
            if self._state in ("playing", "paused", "ended"):
                self.resets += 1
                self._reset_by_hand = True

    def set_speed(self, speed: float) -> None:
        """Play at this multiple of real time; inf is as fast as possible."""
        with self._changed:
            self._speed = speed
            if self._playback is not None:
                self._playback.set_speed(speed)

    def set_loop(self, loop: bool) -> None:
        """Start again at the end, or stop there."""
        self._loop = loop

    def _jump(self, t_us: int, why: str) -> None:
        self._next_pass = (t_us, why)
        if self._state == "ended":
            self._state = "playing"
        if self._playback is not None:
            self._playback.interrupt()
        self._changed.notify_all()

    def _set_state(self, state: SessionState) -> None:
        self._state = state
        if self._playback is not None:
            self._playback.set_paused(state == "paused")
        self._changed.notify_all()

    # In the pipeline's thread

    def _work(self, stop: threading.Event) -> None:
        model = load_model(self._model) if isinstance(self._model, str | Path) else self._model
        playback = open_playback(self._source, policy=self._policy, speed=self._speed)
        try:
            _warm_up(model, playback)
            with self._changed:
                self._playback = playback
                self.opened = Opened(self.name, model, playback.resolution, playback.duration_us)
                self.warnings = playback.warnings
                self._state = "playing"
            for result in run(
                self._frames(playback, model, stop),
                model,
                reset_requested=self._take_reset,
                dropped=lambda: playback.dropped,
            ):
                self._publish(result, model)
        finally:
            playback.close()

    def _fail(self, error: BaseException) -> None:
        known = isinstance(error, LivesnnError)
        self.error = (
            str(error) if known else f"{type(error).__name__}: {error} (a fault of livesnn: report it)"
        )
        self.model_failed = isinstance(error, ModelError)
        self._state = "failed"

    def _frames(self, playback: Playback, model: Model, stop: threading.Event) -> Iterator[Frame]:
        """Yield the frames of every pass; each begins with Frame.start, so that run() resets the state."""
        while (start := self._begin(playback, stop)) is not None:
            yield from frames(start, model.card.input.slice, model.card.input)
            if self._rolling.events:
                self._show_picture(playback, time.perf_counter())
            self.warnings = playback.warnings
            if start.read_to_end and not self._from_us and not self._answering.windows:
                duration_us, events = playback.duration_us or 0, self._rolling.events
                self.note = without_windows(model.card.input, events=events, duration_us=duration_us)

    def _begin(self, playback: Playback, stop: threading.Event) -> Pass | None:
        """Begin the next pass, once somebody wants one; None: nobody will."""
        with self._changed:
            if self._next_pass is None and self._loop and playback.duration_us:
                self._next_pass = (0, "starting again")
            if self._next_pass is None and not stop.is_set():
                self._state = "ended"
                self._statistics_at_s = 0.0
            while self._next_pass is None and not stop.is_set():
                self._changed.wait(_WAKE_S)
            if self._next_pass is None or stop.is_set():
                return None
            self._accumulator = Accumulator(playback.resolution)
            (self._from_us, why), self._next_pass = self._next_pass, None
            self._answering.begin_pass(why)
            if why == SEEKING:
                self._answering.reset(self.resets, why)
            self._t_us = playback.start_us + self._from_us
            self._current = playback.begin(self._from_us, lambda packet: self._take(packet, playback, stop))
            return self._current

    def _take(self, packet: Events, playback: Playback, stop: threading.Event) -> bool:
        """Show and count a packet, and hold it while paused; False when the pass is over."""
        self._accumulator.add(packet)
        if packet.size:
            self._t_us = int(packet["t"][-1])
            self._rolling.add_packet(packet.size, self._t_us)
        now_s = time.perf_counter()
        if now_s - self._picture_at_s >= self._picture_every_s:
            self._show_picture(playback, now_s)
        if now_s - self._statistics_at_s >= STATISTICS_EVERY_S:
            self._statistics_at_s = now_s
            self.statistics = self._rolling.snapshot(dropped=playback.dropped, now_s=now_s)
        if self._state == "paused" and self._t_us - playback.start_us - self._from_us >= PREVIEW_US:
            self._hold(playback, stop)
        return not (playback.cut or stop.is_set())

    def _hold(self, playback: Playback, stop: threading.Event) -> None:
        self._show_picture(playback, time.perf_counter())
        with self._changed:
            if self._state == "paused":
                playback.set_paused(True)
            while self._state == "paused" and not (playback.cut or stop.is_set()):
                self._changed.wait(_WAKE_S)
        self._current.held_until_s = time.perf_counter()

    def _show_picture(self, playback: Playback, now_s: float) -> None:
        self._picture_at_s = now_s
        self.pictures_put += 1
        self.pictures.put(Picture(self._accumulator.picture(self._t_us), self._t_us - playback.start_us))

    def _take_reset(self) -> bool:
        if not self._reset_by_hand:
            return False
        with self._changed:
            self._reset_by_hand = False
            self._answering.reset(self.resets, "hand")
        return True

    def _publish(self, result: Result, model: Model) -> None:
        self._rolling.add_result(result, mean_density(result.density, model.card), time.perf_counter())
        self.answers.put(self._answering.answer(result, model.card))


def _warm_up(model: Model, playback: Playback) -> None:
    """Compile and load what the first event needs: 0.5 s, which would be its latency."""
    event = np.zeros(1, EVENTS_DTYPE)
    card = model.card.input
    accumulator = Accumulator(playback.resolution)
    accumulator.add(event)
    accumulator.picture(0)
    Slicer(card.slice, playback.resolution, card).push(event)
    blank = np.zeros((card.channels, card.height, card.width), np.uint8)
    model.step(Frame(0, blank, 0), model.initial_state())
