"""The row of a new class in a read-out: logistic regression beside the rows that are there. Not here: features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

DECAY = 1.0
"""Weight of the row's squared norm; from 0.3 to 10 nothing changed but the last window in thirty."""
MOST_STEPS, STILL = 500, 1e-3


def fit_row(taught: FloatArray, known: FloatArray, rows: FloatArray, temperature: float) -> FloatArray:
    """Return float32 [F + 1]: weights and bias of a class that is likely for ``taught`` and not for ``known``.

    The other classes' rows stay as they are, so P(new) = σ(z − log Σ exp z_k) with z = x·row / temperature. Minimised
    is the cross-entropy of that, the taught windows together counting as those of one class of the known ones, plus
    the row's norm; by steps on a quadratic bound of it, which never go too far (Böhning & Lindsay 1988,
    "Monotonicity of quadratic-approximation algorithms"), in as many unknowns as there are windows.

    Parameters
    ----------
    taught, known
        float32 [N, F + 1] and [M, F + 1], as `window_features` returns them.
    rows
        float32 [K, F + 1], the classes that are there.
    """
    x = np.concatenate([known, taught]).astype(np.float64)
    others = np.logaddexp.reduce(x @ rows.T.astype(np.float64) / temperature, axis=1)
    is_taught = np.arange(len(x)) >= len(known)
    weight = np.where(is_taught, len(known) / len(rows) / len(taught), 1.0)
    gram = x @ x.T
    solve = np.linalg.inv(gram + np.diag(DECAY * 4 / weight))
    shares = np.zeros(len(x))
    z = gram @ shares
    for _ in range(MOST_STEPS):
        shares = solve @ (z + 4 * (is_taught - sigmoid(z - others)))
        before, z = z, gram @ shares
        if np.abs(z - before).max() < STILL:
            break
    return (x.T @ shares * temperature).astype(np.float32)


def probability(x: FloatArray, row: FloatArray, rows: FloatArray, temperature: float) -> FloatArray:
    """Return float32 [N]: how probable the class of ``row`` is beside those of ``rows`` in windows x [N, F + 1]."""
    others = np.logaddexp.reduce((x @ rows.T).astype(np.float64) / temperature, axis=1)
    return sigmoid((x @ row) / temperature - others).astype(np.float32)


def sigmoid(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 1 / (1 + exp(−z)), for any z."""
    return 0.5 * (1 + np.tanh(z / 2))
