"""Simulated N-MNIST: MNIST digits in saccades through the DVS pixel model, as frames; cached."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.events.slicer import stack_clip
from livesnn.simulate.saccades import MOVES, NMNIST, RESOLUTION, simulated_digit
from livesnn.train.datasets.cache import cached
from livesnn.train.datasets.mnist import load_mnist

FIRST_UNSEEN = 1000
"""MNIST's first thousand training digits are those of N-MNIST's first thousand recordings: left out, so that no
validation recording's digit is ever trained on."""
VERSION = 1
"""Of what is made of a digit: raise it with every change that its settings don't show, so that nothing cached is
mistaken."""
SEED = 0


def simulated_digits(
    mnist: Path, input_spec: InputSpec, count: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return frames uint8 [N, window, C, H, W] and labels [N] of MNIST's training digits; test digits are never used.

    Raises
    ------
    DataError
        See `load_mnist`.
    """
    digits = load_mnist(mnist)
    images, labels = digits.train_images, digits.train_labels
    images, labels = images[FIRST_UNSEEN:][:count], labels[FIRST_UNSEEN:][:count]
    settings = (VERSION, hashlib.sha256(images.tobytes()).hexdigest(), input_spec, NMNIST, MOVES)
    frames = cached("nmnist-simulated", settings, lambda: _simulate(images, input_spec))
    return frames, labels


def _simulate(images: npt.NDArray[np.uint8], input_spec: InputSpec) -> npt.NDArray[np.uint8]:
    """Return uint8 [N, window, C, H, W]."""
    recordings = (simulated_digit(images, index, seed=SEED) for index in range(len(images)))
    clips = [
        stack_clip(events, input_spec.slice, RESOLUTION, input_spec, input_spec.window)
        for events in recordings
    ]
    return np.stack(clips)
