"""How many neurons of each layer spiked, and how far the others are from it: counted by the step, or in one pass.

Not here: what spikes cost (synops.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.infer import State

FloatArray = npt.NDArray[np.float32]


class Counted(Sequence[FloatArray]):
    """A State whose step has counted what `density_and_mean` returns, and that is of a card's shapes."""

    card: ModelCard
    density: FloatArray
    mean: FloatArray


def density_and_mean(membranes: State, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Return two float32 [layers]: the share of neurons at or above the threshold, and the mean U; or as was counted.

    Neurons at the threshold are those that spiked in the step that made this state.
    """
    if isinstance(membranes, Counted):
        return membranes.density, membranes.mean
    # A layer may be [C, H, W] in any order in memory; "K" takes it as it lies, without a copy. All in one call: each
    # gives the interpreter's lock away, and must wait for it after.
    figures = np.empty((len(membranes), 2))
    _kernel(len(membranes))(tuple(u.ravel(order="K") for u in membranes), threshold, figures)
    density, mean = (figures / np.array([u.size for u in membranes])[:, None]).astype(np.float32).T
    return density, mean


@cache
def _kernel(layers: int) -> Callable[[tuple[FloatArray, ...], float, npt.NDArray[np.float64]], None]:
    """Compile `_count_and_sum` on first use, for read-only arrays too; it releases the GIL."""
    import numba

    membranes = numba.types.UniTuple(numba.types.Array(numba.float32, 1, "C", readonly=True), layers)
    signature = numba.void(membranes, numba.float32, numba.float64[:, ::1])
    any_order = {"reassoc", "nsz"}  # of the sum: 16 numbers at once
    return numba.njit(signature, nogil=True, cache=True, fastmath=any_order)(_count_and_sum)


def _count_and_sum(
    membranes: tuple[FloatArray, ...], threshold: np.float32, figures: npt.NDArray[np.float64]
) -> None:
    """Leave spikes and sum of each layer in ``figures`` [layers, 2]."""
    for layer in range(len(membranes)):
        u = membranes[layer]
        spikes, total = np.int32(0), np.float32(0)
        for index in range(u.size):
            spikes += np.int32(u[index] >= threshold)
            total += u[index]
        figures[layer, 0], figures[layer, 1] = spikes, total
