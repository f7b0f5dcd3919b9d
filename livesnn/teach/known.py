"""What a model of simulated people knows, as features of windows: what a new class must not be taken for.

Made once for a model's weights, then cached.
"""

from __future__ import annotations

import io
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from livesnn.card import ModelCard
from livesnn.errors import DAMAGED_ARRAY
from livesnn.files import replace_file
from livesnn.infer.model import Model
from livesnn.paths import cache_dir
from livesnn.progress import Progress
from livesnn.simulate.gestures import VERSION, Use, clip_frames
from livesnn.simulate.motions import GESTURES, IDLE, WALKING
from livesnn.teach.features import FloatArray, window_features
from livesnn.weights import Weights

PEOPLE, KEPT_ASIDE_PEOPLE = 25, 8
"""People of each gesture, of idle and of walking by, to learn beside, and others to measure with."""

CLIP_WINDOWS = 2


class Known(NamedTuple):
    """Windows float32 [N, F + 1] to learn beside, and of others to measure with."""

    learned: FloatArray
    kept_aside: FloatArray


def known_people(model: Model, weights: Weights, progress: Progress) -> Known:
    """Return windows of simulated people who perform all that ``model``, of these weights, was trained on.

    ``progress`` is told how much has been simulated; that takes some 30 s, unless it was done before.
    """
    file = cache_dir() / f"known-{_key(model.card, weights)}.npz"
    with suppress(*DAMAGED_ARRAY), file.open("rb") as octets, np.load(octets, allow_pickle=False) as kept:
        return Known(kept["learned"].astype(np.float32), kept["kept_aside"].astype(np.float32))
    share = PEOPLE / (PEOPLE + KEPT_ASIDE_PEOPLE)
    known = Known(
        _people(model, PEOPLE, "train", lambda done: progress(share * done)),
        _people(model, KEPT_ASIDE_PEOPLE, "validation", lambda done: progress(share + (1 - share) * done)),
    )
    made = io.BytesIO()
    np.savez(made, **{name: part.astype(np.float16) for name, part in known._asdict().items()})
    with suppress(OSError):  # a cache that can't be written is made again
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, made.getvalue())
    return known


def _key(card: ModelCard, weights: Weights) -> str:
    """Return what is the same for all models of the same network, whatever their read-outs were taught."""
    simulated = (VERSION, PEOPLE, KEPT_ASIDE_PEOPLE, CLIP_WINDOWS)
    key = blake2b(repr((simulated, card.input, card.network, card.neuron)).encode(), digest_size=8)
    for name in sorted(weights):
        if not name.startswith("classify."):
            key.update(name.encode() + weights[name].tobytes())
    return key.hexdigest()


def _people(model: Model, people: int, use: Use, progress: Progress) -> FloatArray:
    spec, windows = model.card.input, []
    # Frames of so many events may never come of who walks by.
    nothing = (IDLE, WALKING) if spec.slice.delta_t_us else (IDLE,)
    for seed in range(people):
        for name in (*GESTURES, nothing[seed % len(nothing)]):
            windows.append(window_features(model, clip_frames(name, seed, spec, use, CLIP_WINDOWS)))
        progress((seed + 1) / people)
    return np.concatenate(windows)
