"""A source or its frames through a model: `run`, `frames`, and the loop over frames with the state carried."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import ModelError, SourceError
from livesnn.events.denoise import DenoiseCounts, DenoiseState, denoise_packets
from livesnn.events.filters import Orientation, check_seconds
from livesnn.events.packet import (
    EVENTS_DTYPE,
    Closing,
    EventSource,
    Packet,
    Resolution,
    SourceCounters,
    check_resolution,
)
from livesnn.events.pipeline import Pipeline, See, open_pipeline
from livesnn.events.playback_clock import PlaybackClock
from livesnn.events.slicer import Frame, Slicer
from livesnn.files import closed_on_error
from livesnn.infer.decide import UNDECIDED, Decider, Decision, FloatArray, Silence, silence
from livesnn.infer.load import Engine, load_model, read_card, wants_pictures
from livesnn.infer.model import Model, density_and_mean
from livesnn.infer.reason import Reason, activity, count_blocks, reason
from livesnn.sources import open_source
from livesnn.video.frame_source import FrameSource, Limit

StateMode = Literal["carry", "reset"]
"""Whether the state lives for ever, or is zeroed at the beginning of each window as well."""


@dataclass(frozen=True)
class Latency:
    """Where the time of one result went, in ms; nan where it isn't known."""

    slice_ms: float  # from the arrival of the packet that ended the slice to the step's begin
    network_ms: float  # the step
    total_ms: float  # from that arrival to the decision


@dataclass(frozen=True)
class Result:
    """The network's result after one frame."""

    t: int  #: end of the frame, µs
    window: int  #: number of the frame's window, from 0; it starts again after a jump in time or a reset on demand
    frame_in_window: int  #: number of the frame in its window, from 1
    #: float32 [K]: mean output over the last `window` frames (the read-out), or over those since the start or the
    #: reset while they are fewer
    rates: npt.NDArray[np.float32]
    decision: str | None  #: class label; None if no class is confident enough or the first window isn't full yet
    confidence: float  #: of the decision or the likeliest class, 0..1; 0 while the first window isn't full
    probabilities: npt.NDArray[np.float32]  #: float32 [K], on which the decision is based
    frame: Frame  #: the frame itself, for the view
    latency: Latency  #: how long the parts of the step took
    #: True if the state was set to zero before this frame because of a jump in time, or on demand. False on the very
    #: first frame, and on the regular resets of `state="reset"`.
    reset: bool
    density: npt.NDArray[np.float32]  #: float32 [layers − 1]: share of each hidden layer's neurons that spiked
    window_end: bool  #: True on the last frame of a window
    membrane: npt.NDArray[np.float32]  #: float32 [layers]: mean U of each layer after this step
    carried: int  #: number of frames since the state was last zero, including this one
    #: Why no gesture is named, by the last `window` frames; None where one is, nothing moves, or it isn't known
    reason: Reason | None = None
    #: Seconds since the last events of a live source, where so long ago that there is no decision (`silence`)
    silence_s: float | None = None

    def __repr__(self) -> str:
        decision = self.decision or "no decision"
        return f"Result(t={self.t} µs, {decision}, confidence {self.confidence:.2f}, window {self.window})"

    @property
    def window_seen(self) -> bool:
        """Whether a whole window has gone by since the start or the last reset but those of `state="reset"`."""
        return self.window > 0 or self.window_end


class FrameStream(Closing):
    """The frames, for an input ``spec``, of an open source, which it owns; other parameters as of `open_pipeline`.

    Raises SourceError, with the source closed, if a video is to be turned or filtered, the sensor is too large for
    the noise filter, or ``seconds`` isn't above 0.
    """

    def __init__(
        self,
        source: EventSource | FrameSource,
        spec: InputSpec,
        *,
        seconds: float | None = None,
        stop: threading.Event | None = None,
        orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
        denoise: bool = False,
        clock: PlaybackClock | None = None,
        record: See | None = None,
        now_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.source = source
        self._now_s = now_s
        self._spec = spec
        self.resolution: Resolution | None = None  # of the upright events; None of a video
        self._stop = stop or threading.Event()
        self._pipeline: Pipeline | None = None
        with closed_on_error(source):
            check_seconds(seconds)
            if isinstance(source, FrameSource):
                if denoise or record is not None:
                    raise source.no_events()
                source.require_upright(orientation)
                self._video = source
                limit_s = math.inf if seconds is None else seconds
                self._limit = Limit(np.rint(limit_s * 1e6), self._stop)
            else:
                self._pipeline = open_pipeline(
                    source,
                    clock=clock,
                    seconds=seconds,
                    stop=stop,
                    orientation=orientation,
                    record=record,
                    noise=DenoiseState(orientation.resolution(source.resolution)) if denoise else None,
                    policy="drop_oldest" if source.live else None,
                    now_s=now_s,
                )
                self.resolution = self._pipeline.resolution

    def __iter__(self) -> Iterator[Frame]:
        return (item for item in self.with_silences() if isinstance(item, Frame))

    def with_silences(self) -> Iterator[Frame | Silence]:
        """Yield the frames and, once for each silence of a live source of events, that it has begun."""
        spec = self._spec
        if self._pipeline is None:
            yield from self._video.frames(spec, limit=self._limit)
            return
        slicer = Slicer(self._pipeline.resolution, spec)
        said = False
        for packet in self._pipeline:
            yield from slicer.push(packet)
            now = self.silence()
            if now is not None and not said:
                yield now
            said = now is not None

    def silence(self) -> Silence | None:
        """Return for how long no events have come for the network, if it is too long for a decision."""
        if self._pipeline is None:
            return None
        return silence(self._pipeline.filtered.last_s, self._now_s(), live=self.source.live)

    @property
    def counters(self) -> SourceCounters:
        return SourceCounters() if self._pipeline is None else self._pipeline.counters

    @property
    def noise(self) -> DenoiseCounts | None:
        """Where the events went in the noise filter; None: nothing is filtered."""
        pipeline = self._pipeline
        return None if pipeline is None or pipeline.noise is None else pipeline.noise.counts

    @property
    def warnings(self) -> Sequence[str]:
        return self.source.warnings

    def close(self) -> None:
        self._stop.set()
        (self._pipeline or self.source).close()


def warm_up(model: Model, resolution: Resolution | None, *, denoise: bool = False) -> None:
    """Compile and load what the first event needs, in which time a live source would lose events."""
    spec = model.card.input
    if resolution is not None:
        packet = Packet(np.zeros(1, EVENTS_DTYPE))
        if denoise:
            list(denoise_packets([packet], DenoiseState(resolution)))
        Slicer(resolution, spec).push(packet)
    blank = np.zeros((spec.channels, spec.height, spec.width), np.uint8)
    _, state = model.step(Frame(0, blank, 0), model.initial_state())
    density_and_mean(tuple(state), model.card.neuron.threshold)  # an engine may count only on request


def run(
    source: str | Path | EventSource | FrameSource,
    model: str | Path | Model,
    *,
    engine: Engine = "auto",
    state: StateMode = "carry",
    decider: Decider = Decider(),  # noqa: B008 (frozen)
    seconds: float | None = None,
    denoise: bool = False,
    orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
) -> Iterator[Result]:
    """Yield a network's result after each frame of a source.

    A recording is read as fast as possible. Events of a live source are dropped if the network can't keep up. The
    source is closed at the end, even if it was given open.

    Parameters
    ----------
    source
        The path of a recording or a video, any other SOURCE of the command line ("camera", "simulate:gestures"), or
        an open source.
    model
        The name of a model, its folder, or a loaded model.
    engine
        What runs a model that isn't loaded yet; see `load_model`.
    state
        "carry": membrane potentials are carried for as long as the source lasts. "reset": they are set to zero at
        the beginning of each window.
    decider
        When there is a decision.
    seconds
        Stop after this much time of a recording, or of the clock for a live source.
    denoise, orientation
        Whether noise is filtered, and how the events are rotated and mirrored, to be upright.

    Raises
    ------
    LivesnnError
        The source or the model can't be opened, they don't fit each other, or the source fails.
    """
    loaded = load_model(model, engine) if isinstance(model, str | Path) else _loaded(model)
    decider.check(loaded.card)
    opened = _opened(source, loaded)
    with FrameStream(opened, loaded.card.input, seconds=seconds, denoise=denoise, orientation=orientation) as stream:
        if opened.live:
            warm_up(loaded, stream.resolution, denoise=denoise)
        recogniser = Recogniser(loaded)
        for frame in stream:
            yield recogniser.step(frame, state=state, decider=decider, silence=stream.silence())


def frames(source: str | Path | EventSource | FrameSource, model: str | Path | Model) -> Iterator[Frame]:
    """Yield the frames of a source as a model takes them; parameters and errors as for `run`."""
    card = read_card(model) if isinstance(model, str | Path) else _loaded(model).card
    with FrameStream(_opened(source, model), card.input) as stream:
        yield from stream


def _loaded(model: Model) -> Model:
    if not hasattr(model, "card"):
        raise ModelError(f"a model can't be {model!r}: give its name, its folder or what load_model returns")
    return model


def _opened(source: str | Path | EventSource | FrameSource, model: str | Path | Model) -> EventSource | FrameSource:
    if isinstance(source, str | Path):
        return open_source(source, at_once=True, pictures=wants_pictures(source, model))
    if isinstance(source, FrameSource):
        return source
    members = ("resolution", "name", "live", "counters", "warnings", "close", "__iter__")
    if lacking := [member for member in members if not hasattr(source, member)]:
        raise SourceError(
            f"{type(source).__name__} isn't a source of events: it has no {lacking[0]}: "
            "give what open_source returns, or write an EventSource (livesnn.events.packet)"
        )
    with closed_on_error(source):
        check_resolution(source.resolution)
    return source


def run_frames(
    frames: Iterable[Frame],
    model: Model,
    *,
    state: StateMode = "carry",
    decider: Decider = Decider(),  # noqa: B008 (frozen)
) -> Iterator[Result]:
    """Yield one Result a frame; raises as `Recogniser.step`, and where ``decider`` names a class the model hasn't."""
    decider.check(model.card)
    recogniser = Recogniser(model)
    for frame in frames:
        yield recogniser.step(frame, state=state, decider=decider)


class Recogniser:
    """Steps a model frame by frame, and decides after each; it holds the state and the last window's outputs."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._membranes = model.initial_state()
        self._carried = 0  # frames since the state was zero
        self._count = 0  # frames since the windows began
        self._outputs: deque[FloatArray] = deque(maxlen=model.card.input.window)
        self._blocks: deque[FloatArray] = deque(maxlen=model.card.input.window)
        self._decision = UNDECIDED  # the last one

    def step(
        self,
        frame: Frame,
        *,
        state: StateMode = "carry",
        decider: Decider = Decider(),  # noqa: B008 (frozen)
        reset: bool = False,
        silence: Silence | None = None,
    ) -> Result:
        """Return the result of the next frame.

        Rules for classes that the model hasn't are ignored. ``reset``: whether the state is reset before this frame,
        as `Frame.start` does; both restart the windows. In a ``silence`` there is no decision. Raises ModelError if
        the frame doesn't fit the model, ``state`` is something else, or the network gives NaN or infinity.
        """
        begun_s = time.perf_counter()
        if state not in ("carry", "reset"):
            raise ModelError(f"unknown state {state!r}: use 'carry' or 'reset'")
        model, card, length = self._model, self._model.card, self._model.card.input.window
        reset = (reset or frame.start) and self._carried > 0  # not before the first
        if reset:
            self._count, self._decision = 0, UNDECIDED
            self._outputs.clear()
            self._blocks.clear()
        window, position = divmod(self._count, length)
        if reset or (state == "reset" and position == 0):
            self._membranes, self._carried = model.initial_state(), 0
        output, self._membranes = model.step(frame, self._membranes)
        self._carried += 1
        stepped_s = time.perf_counter()
        self._count += 1
        self._outputs.append(output)
        outputs = np.array(self._outputs, np.float32)
        full = self._count >= length
        last = self._membranes[-1] if card.readout == "spikes" else output
        decision = decider.decide(decider.evidence(outputs), last, card, self._decision)
        if silence is not None or not full:
            decision = Decision(None, 0.0, decision.probabilities)
        self._decision = decision
        arrived_s, decided_s = frame.arrived_s or math.nan, time.perf_counter()
        # What follows the decision needn't be waited for.
        self._blocks.append(count_blocks(frame))
        shown = activity(self._blocks, card) if full else None
        why = None if shown is None else reason(shown, decision.label)
        rates = outputs.mean(axis=0)
        density, mean = density_and_mean(self._membranes, card.neuron.threshold)
        if not (np.isfinite(rates).all() and np.isfinite(mean).all()):
            raise ModelError(f"{card.name} gives NaN or infinity at {frame.t} µs: copy the model or train it again")
        return Result(
            t=frame.t,
            window=window,
            frame_in_window=position + 1,
            rates=rates,
            decision=decision.label,
            confidence=decision.confidence,
            probabilities=decision.probabilities,
            frame=frame,
            latency=Latency(
                slice_ms=(begun_s - arrived_s) * 1e3,
                network_ms=(stepped_s - begun_s) * 1e3,
                total_ms=(decided_s - arrived_s) * 1e3,
            ),
            reset=reset,
            density=density[:-1],
            window_end=position + 1 == length,
            membrane=mean,
            carried=self._carried,
            reason=why if silence is None else Reason.NO_EVENTS,
            silence_s=None if silence is None else silence.seconds,
        )
