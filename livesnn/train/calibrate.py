"""How sure a model may be: the temperature of its probabilities, and how wrong they are. Not here: the decision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.infer.decide import FloatArray, probabilities

TEMPERATURES = np.geomspace(1, 10, 101)
"""None below 1: a model that was taught doubt would lose it, and name gestures of people who stand idle."""
BINS = 15


def fit_temperature(rates: Sequence[FloatArray], labels: npt.NDArray[np.int64], card: ModelCard) -> float:
    """Return the temperature of `TEMPERATURES` under which clips' ``rates`` [K] make their labels likeliest.

    Source: temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks", ICML).
    """
    losses = [
        -np.mean(np.log(np.maximum(_of_labels(rates, labels, card, temperature), 1e-12)))
        for temperature in TEMPERATURES
    ]
    return float(round(TEMPERATURES[int(np.argmin(losses))], 4))


def calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """Return the mean distance between confidence and accuracy over bins of confidence (ECE; Guo et al. 2017)."""
    sure, correct = np.array(confidences), np.array(right, float)
    number = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = np.abs(np.bincount(number, sure - correct, BINS))
    return float(gaps.sum() / len(sure))


def _of_labels(
    rates: Sequence[FloatArray], labels: npt.NDArray[np.int64], card: ModelCard, temperature: float
) -> npt.NDArray[np.float32]:
    likely = np.stack([probabilities(each, card, temperature=temperature) for each in rates])
    return likely[np.arange(len(labels)), labels]
