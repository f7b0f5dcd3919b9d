"""A light that flickers over all of the picture, taken out of frames. Not here: single pixels' noise (denoise.py)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

SEEN_FLICKER = 0.05
"""Counts of it a pixel and frame, mean of many frames, that are worth a word: less is a frame now and then."""

Count = TypeVar("Count", np.uint8, np.uint16, np.float64)


def without_flicker(counts: npt.NDArray[Count]) -> tuple[npt.NDArray[Count], npt.NDArray[Count]]:
    """Return frames with each channel's lower median subtracted, and these medians; no count falls below 0.

    Lamps on mains flicker a hundred times a second or more, and in their light each pixel counts about as many events
    in each frame, up to dozens: more than a network's greatest count, so that what moves can't be told from what
    doesn't. In steady light most pixels have none, and nothing is taken. Neither is a light that reaches less than
    half of the picture. Other things that make most pixels count are taken as well: strong noise, a camera that moves
    over texture.

    Parameters
    ----------
    counts
        [..., H, W], not empty, whole numbers from 0; not changed, and returned itself where there is nothing to take.

    Returns
    -------
    The frames, and what was taken from each channel, [...].
    """
    planes = counts.reshape(-1, counts.shape[-2] * counts.shape[-1])
    taken = np.zeros(len(planes), counts.dtype)
    lit = np.flatnonzero(2 * np.count_nonzero(planes, axis=1) > planes.shape[1])
    if lit.size:
        middle = (planes.shape[1] - 1) // 2
        taken[lit] = np.partition(planes[lit], middle, axis=1)[:, middle]
        counts = (planes - np.minimum(planes, taken[:, None])).reshape(counts.shape)
    return counts, taken.reshape(counts.shape[:-2])
