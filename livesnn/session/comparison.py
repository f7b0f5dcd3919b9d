"""A second model, or other settings of the same one, beside what a session plays: `Comparison`."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeVar

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import LivesnnError, ModelError, error_message
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.packet import Packet
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.decide import Decider
from livesnn.infer.load import Engine, load_model
from livesnn.infer.model import Model
from livesnn.infer.run import Latency, Recogniser, Result, StateMode, warm_up
from livesnn.infer.statistics import Percentiles
from livesnn.session.control import Choices
from livesnn.session.playback import EventPlayback, Playback
from livesnn.session.results import ResultTracker, ShownResult
from livesnn.session.statistics import LAST_RESULTS
from livesnn.threads import Worker

T = TypeVar("T")
MINUTE_US = 60_000_000
LOOK_S = 0.02
LOADING = "Loading …"
_MOST_WAITING = 100  # frames of the second that wait for one of the first; then they are stepped anyway


@dataclass(frozen=True)
class Second:
    """What a session is compared with; None stands for what the session itself does, now and later."""

    model: str  # name or folder
    engine: Engine = "auto"
    state_mode: StateMode | None = None
    threshold: float | None = None
    leak: float | None = None
    denoise: bool = False  # whether noise is filtered for this one only; without effect where it is for both

    def decider(self, usual: Decider) -> Decider:
        """Return what decides with this one, where the session itself decides as ``usual``."""
        given = {"threshold": self.threshold, "leak": self.leak}
        return usual.merge({name: value for name, value in given.items() if value is not None})


class Agreement(NamedTuple):
    """Share of frames in which both decided the same, 0 to 1; nan before the first. "Not sure" is a decision too.

    Frames count once both have seen a whole window.
    """

    minute: float = math.nan  # over the last minute of the source's time
    total: float = math.nan
    frames: int = 0  # in total


class Difference(NamedTuple):
    """Where the two differ so far: how often, and in their times."""

    agreement: Agreement
    network_ms: tuple[Percentiles, Percentiles]  # of the session's own, and of the second
    total_ms: tuple[Percentiles, Percentiles]  # as if each ran alone
    late: bool = False  # whether both together are too slow for a live source, so that events are lost


class Comparison:
    """Steps a second network with a state of its own, on the frames that the session's own network has seen.

    If it takes other frames, these are made of the same events, and it follows the first in time: where the first
    has decided on a frame, the second has seen its own frames up to there.

    For the pipeline's thread, except `difference`. Raises LivesnnError if the two can't be compared.
    """

    def __init__(
        self, second: Second, model: Model, opened: tuple[Playback, Model], choices: Callable[[], Choices]
    ) -> None:
        playback, first = opened[0], opened[1].card
        if why := why_not(first, model.card, has_events=playback.has_events):
            raise ModelError(why)
        self.second, self.model = second, model
        self.begun = False  # a frame has come since
        spec = model.card.input
        self._playback = playback
        self._slicer: Slicer | None = None  # of its own frames; None: it takes the first's
        self._noise: DenoiseState | None = None
        if playback.has_events and (second.denoise or not same_frames(first.input, spec)):
            self._slicer = Slicer(playback.resolution, spec)
            self._noise = DenoiseState(playback.resolution) if second.denoise else None
        self._epoch: int | None = None  # of the last packet
        self._live_frame_us = first.input.slice.delta_t_us if playback.live else None
        self._tracker = ResultTracker()
        self._waiting: deque[Frame] = deque()  # of its own slices, later than the first's last frame
        self._reset_by_hand = False
        self._choices = choices
        self._recogniser = Recogniser(model)
        self._newest: ShownResult | None = None
        self._latencies: deque[tuple[Latency, Latency]] = deque(maxlen=LAST_RESULTS)
        self._agreement = _Agreement()
        self._lock = threading.Lock()  # held for microseconds

    def see(self, packet: Packet) -> None:
        if self._slicer is None:
            return
        packets: Iterable[Packet] = [packet]
        both = isinstance(self._playback, EventPlayback) and self._playback.denoise
        if self._noise is not None and not both:
            packets = denoise_packets(packets, self._noise, epoch=self._epoch)
        self._waiting += [frame for each in packets for frame in self._slicer.push(each)]
        self._epoch = packet.epoch

    def add(self, result: Result, start_us: int, resets: int) -> ShownResult | None:
        """Step on what the session's result is about; return the second's newest result, if there is one."""
        slice_s = 0.0 if math.isnan(result.latency.slice_ms) else result.latency.slice_ms / 1e3
        if self._slicer is None:
            self._step(result.frame, slice_s, start_us)
        while self._waiting and (self._waiting[0].t <= result.t or len(self._waiting) > _MOST_WAITING):
            self._step(self._waiting.popleft(), slice_s, start_us)
        if self._newest is None:
            return None
        with self._lock:
            self._latencies.append((result.latency, self._newest.result.latency))
            if result.window_seen and self._newest.result.window_seen and result.silence_s is None:
                self._agreement.add(result.t, same=result.decision == self._newest.result.decision)
        return replace(self._newest, resets=resets)

    def begin_pass(self) -> None:
        self._waiting.clear()
        if self._slicer is not None:
            self._slicer.reset()
        if self._noise is not None:
            self._noise.forget()

    def reset(self) -> None:
        self._reset_by_hand = True

    def forget(self) -> None:
        self._tracker.reset(0, "")

    @property
    def difference(self) -> Difference:
        """Where the two differ so far; from any thread."""
        with self._lock:
            agreement, latencies = self._agreement.now, [*self._latencies]
        network, total = (
            tuple(Percentiles.of([getattr(pair[which], part) for pair in latencies]) for which in range(2))
            for part in ("network_ms", "total_ms")
        )
        busy_us = sum(1000 * each.p50 for each in network)
        late = self._live_frame_us is not None and busy_us > self._live_frame_us
        return Difference(agreement, network, total, late)  # type: ignore[arg-type]  # both have two

    def _step(self, frame: Frame, slice_s: float, start_us: int) -> None:
        choices, second = self._choices(), self.second
        frame = replace(frame, arrived_s=time.perf_counter() - slice_s)  # as if the first hadn't stepped before
        reset, self._reset_by_hand = self._reset_by_hand, False
        decider = second.decider(choices.decider_of(self.model.card))
        result = self._recogniser.step(
            frame, state=second.state_mode or choices.state_mode, decider=decider, reset=reset
        )
        self._newest = self._tracker.add(result, self.model.card, start_us)


def why_not(first: ModelCard, second: ModelCard, *, has_events: bool) -> str:
    """Return why two models can't be compared on a source; "": they can."""
    names = f"{first.name} and {second.name} can't be compared"
    if not set(first.classes) & set(second.classes):
        return f"{names}: they have no class in common"
    if first.input.kind != second.input.kind:
        return f"{names}: one takes events, the other video"
    if not has_events and not same_frames(first.input, second.input):
        return f"{names}: they take pictures of different sizes or rates"
    return ""


def same_frames(one: InputSpec, other: InputSpec) -> bool:
    """Return whether two networks take the same frames; counts are clipped and scaled inside them."""
    return replace(one, count_max=other.count_max, scale=other.scale) == other


class _Agreement:
    """Counts frames with the same decision."""

    def __init__(self) -> None:
        self._minute: deque[tuple[int, bool]] = deque()  # time that had gone by, and whether it was the same
        self._same = self._frames = 0
        self._gone_us = 0
        self._t_us: int | None = None

    def add(self, t_us: int, *, same: bool) -> None:
        """Count a frame at this time; a jump takes no time."""
        gap_us = 0 if self._t_us is None else t_us - self._t_us
        self._gone_us += gap_us if 0 <= gap_us < MINUTE_US else 0
        self._t_us = t_us
        self._minute.append((self._gone_us, same))
        self._same += same
        self._frames += 1
        while self._minute[0][0] < self._gone_us - MINUTE_US:
            self._minute.popleft()

    @property
    def now(self) -> Agreement:
        if not self._frames:
            return Agreement()
        in_minute = sum(same for _, same in self._minute) / len(self._minute)
        return Agreement(in_minute, self._same / self._frames, self._frames)


class Comparer:
    """Loads what a session is compared with, in a thread, and hands it to the pipeline.

    ``opened`` returns the session's source and model, None while they aren't there.
    """

    def __init__(self, opened: Callable[[], tuple[Playback, Model] | None], choices: Callable[[], Choices]) -> None:
        self.now: Comparison | None = None  # what runs
        self.note = ""  # that it is being loaded, or why it can't be compared
        self._opened, self._choices = opened, choices
        self._workers: list[Worker] = []  # the last one loads; the others are to end
        self._lock = threading.Lock()

    # From any thread but the pipeline's

    def use(self, second: Second | None) -> None:
        """Compare with this one as soon as it is loaded; None: with nothing."""
        with self._lock:
            self._stop_loading()
            self.now, self.note = None, "" if second is None else LOADING
            if second is not None:
                self._workers.append(Worker("compare", partial(self._load, second)).start())

    def close(self, timeout_s: float) -> bool:
        """Stop loading; return whether it has ended in time."""
        self._stop_loading()
        return all(worker.close(timeout_s) for worker in self._workers)

    def _stop_loading(self) -> None:
        self._workers = [worker for worker in self._workers if worker.running]
        for worker in self._workers:
            worker.stop.set()

    def _load(self, second: Second, stop: threading.Event) -> None:
        while (opened := self._opened()) is None:
            if stop.wait(LOOK_S):
                return
        comparison, note = None, ""
        try:
            model = load_model(second.model, second.engine, wait=False)
            warm_up(model, None)
            comparison = Comparison(second, model, opened, self._choices)
        except LivesnnError as error:
            note = error_message(error)
        with self._lock:
            if not stop.is_set():
                self.now, self.note = comparison, note

    # In the pipeline's thread

    def begins(self) -> bool:
        """Return, once, that the next frame is the first that is compared: both start from zero state then."""
        comparison = self.now
        if comparison is None or comparison.begun:
            return False
        comparison.begun = True
        return True

    def see(self, packet: Packet) -> None:
        self.tell(lambda comparison: comparison.see(packet))

    def add(self, shown: ShownResult, start_us: int) -> ShownResult:
        """Return a result with what the second says about it, while there is a second."""
        comparison = self.now
        if comparison is None or not comparison.begun:
            return shown
        second = self.tell(lambda comparison: comparison.add(shown.result, start_us, shown.resets))
        return replace(shown, second=second)

    def tell(self, do: Callable[[Comparison], T]) -> T | None:
        """Do this with what runs, if anything does; an error ends the comparison, and not the session."""
        comparison = self.now
        if comparison is None:
            return None
        try:
            return do(comparison)
        except LivesnnError as error:
            with self._lock:
                if self.now is comparison:
                    self.now, self.note = None, error_message(error)
            return None
