"""Rates become a decision, a confidence, or "nothing"."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import LivesnnError
from livesnn.infer.decide import Decider, FloatArray, probabilities, winner


def card(readout: Literal["spikes", "membrane"]) -> ModelCard:
    spec = InputSpec(width=4, height=4, slice=SliceRule(delta_t_us=1000), window=10)
    return ModelCard(name="tiny", classes=("zero", "one", "two"), input=spec, readout=readout)


def floats(*values: float) -> FloatArray:
    return np.array(values, np.float32)


def test_the_highest_rate_wins() -> None:
    assert winner(floats(0.1, 0.9, 0.3), floats(5, 0, 5)) == 1


def test_a_tie_goes_to_the_higher_membrane() -> None:
    assert winner(floats(0.5, 0.1, 0.5), floats(0.1, 9.0, 0.2)) == 2


def test_a_tie_of_both_goes_to_the_first_class() -> None:
    assert winner(floats(0.5, 0.5, 0.5), floats(1, 1, 1)) == 0


def test_membrane_probabilities_are_the_softmax() -> None:
    expected = np.exp([1.0, 2.0, 3.0]) / np.exp([1.0, 2.0, 3.0]).sum()
    np.testing.assert_allclose(probabilities(floats(1, 2, 3), card("membrane")), expected, rtol=1e-6)


def test_huge_membranes_do_not_overflow() -> None:
    np.testing.assert_allclose(probabilities(floats(1e4, 0, -1e4), card("membrane")), [1, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((0.0, 0.0, 0.0), (1 / 3, 1 / 3, 1 / 3)),  # silence is undecided
        ((0.1, 0.0, 0.0), (2 / 3, 1 / 6, 1 / 6)),  # one spike
        ((1.0, 0.0, 0.0), (31 / 33, 1 / 33, 1 / 33)),  # ten spikes
        ((0.5, 0.5, 0.0), (16 / 33, 16 / 33, 1 / 33)),
    ],
)
def test_spike_probabilities_are_smoothed_shares(
    rates: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    np.testing.assert_allclose(probabilities(floats(*rates), card("spikes")), expected, rtol=1e-5)


@pytest.mark.parametrize("readout", ["spikes", "membrane"])
def test_a_higher_temperature_is_less_confident(readout: Literal["spikes", "membrane"]) -> None:
    rates = floats(0.9, 0.1, 0.2)
    sharp, flat = (Decider(temperature=value).decide(rates, rates, card(readout)) for value in (0.5, 2.0))
    assert sharp.confidence > flat.confidence > 1 / 3


def test_below_the_threshold_there_is_no_decision_but_a_confidence() -> None:
    rates = floats(0.3, 0.2, 0.1)
    unsure = Decider(threshold=0.5).decide(rates, rates, card("membrane"))
    bold = Decider(threshold=0.0).decide(rates, rates, card("membrane"))
    assert unsure.label is None
    assert bold.label == "zero"
    assert unsure.confidence == bold.confidence < 0.5


def test_the_threshold_itself_is_enough() -> None:
    rates = floats(3.0, 0.0, 0.0)
    confidence = Decider().decide(rates, rates, card("membrane")).confidence
    assert Decider(threshold=confidence).decide(rates, rates, card("membrane")).label == "zero"


def test_the_decision_uses_the_membrane_for_ties() -> None:
    decision = Decider(threshold=0.4).decide(floats(0.5, 0.5, 0), floats(0, 1, 2), card("spikes"))
    assert decision.label == "one"


def test_rates_that_are_not_numbers_decide_nothing() -> None:
    rates = floats(np.nan, np.nan, np.nan)
    assert Decider(threshold=0.0).decide(rates, rates, card("membrane")).label is None


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(LivesnnError, match="from 0 to 1"):
        Decider(threshold=threshold)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_positive(temperature: float) -> None:
    with pytest.raises(LivesnnError, match="above 0"):
        Decider(temperature=temperature)
