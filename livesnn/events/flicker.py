"""A light that flickers over all of the picture, taken out of frames. Not here: single pixels' noise (denoise.py)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.uint8]

SEEN_FLICKER = 0.05
"""Events of it a pixel and frame, mean of many frames, that are worth a word: less is a frame now and then."""


def without_flicker(counts: Counts) -> tuple[Counts, Counts]:
    """Return frames less what more than half of the pixels of their channel have, its lower median; and that.

    Lamps on mains flicker a hundred times a second or more, and in their light each pixel counts about as many events
    in each frame, up to dozens: more than a network's greatest count, so that what moves can't be told from what
    doesn't. In steady light most pixels have none, and nothing is taken.

    Parameters
    ----------
    counts
        uint8 [..., H, W]; not changed, and returned itself where there is nothing to take.

    Returns
    -------
    uint8 [..., H, W], and what was taken from the pixels of each channel, uint8 [...].
    """
    planes = counts.reshape(-1, counts.shape[-2] * counts.shape[-1])
    taken = np.zeros(len(planes), np.uint8)
    lit = np.flatnonzero(2 * np.count_nonzero(planes, axis=1) > planes.shape[1])
    if lit.size:
        middle = (planes.shape[1] - 1) // 2
        taken[lit] = np.partition(planes[lit], middle, axis=1)[:, middle]
        counts = (planes - np.minimum(planes, taken[:, None])).reshape(counts.shape)
    return counts, taken.reshape(counts.shape[:-2])
