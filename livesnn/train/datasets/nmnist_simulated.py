"""Simulated N-MNIST: MNIST digits in saccades through the DVS pixel model, as clips; cached."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events.frames import stack_clip
from livesnn.simulate.saccades import MOVES, NMNIST, simulated_digit
from livesnn.train.datasets import Clips
from livesnn.train.datasets.nmnist import CLASSES, SENSOR

FIRST_UNSEEN = 1000
"""MNIST's first thousand training digits are those of N-MNIST's first thousand recordings: left out, so that no
validation recording's digit is ever trained on."""


def load_simulated(mnist: Path, input_spec: InputSpec, count: int, cache: Path, seed: int = 0) -> Clips:
    """Return ``count`` simulated clips, one a digit, from MNIST's training digits; test digits are never used.

    Raises
    ------
    DataError
        ``mnist`` isn't Keras's mnist.npz.
    """
    try:
        with np.load(mnist) as arrays:
            images, labels = arrays["x_train"], arrays["y_train"]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"{mnist} is not MNIST's mnist.npz with x_train and y_train ({error}): give --mnist"
        ) from error
    images, labels = images[FIRST_UNSEEN:][:count], labels[FIRST_UNSEEN:][:count]
    kept = cache / f"nmnist-simulated-{_key(len(images), seed, input_spec, NMNIST, MOVES)}.npy"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial.npy")
        np.save(partial, _simulate(images, input_spec, seed))
        partial.replace(kept)
    frames = np.load(kept)
    names = tuple(f"simulated/{i}" for i in range(len(images)))
    return Clips(frames, labels.astype(np.int64), names, CLASSES)


def _simulate(images: npt.NDArray[np.uint8], input_spec: InputSpec, seed: int) -> npt.NDArray[np.uint8]:
    """Return uint8 [N, window, C, H, W]."""
    recordings = (simulated_digit(images, index, seed=seed) for index in range(len(images)))
    clips = [
        stack_clip(events, input_spec.slice, SENSOR, input_spec, input_spec.window) for events in recordings
    ]
    return np.stack(clips)


def _key(*settings: object) -> str:
    """Return a name for what the clips were made with."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
