"""Simulated N-MNIST: MNIST digits in saccades through the DVS pixel model, as clips; cached."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events.frames import stack_clip
from livesnn.simulate.saccades import simulated_digit
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
    rule = input_spec.slice
    kept = (
        cache / f"nmnist-simulated-{len(images)}-{rule.delta_t_us or 0}us-{rule.n_events or 0}ev-{seed}.npy"
    )
    if kept.exists():
        frames = np.load(kept)
    else:
        frames = np.stack(
            [
                stack_clip(simulated_digit(images, i, seed=seed), rule, SENSOR, input_spec, input_spec.window)
                for i in range(len(images))
            ]
        )
        cache.mkdir(parents=True, exist_ok=True)
        np.save(kept, frames)
    names = tuple(f"simulated/{i}" for i in range(len(images)))
    return Clips(frames, labels.astype(np.int64), names, CLASSES)
