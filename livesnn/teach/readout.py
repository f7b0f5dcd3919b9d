"""Windows as features of the read-out, those of simulated people, and the row of a new class fitted to them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import DAMAGED_ARRAY
from livesnn.events.slicer import Frame
from livesnn.files import replace_file
from livesnn.infer.model import Model, State
from livesnn.paths import cache_dir
from livesnn.progress import Progress
from livesnn.simulate.gestures import VERSION, Use, clip_frames
from livesnn.simulate.motions import GESTURES, IDLE, WALKING
from livesnn.teach import read_out_layers
from livesnn.teach.clips import Clip
from livesnn.weights import Weights

FloatArray = npt.NDArray[np.float32]

PEOPLE, KEPT_ASIDE_PEOPLE = 25, 8
"""People for each gesture, for idle and for walking by, to learn from; and other people to measure with."""
CLIP_WINDOWS = 2
"""Windows in the clip of each person."""
DECAY = 1.0
"""Weight of the row's squared norm; from 0.3 to 10 only the last window in thirty changed."""
MOST_STEPS, CONVERGED = 500, 1e-3
"""Largest number of steps of the fit, and the change of the outputs at which it ends."""


def window_features(model: Model, clip: Clip) -> FloatArray:
    """Return float32 [N, F + 1] for the N whole windows of a clip, with the state carried through it from zero.

    The membrane of the output layer is U[t] = α · U[t−1] + W · s[t] + b (paper, Eq. 1), where s[t] are the pooled
    spikes of blocks 3 and 4. So the mean output of a class over a window is its row of [W | b] times the mean of
    x[t] = α · x[t−1] + [s[t], 1], which is returned.
    """
    card, state = model.card, model.initial_state()
    alpha, window = np.float32(card.neuron.alpha), card.input.window
    x, features = np.zeros(1, np.float32), []
    for data in clip[: len(clip) // window * window]:
        _, state = model.step(Frame(0, data, 0), state)
        x = alpha * x + np.append(_pooled_spikes(card, state), np.float32(1))
        features.append(x)
    if not features:
        return np.zeros((0, 0), np.float32)
    return np.array(features, np.float32).reshape(-1, window, len(features[0])).mean(1)


def _pooled_spikes(card: ModelCard, state: State) -> FloatArray:
    """Return float32 [F]: the share of spikes in each cell of the last pools, in the order of `STSResNet`."""
    size, names = card.network.final_pool, list(card.states)
    parts = []
    for layer in read_out_layers(card):
        spikes = np.asarray(state[names.index(layer)]) >= np.float32(card.neuron.threshold)
        channels, rows, columns = len(spikes), spikes.shape[1] // size, spikes.shape[2] // size
        cells = spikes[:, : rows * size, : columns * size].reshape(channels, rows, size, columns, size)
        parts.append(cells.mean((2, 4), dtype=np.float32).ravel())
    return np.concatenate(parts)


def joined(parts: Iterable[FloatArray]) -> FloatArray:
    """Return the windows of all parts; some parts may have none."""
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
        _people(model, people, "train", lambda done: progress(share * done)),
        _people(model, kept_aside_people, "validation", lambda done: progress(share + (1 - share) * done)),
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


def _people(model: Model, people: int, use: Use, progress: Progress) -> FloatArray:
    spec, windows = model.card.input, []
    # Someone who walks by may never cause that many events.
    nothing = (IDLE, WALKING) if spec.slice.delta_t_us else (IDLE,)
    for seed in range(people):
        for name in (*GESTURES, nothing[seed % len(nothing)]):
            windows.append(window_features(model, clip_frames(name, seed, spec, use, CLIP_WINDOWS)))
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
    """Return 1 / (1 + exp(−z)), for any z."""
    return 0.5 * (1 + np.tanh(z / 2))
