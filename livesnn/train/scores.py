"""What the decisions on clips come to: how often each class was taken for which, how many recordings are right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livesnn.train.datasets.clips import Clips, Index


def confusion(labels: Index, decided: Index, classes: int) -> tuple[tuple[int, ...], ...]:
    """Return how often each class, a row, was decided to be which, a column; of indices of classes, int64 [N]."""
    pairs = np.bincount(labels * classes + decided, minlength=classes**2)
    return tuple(map(tuple, pairs.reshape(classes, classes).tolist()))


def count_recordings(clips: Clips) -> int:
    """Return how many recordings the clips are of: where none are named, each is one."""
    return len(set(clips.recordings)) or len(clips)


def accuracy_recordings(clips: Clips, outputs: npt.NDArray[np.float32]) -> float | None:
    """Return the share of recordings whose clips' outputs, [N, K], together are highest for the true class.

    None where each clip is a recording.
    """
    if count_recordings(clips) == len(clips):
        return None
    _, first, owner = np.unique(clips.recordings, return_index=True, return_inverse=True)
    totals = np.zeros((len(first), outputs.shape[1]))
    np.add.at(totals, owner, outputs)
    return float(np.mean(totals.argmax(1) == clips.labels[first]))
