"""Clips of a gesture: from a source, their movement, shifted copies of them, and what a network makes of them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import DataError, ModelError, SourceError, error_message
from livesnn.events.filters import Orientation, check_seconds, orient_packets
from livesnn.events.labels import Label, has_labels, read_labels
from livesnn.events.packet import EventSource
from livesnn.events.recorder import Recorder
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame
from livesnn.infer.decide import OTHER
from livesnn.infer.model import Model, pooled_spikes
from livesnn.infer.onnx_engine import MIX
from livesnn.infer.run import FrameStream
from livesnn.infer.spike_engine import EPSILON, Dense, hidden_units
from livesnn.sources import open_source
from livesnn.teach import READY_S, forget
from livesnn.weights import Weights, load_tensors

FloatArray = npt.NDArray[np.float32]
Clip = npt.NDArray[np.uint8]  # Frames uint8 [T, C, H, W] without a gap in time between them

MOVES = ((0.08, 0.0, 1.15), (-0.08, 0.0, 0.87), (0.0, 0.08, 0.87), (0.0, -0.08, 1.15))
"""Shift right and down, as parts of the picture, and size of the copies that are learned with a clip, since nobody
stands in the same place twice."""

PARTS = 8  # Parts along each side of the picture in which events are counted, to measure movement

RESTING = 40
"""At most so many frames before a performance are kept: two seconds, at 50 ms a frame."""


class Take(NamedTuple):
    """A gesture as somebody showed it.

    ``clip``: its frames, uint8 [T, C, H, W]. ``before``: the last frames before it in which nothing is performed,
    uint8 [R, C, H, W] with R from 0 to `RESTING`. If an earlier take has more of them, they are those before it.
    """

    clip: Clip
    before: Clip


def record_lesson(
    source: EventSource,
    path: Path,
    gesture: str,
    *,
    seconds: float,
    ready_s: float = READY_S,
    orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Record someone in front of a live source, who stands still for ``ready_s`` and then performs a gesture.

    A label in the new file ``path`` says when it is performed. Seconds are by the clock, from the first packet on,
    which may be empty. ``tell`` is told what to do, and afterwards what was lost. The source is closed at the end.
    Raises LivesnnError, and leaves no file, if the source is lost meanwhile, or if the file can't be written.
    """
    check_seconds(seconds)
    with closing(source):
        recorder = Recorder(path, orientation.resolution(source.resolution), source.name)
        first, begins_s, begun = None, 0.0, False
        try:
            for packet in orient_packets(source, source.resolution, orientation):
                now_s = time.perf_counter()
                if first is None:
                    first, begins_s = packet, now_s + ready_s
                    tell(f"stand still: begin in {ready_s:g} s")
                if packet.epoch != first.epoch:
                    raise SourceError(
                        f"the source was lost before {gesture} was recorded: start over once it is back"
                    )
                if not begun and now_s >= begins_s:
                    begun = True
                    recorder.label(gesture)
                    tell(f"perform the gesture now, again and again for {seconds:g} s")
                recorder.put(packet)
                if recorder.finished or now_s >= begins_s + seconds:
                    break
            else:
                raise SourceError(f"the source ended before {gesture} was recorded: open it again and start over")
            complete = recorder.close()
            if recorder.error is not None:
                raise SourceError(error_message(recorder.error))
            if not complete:
                raise SourceError(f"{path}: its disk is too slow: free it, or choose another one")
        except BaseException:
            recorder.close()
            if recorder.file_bytes:  # otherwise the file is somebody else's
                forget(path)
            raise
        tell("you can stop now")
        lost = recorder.dropped + source.counters.dropped
        for warning in (*source.warnings, *[f"{lost:,} events were lost"] * (lost > 0)):
            tell(warning)


def read_takes(
    source: str,
    spec: InputSpec,
    *,
    seconds: float | None = None,
    label: str = "",
    unless: str = "",
    orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
    denoise: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Take]:
    """Return a recording's frames for the input ``spec``, in parts without a gap in time.

    Raises LivesnnError if it can't be read, none of its labels is ``label``, or that holds for no whole window.

    Parameters
    ----------
    seconds
        End after so long.
    label, unless
        Of a recording that has labels, whatever its length: only where this one holds, and that one doesn't.
    tell
        Told what was damaged or lost.
    """
    check_seconds(seconds)
    with closing(open_source(source, notify=tell)) as opened:
        labelled = isinstance(opened, Recording) and bool(label) and has_labels(opened.path)
        stream = FrameStream(
            opened, spec, seconds=None if labelled else seconds, orientation=orientation, denoise=denoise
        )
        takes = takes_of(
            _labelled(stream, spec, opened, label, unless)
            if isinstance(opened, Recording)
            else ((0, frame) for frame in stream)
        )
        for warning in stream.warnings:
            tell(f"{source}: {warning}")
    if labelled and not any(len(take.clip) >= spec.window for take in takes):
        raise DataError(
            f"{source}: no label {label} is as long as a window of {spec.window} frames: label a longer stretch"
        )
    return takes


Parts = Iterator[tuple[int | None, Frame]]
"""Frames, each with the number of its part of the source. None: it is between them, where nothing is performed."""


def takes_of(parts: Parts) -> list[Take]:
    """Return each part of a stream, in pieces where there is a gap in time."""
    takes: list[tuple[list[Clip], list[Clip]]] = []  # clips of one frame each
    before: deque[Clip] = deque(maxlen=RESTING)
    rest: list[Clip] = []
    last = None
    for part, frame in parts:
        if frame.start:
            before.clear()
        if part is None:
            before.append(frame.data[None])
        else:
            if frame.start or part != last:
                rest = [*before] if len(before) >= len(rest) else rest
                takes.append(([], rest))
                before.clear()
            takes[-1][0].append(frame.data[None])
        last = part
    return [Take(np.concatenate(clip), np.concatenate([clip[0][:0], *rest])) for clip, rest in takes]


def clips_of(stream: Iterable[Frame]) -> list[Clip]:
    """Return a stream's frames as clips, with a new one after each gap in time."""
    return [take.clip for take in takes_of((0, frame) for frame in stream)]


def _labelled(stream: Iterable[Frame], spec: InputSpec, recording: Recording, label: str, unless: str) -> Parts:
    """Yield the frames but those of other labels.

    A part is a stretch that ``label`` holds for, or the whole recording if it has no labels, except where ``unless``
    holds. A frame belongs to a part if most of it does.
    """
    labels = read_labels(recording.path)
    names = sorted({one.label for one in labels})
    if label and labels and label not in names:
        raise DataError(
            f"{recording.path} has labels, but none is {label}: name the gesture as one of {', '.join(names)}"
        )
    included = _parts(recording, labels, {label}) if label and labels else [(-math.inf, math.inf)]
    others = _parts(recording, labels, {*names} - {label} if label else {unless})
    before_us, left_out = recording.labels_start, False
    for frame in stream:
        begins_us = before_us if spec.slice.delta_t_us is None else frame.t - spec.slice.delta_t_us
        before_us = frame.t
        middle_us = (begins_us + frame.t) / 2
        part = next((i for i, (begin, end) in enumerate(included) if begin <= middle_us < end), None)
        if (unless or part is None) and any(begins_us < end and begin < frame.t for begin, end in others):
            left_out = True
            continue
        yield part, replace(frame, start=frame.start or left_out)
        left_out = False


def _parts(recording: Recording, labels: Iterable[Label], names: Collection[str]) -> list[tuple[float, float]]:
    zero_us = recording.labels_start
    return [(zero_us + 1e6 * one.start, zero_us + 1e6 * one.end) for one in labels if one.label in names]


def movement(clip: Clip, window: int) -> npt.NDArray[np.float64]:
    """Return for each whole window of a clip how unevenly its events lie in the picture, float64 [N].

    It is the variance of the counts in 8×8 parts of the picture, divided by their mean: 1 for noise, which is the
    same everywhere, and hundreds where something moves. The count of the busiest half percent of pixels is limited,
    since these may be hot.
    """
    height, width = (max(size // PARTS, 1) * PARTS for size in clip.shape[-2:])  # the rest is ignored
    uneven = []
    for first in range(0, len(clip) - window + 1, window):
        counts = clip[first : first + window].sum((0, 1), dtype=np.float64)[:height, :width]
        most = np.quantile(counts[counts > 0], 0.995) if counts.any() else 0
        rows, columns = (np.array_split(np.arange(size), PARTS) for size in counts.shape)
        parts = [np.minimum(counts[np.ix_(row, column)], most).sum() for row in rows for column in columns]
        uneven.append(np.var(parts) / np.mean(parts) if most else 0.0)
    return np.array(uneven)


Move = tuple[float, float, float]  # Like each of `MOVES`

OTHERWISE: dict[str, tuple[tuple[Move, ...], float]] = {
    "more slowly": (((0.0, 0.0, 1.0),), 0.7),
    "faster": (((0.0, 0.0, 1.0),), 1.4),
    "nearer to the camera": (((0.0, 0.0, 1.3),), 1.0),
    "farther from the camera": (((0.0, 0.0, 0.75),), 1.0),
    "more to the left and to the right": (((0.15, 0.0, 1.0), (-0.15, 0.0, 1.0)), 1.0),
}
"""How someone may perform a gesture otherwise than in the lesson: moves of the picture, and a tempo."""


def at_tempo(clip: Clip, tempo: float) -> Clip:
    """Return a clip as if its movements were so many times as fast, in frames of the same duration.

    Events are spread evenly over their frame, and numbers of them rounded at random.
    """
    ends = np.arange(int(len(clip) / tempo) + 1) * tempo
    whole = np.minimum(ends.astype(int), len(clip) - 1)
    counts = np.concatenate([np.zeros_like(clip[:1], np.float32), clip.cumsum(0, dtype=np.float32)])
    until = counts[whole] + (ends - whole).astype(np.float32)[:, None, None, None] * clip[whole]
    frames = np.diff(until, axis=0)
    random = np.random.default_rng(0).random(frames.shape, np.float32)
    return np.floor(frames + random).clip(0, 255).astype(np.uint8)


def moved(clip: Clip, moves: Sequence[Move] = MOVES) -> list[Clip]:
    """Return a copy of a clip for each move; counts are rounded at random, in proportion to their fraction."""
    import cv2  # half a second

    random = np.random.default_rng(0)
    height, width = clip.shape[-2:]
    copies = []
    for right, down, size in moves:
        across, along = (right + (1 - size) / 2) * width, (down + (1 - size) / 2) * height
        matrix = np.array([[size, 0, across], [0, size, along]])
        pictures = clip.reshape(-1, height, width).astype(np.float32)
        warped = np.stack([cv2.warpAffine(picture, matrix, (width, height)) for picture in pictures])
        rounded = np.floor(warped + random.random(warped.shape, np.float32))
        copies.append(rounded.clip(0, 255).astype(np.uint8).reshape(clip.shape))
    return copies


WEIGHT, BIAS = "classify.weight", "classify.bias"
PROJECT, OFFSET = "read_out.project.weight", "read_out.project.bias"
HIDDEN, HIDDEN_BIAS = "read_out.hidden_weight", "read_out.hidden_bias"

MEMORY = "teach.safetensors"
"""File of a model whose taught classes compare moments: how they are made of spikes, see `Memory`."""
FIRST, EVERY = 14, 8
"""Of a lesson's frames, those that are kept as its moments: by then, the traces have seen 0.7 s."""

ONSETS, ONSET_EVERY = (10, 16, 24, 32), 12
"""Frames after the beginning of a performance at which moments are kept, too. One begins in every 12th frame of a
lesson, as if the person had stood still before. These are a quarter of what is kept."""

MOST_COMPARED = 45  # Moments of a class, faded ones too; fewer if many classes share the member's units

FADED, FADED_FRAMES, AGAINST = 1 / 5, (12, 24), 0.3
"""What remains in the traces after a gesture looks like the whole gesture. So a part of the moments are faded by some
frames, and count against the class with this weight."""

LEAST_COSINE, EDGE, GAIN = 0.3, 0.112 / 36, 23.0 * 36
"""Cosine from which a moment is like one of the lesson, the weighted excess over it at which the class is named, and
the output for it, chosen on real people (docs/experiments/teaching.md)."""


NO_WINDOWS = np.zeros((0, 0), np.float32)


class Watched(NamedTuple):
    """Whole windows of clips.

    ``units``: what the read-out's rows are multiplied by, means of windows, float32 [N, F + 1]. ``moments``: unit
    vectors, one for each of their frames, float32 [N · window, `Memory.size`]; empty without a `Memory`.
    ``currents``: of the memory's traces in each of these frames, float32 [N · window, D].
    """

    units: FloatArray
    moments: FloatArray
    currents: FloatArray = NO_WINDOWS

    @classmethod
    def joined(cls, parts: Sequence[Watched]) -> Watched:
        return cls(*(joined(arrays) for arrays in zip(*parts, strict=True)))

    def chosen(self, windows: npt.NDArray[np.bool_]) -> Watched:
        """Return the windows that are chosen, bool [N]."""
        frames = np.repeat(windows, len(self.moments) // max(len(windows), 1))
        return Watched(self.units[windows], self.moments[frames] if len(frames) else self.moments)


class Memory(NamedTuple):
    """How spikes s become moments: traces of P · s + p, as in any member of the read-out, mixed by M, and normalised.

    Nothing of it was trained with classes. P are principal components of simulated people's spikes, and M makes the
    decays of a trace independent of each other.

    Attributes
    ----------
    project, bias
        float32 [D, F] and [D]: P and p.
    mix
        float32 [K, K]: M.
    rest
        float32 [D]: the mean of P · s + p while simulated people stand still.
    """

    project: FloatArray
    bias: FloatArray
    mix: FloatArray
    rest: FloatArray

    @classmethod
    def of(cls, folder: Path, weights: Weights, card: ModelCard) -> Memory | None:
        """Return a model's; None if it has none. Raises ModelError if its file is damaged or of another network."""
        spec, decays = card.traces, len(card.traces.alphas)
        if card.readout != "traces" or OTHER not in card.classes:
            return None
        if not (file := folder / MEMORY).is_file():
            project, bias = (weights[name][-spec.width :] for name in (PROJECT, OFFSET))
            return cls(project, bias, weights[MIX][-1], bias) if spec.mixed else None
        kept = load_tensors(file)
        try:
            bias = kept["project.bias"]
            made = cls(kept["project.weight"], bias, kept["mix"], kept.get("rest", bias))  # older files have no rest
        except KeyError as error:
            raise ModelError(f"{file} can't be read ({error}): copy the model again") from error
        shapes = [(spec.width, weights[PROJECT].shape[1]), (spec.width,), (decays, decays), (spec.width,)]
        if [each.shape for each in made] != shapes:
            raise ModelError(f"{file} belongs to another network: copy the model again")
        return made

    @property
    def size(self) -> int:
        return len(self.mix) * len(self.bias)

    def moment(self, current: FloatArray, before: FloatArray, decay: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return moment [size] and traces [K, D] after a current P · s + p [D]; ``decay`` [K, 1] is the traces'."""
        traces = decay * before + (1 - decay) * current
        mixed = (self.mix @ traces).ravel()
        normed = (mixed - mixed.mean()) / np.sqrt(mixed.var() + EPSILON)
        return normed / np.float32(np.sqrt(self.size)), traces

    def onsets(self, currents: FloatArray, rest: FloatArray, alphas: Sequence[float]) -> FloatArray:
        """Return moments [N, size] of performances that begin in every `ONSET_EVERY`th frame of currents [T, D].

        ``rest`` [D] is the current before them.
        """
        decay, found = np.array(alphas, np.float32)[:, None], []
        for first in range(0, len(currents) - ONSETS[-1] + 1, ONSET_EVERY):
            traces = np.tile(rest, (len(decay), 1))
            for frame, current in enumerate(currents[first : first + ONSETS[-1]], 1):
                moment, traces = self.moment(current, traces, decay)
                if frame in ONSETS:
                    found.append(moment)
        return np.array(found or NO_WINDOWS, np.float32)

    def examples(
        self, parts: Iterable[tuple[FloatArray, FloatArray, FloatArray]], alphas: Sequence[float]
    ) -> FloatArray:
        """Return what is kept [E, size]. ``parts``: each clip's moments and currents, and the current before it."""
        steady, begun = [], []
        for moments, currents, rest in parts:
            steady.append(moments[min(FIRST, len(moments) // 2) :: EVERY])
            begun.append(self.onsets(currents, rest, alphas))
        return joined([*steady, drawn(joined(begun), len(joined(steady)) // 3)])

    def faded(self, moments: FloatArray, alphas: Sequence[float]) -> FloatArray:
        """Return what becomes of moments [N, size] without any spikes, in turn after each of `FADED_FRAMES`.

        Mixed traces have a variance of 1, by the choice of M. So traces follow from a moment, which is normalised.
        """
        traces = np.linalg.solve(self.mix, (moments * np.sqrt(self.size)).reshape(-1, len(self.mix), len(self.bias)))
        frames = np.resize(FADED_FRAMES, len(moments))
        left = (np.array(alphas) ** frames[:, None])[..., None]
        mixed = (self.mix @ (left * traces + (1 - left) * self.bias)).reshape(len(moments), self.size)
        mixed -= mixed.mean(1, keepdims=True)
        return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)

    def compared(self, moments: FloatArray, most: int, alphas: Sequence[float]) -> tuple[FloatArray, FloatArray]:
        """Return the moments that a class compares with, at ``most`` [E, size], and the weight of each [E]."""
        gone = int(FADED * most)
        examples, faded = drawn(moments, most - gone), self.faded(drawn(moments, gone), alphas)
        weights = np.repeat((1 / len(examples), -AGAINST / max(len(faded), 1)), (len(examples), len(faded)))
        return np.concatenate([examples, faded]), weights.astype(np.float32)


def watch(model: Model, weights: Weights, clip: Clip, memory: Memory | None = None) -> Watched:
    """Return the whole windows of a clip, with the state carried through it from zero.

    A read-out of traces has outputs [W | b] · [h[t], 1] of its hidden units h[t], whose means are the units.
    Otherwise, the membrane of the output layer is U[t] = α · U[t−1] + W · s[t] + b (paper, Eq. 1), where s[t] are
    the pooled spikes of blocks 3 and 4. So the mean output of a class over a window is its row of [W | b] times the
    mean of x[t] = α · x[t−1] + [s[t], 1], which are the units.
    """
    card, state, window = model.card, model.initial_state(), model.card.input.window
    dense = Dense.of(weights, card) if card.readout == "traces" else None
    alpha = np.float32(0 if dense else card.neuron.alpha)
    decay = np.array(card.traces.alphas, np.float32)[:, None]
    x, traces = np.zeros(1, np.float32), np.zeros((len(decay), 1), np.float32)
    units, moments, currents = [], [], []
    for data in clip[: len(clip) // window * window]:
        _, state = model.step(Frame(0, data, 0), state)
        read = hidden_units(dense, state[-1]) if dense else pooled_spikes(card, state)
        x = alpha * x + np.append(read, np.float32(1))
        units.append(x)
        if memory is not None:
            currents.append(memory.project @ pooled_spikes(card, state) + memory.bias)
            moment, traces = memory.moment(currents[-1], traces, decay)
            moments.append(moment)
    if not units:
        return Watched(NO_WINDOWS, NO_WINDOWS)
    means = np.array(units, np.float32).reshape(-1, window, len(x)).mean(1)
    return Watched(means, *(np.array(each or NO_WINDOWS, np.float32) for each in (moments, currents)))


STILL = 0.5  # Somebody stands still if they move at most this share as much as in the take


def still_before(take: Take, window: int) -> npt.NDArray[np.bool_]:
    """Return in which windows before a take somebody stands still, bool [N]; the network settles in the first one."""
    before, moves = take.before[len(take.before) % window :], movement(take.clip, window)
    return movement(before, window)[1:] <= STILL * (np.median(moves) if len(moves) else 0)


def rest_before(take: Take, model: Model, weights: Weights, memory: Memory) -> FloatArray:
    """Return the mean current [D] before a take, or that of simulated people if nobody stands still there."""
    window, still = model.card.input.window, still_before(take, model.card.input.window)
    if not still.any():
        return memory.rest
    before = take.before[len(take.before) % window :]
    currents = watch(model, weights, before, memory).currents[window:]
    return currents.reshape(len(still), window, -1)[still].mean((0, 1))


def without_moments(weights: Weights, card: ModelCard) -> Weights:
    """Return the weights of the read-out's members that were trained, and of all before them."""
    spec = card.traces
    plain = spec.members - spec.mixed
    parts = {PROJECT: plain * spec.width, OFFSET: plain * spec.width, HIDDEN: plain, HIDDEN_BIAS: plain}
    kept = {name: array for name, array in weights.items() if name != MIX}
    return kept | {name: weights[name][:count] for name, count in parts.items()}


def with_units(seen: Watched, weights: Weights, card: ModelCard) -> Watched:
    """Return windows whose units are only those of trained members with all that the read-out's rows read."""
    parts = [seen.units]
    if card.traces.mixed:
        hidden = weights[HIDDEN][-1] * np.float32(np.sqrt(len(weights[HIDDEN][-1])))
        compared = np.maximum(seen.moments @ hidden + weights[HIDDEN_BIAS][-1], 0)
        parts.append(compared.reshape(len(seen.units), -1, compared.shape[-1]).mean(1))
    return seen._replace(units=np.concatenate([*parts, np.ones((len(seen.units), 1), np.float32)], axis=1))


def likeness(moments: FloatArray, compared: FloatArray, weights: FloatArray) -> FloatArray:
    """Return how much closer than `LEAST_COSINE` moments [N, D] are to the compared ones [E, D], weighted: [N]."""
    return np.maximum(moments @ compared.T - np.float32(LEAST_COSINE), 0) @ weights


def drawn(windows: FloatArray, most: int) -> FloatArray:
    return windows[np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)]


def joined(parts: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([part for part in parts if len(part)] or [NO_WINDOWS])


def with_moments(
    weights: Weights,
    before: ModelCard,
    card: ModelCard,
    memory: Memory,
    kept: Mapping[str, FloatArray],
    edges: Mapping[str, float],
    most: int,
) -> tuple[Weights, ModelCard]:
    """Return weights and card with a last member whose units compare moments: unit j is max(cos(U, moment j) − θ, 0).

    A taught class is a part of "other". Where nothing looks like a lesson, all parts together have the probability
    that "other" had before any lesson, so trained gestures lose nothing. Its own units can only add to a class.

    ``weights`` and ``before`` are the model's, ``card`` has the new classes, and ``kept`` the moments of each taught
    one. ``edges`` has those of classes that get a new one; other classes keep theirs.
    """
    spec, trained = before.traces, without_moments(weights, before)
    members, units = len(trained[HIDDEN]), spec.hidden
    hidden, bias = np.zeros((memory.size, units), np.float32), np.zeros(units, np.float32)
    rows = np.zeros((len(card.classes), (members + 1) * units), np.float32)
    known, compared = rows[:, : members * units], rows[:, members * units :]
    offsets = np.zeros(len(card.classes), np.float32)
    for row, name in enumerate(card.classes):
        if name in before.classes:
            known[row] = weights[WEIGHT][before.classes.index(name), : members * units]
            offsets[row] = weights[BIAS][before.classes.index(name)]
    lower = lowered(weights, before) | {name: GAIN * edge for name, edge in edges.items()}
    other, at = card.classes.index(OTHER), 0
    offsets[other] = other_offset(weights, before, [lower[name] for name in kept])
    for name, moments in kept.items():
        row, (examples, shares) = card.classes.index(name), memory.compared(moments, most, spec.alphas)
        own = slice(at, at := at + len(examples))
        hidden[:, own], bias[own] = examples.T / np.float32(np.sqrt(memory.size)), -LEAST_COSINE
        known[row] = known[other]
        compared[row, own] = GAIN * shares
        offsets[row] = offsets[other] - lower[name]
    unmixed = np.eye(len(memory.mix), dtype=np.float32)
    made = {
        PROJECT: np.concatenate([trained[PROJECT], memory.project]),
        OFFSET: np.concatenate([trained[OFFSET], memory.bias]),
        HIDDEN: np.concatenate([trained[HIDDEN], hidden[None]]),
        HIDDEN_BIAS: np.concatenate([trained[HIDDEN_BIAS], bias[None, None]]),
        MIX: np.stack([*[unmixed] * members, memory.mix]),
        WEIGHT: rows,
        BIAS: offsets,
    }
    return weights | made, replace(card, traces=replace(spec, members=members + 1, mixed=True))


def lowered(weights: Weights, card: ModelCard) -> dict[str, float]:
    """Return by how much the output of each taught class is below that for "other" where nothing looks like it."""
    bias = dict(zip(card.classes, weights[BIAS].tolist(), strict=True))
    return {name: bias[OTHER] - bias[name] for name in card.taught}


def other_offset(weights: Weights, card: ModelCard, lower: Iterable[float]) -> float:
    """Return the bias of "other" beside taught classes whose outputs are ``lower`` than its own by so much.

    ``weights`` and ``card`` are the model's, whatever it was taught: all that shares with "other" is added up first.
    """

    def parts(below: Iterable[float]) -> float:
        return card.temperature * float(np.logaddexp.reduce([0.0, *(-each / card.temperature for each in below)]))

    whole = float(weights[BIAS][card.classes.index(OTHER)]) + parts(lowered(weights, card).values())
    return whole - parts(lower)
