"""One source on one model, in threads: what is played, what came out, what went wrong. Not here: Qt.

The capturing thread makes each packet a part of the picture as it arrives; the pipeline's thread pulls what the
network can take through run(). The newest picture and the newest answer wait in two mailboxes.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from livesnn.app.accumulator import Accumulator, ViewSpec
from livesnn.app.answers import Answering, without_windows
from livesnn.app.control import SEEKING, Control
from livesnn.app.display import Display
from livesnn.app.faults import in_words
from livesnn.app.playback import Pass, Playback, Policy, open_playback
from livesnn.app.statistics import Counts, Rolling, Statistics
from livesnn.app.values import Answer, Opened, Picture, StateMode, WindowDecision
from livesnn.errors import ModelError
from livesnn.events import EVENTS_DTYPE, Events, EventSource
from livesnn.events.frames import Frame, Slicer, frames
from livesnn.events.orientation import Orientation
from livesnn.infer import Engine, Model, load_model
from livesnn.infer.headless import engine_name
from livesnn.infer.pipeline import Result, run
from livesnn.infer.synops import mean_density
from livesnn.sources import is_live
from livesnn.threads import Latest, Worker

SourceLike = str | Path | EventSource
PICTURE_EVERY_S = 0.012  # a little faster than the window polls
# A network that can't keep up lets the other threads go first: it will drop events anyway, and must not make the
# capture late. Measured at 20 Mev/s in frames of 1,000 events, two busy cores: pictures 1 s late without, 30 ms with.
LATE_S, GIVE_WAY_S = 0.03, 0.0001


class Session(Control):
    """Plays ``source`` to ``model`` from `start` to `stop`.

    Parameters
    ----------
    source
        A SOURCE of the command line, or an open source (closed by `stop`).
    model
        A name, a folder, or a loaded model.
    engine
        What runs the model, or already does.
    loop
        Whether a recording starts again at its end, with the state reset.
    speed
        Multiple of real time, > 0; inf is as fast as possible. For recordings.
    view
        How pictures look.
    orientation
        What makes the source's events upright, for the network and the view.
    state_mode
        "carry" the network's state for ever, or "reset" it at the beginning of each window as well.
    picture_every_s
        Least real time between two pictures; 0: one a packet.
    policy
        Of a live source's buffer; recordings always wait.
    """

    def __init__(
        self,
        source: SourceLike,
        model: str | Path | Model,
        *,
        engine: Engine = "auto",
        loop: bool = False,
        speed: float = 1.0,
        view: ViewSpec = ViewSpec(),  # noqa: B008 (frozen)
        orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
        state_mode: StateMode = "carry",
        picture_every_s: float = PICTURE_EVERY_S,
        policy: Policy = "drop_oldest",
    ) -> None:
        super().__init__(loop=loop, speed=speed, state_mode=state_mode)
        self.name = _name(source)
        self.pictures: Latest[Picture] = Latest()
        self.answers: Latest[Answer] = Latest()
        self.opened: Opened | None = None
        self.error: str | None = None
        self.model_failed = False  # whether the error is the model's, not the source's
        self.warnings: tuple[str, ...] = ()  # of the recording, as far as it has been read
        self.note = ""  # why a recording read to its end has no whole window
        self._source = source
        self._model = model
        self._engine: Engine = engine
        self._view = view
        self._orientation = orientation
        self._picture_every_s = picture_every_s
        self._policy: Policy = policy
        self._display: Display | None = None
        self._rolling = Rolling()
        self._answering = Answering()
        self._worker = Worker("pipeline", self._work, on_error=self._fail)

    # From any thread; more in Control

    @property
    def pictures_put(self) -> int:
        """Pictures left in the mailbox so far."""
        return 0 if self._display is None else self._display.put

    @property
    def statistics(self) -> Statistics:
        """What has been counted and measured up to now."""
        counts = Counts() if self._playback is None else self._playback.counts
        return self._rolling.snapshot(counts, now_s=time.perf_counter())

    @property
    def decisions(self) -> Counter[str]:
        """Windows of the first pass, by decision."""
        return self._answering.decisions

    @property
    def n_decisions(self) -> int:
        """Windows of every pass that had a decision."""
        return self._answering.n_decisions

    def take_decisions(self) -> list[WindowDecision]:
        """Return what was decided on each window of every pass since the last call; each once."""
        decided = self._answering.decided
        return [decided.popleft() for _ in range(len(decided))]

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
        """Pause, go on, or start a recording again after its end.

        A live source goes on with what comes then, with the state reset; what came meanwhile is thrown away.
        """
        super().toggle()
        if self._state == "paused":
            self._show()

    def set_view(self, view: ViewSpec) -> None:
        """Show what is seen another way, at once."""
        with self._changed:
            self._view = view
            display = self._display
        if display is not None:
            display.set_view(view)

    # In the pipeline's thread, but for `_take`

    def _work(self, stop: threading.Event) -> None:
        model = self._model
        if isinstance(model, str | Path):
            model = load_model(model, self._engine)
        playback = open_playback(self._source, policy=self._policy, orientation=self._orientation)
        try:
            self._open(playback, model)
            for result in run(
                self._frames(playback, model, stop),
                model,
                state=lambda: self._mode,
                reset_requested=self._reset_requested,
                dropped=lambda: playback.counts.dropped,
            ):
                self._publish(result, playback, model)
        finally:
            playback.close()

    def _open(self, playback: Playback, model: Model) -> None:
        _warm_up(model, playback)
        with self._changed:
            self._display = Display(
                playback.resolution, self.pictures, self._view, every_s=self._picture_every_s
            )
            self._playback = playback
            self.opened = Opened(
                name=self.name,
                model=model,
                engine=engine_name(self._engine),
                sensor=playback.resolution,
                duration_us=playback.duration_us,
                live=playback.replay is None,
                path=playback.path,
            )
            self.warnings = playback.warnings
            self._state = "playing"
            self._follow()

    def _fail(self, error: BaseException) -> None:
        self.error = in_words(error)
        self.model_failed = isinstance(error, ModelError)
        self._state = "failed"

    def _frames(self, playback: Playback, model: Model, stop: threading.Event) -> Iterator[Frame]:
        """Yield the frames of every pass; each begins with Frame.start, so that run() resets the state."""
        spec = model.card.input
        while (current := self._begin(playback, stop)) is not None:
            connection = current.connection
            for frame in frames(current, spec.slice, spec):
                if connection != (connection := current.connection):
                    self._answering.reset(self.resets, playback.breaks[connection - 1])
                if (passed := self._let(frame, playback, stop)) is None:
                    break
                if playback.replay is None and time.perf_counter() - passed.arrived_s > LATE_S:
                    stop.wait(GIVE_WAY_S)
                yield passed
            current.close()
            self._end(current, playback, model)

    def _begin(self, playback: Playback, stop: threading.Event) -> Pass | None:
        """Begin the next pass, once somebody wants one; None: nobody will."""
        with self._changed:
            wanted = self._wait_for_pass(playback, stop)
            if wanted is None:
                return None
            self._from_us, why = wanted
            self._answering.begin_pass(why)
            if why == SEEKING:
                self._answering.reset(self.resets, why)
            self._frame_us = self._from_us
            if self._display is not None:
                self._display.begin()
            return playback.begin(self._from_us, self._take)

    def _end(self, current: Pass, playback: Playback, model: Model) -> None:
        """Say what is known at the end of a pass."""
        if current.read_to_end:
            self._show()
        self.warnings = playback.warnings
        if current.read_to_end and not self._from_us and not self._answering.windows:
            duration_us, events = playback.duration_us or 0, playback.counts.events
            self.note = without_windows(model.card.input, events=events, duration_us=duration_us)

    def _take(self, packet: Events, arrived_s: float) -> None:
        """See a packet, in the capturing thread."""
        if packet.size:
            self._rolling.add_packet(packet.size, int(packet["t"][-1]))
        if self._display is not None and self._playback is not None:
            self._display.take(packet, arrived_s, self._playback.start_us)

    def _reset_requested(self) -> bool:
        asked = self._take_reset()
        if asked:
            self._answering.reset(self.resets, "hand")
        return asked

    def _publish(self, result: Result, playback: Playback, model: Model) -> None:
        self._rolling.add_result(result, mean_density(result.density, model.card), time.perf_counter())
        self.answers.put(self._answering.answer(result, model.card, playback.start_us))
        if self._state == "paused":  # up to the end of the step
            self._show()

    def _show(self) -> None:
        if self._display is not None:
            self._display.show()


def _name(source: SourceLike) -> str:
    """Return what the window calls a source."""
    if isinstance(source, str | Path):
        return str(source) if isinstance(source, str) and is_live(source) else Path(source).name
    return type(source).__name__


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
