"""What a model of simulated people knows, as features of windows: what a new class must not be taken for.

Made once for a model's weights, then cached.
"""

from __future__ import annotations

import io
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from livesnn.events.frames import stack_clip
from livesnn.files import replace_file
from livesnn.infer import Model
from livesnn.paths import cache_dir
from livesnn.progress import Progress
from livesnn.simulate.gestures import RESOLUTION, VERSION, Use, gesture_clip
from livesnn.simulate.motions import GESTURES, IDLE, WALKING
from livesnn.teach.clips import Clip
from livesnn.teach.features import FloatArray, window_features
from livesnn.weights import Weights

DATASET = "gestures-sim"
"""Of the card of a model that knows simulated people; of any other, recordings have to show what it knows."""

PEOPLE, KEPT_ASIDE_PEOPLE = 25, 8
"""People of each gesture, of idle and of walking by, to learn beside, and others to measure with."""

CLIP_WINDOWS = 2


class Known(NamedTuple):
    """Windows float32 [N, F + 1] to learn beside, and of others to measure with."""

    learned: FloatArray
    kept_aside: FloatArray


def known_people(model: Model, weights: Weights, progress: Progress) -> Known:
    """Return windows of simulated people who perform all that ``model``, of these weights, was trained on.

    ``progress`` is told how much has been simulated; that takes some 15 s, unless it was done before.
    """
    file = cache_dir() / f"known-{_key(weights)}.npz"
    with suppress(OSError, ValueError, KeyError), np.load(file, allow_pickle=False) as kept:
        return Known(kept["learned"].astype(np.float32), kept["kept_aside"].astype(np.float32))
    share = PEOPLE / (PEOPLE + KEPT_ASIDE_PEOPLE)
    known = Known(
        _people(model, PEOPLE, "train", lambda done: progress(share * done)),
        _people(model, KEPT_ASIDE_PEOPLE, "validation", lambda done: progress(share + (1 - share) * done)),
    )
    octets = io.BytesIO()
    np.savez(octets, **{name: part.astype(np.float16) for name, part in known._asdict().items()})
    with suppress(OSError):  # a cache that can't be written is made again
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, octets.getvalue())
    return known


def _key(weights: Weights) -> str:
    """Return what is the same for all models of the same network, whatever their read-outs were taught."""
    key = blake2b(repr((VERSION, PEOPLE, KEPT_ASIDE_PEOPLE, CLIP_WINDOWS)).encode(), digest_size=8)
    for name in sorted(weights):
        if not name.startswith("classify."):
            key.update(weights[name].tobytes())
    return key.hexdigest()


def _people(model: Model, people: int, use: Use, progress: Progress) -> FloatArray:
    windows = []
    for seed in range(people):
        for gesture in (*GESTURES, (IDLE, WALKING)[seed % 2]):
            windows.append(window_features(model, _clip(model, gesture, seed, use)))
        progress((seed + 1) / people)
    return np.concatenate(windows)


def _clip(model: Model, gesture: str, seed: int, use: Use) -> Clip:
    spec = model.card.input
    frames = CLIP_WINDOWS * spec.window
    seconds = frames * (spec.slice.delta_t_us or 50_000) * 1e-6 + 0.1  # the first event comes a little late
    return stack_clip(gesture_clip(gesture, seed, seconds, use=use), spec.slice, RESOLUTION, spec, frames)
