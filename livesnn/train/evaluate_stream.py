"""A model measured on uncut streams of known gestures, its state carried."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError
from livesnn.events.slicer import frames
from livesnn.infer.cost import mean_density
from livesnn.infer.decide import Decider
from livesnn.infer.model import Model
from livesnn.infer.reason import OTHER
from livesnn.infer.run import run_frames
from livesnn.simulate.gestures import Segment
from livesnn.train.datasets.clips import UncutStream

MINUTE_US = 60_000_000
OBSERVED_MS = (100, 200, 300, 400, 500, 750, 1000, 1500, 2000)


@dataclass(frozen=True)
class StreamEvaluation:
    """What `livesnn eval --stream` prints.

    A frame counts if the window that ends with it lies wholly within one gesture. Its decision is right if it is that
    gesture's label; no decision is wrong. Accuracies are fractions 0 to 1.
    """

    n: int  # frames that count
    accuracy: float
    accuracy_first_minute: float
    accuracy_last_minute: float
    recall: dict[str, float]  # accuracy by class
    # From a gesture's onset to the first right decision: p50 and p90 over the n gestures that had one, and the share
    # missed of those that never had.
    latency_ms: dict[str, float]
    # Share of the gestures of that length whose decision is right so many ms after the onset
    accuracy_after_ms: dict[str, float]
    # How often the decision changes within a gesture, to another or to none, between frames that count
    flickers_a_minute: float
    # Windows with any decision where nothing is performed, by the stream's name; and windows with another decision
    # than "other" while that is performed.
    false_decisions_a_minute: dict[str, float]
    idle_decisions_a_minute: float  # the same over all streams where nothing is performed; nan without any
    density: float  # spikes per neuron and step over all hidden neurons, in frames that count
    minutes: float  # up to the last frame that counts
    # Gestures of each class without a frame that counts: shorter than a window, cut off, or without events
    unmeasured: dict[str, int]
    warnings: tuple[str, ...]  # of the recordings' readers: damage, times out of order
    seconds: float  # that measuring took


class _Decided(NamedTuple):
    """A frame: its end, its window's beginning (µs; None before the first window), decision, layers' densities."""

    t: int
    begun_us: int | None
    decision: str | None
    density: npt.NDArray[np.float32]
    window_end: bool


class _Gesture(NamedTuple):
    """A performed gesture and the frames from its onset to its end; times go on from one stream to the next."""

    name: str
    start_us: int
    end_us: int
    frames: list[_Decided]

    @property
    def whole(self) -> list[_Decided]:
        """The frames that count."""
        return [each for each in self.frames if each.begun_us is not None and each.begun_us >= self.start_us]


def evaluate_stream(
    model: Model,
    streams: Iterable[UncutStream],
    decider: Decider = Decider(),  # noqa: B008 (frozen)
) -> StreamEvaluation:
    """Run streams one after the other, each from zero state; raises DataError if no frame counts."""
    begun_s = time.perf_counter()
    gestures: list[_Gesture] = []
    rest_us: Counter[str] = Counter()  # By the stream's name, as for the next
    rest_wrong: Counter[str] = Counter()
    labelled: Counter[str] = Counter()
    warnings: list[str] = []
    played_us = 0
    for stream in streams:
        begun_us, decided = _decide(model, stream, decider, played_us)
        later_us = played_us - begun_us
        segments = [  # complete only now
            Segment(name, start_us + later_us, end_us + later_us) for name, start_us, end_us in stream.segments
        ]
        gestures += _performed(decided, segments)
        labelled.update(segment.gesture for segment in segments)
        warnings += stream.source.warnings
        if stream.rests:
            busy = [(start_us + later_us, end_us + later_us) for start_us, end_us in stream.unknown]
            busy += [(start_us, end_us) for _, start_us, end_us in segments]
            us, wrong = _rest(decided, busy)
            rest_us[stream.name] += us
            rest_wrong[stream.name] += wrong
        played_us = decided[-1].t if decided else played_us
    if not any(gesture.whole for gesture in gestures):
        raise DataError(
            "no whole window lies within a gesture: give --stream more minutes, or labels longer than a window"
        )
    counted = [(gesture.name, frame) for gesture in gestures for frame in gesture.whole]
    last_us = counted[-1][1].t
    found = Counter(gesture.name for gesture in gestures if gesture.whole)

    def accuracy(some: Iterable[tuple[str, _Decided]]) -> float:
        right = [frame.decision == name for name, frame in some]
        return float(np.mean(right)) if right else float("nan")

    return StreamEvaluation(
        n=len(counted),
        accuracy=accuracy(counted),
        accuracy_first_minute=accuracy(each for each in counted if each[1].t < MINUTE_US),
        accuracy_last_minute=accuracy(each for each in counted if each[1].t >= last_us - MINUTE_US),
        recall={
            name: accuracy(each for each in counted if each[0] == name)
            for name in model.card.classes
            if name in found
        },
        latency_ms=_latency_ms(gestures),
        accuracy_after_ms=_accuracy_after_ms(gestures),
        flickers_a_minute=_flickers_a_minute(gestures),
        false_decisions_a_minute=_false_decisions(gestures, rest_us, rest_wrong),
        idle_decisions_a_minute=_a_minute(rest_wrong.total(), rest_us.total()),
        density=mean_density(np.mean([frame.density for _, frame in counted], axis=0), model.card),
        minutes=last_us / MINUTE_US,
        unmeasured=dict(labelled - found),
        warnings=tuple(dict.fromkeys(warnings)),
        seconds=time.perf_counter() - begun_s,
    )


def _decide(model: Model, stream: UncutStream, decider: Decider, played_us: int) -> tuple[int, list[_Decided]]:
    """Return when a stream begins by its own clock, and its frames as if it began at ``played_us``.

    A stream whose clock is set back begins anew; some recordings do so at their beginning.
    """
    rule, window = model.card.input.slice, model.card.input.window
    ends_us: deque[int] = deque(maxlen=window + 1)  # of a window's frames, and of the one before
    stream_us = newest_us = 0
    decided: list[_Decided] = []
    for result in run_frames(frames(stream.source, model.card.input), model, decider=decider):
        frame_us = result.t - (rule.delta_t_us or 0)
        if not decided or result.t < newest_us:
            decided, stream_us = [], frame_us
        newest_us = result.t
        if result.reset or not ends_us:
            ends_us.clear()
            ends_us.append(frame_us)
        ends_us.append(result.t)
        later_us = played_us - stream_us
        begun_us = ends_us[0] + later_us if len(ends_us) == ends_us.maxlen else None
        decided.append(_Decided(result.t + later_us, begun_us, result.decision, result.density, result.window_end))
    return stream_us, decided


def _performed(decided: Sequence[_Decided], segments: Sequence[Segment]) -> Iterator[_Gesture]:
    times_us = [frame.t for frame in decided]
    for name, start_us, end_us in segments:
        first, last = np.searchsorted(times_us, [start_us, end_us], side="right")
        if decided and start_us < times_us[-1]:  # else the stream ends before the onset
            yield _Gesture(name, start_us, end_us, list(decided[first:last]))


def _rest(decided: Sequence[_Decided], busy: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the duration in µs of all whole windows in which nothing is performed, and how many have a decision."""
    us, wrong = 0, 0
    for frame in decided:
        begun_us = frame.begun_us
        if begun_us is None or not frame.window_end:
            continue
        if not any(start_us < frame.t and begun_us < end_us for start_us, end_us in busy):
            us += frame.t - begun_us
            wrong += frame.decision is not None
    return us, wrong


def _latency_ms(gestures: Sequence[_Gesture]) -> dict[str, float]:
    late_ms = [
        (right[0] - each.start_us) / 1e3
        for each in gestures
        if (right := [frame.t for frame in each.frames if frame.decision == each.name])
    ]
    p50, p90 = np.percentile(late_ms, [50, 90]) if late_ms else (float("nan"), float("nan"))
    missed = 1 - len(late_ms) / len(gestures)
    return {"p50": float(p50), "p90": float(p90), "n": len(late_ms), "missed": missed}


def _accuracy_after_ms(gestures: Sequence[_Gesture]) -> dict[str, float]:
    accuracy: dict[str, float] = {}
    for observed_ms in OBSERVED_MS:
        right = []
        for gesture in gestures:
            after = (each for each in gesture.frames if each.t >= gesture.start_us + observed_ms * 1000)
            right += [frame.decision == gesture.name for frame in islice(after, 1)]
        if right:
            accuracy[str(observed_ms)] = float(np.mean(right))
    return accuracy


def _flickers_a_minute(gestures: Sequence[_Gesture]) -> float:
    changes, us = 0, 0
    for gesture in gestures:
        whole = gesture.whole
        changes += sum(one.decision != two.decision for one, two in pairwise(whole))
        us += whole[-1].t - whole[0].t if whole else 0
    return _a_minute(changes, us)


def _false_decisions(
    gestures: Sequence[_Gesture], rest_us: Counter[str], rest_wrong: Counter[str]
) -> dict[str, float]:
    windows = [frame for gesture in gestures if gesture.name == OTHER for frame in gesture.whole if frame.window_end]
    us = sum(frame.t - (frame.begun_us or 0) for frame in windows)
    wrong = sum(frame.decision not in (OTHER, None) for frame in windows)
    of_other = {OTHER: _a_minute(wrong, us)} if windows else {}
    return of_other | {name: _a_minute(rest_wrong[name], us) for name, us in rest_us.items()}


def _a_minute(count: int, us: int) -> float:
    return count * MINUTE_US / us if us else float("nan")


def describe_stream(measured: StreamEvaluation) -> Iterator[str]:
    """Yield the measurements that aren't one number, in words."""
    late = measured.latency_ms
    yield (
        f"the first right decision comes {late['p50']:.0f} ms after the onset of a gesture (median of "
        f"{late['n']:.0f}; 90th percentile {late['p90']:.0f} ms; never: {late['missed']:.1%})"
    )
    after = [f"{share:.0%} after {ms} ms" for ms, share in measured.accuracy_after_ms.items()]
    yield f"right after the onset of a gesture: {', '.join(after)}"
    rates = measured.false_decisions_a_minute.items()
    false = [f"{name} {'– (too short)' if np.isnan(rate) else f'{rate:.1f}'}" for name, rate in rates]
    yield f"false decisions a minute: {', '.join(false)}"
    if measured.unmeasured:
        short = ", ".join(f"{count} of {name}" for name, count in measured.unmeasured.items())
        yield f"not measured, because shorter than a window, cut off or without events: {short}"
    yield from measured.warnings
    yield "right by class: " + ", ".join(f"{name} {share:.0%}" for name, share in measured.recall.items())
