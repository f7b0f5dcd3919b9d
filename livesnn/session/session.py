"""What went wrong, in one line for a person. Not here: where it is shown."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from livesnn.errors import DataError, LivesnnError, ModelError
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.packet import EVENTS_DTYPE, Packet, Resolution
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.model import Engine, Model, density_and_mean, load_model
from livesnn.infer.run import Result, run_frames
from livesnn.session.control import SEEKING, Control, Display
from livesnn.session.hot_pixels import HotPixels
from livesnn.session.playback import EventPlayback, Mounting, Playback, open_playback
from livesnn.session.statistics import Counts, RollingStatistics, Statistics
from livesnn.session.values import (
    Answer,
    AnswerBuilder,
    Choices,
    Opened,
    Picture,
    WindowDecision,
    without_windows,
)
from livesnn.session.view import Accumulator
from livesnn.sources import Source, is_live
from livesnn.threads import Latest, Worker


def in_words(error: BaseException) -> str:
    """Return what an error of ours says; of any other, that it is a fault of livesnn."""
    if isinstance(error, LivesnnError):
        return str(error)
    return f"{type(error).__name__}: {error} (a fault of livesnn: report it)"


SourceLike = str | Path | Source
PICTURE_EVERY_S = 0.012  # a little faster than the window polls
# A network that can't keep up lets the other threads go first: it will drop events anyway, and must not make the
# capture late. Measured at 20 Mev/s in frames of 1,000 events, two busy cores: pictures 1 s late without, 30 ms with.
LATE_S, GIVE_WAY_S = 0.03, 0.0001


class _Left(Exception):  # noqa: N818 (nothing is wrong)
    """Nobody waits any more for a source that is being opened."""


class Session:
    """Plays ``source`` to ``model`` from `start` to `stop`.

    Parameters
    ----------
    source
        A SOURCE of the command line, or an open source (closed by `stop`).
    model
        A name, a folder, or a loaded model.
    engine
        What runs the model, or already does.
    choices
        To begin with; `control` takes others.
    mounting
        What makes the source's events upright, for the network, the view and what is recorded.
    picture_every_s
        Least real time between two pictures; 0: one a packet.
    hot_pixels
        Of cameras, from which it takes those known, and gives it those learned.

    Attributes
    ----------
    control
        What it is doing, and a person's way to it.
    error, model_failed
        Why it failed, in one line, and whether the model is to blame, not the source.
    warnings
        Of the recording, as far as it has been read.
    reading
        How much of a recording has been read to open it, 0 to 1; None: it needn't be, or is open.
    note
        Why a recording read to its end has no whole window; "" otherwise.
    """

    def __init__(
        self,
        source: SourceLike,
        model: str | Path | Model,
        *,
        engine: Engine = "auto",
        choices: Choices = Choices(),  # noqa: B008 (frozen)
        mounting: Mounting = Mounting(),  # noqa: B008 (frozen)
        picture_every_s: float = PICTURE_EVERY_S,
        hot_pixels: HotPixels = HotPixels(None),  # noqa: B008 (keeps nothing)
    ) -> None:
        self.name = _name(source)
        self.control = Control(choices)
        self.pictures: Latest[Picture] = Latest()
        self.answers: Latest[Answer] = Latest()
        self.opened: Opened | None = None
        self.error: str | None = None
        self.model_failed = False
        self.warnings: tuple[str, ...] = ()
        self.note = ""
        self.reading: float | None = None
        self._source = source
        self._model = model
        self._engine: Engine = engine
        self._mounting = mounting
        self._picture_every_s = picture_every_s
        self._hot_pixels = hot_pixels
        self._times_learned = 0  # hot pixels, as far as they are kept
        self._playback: Playback | None = None
        self._rolling = RollingStatistics()
        self._answering = AnswerBuilder()
        self._worker = Worker("pipeline", self._work, on_error=self._fail)

    # From any thread

    @property
    def statistics(self) -> Statistics:
        """What has been counted and measured up to now."""
        counts = Counts() if self._playback is None else self._playback.counts
        now = self._rolling.snapshot(counts, now_s=time.perf_counter())
        return replace(now, events_per_s=math.nan, kept_per_s=math.nan) if self.control.lost else now

    @property
    def decisions(self) -> Counter[str]:
        """Windows of the first pass, by decision."""
        return self._answering.first_pass.decisions

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
        self.control.interrupt()
        return self._worker.close(timeout_s)

    # In the pipeline's thread, but for the function that sees packets

    def _work(self, stop: threading.Event) -> None:
        playback = open_playback(self._source, self._mounting, self._follow_reading)
        try:
            self.reading = None
            self._know_hot_pixels(playback)
            model = self._model
            if isinstance(model, str | Path):
                model = load_model(model, self._engine, wait=False)
            if stop.is_set():  # by now another session may step that model
                raise _Left
            display = self._open(playback, model)
            for result in run_frames(
                self._frames(playback, model, display, stop),
                model,
                state=lambda: self.control.choices.state_mode,
                decider=lambda: self.control.choices.decider_of(model.card),
                reset_requested=self._reset_requested,
            ):
                self._publish(result, playback, model)
                self._keep_hot_pixels(playback)
        finally:
            playback.close()

    def _follow_reading(self, share: float) -> None:
        if self._worker.stop.is_set():
            raise _Left
        self.reading = share

    def _know_hot_pixels(self, playback: Playback) -> None:
        if not isinstance(playback, EventPlayback):
            return
        try:
            known = self._hot_pixels.of(playback.serial, playback.source.resolution, playback.orientation)
        except DataError as error:
            playback.notes = (*playback.notes, str(error))
            return
        if known is not None:
            playback.noise.know(known)

    def _keep_hot_pixels(self, playback: Playback) -> None:
        if not isinstance(playback, EventPlayback):
            return
        if (times := playback.noise.times_learned) > self._times_learned:
            self._times_learned = times
            self._hot_pixels.keep(playback.serial, playback.noise.hot, playback.orientation)

    def _open(self, playback: Playback, model: Model) -> Display:
        _warm_up(model, playback)
        sensor = (
            playback.resolution if playback.has_events else Resolution(1, 1)
        )  # a video's may be too large
        display = Display(sensor, self.pictures, every_s=self._picture_every_s)
        self._playback = playback
        self.warnings = playback.warnings
        self.control.open(playback, display, model.card.input.slice.delta_t_us)
        self.opened = playback.opened(self.name, model)  # whoever sees it may pause and seek
        return display

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, _Left):
            return
        self.error = in_words(error)
        self.model_failed = isinstance(error, ModelError)
        self.control.fail()

    def _frames(
        self, playback: Playback, model: Model, display: Display, stop: threading.Event
    ) -> Iterator[Frame]:
        """Yield the frames of every pass; each begins with Frame.start, so that run() resets the state."""

        def show(packet: Packet) -> None:
            self._rolling.kept.add(packet)
            if (
                packet.events.size or playback.live
            ):  # a recording with nothing but noise doesn't fade by the clock
                display.add(packet.events, packet.arrived_s, playback.start_us)

        arrived = self._rolling.arrived.add
        while (begun := self.control.begin(playback, arrived, show, stop)) is not None:
            display.begin(begun.jumps)
            self._rolling.forget_packets()
            self._answering.begin_pass(begun.why)
            if begun.why == SEEKING:
                self._answering.reset(begun.resets, begun.why)
            yield from self._frames_of_pass(playback, model, display, stop)
            self.warnings = playback.warnings
            if playback.read_to_end:
                display.show()
                self._note(playback, model, whole=begun.from_us == 0)

    def _frames_of_pass(
        self, playback: Playback, model: Model, display: Display, stop: threading.Event
    ) -> Iterator[Frame]:
        spec = model.card.input
        epoch = len(playback.breaks)
        try:
            for frame in playback.frames(spec.slice, spec):
                if epoch != (epoch := frame.epoch):
                    self._answering.reset(self.control.resets, playback.breaks[epoch - 1])
                if (passed := self.control.let(frame, playback, stop)) is None:
                    return
                if playback.live and time.perf_counter() - passed.arrived_s > LATE_S:
                    stop.wait(GIVE_WAY_S)
                if not playback.has_events:
                    display.show_frame(passed, playback.start_us)
                yield passed
        finally:
            playback.end_pass()

    def _note(self, playback: Playback, model: Model, *, whole: bool) -> None:
        if whole and not self._answering.this_pass.windows:
            duration_us, events = playback.duration_us or 0, playback.counts.events
            self.note = without_windows(model.card.input, events=events, duration_us=duration_us)

    def _reset_requested(self) -> bool:
        resets = self.control.take_reset()
        if resets is not None:
            self._answering.reset(resets, "hand")
        return resets is not None

    def _publish(self, result: Result, playback: Playback, model: Model) -> None:
        self._rolling.add_result(result, model.card, time.perf_counter())
        self.answers.put(self._answering.answer(result, model.card, playback.start_us))
        self.control.show_if_paused()  # up to the end of the step


def _name(source: SourceLike) -> str:
    """Return what the window calls a source."""
    if isinstance(source, str | Path):
        return (
            str(source)
            if isinstance(source, str) and is_live(source)
            else parse_recording_path(Path(source)).name
        )
    return type(source).__name__


def _warm_up(model: Model, playback: Playback) -> None:
    """Compile and load what the first event needs: 0.5 s, which would be its latency."""
    card = model.card.input
    if playback.has_events:
        event = np.zeros(1, EVENTS_DTYPE)
        accumulator = Accumulator(playback.resolution)
        accumulator.add(event)
        accumulator.picture(0)
        Slicer(card.slice, playback.resolution, card).push(Packet(event))
    blank = np.zeros((card.channels, card.height, card.width), np.uint8)
    _, state = model.step(Frame(0, blank, 0), model.initial_state())
    density_and_mean(tuple(state), model.card.neuron.threshold)  # another engine's may not have counted
