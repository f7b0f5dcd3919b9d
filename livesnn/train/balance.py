"""Class weights: classes count alike in the loss, however many clips they have. Not here: the loss (hybrid.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from livesnn.train.datasets import Parts


def class_weights(parts: Parts, mirror: float = 0.0, mirrored: Sequence[int] | None = None) -> Tensor:
    """Return float32 [K]: inverse to the clips that an epoch has of each class, 1 where all have as many.

    Parameters
    ----------
    mirror, mirrored
        The share of clips that are mirrored, and the label that each class then has.
    """
    classes = len(parts.training.classes)
    counts = _counts(parts.training.labels, classes)
    if parts.extra is not None and len(parts.extra):
        counts += _counts(parts.extra.labels, classes) * parts.extra_per_epoch / len(parts.extra)
    if mirrored is not None:
        counts = (1 - mirror) * counts + mirror * counts[list(mirrored)]
    weights = counts.sum() / (np.maximum(counts, 1e-9) * classes)
    return torch.from_numpy(weights.astype(np.float32))


def _counts(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float64]:
    return np.bincount(labels[labels >= 0], minlength=classes).astype(np.float64)
