"""When a taught gesture is named: the detector that is learned from a lesson, in either of two ways.

A model with an `Embedding` compares each moment with those of the lesson. Any other one gets one more row in its
read-out. Where either one is more likely than all other classes together, the gesture is named.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import DataError, ModelError
from livesnn.events.slicer import Frame
from livesnn.files import replace_file
from livesnn.infer.decide import THRESHOLD
from livesnn.infer.model import Model, pooled_spikes
from livesnn.infer.onnx_engine import MIX
from livesnn.infer.reason import OTHER
from livesnn.infer.spikes.trace_read_out import EPSILON, Dense, hidden_units
from livesnn.paths import cache_dir
from livesnn.progress import Progress
from livesnn.simulate.gestures import VERSION, Use, clip_frames
from livesnn.simulate.motions import GESTURES, IDLE, WALKING
from livesnn.teach.lesson import MOVES, Clip, Take, moved, still_before
from livesnn.teach.model import BIAS, EMBEDDING, HIDDEN, HIDDEN_BIAS, OFFSET, PROJECT, SIMULATED, WEIGHT, FloatArray
from livesnn.untrusted import DAMAGE
from livesnn.weights import Weights, load_tensors

EMPTY = np.zeros((0, 0), np.float32)


class Windows(NamedTuple):
    """Whole windows of clips.

    Moments and currents are empty without an `Embedding`.
    """

    units: FloatArray  # [N, F + 1]: what the read-out's rows are multiplied by, means of windows
    moments: FloatArray = EMPTY  # [N · window, `Embedding.size`]: a unit vector for each frame
    currents: FloatArray = EMPTY  # [N · window, D], of the embedding's traces

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        return cls(*(joined(arrays) for arrays in zip(*parts, strict=True)))

    def chosen(self, windows: npt.NDArray[np.bool_]) -> Windows:
        """Return the windows that are chosen, bool [N], without currents."""
        frames = np.repeat(windows, len(self.moments) // max(len(windows), 1))
        return Windows(self.units[windows], self.moments[frames] if len(frames) else self.moments)


class Embedding(NamedTuple):
    """How spikes s become moments: traces of P · s + p, as in any member of the read-out, mixed by M, and normalised.

    Nothing of it was trained with classes. P are principal components of simulated people's spikes, and M makes the
    decays of a trace independent of each other. All arrays are float32.
    """

    project: FloatArray  # P [D, F]
    bias: FloatArray  # p [D]
    mix: FloatArray  # M [K, K]
    rest: FloatArray  # [D]: the mean of P · s + p while simulated people stand still
    alphas: tuple[float, ...]  # of the K traces

    @classmethod
    def of(cls, folder: Path, weights: Weights, card: ModelCard) -> Embedding | None:
        """Return a model's; None if it has none. Raises ModelError if its file is damaged or of another network."""
        spec, decays = card.traces, len(card.traces.alphas)
        if card.readout != "traces" or OTHER not in card.classes:
            return None
        if not (file := folder / EMBEDDING).is_file():
            project, bias = (weights[name][-spec.width :] for name in (PROJECT, OFFSET))
            return cls(project, bias, weights[MIX][-1], bias, spec.alphas) if spec.mixed else None
        kept = load_tensors(file)
        try:
            bias = kept["project.bias"]
            rest = kept.get("rest", bias)  # older files have no rest
            made = cls(kept["project.weight"], bias, kept["mix"], rest, spec.alphas)
        except KeyError as error:
            raise ModelError(f"{file} can't be read ({error}): copy the model again") from error
        shapes = [(spec.width, weights[PROJECT].shape[1]), (spec.width,), (decays, decays), (spec.width,)]
        if [each.shape for each in (made.project, bias, made.mix, rest)] != shapes:
            raise ModelError(f"{file} belongs to another network: copy the model again")
        return made

    @property
    def size(self) -> int:
        return len(self.mix) * len(self.bias)

    def moment(self, current: FloatArray, before: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return moment [size] and traces [K, D] after a current P · s + p [D]."""
        decay = np.array(self.alphas, np.float32)[:, None]
        traces = decay * before + (1 - decay) * current
        mixed = (self.mix @ traces).ravel()
        normed = (mixed - mixed.mean()) / np.sqrt(mixed.var() + EPSILON)
        return normed / np.float32(np.sqrt(self.size)), traces


def windows_of(clip: Clip, model: Model, weights: Weights, embedding: Embedding | None = None) -> Windows:
    """Return the whole windows of a clip, with the state carried through it from zero.

    A read-out of traces has outputs [W | b] · [h[t], 1] of its hidden units h[t], whose means are the units.
    Otherwise, the membrane of the output layer is U[t] = α · U[t−1] + W · s[t] + b (paper, Eq. 1), where s[t] are
    the pooled spikes of blocks 3 and 4. So the mean output of a class over a window is its row of [W | b] times the
    mean of x[t] = α · x[t−1] + [s[t], 1], which are the units.
    """
    card, state, window = model.card, model.initial_state(), model.card.input.window
    dense = Dense.of(weights, card) if card.readout == "traces" else None
    alpha = np.float32(0 if dense else card.neuron.alpha)
    x, traces = np.zeros(1, np.float32), np.zeros((len(card.traces.alphas), 1), np.float32)
    units, moments, currents = [], [], []
    for data in clip[: len(clip) // window * window]:
        _, state = model.step(Frame(0, data, 0), state)
        read = hidden_units(dense, state[-1]) if dense else pooled_spikes(card, state)
        x = alpha * x + np.append(read, np.float32(1))
        units.append(x)
        if embedding is not None:
            currents.append(embedding.project @ pooled_spikes(card, state) + embedding.bias)
            moment, traces = embedding.moment(currents[-1], traces)
            moments.append(moment)
    if not units:
        return Windows(EMPTY)
    means = np.array(units, np.float32).reshape(-1, window, len(x)).mean(1)
    return Windows(means, *(np.array(each or EMPTY, np.float32) for each in (moments, currents)))


def rest_before(take: Take, model: Model, weights: Weights, embedding: Embedding) -> FloatArray:
    """Return the mean current [D] before a take, or that of simulated people if nobody stands still there."""
    window = model.card.input.window
    still = still_before(take, window)
    if not still.any():
        return embedding.rest
    before = take.before[len(take.before) % window :]
    currents = windows_of(before, model, weights, embedding).currents[window:]
    return currents.reshape(len(still), window, -1)[still].mean((0, 1))


def without_moments(weights: Weights, card: ModelCard) -> Weights:
    """Return the weights of the read-out's members that were trained, and of all before them."""
    spec = card.traces
    plain = spec.members - spec.mixed
    parts = {PROJECT: plain * spec.width, OFFSET: plain * spec.width, HIDDEN: plain, HIDDEN_BIAS: plain}
    kept = {name: array for name, array in weights.items() if name != MIX}
    return kept | {name: weights[name][:count] for name, count in parts.items()}


def with_units(windows: Windows, weights: Weights, card: ModelCard) -> Windows:
    """Return windows whose units are only those of trained members with all that the read-out's rows read."""
    parts = [windows.units]
    if card.traces.mixed:
        hidden = weights[HIDDEN][-1] * np.float32(np.sqrt(len(weights[HIDDEN][-1])))
        compared = np.maximum(windows.moments @ hidden + weights[HIDDEN_BIAS][-1], 0)
        parts.append(compared.reshape(len(windows.units), -1, compared.shape[-1]).mean(1))
    ones = np.ones((len(windows.units), 1), np.float32)
    return windows._replace(units=np.concatenate([*parts, ones], axis=1))


def drawn(windows: FloatArray, most: int) -> FloatArray:
    return windows[np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)]


def joined(parts: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([part for part in parts if len(part)] or [EMPTY])


PEOPLE, KEPT_ASIDE_PEOPLE = 25, 8
"""People for each gesture, for idle and for walking by, to learn from; and other people to measure with."""
CLIP_WINDOWS = 2  # Windows in the clip of each person


class Negatives(NamedTuple):
    """Windows float32 [N, F + 1] of known classes, to learn from and to measure with."""

    learned: FloatArray
    kept_aside: FloatArray


def simulated_negatives(
    model: Model,
    weights: Weights,
    progress: Progress,
    people: int = PEOPLE,
    kept_aside_people: int = KEPT_ASIDE_PEOPLE,
) -> Negatives:
    """Return windows of simulated people who perform what ``model`` was trained on: 30 s, then from the cache."""
    total, nothing = people + kept_aside_people, _nothing(model.card)

    def simulated() -> dict[str, FloatArray]:
        parts: dict[str, list[FloatArray]] = {"learned": [], "kept_aside": []}
        for number in range(total):
            use: Use = "train" if number < people else "validation"
            part, seed = ("learned", number) if number < people else ("kept_aside", number - people)
            for name in (*GESTURES, nothing[seed % len(nothing)]):
                clip = clip_frames(name, seed, model.card.input, use, CLIP_WINDOWS)
                parts[part].append(windows_of(clip, model, weights).units)
            progress((number + 1) / total)
        return {part: np.concatenate(units) for part, units in parts.items()}

    return Negatives(**_cached(f"known-{_key(model.card, weights, people, kept_aside_people)}.npz", simulated))


def simulated_moments(model: Model, weights: Weights, embedding: Embedding, progress: Progress) -> dict[str, Windows]:
    """Return windows of simulated people by what they perform, cached for the network, whatever it was taught."""
    card, trained = model.card, without_moments(weights, model.card)
    performed = (*GESTURES, *_nothing(card))

    def simulated() -> dict[str, FloatArray]:
        made: dict[str, FloatArray] = {}
        for number, name in enumerate(performed, 1):
            clips = (
                clip_frames(name, seed, card.input, "validation", CLIP_WINDOWS) for seed in range(KEPT_ASIDE_PEOPLE)
            )
            windows = Windows.joined([windows_of(clip, model, weights, embedding) for clip in clips])
            made[f"{name} units"] = windows.units[:, : trained[HIDDEN_BIAS].size]
            made[f"{name} moments"] = windows.moments
            progress(number / len(performed))
        return made

    embedded = {name: getattr(embedding, name) for name in ("project", "bias", "mix", "rest")}
    key = _key(card, trained | embedded, KEPT_ASIDE_PEOPLE, 0)
    kept = _cached(f"moments-{key}.npz", simulated)
    known = {name: Windows(kept[f"{name} units"], kept[f"{name} moments"]) for name in performed}
    return {name: with_units(windows, weights, card) for name, windows in known.items()}


def _nothing(card: ModelCard) -> tuple[str, ...]:
    """Return what people do who perform nothing; who walks by may never cause a fixed number of events."""
    return (IDLE, WALKING) if card.input.slice.delta_t_us else (IDLE,)


def _cached(name: str, make: Callable[[], dict[str, FloatArray]]) -> dict[str, FloatArray]:
    """Return arrays from a file of the cache, or make and keep them, as float16."""
    file = cache_dir() / name
    with suppress(*DAMAGE), file.open("rb") as octets, np.load(octets, allow_pickle=False) as kept:
        return {each: kept[each].astype(np.float32) for each in kept.files}
    arrays, made = make(), io.BytesIO()
    halves: dict[str, Any] = {each: array.astype(np.float16) for each, array in arrays.items()}
    np.savez(made, **halves)
    with suppress(OSError):  # without a cache they are made again
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, made.getvalue())
    return arrays


def _key(card: ModelCard, weights: Weights, people: int, kept_aside_people: int) -> str:
    """Return a key that is the same for all models with the same network, whatever their read-outs were taught."""
    simulated = (VERSION, people, kept_aside_people, CLIP_WINDOWS)
    network = (card.input, card.network, card.neuron, card.traces.alphas)
    key = blake2b(repr((simulated, network)).encode(), digest_size=8)
    for name in sorted(weights):
        if not name.startswith("classify."):
            key.update(name.encode() + weights[name].tobytes())
    return key.hexdigest()


KEPT_ASIDE = 4  # One in so many windows is held out at first: the last ones of each clip

MOST_OTHERS = 2000
"""Largest number of windows of ``others``, evenly drawn; memory grows with the square of the number."""


class Examples(NamedTuple):
    """What a class is learned from, and the model that learns it."""

    gesture: str
    takes: Sequence[Take]
    others: Sequence[Clip]
    model: Model
    weights: Weights
    rows: FloatArray  # Of all classes that the model has, see `model.rows_of`
    earlier: Mapping[str, FloatArray]  # What `model.TAUGHT` has of each class
    windows: Windows  # Of the takes
    aside: npt.NDArray[np.bool_]  # Which of these are held out at first

    @property
    def other_rows(self) -> FloatArray:
        return self.rows[[name != self.gesture for name in self.model.card.classes]]

    @property
    def card_with_gesture(self) -> ModelCard:
        card = self.model.card
        return card if self.gesture in card.classes else replace(card, classes=(*card.classes, self.gesture))


class Detector(NamedTuple):
    """A new class, in the weights and the card of the model that results."""

    weights: Weights
    card: ModelCard
    kept: dict[str, FloatArray]  # What `model.TAUGHT` will have
    named: Callable[[Windows], int]  # In how many windows the class is named, learned without those kept aside
    taken: dict[str, int]  # Of the ``known`` windows of other classes, those in which it is, by class
    known: int


def held_out(lengths: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return which windows to hold out of clips with so many: the last of each clip, or of all if they are short."""
    last = [np.arange(length) >= length - length // KEPT_ASIDE for length in lengths]
    kept = np.concatenate(last or [np.zeros(0, bool)])
    return kept if kept.any() else np.arange(len(kept)) >= len(kept) - max(1, len(kept) // KEPT_ASIDE)


def _named(outputs: FloatArray, units: FloatArray, rows: FloatArray, card: ModelCard) -> int:
    """Return in how many windows a class is named that has these outputs, beside the classes of ``rows``."""
    return int((probability(outputs, units, rows, card.temperature) >= THRESHOLD).sum())


def probability(outputs: FloatArray, x: FloatArray, rows: FloatArray, temperature: float) -> FloatArray:
    """Return the probability of a class with outputs [N] beside those of ``rows``, float32 [N], for x [N, F + 1]."""
    others = np.logaddexp.reduce((x @ rows.T).astype(np.float64) / temperature, axis=1)
    return _sigmoid(outputs / temperature - others).astype(np.float32)


def _sigmoid(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 0.5 * (1 + np.tanh(z / 2))


# One more row of the read-out

DECAY = 1.0  # Weight of the row's squared norm; from 0.3 to 10 only the last window in thirty changed
MOST_STEPS, CONVERGED = 500, 1e-3
"""Largest number of steps of the fit, and the change of the outputs at which it ends."""


def learn_row(given: Examples, progress: Progress) -> Detector:
    model, weights, gesture, aside = given.model, given.weights, given.gesture, given.aside
    card, before, taught = given.card_with_gesture, dict(given.earlier), given.windows.units
    earlier = before.pop(gesture, taught[:0])
    copied = [[windows_of(copy, model, weights).units for copy in moved(take.clip)] for take in given.takes]
    copies = [joined(copy) for copy in zip(*copied, strict=True)]
    negatives = _negatives(given, before, progress)
    # Windows that were taught earlier have no shifted copies: each is repeated instead.
    again = np.repeat(drawn(earlier, MOST_OTHERS // (1 + len(MOVES))), 1 + len(MOVES), axis=0)
    fit = partial(fit_row, rows=given.other_rows, temperature=card.temperature)
    trial = fit(joined([again, taught[~aside], *(copy[~aside] for copy in copies)]), negatives.learned)
    row = fit(joined([again, taught, *copies]), joined(negatives))
    rows = np.concatenate([given.rows, row[None]])[: len(card.classes)]
    rows[card.classes.index(gesture)] = row

    def named(windows: Windows) -> int:
        units = windows.units
        return _named(units @ trial, units, given.other_rows, card) if len(units) else 0

    return Detector(
        weights | {WEIGHT: rows[:, :-1], BIAS: rows[:, -1]},
        card,
        before | {gesture: joined([earlier, taught])},
        named,
        {"": taken} if (taken := named(Windows(negatives.kept_aside))) else {},
        len(negatives.kept_aside),
    )


def _negatives(given: Examples, before: Mapping[str, FloatArray], progress: Progress) -> Negatives:
    """Return what the new class must not be confused with: trained classes, those taught ``before``, and others."""
    model, weights = given.model, given.weights
    parts = [simulated_negatives(model, weights, progress)] if model.card.dataset == SIMULATED else []
    others = joined(windows_of(clip, model, weights).units for clip in given.others)
    for windows in (others, *before.values()):
        some = drawn(windows, MOST_OTHERS)
        aside = held_out([len(some)])
        parts.append(Negatives(some[~aside], some[aside]))
    negatives = Negatives(joined(part.learned for part in parts), joined(part.kept_aside for part in parts))
    if not len(negatives.learned):
        raise DataError("--others has fewer than two whole windows: give longer recordings")
    return negatives


def fit_row(taught: FloatArray, known: FloatArray, rows: FloatArray, temperature: float) -> FloatArray:
    """Return float32 [F + 1]: weights and bias of a class that is likely for ``taught`` and not for ``known``.

    The rows of the other classes stay as they are, so this is a logistic regression::

        P(new) = σ(z − log Σ_k exp z_k),    z = x · row / temperature

    Its cross-entropy plus `DECAY` times the row's squared norm is minimised; all taught windows together weigh as
    much as those of one known class. The steps minimise a quadratic upper bound, so they can't go too far (Böhning &
    Lindsay 1988, "Monotonicity of quadratic-approximation algorithms"). There are as many unknowns as windows.

    ``taught`` and ``known`` are float32 [N, F + 1] and [M, F + 1], as `Windows.units`; ``rows`` are those of the
    known classes, float32 [K, F + 1].
    """
    x = np.concatenate([known, taught]).astype(np.float64)
    others = np.logaddexp.reduce(x @ rows.T.astype(np.float64) / temperature, axis=1)
    is_taught = np.arange(len(x)) >= len(known)
    weight = np.where(is_taught, len(known) / len(rows) / len(taught), 1.0)
    gram = x @ x.T
    solve = np.linalg.inv(gram + np.diag(DECAY * 4 / weight))
    shares = np.zeros(len(x))
    z = gram @ shares
    for _ in range(MOST_STEPS):
        shares = solve @ (z + 4 * (is_taught - _sigmoid(z - others)))
        before, z = z, gram @ shares
        if np.abs(z - before).max() < CONVERGED:
            break
    return (x.T @ shares * temperature).astype(np.float32)


# Moments that are compared

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

OTHERS_TAKEN = 0.02  # Share of the windows of ``others`` that may be taken for the class


def learn_moments(given: Examples, embedding: Embedding, lengths: Sequence[int], progress: Progress) -> Detector:
    """Keep moments of the lesson, with which the class compares what it sees; ``lengths``: windows of each clip."""
    model, weights, gesture = given.model, given.weights, given.gesture
    card, window, kept = model.card, model.card.input.window, dict(given.earlier)
    earlier = kept.pop(gesture, np.zeros((0, embedding.size), np.float32))
    most = room(card, len(kept) + 1)
    if not most:
        raise ModelError(f"{card.name} has no room for another gesture: teach a model with fewer taught gestures")
    ends = np.cumsum(lengths)[:-1]
    rests = [rest_before(take, model, weights, embedding) for take in given.takes]
    clips = list(zip(*(np.split(part, window * ends) for part in given.windows[1:]), rests, strict=True))
    learned = [window * np.count_nonzero(~out) for out in np.split(given.aside, ends)]
    early = [(moments[:n], currents[:n], rest) for (moments, currents, rest), n in zip(clips, learned, strict=True)]
    kept[gesture] = joined([earlier, examples(clips, embedding)])
    trial = compared(joined([earlier, examples(early, embedding)]), most, embedding)

    def excess(moments: FloatArray) -> FloatArray:
        return likeness(moments, *trial).reshape(-1, window).mean(1)

    edge, others = EDGE, joined(windows_of(clip, model, weights, embedding).moments for clip in given.others)
    if len(others):
        edge = max(edge, float(np.quantile(excess(others), 1 - OTHERS_TAKEN)))

    lower = lowered(weights, card) | {gesture: GAIN * edge}
    rows, other = given.rows.copy(), card.classes.index(OTHER)
    rows[other, -1] = other_offset(weights, card, [lower[name] for name in kept])
    beside = given._replace(rows=rows).other_rows

    def named(windows: Windows) -> int:
        outputs = windows.units @ rows[other] + GAIN * (excess(windows.moments) - edge)
        return _named(outputs, windows.units, beside, card)

    known = simulated_moments(model, weights, embedding, progress) if card.dataset == SIMULATED else {}
    taken = {name: named(windows) for name, windows in known.items()}
    return Detector(
        *with_moments(weights, card, given.card_with_gesture, embedding, kept, {gesture: edge}, most),
        kept,
        named,
        {name: count for name, count in taken.items() if count},
        sum(len(windows.units) for windows in known.values()),
    )


def room(card: ModelCard, classes: int) -> int:
    """Return how many moments each of so many taught classes can compare with."""
    return min(MOST_COMPARED, card.traces.hidden // classes)


def onsets(currents: FloatArray, rest: FloatArray, embedding: Embedding) -> FloatArray:
    """Return moments [N, size] of performances that begin in every `ONSET_EVERY`th frame of currents [T, D].

    ``rest`` [D] is the current before them.
    """
    found = []
    for first in range(0, len(currents) - ONSETS[-1] + 1, ONSET_EVERY):
        traces = np.tile(rest, (len(embedding.alphas), 1))
        for frame, current in enumerate(currents[first : first + ONSETS[-1]], 1):
            moment, traces = embedding.moment(current, traces)
            if frame in ONSETS:
                found.append(moment)
    return np.array(found or EMPTY, np.float32)


def examples(clips: Iterable[tuple[FloatArray, FloatArray, FloatArray]], embedding: Embedding) -> FloatArray:
    """Return what is kept [E, size] of each clip's moments and currents, and of the current before it."""
    steady, begun = [], []
    for moments, currents, rest in clips:
        steady.append(moments[min(FIRST, len(moments) // 2) :: EVERY])
        begun.append(onsets(currents, rest, embedding))
    return joined([*steady, drawn(joined(begun), len(joined(steady)) // 3)])


def faded(moments: FloatArray, embedding: Embedding) -> FloatArray:
    """Return what becomes of moments [N, size] without any spikes, in turn after each of `FADED_FRAMES`.

    Mixed traces have a variance of 1, by the choice of M. So traces follow from a moment, which is normalised.
    """
    mix, bias, size = embedding.mix, embedding.bias, embedding.size
    traces = np.linalg.solve(mix, (moments * np.sqrt(size)).reshape(-1, len(mix), len(bias)))
    frames = np.resize(FADED_FRAMES, len(moments))
    left = (np.array(embedding.alphas) ** frames[:, None])[..., None]
    mixed = (mix @ (left * traces + (1 - left) * bias)).reshape(len(moments), size)
    mixed -= mixed.mean(1, keepdims=True)
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)


def compared(moments: FloatArray, most: int, embedding: Embedding) -> tuple[FloatArray, FloatArray]:
    """Return the moments that a class compares with, at ``most`` [E, size], and the weight of each [E]."""
    gone = int(FADED * most)
    plain, remains = drawn(moments, most - gone), faded(drawn(moments, gone), embedding)
    weights = np.repeat((1 / len(plain), -AGAINST / max(len(remains), 1)), (len(plain), len(remains)))
    return np.concatenate([plain, remains]), weights.astype(np.float32)


def likeness(moments: FloatArray, others: FloatArray, weights: FloatArray) -> FloatArray:
    """Return how much closer than `LEAST_COSINE` moments [N, D] are to the others [E, D], weighted: [N]."""
    return np.maximum(moments @ others.T - np.float32(LEAST_COSINE), 0) @ weights


def with_moments(
    weights: Weights,
    before: ModelCard,
    card: ModelCard,
    embedding: Embedding,
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
    hidden, bias = np.zeros((embedding.size, units), np.float32), np.zeros(units, np.float32)
    rows = np.zeros((len(card.classes), (members + 1) * units), np.float32)
    known, own_units = rows[:, : members * units], rows[:, members * units :]
    offsets = np.zeros(len(card.classes), np.float32)
    for row, name in enumerate(card.classes):
        if name in before.classes:
            known[row] = weights[WEIGHT][before.classes.index(name), : members * units]
            offsets[row] = weights[BIAS][before.classes.index(name)]
    lower = lowered(weights, before) | {name: GAIN * edge for name, edge in edges.items()}
    other, at = card.classes.index(OTHER), 0
    offsets[other] = other_offset(weights, before, [lower[name] for name in kept])
    for name, moments in kept.items():
        row, (with_which, shares) = card.classes.index(name), compared(moments, most, embedding)
        own = slice(at, at := at + len(with_which))
        hidden[:, own], bias[own] = with_which.T / np.float32(np.sqrt(embedding.size)), -LEAST_COSINE
        known[row] = known[other]
        own_units[row, own] = GAIN * shares
        offsets[row] = offsets[other] - lower[name]
    unmixed = np.eye(len(embedding.mix), dtype=np.float32)
    made = {
        PROJECT: np.concatenate([trained[PROJECT], embedding.project]),
        OFFSET: np.concatenate([trained[OFFSET], embedding.bias]),
        HIDDEN: np.concatenate([trained[HIDDEN], hidden[None]]),
        HIDDEN_BIAS: np.concatenate([trained[HIDDEN_BIAS], bias[None, None]]),
        MIX: np.stack([*[unmixed] * members, embedding.mix]),
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
