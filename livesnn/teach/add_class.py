"""Adds a class to a trained model, as one more row of its read-out: clips in, a new model folder out."""

from __future__ import annotations

import io
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from livesnn.card import ModelCard
from livesnn.errors import DAMAGED_ARRAY, DataError, ModelError
from livesnn.events.slicer import Frame
from livesnn.files import replace_file
from livesnn.infer.decide import THRESHOLD, probabilities
from livesnn.infer.model import Model, load_model, model_folder, pooled_spikes
from livesnn.infer.spike_engine import Dense, hidden_units
from livesnn.paths import cache_dir
from livesnn.progress import Progress, untold
from livesnn.simulate.gestures import VERSION, Use, clip_frames
from livesnn.simulate.motions import GESTURES, IDLE, WALKING
from livesnn.teach import (
    AT_REST,
    NOISE,
    SIMULATED,
    AlreadyRecognisedError,
    Lesson,
    Recognised,
    check_lesson,
    check_out,
    recognised_already,
)
from livesnn.teach.clips import MOVES, Clip, moved, movement
from livesnn.weights import (
    GRAPH,
    WEIGHTS,
    Weights,
    dense_layers,
    fold_batch_norm,
    load_weights,
    tensor,
    write_model,
)

TAUGHT = "taught.safetensors"
"""File with the windows that each taught class was learned from, float16 [N, F + 1]. A class that is taught later is
learned against them."""
KEY = "class: "  # Prefix of each name in it, since safetensors has a name of its own
WEIGHT, BIAS = "classify.weight", "classify.bias"
LEAST_WINDOWS = 8
"""Least number of windows of a gesture: four seconds, of which a quarter is held out at first."""

KEPT_ASIDE = 4  # One in so many windows is held out at first: the last ones of each clip

MOST_OTHERS = 2000
"""Largest number of windows of ``others``, evenly drawn; memory grows with the square of the number."""


def teach(
    gesture: str,
    clips: Sequence[Clip],
    model: str | Path,
    out: Path,
    *,
    others: Sequence[Clip] = (),
    progress: Progress = untold,
    go_on: Callable[[Recognised], bool] = lambda recognised: True,
) -> Lesson:
    """Write a model with one more class, or with more of a taught class, into the new folder ``out``.

    Only the row of the class in the read-out is learned; the network and the other rows stay as they are. It is
    learned first without the last quarter of each clip, to measure it, and then from all windows. Raises ModelError
    like `check_lesson`, and if ``out`` is there already or can't be written; DataError if the clips or ``others`` are
    too short, or nothing can be seen in them; AlreadyRecognisedError if ``go_on`` returns False.

    Parameters
    ----------
    clips
        Frames uint8 [T, C, H, W] for the model, of someone who performs the gesture all the time.
    others
        The same of anything else; models that weren't trained on simulated people need it.
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
    before = taught_before(folder, card, rows.shape[1])
    others_rows = rows[[name != gesture for name in card.classes]]
    earlier = before.pop(gesture, rows[:0])
    parts = [window_features(loaded, weights, clip) for clip in clips]
    taught, aside = joined(parts), _kept_aside([len(part) for part in parts])
    _check_windows(len(taught), gesture, card)
    moving = _movement(clips, gesture, card)
    resembles, resembling = _resembles(taught, rows, card)
    recognised = recognised_already(gesture, resembles, resembling, len(taught))
    if recognised is not None and not go_on(recognised):
        raise AlreadyRecognisedError(recognised)
    copied = [[window_features(loaded, weights, copy) for copy in moved(clip)] for clip in clips]
    copies = [joined(copy) for copy in zip(*copied, strict=True)]
    known = _known(loaded, weights, others, before, progress)
    # Windows that were taught earlier have no shifted copies: each is repeated instead.
    shown = np.repeat(_drawn(earlier, MOST_OTHERS // (1 + len(MOVES))), 1 + len(MOVES), axis=0)
    fit = partial(fit_row, rows=others_rows, temperature=card.temperature)
    trial = fit(joined([shown, taught[~aside], *(copy[~aside] for copy in copies)]), known.learned)
    row = fit(joined([shown, taught, *copies]), joined(list(known)))
    write_taught(folder, out, gesture, row, before | {gesture: joined([earlier, taught])})
    return Lesson(
        folder=str(out),
        gesture=gesture,
        windows=len(taught),
        right=_decided(taught[aside], trial, others_rows, card),
        kept_aside=int(aside.sum()),
        taken=_decided(known.kept_aside, trial, others_rows, card),
        known=len(known.kept_aside),
        resembles=resembles,
        resembling=resembling,
        movement=round(moving, 1),
        at_rest=moving < AT_REST and card.dataset == SIMULATED,
    )


def _kept_aside(lengths: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return which windows to hold out of clips with so many: the last of each clip, or of all if they are short."""
    last = [np.arange(length) >= length - length // KEPT_ASIDE for length in lengths]
    kept = np.concatenate(last or [np.zeros(0, bool)])
    return kept if kept.any() else np.arange(len(kept)) >= len(kept) - max(1, len(kept) // KEPT_ASIDE)


def _check_windows(windows: int, gesture: str, card: ModelCard) -> None:
    if windows < LEAST_WINDOWS:
        seconds = LEAST_WINDOWS * card.input.window * (card.input.slice.delta_t_us or 0) / 1e6
        long = f" ({seconds:g} s)" if seconds else ""
        raise DataError(
            f"{windows} whole windows of {gesture} are too few to learn from: record {LEAST_WINDOWS}{long} or more"
        )


def _known(
    model: Model,
    weights: Weights,
    others: Sequence[Clip],
    before: Mapping[str, FloatArray],
    progress: Progress,
) -> Known:
    """Return what the new class must not be confused with: trained classes, taught classes, and ``others``."""
    parts = [known_people(model, weights, progress)] if model.card.dataset == SIMULATED else []
    shown = [window_features(model, weights, clip) for clip in others]
    for windows in (joined(shown), *before.values()):
        drawn = _drawn(windows, MOST_OTHERS)
        aside = _kept_aside([len(drawn)])
        parts.append(Known(drawn[~aside], drawn[aside]))
    known = Known(joined([part.learned for part in parts]), joined([part.kept_aside for part in parts]))
    if not len(known.learned):
        raise DataError("--others has fewer than two whole windows: give longer recordings")
    return known


def _decided(windows: FloatArray, row: FloatArray, rows: FloatArray, card: ModelCard) -> int:
    """Return how many windows are decided as the class of ``row``."""
    if not len(windows):
        return 0
    return int((probability(windows, row, rows, card.temperature) >= THRESHOLD).sum())


def _drawn(windows: FloatArray, most: int) -> FloatArray:
    return windows[np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)]


def _movement(clips: Sequence[Clip], gesture: str, card: ModelCard) -> float:
    """Return the median movement of the clip with the least; raises DataError if nothing moves in it."""
    windows = [movement(clip, card.input.window) for clip in clips]
    least = min(float(np.median(each)) for each in windows if len(each))
    if least < (NOISE if card.dataset == SIMULATED else np.nextafter(0, 1)):
        which = " in one of its clips" if len(clips) > 1 else ""
        raise DataError(
            f"nothing can be seen of {gesture}{which}: take off the lens cap, or step into the picture"
        )
    return least


def _resembles(windows: FloatArray, rows: FloatArray, card: ModelCard) -> tuple[str, int]:
    """Return the class as which most windows are decided, and their number; "" and 0 if none is."""
    likely = np.array([probabilities(out, card, temperature=card.temperature) for out in windows @ rows.T])
    decided = np.argmax(likely, axis=1)[likely.max(axis=1) >= THRESHOLD]
    if not len(decided):
        return "", 0
    ((best, times),) = Counter(decided.tolist()).most_common(1)
    return card.classes[best], times


def rows_of(weights: Weights, card: ModelCard) -> FloatArray:
    """Return float32 [K, F + 1]: the weights of the last layer, followed by its biases.

    Raises ModelError that names a tensor of the read-out which is missing or unfit.
    """
    if card.readout == "traces":
        dense_layers(weights, card)
        features = card.traces.members * card.traces.hidden
    else:
        features = sum(map(prod, card.pooled_shapes()))
    shapes = {WEIGHT: (len(card.classes), features), BIAS: (len(card.classes),)}
    weight, bias = (tensor(weights, name, shape) for name, shape in shapes.items())
    return np.concatenate([weight, bias[:, None]], axis=1)


def taught_before(folder: Path, card: ModelCard, features: int) -> dict[str, FloatArray]:
    """Return the windows float32 [N, ``features``] of each class that a model was taught earlier.

    Raises ModelError if their file is damaged or missing, and a new class would be confused with them.
    """
    file = folder / TAUGHT
    again = "copy it again, or teach the model it was made from"
    try:
        kept = load_file(file) if card.taught else {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} can't be read ({error}): {again}") from error
    if missing := {name for name in card.taught if KEY + name not in kept}:
        raise ModelError(f"{file} lacks {', '.join(sorted(missing))}: {again}")
    taught = {name: kept[KEY + name].astype(np.float32) for name in card.taught}
    if any(windows.ndim != 2 or windows.shape[1] != features for windows in taught.values()):
        raise ModelError(f"{file} belongs to another network: {again}")
    return taught


def write_taught(
    base: Path, out: Path, gesture: str, row: FloatArray, taught: Mapping[str, FloatArray]
) -> ModelCard:
    """Write the model in ``base`` with one more class, or a new row of a class, into a new folder; return its card.

    ``row`` is float32 [F + 1], as `fit_row` returns it. ``taught`` has the windows of all taught classes.
    """
    weights, card = load_weights(base / WEIGHTS)
    classes = card.classes if gesture in card.classes else (*card.classes, gesture)
    rows = np.concatenate([rows_of(weights, card), row[None]])[: len(classes)]
    rows[classes.index(gesture)] = row
    weights = weights | {WEIGHT: rows[:, :-1], BIAS: rows[:, -1]}
    card = replace(
        card,
        name=out.name,
        classes=classes,
        taught={name: len(windows) for name, windows in taught.items()},
        accuracy=None,  # measured with other classes
        test=None,
        command=shlex.join(["livesnn", "teach", gesture, "--model", card.name]),
    )
    card = replace(card, states=card.layer_shapes())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".new", dir=out.parent) as made:
            folder = Path(made) / out.name
            folder.mkdir()
            write_model(folder, weights, _graph(base / GRAPH, rows, card), card)
            windows_by_class = {KEY + name: windows.astype(np.float16) for name, windows in taught.items()}
            (folder / TAUGHT).write_bytes(save(windows_by_class))
            (folder / "README.md").write_text(_describe(card), encoding="utf-8")
            load_model(folder, engine="onnx")  # to be sure that it works
            check_out(out)
            if out.exists():
                out.rmdir()  # it is empty
            folder.rename(out)
    except OSError as error:
        raise ModelError(f"{out} can't be written ({error.strerror or error}): give another --out") from error
    return card


def _graph(base: Path, rows: FloatArray, card: ModelCard) -> Any:
    """Return the onnx.ModelProto of a model.onnx with these rows in its read-out."""
    import onnx  # half a second

    model = onnx.load(base)
    graph = model.graph
    values = {WEIGHT: rows[:, :-1], BIAS: rows[:, -1]}
    for each in graph.initializer:
        if (name := each.name.removeprefix("net.")) in values:
            array = np.ascontiguousarray(values.pop(name))
            each.CopyFrom(onnx.numpy_helper.from_array(array, each.name))
    if values:
        raise ModelError(f"{base} has no {' and no '.join(values)}: copy the model again")
    del graph.value_info[:]  # intermediate shapes, which nobody needs
    lengths = {"output": len(rows)} | dict.fromkeys(("readout", "readout.next"), *card.states["readout"])
    for each in (*graph.input, *graph.output):
        if each.name in lengths:
            each.type.tensor_type.shape.dim[-1].dim_value = lengths[each.name]
    onnx.checker.check_model(model)
    return model


def _describe(card: ModelCard) -> str:
    lessons = "\n".join(f"| {name.replace('|', '/')} | {windows} |" for name, windows in card.taught.items())
    return f"""# {card.name}

{len(card.classes)} classes: {", ".join(card.classes)}.

Made by `{card.command}`: the network is unchanged, with one more row in its read-out for each taught class.

| class | windows it was learned from |
|---|---|
{lessons}

How well it works for other people than those who taught it hasn't been measured.
"""


FloatArray = npt.NDArray[np.float32]

PEOPLE, KEPT_ASIDE_PEOPLE = 25, 8
"""People for each gesture, for idle and for walking by, to learn from; and other people to measure with."""
CLIP_WINDOWS = 2  # Windows in the clip of each person
DECAY = 1.0  # Weight of the row's squared norm; from 0.3 to 10 only the last window in thirty changed
MOST_STEPS, CONVERGED = 500, 1e-3
"""Largest number of steps of the fit, and the change of the outputs at which it ends."""


def window_features(model: Model, weights: Weights, clip: Clip) -> FloatArray:
    """Return float32 [N, F + 1] for the N whole windows of a clip, with the state carried through it from zero.

    A read-out of traces has outputs [W | b] · [h[t], 1] of its hidden units h[t], whose means are returned.
    Otherwise, the membrane of the output layer is U[t] = α · U[t−1] + W · s[t] + b (paper, Eq. 1), where s[t] are
    the pooled spikes of blocks 3 and 4. So the mean output of a class over a window is its row of [W | b] times the
    mean of x[t] = α · x[t−1] + [s[t], 1], which is returned.
    """
    card, state, window = model.card, model.initial_state(), model.card.input.window
    dense = Dense.of(weights, card) if card.readout == "traces" else None
    alpha = np.float32(0 if dense else card.neuron.alpha)
    x, features = np.zeros(1, np.float32), []
    for data in clip[: len(clip) // window * window]:
        _, state = model.step(Frame(0, data, 0), state)
        read = hidden_units(dense, state[-1]) if dense else pooled_spikes(card, state)
        x = alpha * x + np.append(read, np.float32(1))
        features.append(x)
    if not features:
        return np.zeros((0, 0), np.float32)
    return np.array(features, np.float32).reshape(-1, window, len(features[0])).mean(1)


def joined(parts: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([part for part in parts if len(part)] or [np.zeros((0, 0), np.float32)])


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
    file = cache_dir() / f"known-{_key(model.card, weights, people, kept_aside_people)}.npz"
    with suppress(*DAMAGED_ARRAY), file.open("rb") as octets, np.load(octets, allow_pickle=False) as kept:
        return Known(kept["learned"].astype(np.float32), kept["kept_aside"].astype(np.float32))
    share = people / (people + kept_aside_people)
    known = Known(
        _people(model, weights, people, "train", lambda done: progress(share * done)),
        _people(
            model,
            weights,
            kept_aside_people,
            "validation",
            lambda done: progress(share + (1 - share) * done),
        ),
    )
    made = io.BytesIO()
    np.savez(made, **{name: part.astype(np.float16) for name, part in known._asdict().items()})
    with suppress(OSError):  # without a cache they are simulated again
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, made.getvalue())
    return known


def _key(card: ModelCard, weights: Weights, people: int, kept_aside_people: int) -> str:
    """Return a key that is the same for all models with the same network, whatever their read-outs were taught."""
    simulated = (VERSION, people, kept_aside_people, CLIP_WINDOWS)
    key = blake2b(repr((simulated, card.input, card.network, card.neuron)).encode(), digest_size=8)
    for name in sorted(weights):
        if not name.startswith("classify."):
            key.update(name.encode() + weights[name].tobytes())
    return key.hexdigest()


def _people(model: Model, weights: Weights, people: int, use: Use, progress: Progress) -> FloatArray:
    spec, windows = model.card.input, []
    # Someone who walks by may never cause that many events.
    nothing = (IDLE, WALKING) if spec.slice.delta_t_us else (IDLE,)
    for seed in range(people):
        for name in (*GESTURES, nothing[seed % len(nothing)]):
            windows.append(window_features(model, weights, clip_frames(name, seed, spec, use, CLIP_WINDOWS)))
        progress((seed + 1) / people)
    return np.concatenate(windows)


def fit_row(taught: FloatArray, known: FloatArray, rows: FloatArray, temperature: float) -> FloatArray:
    """Return float32 [F + 1]: weights and bias of a class that is likely for ``taught`` and not for ``known``.

    The rows of the other classes stay as they are, so this is a logistic regression::

        P(new) = σ(z − log Σ_k exp z_k),    z = x · row / temperature

    Its cross-entropy plus `DECAY` times the row's squared norm is minimised; all taught windows together weigh as
    much as those of one known class. The steps minimise a quadratic upper bound, so they can't go too far (Böhning &
    Lindsay 1988, "Monotonicity of quadratic-approximation algorithms"). There are as many unknowns as windows.

    ``taught`` and ``known`` are float32 [N, F + 1] and [M, F + 1], as `window_features` returns them; ``rows`` are
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


def probability(x: FloatArray, row: FloatArray, rows: FloatArray, temperature: float) -> FloatArray:
    """Return the probability of the class of ``row`` beside those of ``rows``, float32 [N], for x [N, F + 1]."""
    others = np.logaddexp.reduce((x @ rows.T).astype(np.float64) / temperature, axis=1)
    return sigmoid((x @ row) / temperature - others).astype(np.float32)


def sigmoid(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 0.5 * (1 + np.tanh(z / 2))
