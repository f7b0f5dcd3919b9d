"""A source played to a model in threads of its own: `Session`."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from livesnn.errors import LivesnnError, ModelError, error_message
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.packet import Resolution
from livesnn.events.picture import Display, Picture
from livesnn.events.slicer import Frame
from livesnn.infer.decide import Silence, silence
from livesnn.infer.load import Engine, load_model
from livesnn.infer.model import Model
from livesnn.infer.run import Recogniser, Result, warm_up
from livesnn.progress import Stopped
from livesnn.session.camera_settings import CameraFiles, Mounting
from livesnn.session.comparison import Comparer, Comparison
from livesnn.session.control import SEEKING, Choices, Control
from livesnn.session.decision_table import DecisionLog
from livesnn.session.playback import Playback, open_playback
from livesnn.session.plot_history import PlotHistory
from livesnn.session.results import ResultTracker, ShownResult, WindowDecision, why_no_window
from livesnn.session.statistics import Counts, RollingStatistics, Statistics
from livesnn.sources import Source, is_live
from livesnn.threads import WAKE_S, Latest, Worker

SourceLike = str | Path | Source
CORRECTED_S = 5.0  # of a live source before an error of a taught model is noticed: what the error can be in
PICTURE_EVERY_S = 0.012  # a little shorter than between two looks of the window
# A network that can't keep up lets the other threads go first: it drops events anyway, and must not delay the
# reading of the source. At 20 Mev/s, 1,000 events a frame and two busy cores, pictures are 30 ms late instead of 1 s.
LATE_S, YIELD_S = 0.03, 0.0001


class SourceAndModel(NamedTuple):
    """An open source, and the loaded model that it is played to."""

    playback: Playback
    model: Model


class Session:
    """Plays a source, which `stop` closes, to a model: it begins with `start` and `go_on`, and ends with `stop`."""

    def __init__(
        self,
        source: SourceLike,
        *,
        engine: Engine = "auto",
        choices: Choices = Choices(),  # noqa: B008 (frozen); `control` changes them
        mounting: Mounting = Mounting(),  # noqa: B008 (frozen)
        camera_files: CameraFiles = CameraFiles(None),  # noqa: B008 (has no files)
        see: Callable[[Result], object] = lambda result: None,  # gets each result in the pipeline's thread
        pictures: bool = False,  # as of `open_source`
    ) -> None:
        self.name = source_name(source)
        self.control = Control(choices)  # its state, and what a person can do with it
        self.pictures: Latest[Picture] = Latest()  # the newest ones, for the window to take
        self.results: Latest[ShownResult] = Latest()
        self.found: Playback | None = None  # the source, once it is open; the model may still be missing
        self.log = DecisionLog()  # of a live source
        self.opened: SourceAndModel | None = None  # None until the source is open and the model is loaded
        self.history: PlotHistory | None = None  # the last minutes; None until then too
        self.error: str | None = None  # why it failed, in one line
        self.model_failed = False  # because of the model and not of the source
        self.warnings: tuple[str, ...] = ()  # about the source, as far as it has been read
        self.note = ""  # why a recording has no whole window although it was read to its end; "" otherwise
        # How much of a recording has been read to open it, 0 to 1; None: it is open, or opened without reading.
        self.reading: float | None = None
        self._source = source
        self._model: str | Path | Model | LivesnnError | None = None  # an error: there is none
        self._going = threading.Event()  # it is known
        self._engine: Engine = engine
        self._mounting = mounting
        self._camera_files = camera_files
        self._see = see
        self._pictures = pictures
        self._rolling = RollingStatistics()
        self._tracker = ResultTracker()
        self.comparer = Comparer(lambda: self.opened, lambda: self.control.choices)  # with a second model
        self._worker = Worker("pipeline", self._work, on_error=self._fail)

    # From any thread

    @property
    def statistics(self) -> Statistics:
        counts = Counts() if self.opened is None else self.opened.playback.counts
        now = self._rolling.snapshot(counts, now_s=time.perf_counter())
        return replace(now, events_per_s=math.nan, filtered_per_s=math.nan) if self.control.lost else now

    @property
    def silence(self) -> Silence | None:
        """For how long no events have come, if that is too long for a decision; None in a pause, too."""
        if self.opened is None or self.control.state == "paused":
            return None
        playback = self.opened.playback
        since_s = max(playback.last_event_s, self.control.went_on_s)  # what came in a pause wasn't looked at
        return silence(since_s, time.perf_counter(), live=playback.live and playback.has_events)

    @property
    def decisions(self) -> Counter[str]:
        return self._tracker.first_pass.decisions

    @property
    def n_decisions(self) -> int:
        return self._tracker.n_decisions

    def take_decisions(self) -> list[WindowDecision]:
        """Return the decision on each window since the last call, over all passes."""
        decided = self._tracker.decided
        return [decided.popleft() for _ in range(len(decided))]

    def start(self) -> None:
        """Open the source, and wait for `go_on`, which may depend on what is `found`. Returns at once."""
        self._worker.start()

    def go_on(self, model: str | Path | Model | LivesnnError) -> None:
        """Play to this model, once the source is open; or fail with this error."""
        self._model = model
        self._going.set()

    def stop(self, timeout_s: float = 4.0) -> bool:
        """End both threads and close the source; return whether they ended in time. Safe to call twice."""
        self._worker.stop.set()
        self._going.set()
        self.control.interrupt()
        return all([self._worker.close(timeout_s), self.comparer.close(timeout_s)])

    # In the pipeline's thread

    def _work(self, stop: threading.Event) -> None:
        playback = open_playback(self._source, self._mounting, self._follow_reading, pictures=self._pictures)
        try:
            self.reading, self.found = None, playback
            while not self._going.wait(WAKE_S):
                pass
            model = self._model
            if isinstance(model, LivesnnError):
                raise model
            if playback.sensor is not None and (why := self._camera_files.set_up(playback.sensor, playback.serial)):
                playback.notes = (*playback.notes, why)
            if isinstance(model, str | Path):
                model = load_model(model, self._engine, wait=False)
            if model is None or stop.is_set():  # by now another session may step that model
                raise Stopped
            display = self._open(playback, model)
            recogniser = Recogniser(model)
            for frame in self._frames(playback, model, display, stop):
                choices, reset = self.control.choices, self._take_reset()
                decider = choices.decider_of(model.card)
                result = recogniser.step(
                    frame, state=choices.state_mode, decider=decider, reset=reset, silence=self.silence
                )
                self._publish(result, playback, model)
        finally:
            playback.close()

    def _follow_reading(self, share: float) -> None:
        if self._worker.stop.is_set():
            raise Stopped
        self.reading = share

    def _open(self, playback: Playback, model: Model) -> Display:
        warm_up(model, playback.resolution if playback.has_events else None)
        sensor = playback.resolution if playback.has_events else Resolution(1, 1)
        display = Display(sensor, self.pictures, every_s=PICTURE_EVERY_S, fades=playback.live)
        self.warnings = playback.warnings
        kept_s = CORRECTED_S if model.card.taught else 0.0
        self.control.open(playback, display, model.card.input.slice.delta_t_us, kept_s)
        self.history = PlotHistory(model.card, time.perf_counter())
        self.opened = SourceAndModel(playback, model)  # last: from now on it can be paused and sought
        return display

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, Stopped):
            return
        self.error = error_message(error)
        self.model_failed = isinstance(error, ModelError)
        self.control.fail()

    def _frames(self, playback: Playback, model: Model, display: Display, stop: threading.Event) -> Iterator[Frame]:
        """Yield the frames of all passes. Each pass begins with `Frame.start`, so that the state is reset."""
        while (start := self.control.begin(playback, display, stop)) is not None:
            display.begin(start.jumps)
            self._tracker.begin_pass(start.reason)
            self.comparer.tell(Comparison.begin_pass)
            if start.reason == SEEKING:
                self._reset(start.resets, start.reason)
            yield from self._frames_of_pass(playback, model, display, stop)
            self.warnings = playback.warnings
            if playback.read_to_end:
                display.show()
                if start.from_us == 0 and not self._tracker.this_pass.windows:
                    duration_us, events = playback.duration_us or 0, playback.counts.events
                    self.note = why_no_window(model.card.input, events=events, duration_us=duration_us)

    def _frames_of_pass(
        self, playback: Playback, model: Model, display: Display, stop: threading.Event
    ) -> Iterator[Frame]:
        epoch = len(playback.breaks)
        try:
            for frame in playback.frames(model.card.input, self.comparer.see):
                if epoch != (epoch := frame.epoch):
                    self._reset(self.control.resets, playback.breaks[epoch - 1])
                if (shown := self.control.hold_while_paused(frame, playback, stop)) is None:
                    return
                if playback.live and time.perf_counter() - shown.arrived_s > LATE_S:
                    stop.wait(YIELD_S)
                if not playback.has_events:
                    display.show_frame(shown, playback.start_us)
                yield shown
        finally:
            playback.end_pass()

    def _take_reset(self) -> bool:
        resets, begins = self.control.take_reset(), self.comparer.begins()
        if resets is not None:
            self._reset(resets, "hand")
            self.comparer.tell(Comparison.reset)
        elif begins:
            self._reset(self.control.resets, "the comparison")
        return begins or resets is not None

    def _reset(self, resets: int, reason: str) -> None:
        self._tracker.reset(resets, reason)
        self.comparer.tell(Comparison.forget)

    def _publish(self, result: Result, playback: Playback, model: Model) -> None:
        self._see(result)
        self._rolling.add_result(result, model.card, time.perf_counter())
        if self.history is not None:
            self.history.add_result(result, playback.start_us)
        if playback.live:
            self.log.add(result)
        shown = self._tracker.add(result, model.card, playback.start_us)
        self.results.put(self.comparer.add(shown, playback.start_us))
        self.control.show_if_paused()  # up to the end of the step


def source_name(source: SourceLike) -> str:
    if isinstance(source, str | Path):
        live = isinstance(source, str) and is_live(source)
        return str(source) if live else parse_recording_path(Path(source)).name
    return type(source).__name__
