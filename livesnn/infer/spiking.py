"""How many neurons of each layer spiked, and how far the others are from it: from the membranes, in one pass.

Not here: what spikes cost (synops.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from livesnn.infer import State

FloatArray = npt.NDArray[np.float32]


def density_and_mean(membranes: State, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Return two float32 [layers]: the share of neurons at or above the threshold, and the mean U.

    Neurons at the threshold are those that spiked in the step that made this state.
    """
    # A layer may be [C, H, W] in any order in memory; "K" takes it as it lies, without a copy.
    figures = [_kernel()(u.ravel(order="K"), threshold) for u in membranes]
    spikes, totals = np.array(figures, np.float64).T
    neurons = np.array([u.size for u in membranes])
    return (spikes / neurons).astype(np.float32), (totals / neurons).astype(np.float32)


@cache
def _kernel() -> Callable[[FloatArray, float], tuple[float, float]]:
    """Compile `_count_and_sum` on first use, for read-only arrays too; it releases the GIL."""
    import numba

    membranes = numba.types.Array(numba.float32, 1, "C", readonly=True)
    signature = numba.types.UniTuple(numba.float64, 2)(membranes, numba.float32)
    any_order = {"reassoc", "nsz"}  # of the sum: 16 numbers at once
    return numba.njit(signature, nogil=True, cache=True, fastmath=any_order)(_count_and_sum)


def _count_and_sum(u: FloatArray, threshold: np.float32) -> tuple[float, float]:
    spikes, total = np.int32(0), np.float32(0)
    for index in range(u.size):
        spikes += np.int32(u[index] >= threshold)
        total += u[index]
    return float(spikes), float(total)
