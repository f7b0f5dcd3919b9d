"""Adds a class to a trained model: clips in, a new model folder out.

A model with a `clips.Memory` compares each moment with those of the lesson. Any other one gets one more row in its
read-out.
"""

from __future__ import annotations

import io
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from livesnn.card import Measured, ModelCard
from livesnn.errors import DAMAGED_ARRAY, DataError, ModelError, reason_of
from livesnn.files import replace_file
from livesnn.infer.decide import OTHER, THRESHOLD, probabilities
from livesnn.infer.model import Model, load_model, model_folder
from livesnn.infer.onnx_engine import with_read_out
from livesnn.paths import cache_dir
from livesnn.progress import Progress, no_progress
from livesnn.simulate.gestures import VERSION, Use, clip_frames
from livesnn.simulate.motions import GESTURES, IDLE, WALKING
from livesnn.teach import (
    AT_REST,
    NOISE,
    RECORDINGS,
    SIMULATED,
    AlreadyRecognisedError,
    Lesson,
    Recognised,
    Recordings,
    check_lesson,
    check_out,
    describe_model,
    recognised_already,
    recordings_file,
    recordings_of,
)
from livesnn.teach.clips import (
    BIAS,
    EDGE,
    GAIN,
    HIDDEN_BIAS,
    MEMORY,
    MOST_COMPARED,
    MOVES,
    NO_WINDOWS,
    OFFSET,
    OTHERWISE,
    PROJECT,
    WEIGHT,
    Clip,
    FloatArray,
    Memory,
    Take,
    Watched,
    at_tempo,
    drawn,
    joined,
    likeness,
    lowered,
    moved,
    movement,
    other_offset,
    rest_before,
    still_before,
    watch,
    with_moments,
    with_units,
    without_moments,
)
from livesnn.weights import (
    GRAPH,
    WEIGHTS,
    Weights,
    dense_layers,
    fold_batch_norm,
    load_tensors,
    load_weights,
    tensor,
    write_model,
)

TAUGHT = "taught.safetensors"
"""File with what each taught class was learned from, float16 [N, D]: moments of the lesson, or the windows that the
row of a class that is taught later is learned against."""
KEY = "class: "  # Prefix of each name in it, since safetensors has a name of its own
LEAST_WINDOWS = 8
"""Least number of windows of a gesture: four seconds, of which a quarter is held out at first."""

KEPT_ASIDE = 4  # One in so many windows is held out at first: the last ones of each clip

MOST_OTHERS = 2000
"""Largest number of windows of ``others``, evenly drawn; memory grows with the square of the number."""


def teach(
    gesture: str,
    takes: Sequence[Take | Clip],
    model: str | Path,
    out: Path,
    *,
    others: Sequence[Clip] = (),
    recordings: Recordings = Recordings(),  # noqa: B008 (frozen)
    again: bool = False,
    progress: Progress = no_progress,
    go_on: Callable[[Recognised], bool] = lambda recognised: True,
) -> Lesson:
    """Write a model with one more class, or with more of a taught class, into the new folder ``out``.

    The network and the other classes' rows stay as they are. The class is learned first without the last quarter of
    each clip, to measure it, and then from all windows. Raises ModelError like `check_lesson`, and if ``out`` is
    there already or can't be written; DataError if the takes or ``others`` are too short, or nothing can be seen in
    them; AlreadyRecognisedError if ``go_on`` returns False.

    Parameters
    ----------
    takes
        Frames uint8 [T, C, H, W] for the model, of someone who performs the gesture all the time; or such frames with
        those right before them, in which the person stands still. The gesture is then recognised sooner after a rest.
        The frames before are ignored if somebody moves in them.
    others
        Frames of anything else; models that weren't trained on simulated people need them.
    recordings
        Where ``takes`` and ``others`` come from, to be listed in the model (`recordings_of`): absolute paths.
    again
        Whether earlier lessons of this class are forgotten.
    go_on
        Asked before anything is learned, if the model recognises most windows as a class that it knows.
    """
    out, folder = Path(out), model_folder(model)
    check_out(out)
    card = check_lesson(gesture, folder, others=bool(others))
    loaded, (weights, _) = load_model(folder, engine="onnx"), load_weights(folder / WEIGHTS)
    if loaded.card != card:
        raise ModelError(f"{folder}: its two files belong to different models: export or copy it again")
    try:
        rows = rows_of(fold_batch_norm(weights), card)
    except ModelError as error:
        raise ModelError(f"{folder / WEIGHTS}: {error}") from error
    memory = Memory.of(folder, weights, card)
    earlier = taught_before(folder, card, rows.shape[1] if memory is None else memory.size)
    if again:
        earlier.pop(gesture, None)
    given = [take if isinstance(take, Take) else Take(take, take[:0]) for take in takes]
    window = card.input.window
    lengths = [len(take.clip) // window for take in given]
    _check_windows(windows := sum(lengths), gesture, card)
    shown = Watched.joined([watch(loaded, weights, take.clip, memory) for take in given])
    moving = _movement([take.clip for take in given], gesture, card)
    resembles, resembling = _resembles(shown.units, rows, card)
    recognised = recognised_already(gesture, resembles, resembling, windows)
    if recognised is not None and not go_on(recognised):
        raise AlreadyRecognisedError(recognised)
    aside = _kept_aside(lengths)
    lesson = _Given(gesture, given, others, loaded, weights, rows, earlier, shown, aside)
    learned = _learn_row(lesson, progress) if memory is None else _learn_moments(lesson, memory, lengths, progress)
    measured = Measured(
        right=learned.decided(shown.chosen(aside)),
        kept_aside=int(aside.sum()),
        taken=sum(learned.taken.values()),
        known=learned.known,
        taken_from=learned.taken,
    )
    made = Lesson(
        **vars(measured),
        folder=str(out),
        gesture=gesture,
        windows=windows,
        resembles=resembles,
        resembling=resembling,
        movement=round(moving, 1),
        at_rest=moving < AT_REST and card.dataset == SIMULATED,
        window_s=card.input.window_s,
        restless=any(len(still) > 0 and not still.any() for take in given for still in [still_before(take, window)]),
        otherwise=_otherwise(lesson, memory, learned.decided),
    )
    taught = {name: card.taught.get(name, 0) for name in learned.kept}
    taught[gesture] = windows + (0 if again else taught[gesture])
    card = replace(learned.card, taught=taught, lessons=card.lessons | {gesture: measured})
    files = recordings_of(folder)
    known_before = Recordings() if again else files.get(gesture, Recordings())
    files |= {gesture: known_before + recordings}
    write_taught(folder, out, learned.weights, card, learned.kept, files, (gesture, *["--again"] * again))
    return made


class _Given(NamedTuple):
    """What a lesson starts from."""

    gesture: str
    takes: Sequence[Take]
    others: Sequence[Clip]
    model: Model
    weights: Weights
    rows: FloatArray  # Of all classes that the model has, see `rows_of`
    earlier: dict[str, FloatArray]  # What `TAUGHT` has of each class
    shown: Watched  # The takes
    aside: npt.NDArray[np.bool_]  # Which of their windows are held out at first

    def others_rows(self) -> FloatArray:
        return self.rows[[name != self.gesture for name in self.model.card.classes]]


class Learned(NamedTuple):
    """The new model.

    ``card``: with the new class. ``kept``: what `TAUGHT` will have. ``decided``: returns how many windows are decided
    as the class, where it was learned without those kept aside. ``taken``: of the ``known`` windows of other classes,
    those taken for the new one, by class.
    """

    weights: Weights
    card: ModelCard
    kept: dict[str, FloatArray]
    decided: Callable[[Watched], int]
    taken: dict[str, int]
    known: int


def _learn_row(lesson: _Given, progress: Progress) -> Learned:
    """Learn one more row of the read-out, of mean hidden units or membranes."""
    model, weights, gesture, aside = lesson.model, lesson.weights, lesson.gesture, lesson.aside
    card, before, taught = _with_class(model.card, gesture), dict(lesson.earlier), lesson.shown.units
    earlier = before.pop(gesture, taught[:0])
    copied = [[watch(model, weights, copy).units for copy in moved(take.clip)] for take in lesson.takes]
    copies = [joined(copy) for copy in zip(*copied, strict=True)]
    known = _known(lesson, before, progress)
    # Windows that were taught earlier have no shifted copies: each is repeated instead.
    again = np.repeat(drawn(earlier, MOST_OTHERS // (1 + len(MOVES))), 1 + len(MOVES), axis=0)
    others = lesson.others_rows()
    fit = partial(fit_row, rows=others, temperature=card.temperature)
    trial = fit(joined([again, taught[~aside], *(copy[~aside] for copy in copies)]), known.learned)
    row = fit(joined([again, taught, *copies]), joined(list(known)))
    rows = np.concatenate([lesson.rows, row[None]])[: len(card.classes)]
    rows[card.classes.index(gesture)] = row

    def decided(seen: Watched) -> int:
        return _decided(seen.units @ trial, seen.units, others, card) if len(seen.units) else 0

    return Learned(
        weights | {WEIGHT: rows[:, :-1], BIAS: rows[:, -1]},
        card,
        before | {gesture: joined([earlier, taught])},
        decided,
        {"": taken} if (taken := decided(Watched(known.kept_aside, NO_WINDOWS))) else {},
        len(known.kept_aside),
    )


OTHERS_TAKEN = 0.02  # Share of the windows of ``others`` that may be taken for the class


def _learn_moments(lesson: _Given, memory: Memory, lengths: Sequence[int], progress: Progress) -> Learned:
    """Keep moments of the lesson, with which the class compares what it sees.

    ``lengths`` has the number of windows of each clip.
    """
    model, weights, gesture, aside = lesson.model, lesson.weights, lesson.gesture, lesson.aside
    card, window, kept = model.card, model.card.input.window, dict(lesson.earlier)
    earlier = kept.pop(gesture, np.zeros((0, memory.size), np.float32))
    most = min(MOST_COMPARED, card.traces.hidden // (len(kept) + 1))
    if not most:
        raise ModelError(f"{card.name} has no room for another gesture: teach a model with fewer taught gestures")
    ends, alphas = np.cumsum(lengths)[:-1], card.traces.alphas
    rests = [rest_before(take, model, weights, memory) for take in lesson.takes]
    clips = list(zip(*(np.split(part, window * ends) for part in lesson.shown[1:]), rests, strict=True))
    learned = [window * np.count_nonzero(~out) for out in np.split(aside, ends)]
    early = [(seen[:n], currents[:n], rest) for (seen, currents, rest), n in zip(clips, learned, strict=True)]
    kept[gesture] = joined([earlier, memory.examples(clips, alphas)])
    trial = memory.compared(joined([earlier, memory.examples(early, alphas)]), most, alphas)

    def excess(moments: FloatArray) -> FloatArray:
        return likeness(moments, *trial).reshape(-1, window).mean(1)

    edge, others = EDGE, joined(watch(model, weights, clip, memory).moments for clip in lesson.others)
    if len(others):
        edge = max(edge, float(np.quantile(excess(others), 1 - OTHERS_TAKEN)))

    lower = lowered(weights, card) | {gesture: GAIN * edge}
    rows, other = lesson.rows.copy(), card.classes.index(OTHER)
    rows[other, -1] = other_offset(weights, card, [lower[name] for name in kept])
    beside = lesson._replace(rows=rows).others_rows()

    def decided(seen: Watched) -> int:
        outputs = seen.units @ rows[other] + GAIN * (excess(seen.moments) - edge)
        return _decided(outputs, seen.units, beside, card)

    bank = known_moments(model, weights, memory, progress) if card.dataset == SIMULATED else {}
    taken = {name: decided(seen) for name, seen in bank.items()}
    taught = _with_class(card, gesture)
    return Learned(
        *with_moments(weights, card, taught, memory, kept, {gesture: edge}, most),
        kept,
        decided,
        {name: count for name, count in taken.items() if count},
        sum(len(seen.units) for seen in bank.values()),
    )


def _otherwise(lesson: _Given, memory: Memory | None, decided: Callable[[Watched], int]) -> dict[str, float]:
    """Return which share of the lesson's second half is recognised where it is performed otherwise (`OTHERWISE`)."""
    timed = lesson.model.card.input.slice.delta_t_us is not None  # frames of so many events have no tempo
    halves = [take.clip[len(take.clip) // 2 :] for take in lesson.takes]
    shares = {}
    for name, (moves, tempo) in OTHERWISE.items():
        if tempo == 1 or timed:
            copies = [copy for half in halves for copy in moved(at_tempo(half, tempo), moves)]
            seen = Watched.joined([watch(lesson.model, lesson.weights, copy, memory) for copy in copies])
            if windows := len(seen.units):  # none if all clips are short
                shares[name] = round(decided(seen) / windows, 2)
    return shares


def _with_class(card: ModelCard, gesture: str) -> ModelCard:
    classes = card.classes if gesture in card.classes else (*card.classes, gesture)
    return replace(card, classes=classes)


def _kept_aside(lengths: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return which windows to hold out of clips with so many: the last of each clip, or of all if they are short."""
    last = [np.arange(length) >= length - length // KEPT_ASIDE for length in lengths]
    kept = np.concatenate(last or [np.zeros(0, bool)])
    return kept if kept.any() else np.arange(len(kept)) >= len(kept) - max(1, len(kept) // KEPT_ASIDE)


def _check_windows(windows: int, gesture: str, card: ModelCard) -> None:
    if windows < LEAST_WINDOWS:
        seconds = LEAST_WINDOWS * card.input.window_s
        long = f" ({seconds:g} s)" if seconds else ""
        raise DataError(
            f"{windows} whole window{'s' * (windows != 1)} of {gesture} {'is' if windows == 1 else 'are'} too few to "
            f"learn from: record {LEAST_WINDOWS}{long} or more"
        )


def _known(lesson: _Given, before: Mapping[str, FloatArray], progress: Progress) -> Known:
    """Return what the new class must not be confused with: trained classes, those taught ``before``, and others."""
    model, weights = lesson.model, lesson.weights
    parts = [known_people(model, weights, progress)] if model.card.dataset == SIMULATED else []
    shown = joined(watch(model, weights, clip).units for clip in lesson.others)
    for windows in (shown, *before.values()):
        some = drawn(windows, MOST_OTHERS)
        aside = _kept_aside([len(some)])
        parts.append(Known(some[~aside], some[aside]))
    known = Known(joined(part.learned for part in parts), joined(part.kept_aside for part in parts))
    if not len(known.learned):
        raise DataError("--others has fewer than two whole windows: give longer recordings")
    return known


def _decided(outputs: FloatArray, windows: FloatArray, rows: FloatArray, card: ModelCard) -> int:
    """Return how many windows are decided as a class that has these outputs, beside the classes of ``rows``."""
    return int((probability(outputs, windows, rows, card.temperature) >= THRESHOLD).sum())


def _movement(clips: Sequence[Clip], gesture: str, card: ModelCard) -> float:
    """Return the median movement of the clip with the least; raises DataError if nothing moves in it."""
    windows = [movement(clip, card.input.window) for clip in clips]
    least = min(float(np.median(each)) for each in windows if len(each))
    if least < (NOISE if card.dataset == SIMULATED else np.nextafter(0, 1)):
        which = " in one of its clips" if len(clips) > 1 else ""
        raise DataError(f"nothing can be seen of {gesture}{which}: take off the lens cap, or step into the picture")
    return least


def _resembles(windows: FloatArray, rows: FloatArray, card: ModelCard) -> tuple[str, int]:
    """Return the class as which most windows are decided, and their number; "" and 0 if none is."""
    likely = np.array([probabilities(out, card) for out in windows @ rows.T])
    decided = np.argmax(likely, axis=1)[likely.max(axis=1) >= THRESHOLD]
    if not len(decided):
        return "", 0
    ((best, times),) = Counter(decided.tolist()).most_common(1)
    return card.classes[best], times


def rows_of(weights: Weights, card: ModelCard) -> FloatArray:
    """Return float32 [K, F + 1]: the weights of the last layer, followed by its biases.

    Raises ModelError that names a tensor of the read-out which is missing or unfit.
    """
    features, classes = sum(map(prod, card.pooled_shapes())), len(card.classes)
    if card.readout == "traces":
        dense_layers(weights, card)
        tensor(weights, PROJECT, (card.traces.currents, features))
        tensor(weights, OFFSET, (card.traces.currents,))
        features = card.traces.members * card.traces.hidden
    weight, bias = tensor(weights, WEIGHT, (classes, features)), tensor(weights, BIAS, (classes,))
    return np.concatenate([weight, bias[:, None]], axis=1)


def taught_before(folder: Path, card: ModelCard, features: int) -> dict[str, FloatArray]:
    """Return the windows float32 [N, ``features``] of each class that a model was taught earlier.

    Raises ModelError if their file is damaged or missing, and a new class would be confused with them.
    """
    file = folder / TAUGHT
    again = "copy it again, or teach the model it was made from"
    kept = load_tensors(file) if card.taught else {}
    if missing := {name for name in card.taught if KEY + name not in kept}:
        raise ModelError(f"{file} lacks {', '.join(sorted(missing))}: {again}")
    taught = {name: kept[KEY + name] for name in card.taught}
    if any(not len(windows) or windows.shape[1:] != (features,) for windows in taught.values()):
        raise ModelError(f"{file} belongs to another network: {again}")
    return taught


def write_taught(
    base: Path,
    out: Path,
    weights: Weights,
    card: ModelCard,
    kept: Mapping[str, FloatArray],
    files: Mapping[str, Recordings],
    said: Sequence[str],
) -> None:
    """Write the model in ``base`` with other weights, and with what they were learned from, into a new folder.

    ``kept`` is what `TAUGHT` will have, ``files`` the recordings of each class, and ``said`` what was asked of
    `livesnn teach`, without the model.
    """
    card = replace(
        card,
        name=out.name,
        accuracy=None,  # measured with other classes
        test=None,
        command=shlex.join(["livesnn", "teach", *said, "--model", card.name]),
    )
    card = replace(card, states=card.layer_shapes())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".new", dir=out.parent) as made:
            folder = Path(made) / out.name
            folder.mkdir()
            write_model(folder, weights, with_read_out(base / GRAPH, weights, card), card)
            halves = {KEY + name: array.astype(np.float16) for name, array in kept.items()}
            (folder / TAUGHT).write_bytes(save(halves))
            (folder / RECORDINGS).write_bytes(recordings_file(files, out.parent))
            (folder / "README.md").write_text(describe_model(card), encoding="utf-8")
            if (base / MEMORY).is_file():
                (folder / MEMORY).write_bytes((base / MEMORY).read_bytes())
            load_model(folder, engine="onnx")  # to be sure that it works
            check_out(out)
            if out.exists():
                out.rmdir()  # it is empty
            folder.rename(out)
    except OSError as error:
        raise ModelError(f"{out} can't be written ({reason_of(error)}): give another --out") from error


PEOPLE, KEPT_ASIDE_PEOPLE = 25, 8
"""People for each gesture, for idle and for walking by, to learn from; and other people to measure with."""
CLIP_WINDOWS = 2  # Windows in the clip of each person
DECAY = 1.0  # Weight of the row's squared norm; from 0.3 to 10 only the last window in thirty changed
MOST_STEPS, CONVERGED = 500, 1e-3
"""Largest number of steps of the fit, and the change of the outputs at which it ends."""


class Known(NamedTuple):
    """Windows float32 [N, F + 1] of known classes, to learn from and to measure with."""

    learned: FloatArray
    kept_aside: FloatArray


def known_people(
    model: Model,
    weights: Weights,
    progress: Progress,
    people: int = PEOPLE,
    kept_aside_people: int = KEPT_ASIDE_PEOPLE,
) -> Known:
    """Return windows of simulated people who perform everything that ``model`` was trained on.

    They are cached for its weights. Simulating them takes some 30 s, of which ``progress`` is told.
    """
    total, nothing = people + kept_aside_people, _nothing(model.card)

    def simulated() -> dict[str, FloatArray]:
        parts: dict[str, list[FloatArray]] = {"learned": [], "kept_aside": []}
        for number in range(total):
            use: Use = "train" if number < people else "validation"
            part, seed = ("learned", number) if number < people else ("kept_aside", number - people)
            for name in (*GESTURES, nothing[seed % len(nothing)]):
                clip = clip_frames(name, seed, model.card.input, use, CLIP_WINDOWS)
                parts[part].append(watch(model, weights, clip).units)
            progress((number + 1) / total)
        return {part: np.concatenate(units) for part, units in parts.items()}

    return Known(**_cached(f"known-{_key(model.card, weights, people, kept_aside_people)}.npz", simulated))


def _cached(name: str, make: Callable[[], dict[str, FloatArray]]) -> dict[str, FloatArray]:
    """Return arrays from a file of the cache, or make and keep them, as float16."""
    file = cache_dir() / name
    with suppress(*DAMAGED_ARRAY), file.open("rb") as octets, np.load(octets, allow_pickle=False) as kept:
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


def known_moments(model: Model, weights: Weights, memory: Memory, progress: Progress) -> dict[str, Watched]:
    """Return windows of simulated people by what they perform.

    They are cached for the network, whatever it was taught: units that compare moments are computed of these.
    """
    card, trained = model.card, without_moments(weights, model.card)
    performed = (*GESTURES, *_nothing(card))

    def simulated() -> dict[str, FloatArray]:
        made: dict[str, FloatArray] = {}
        for number, name in enumerate(performed, 1):
            clips = (
                clip_frames(name, seed, card.input, "validation", CLIP_WINDOWS) for seed in range(KEPT_ASIDE_PEOPLE)
            )
            seen = Watched.joined([watch(model, weights, clip, memory) for clip in clips])
            made[f"{name} units"] = seen.units[:, : trained[HIDDEN_BIAS].size]
            made[f"{name} moments"] = seen.moments
            progress(number / len(performed))
        return made

    key = _key(card, trained | memory._asdict(), KEPT_ASIDE_PEOPLE, 0)
    kept = _cached(f"moments-{key}.npz", simulated)
    seen = {name: Watched(kept[f"{name} units"], kept[f"{name} moments"]) for name in performed}
    return {name: with_units(each, weights, card) for name, each in seen.items()}


def _nothing(card: ModelCard) -> tuple[str, ...]:
    """Return what people do who perform nothing; who walks by may never cause a fixed number of events."""
    return (IDLE, WALKING) if card.input.slice.delta_t_us else (IDLE,)


def fit_row(taught: FloatArray, known: FloatArray, rows: FloatArray, temperature: float) -> FloatArray:
    """Return float32 [F + 1]: weights and bias of a class that is likely for ``taught`` and not for ``known``.

    The rows of the other classes stay as they are, so this is a logistic regression::

        P(new) = σ(z − log Σ_k exp z_k),    z = x · row / temperature

    Its cross-entropy plus `DECAY` times the row's squared norm is minimised; all taught windows together weigh as
    much as those of one known class. The steps minimise a quadratic upper bound, so they can't go too far (Böhning &
    Lindsay 1988, "Monotonicity of quadratic-approximation algorithms"). There are as many unknowns as windows.

    ``taught`` and ``known`` are float32 [N, F + 1] and [M, F + 1], as the units of `watch`; ``rows`` are
    those of the known classes, float32 [K, F + 1].
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
        shares = solve @ (z + 4 * (is_taught - sigmoid(z - others)))
        before, z = z, gram @ shares
        if np.abs(z - before).max() < CONVERGED:
            break
    return (x.T @ shares * temperature).astype(np.float32)


def probability(outputs: FloatArray, x: FloatArray, rows: FloatArray, temperature: float) -> FloatArray:
    """Return the probability of a class with outputs [N] beside those of ``rows``, float32 [N], for x [N, F + 1]."""
    others = np.logaddexp.reduce((x @ rows.T).astype(np.float64) / temperature, axis=1)
    return sigmoid(outputs / temperature - others).astype(np.float32)


def sigmoid(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 0.5 * (1 + np.tanh(z / 2))
