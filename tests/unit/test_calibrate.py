"""The temperature that suits a model's mistakes, and the error that is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.infer.decide import probabilities
from livesnn.train.evaluate import calibration_error, fit_temperature

pytestmark = pytest.mark.slow

CARD = ModelCard(name="two", classes=("a", "b", "c"), input=InputSpec(4, 4, SliceRule(delta_t_us=1000)))


def drawn(temperature: float) -> tuple[list[np.ndarray], np.ndarray]:
    """Return rates [K] of 4,000 clips, and labels drawn as likely as they are at that temperature."""
    rng = np.random.default_rng(0)
    rates = [rng.normal(0, 3, 3).astype(np.float32) for _ in range(4000)]
    card = replace(CARD, temperature=temperature)
    labels = [rng.choice(3, p=_even(probabilities(each, card))) for each in rates]
    return rates, np.array(labels)


def _even(likely: np.ndarray) -> np.ndarray:
    return likely.astype(float) / likely.astype(float).sum()


@pytest.mark.parametrize("temperature", [1.0, 1.7, 3.0])
def test_the_temperature_is_found_that_labels_were_drawn_by(temperature: float) -> None:
    rates, labels = drawn(temperature)
    assert fit_temperature(rates, labels, CARD) == pytest.approx(temperature, rel=0.1)


def test_no_model_is_made_surer_than_it_is() -> None:
    rates, labels = drawn(0.5)
    assert fit_temperature(rates, labels, CARD) == 1.0


def test_whoever_is_as_often_right_as_sure_has_no_error() -> None:
    assert calibration_error([0.75] * 4, [True, True, True, False]) == 0
    assert calibration_error([1.0] * 4, [True, True, True, False]) == pytest.approx(0.25)
    assert calibration_error([0.9, 0.1], [False, True]) == pytest.approx(0.9)
