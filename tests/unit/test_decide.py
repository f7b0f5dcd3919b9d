"""Rates become a decision, a confidence, or "nothing"."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.cli.commands import COMMANDS
from livesnn.cli.options import AS_USUAL
from livesnn.errors import LivesnnError
from livesnn.infer.decide import UNDECIDED, Decider, Decision, FloatArray, probabilities


def card(readout: Literal["spikes", "membrane"]) -> ModelCard:
    spec = InputSpec(width=4, height=4, slice=SliceRule(delta_t_us=1000), window=10)
    return ModelCard(name="tiny", classes=("zero", "one", "two"), input=spec, readout=readout)


def floats(*values: float) -> FloatArray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("rates", "membrane", "wins"),
    [
        (floats(0.1, 0.9, 0.3), floats(5, 0, 5), 1),
        (floats(0.5, 0.1, 0.5), floats(0.1, 9.0, 0.2), 2),
        (floats(0.5, 0.5, 0.5), floats(1, 1, 1), 0),
    ],
    ids=["the highest rate", "of equals the higher membrane", "of equals the first"],
)
def test_the_winner_is_the_highest_rate_then_membrane_then_the_first(
    rates: FloatArray, membrane: FloatArray, wins: int
) -> None:
    tiny = card("membrane")
    assert Decider(threshold=0).decide(rates, membrane, tiny).label == tiny.classes[wins]


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
def test_spike_probabilities_are_smoothed_shares(rates: tuple[float, ...], expected: tuple[float, ...]) -> None:
    np.testing.assert_allclose(probabilities(floats(*rates), card("spikes")), expected, rtol=1e-5)


def test_below_the_threshold_there_is_no_decision_but_a_confidence() -> None:
    rates = floats(0.3, 0.2, 0.1)
    unsure = Decider(threshold=0.5).decide(rates, rates, card("membrane"))
    bold = Decider(threshold=0.0).decide(rates, rates, card("membrane"))
    assert unsure.label is None
    assert bold.label == "zero"
    assert unsure.confidence == bold.confidence < 0.5


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(LivesnnError, match="from 0 to 1"):
        Decider(threshold=threshold)


def sure(label: int, of: float) -> FloatArray:
    """Return rates whose softmax gives one of three classes that probability."""
    rates = np.zeros(3)
    rates[label] = np.log(of / ((1 - of) / 2))
    return rates.astype(np.float32)


def decisions(decider: Decider, *rates: FloatArray) -> list[str | None]:
    decided, before = [], UNDECIDED
    for each in rates:
        before = decider.decide(each, each, card("membrane"), before)
        decided.append(before.label)
    return decided


def test_a_decision_is_kept_until_another_class_is_sure_or_it_falls_too_low() -> None:
    wavering = (sure(0, 0.7), sure(0, 0.45), sure(1, 0.45), sure(1, 0.6), sure(0, 0.35))
    assert decisions(Decider(threshold=0.5, hysteresis=0.3), *wavering) == [
        "zero",
        "zero",
        None,
        "one",
        "one",
    ]
    assert decisions(Decider(threshold=0.5, hysteresis=0.5), *wavering) == ["zero", None, None, "one", None]
    assert decisions(Decider(threshold=0.5, hysteresis=0.4), *wavering) == ["zero", "zero", None, "one", None]
    assert decisions(Decider(threshold=0.5, hysteresis=0.2), *wavering) == [
        "zero",
        "zero",
        "zero",
        "one",
        "one",
    ]


def test_smoothing_lets_one_frame_change_nothing() -> None:
    blip = (sure(0, 0.9), sure(1, 0.9), sure(0, 0.9))
    assert decisions(Decider(), *blip) == ["zero", "one", "zero"]
    assert decisions(Decider(smoothing=0.6), *blip) == ["zero", "zero", "zero"]


@pytest.mark.parametrize("leak", [-0.1, 1.0, float("nan")])
def test_a_leak_is_a_share(leak: float) -> None:
    with pytest.raises(LivesnnError, match=r"the leak is .*: give a number from 0 to below 1"):
        Decider(leak=leak)


def test_without_a_leak_the_evidence_is_the_mean_that_the_network_was_trained_on() -> None:
    outputs = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
    np.testing.assert_array_equal(Decider(leak=0.0).evidence(outputs), outputs.mean(axis=0))


def test_a_frame_weighs_less_than_the_next_one_by_the_leak() -> None:
    outputs = np.eye(4, dtype=np.float32)
    weights = Decider(leak=0.25).evidence(outputs)
    np.testing.assert_allclose(weights[:-1] / weights[1:], 0.75, rtol=1e-6)
    assert weights.sum() == pytest.approx(1)


def test_a_class_may_have_a_threshold_of_its_own() -> None:
    strict = Decider(threshold=0.5, hysteresis=0.5, thresholds={"zero": 0.8})
    assert decisions(strict, sure(0, 0.7), sure(1, 0.7), sure(0, 0.85)) == [None, "one", "zero"]


def test_a_class_that_may_not_be_decided_gives_nothing() -> None:
    rates = (sure(0, 0.9), sure(1, 0.9), sure(2, 0.9))
    assert decisions(Decider(deny=("one",)), *rates) == ["zero", None, "two"]
    assert decisions(Decider(allow=("one",)), *rates) == [None, "one", None]
    with pytest.raises(LivesnnError, match="one is both allowed and denied"):
        Decider(allow=("one",), deny=("one",))


def test_what_was_decided_stands_no_longer_once_it_may_not_be_decided() -> None:
    rates = sure(0, 0.4)
    before = Decider().decide(sure(0, 0.9), rates, card("membrane"))
    assert Decider().decide(rates, rates, card("membrane"), before).label == "zero"
    assert Decider(deny=("zero",)).decide(rates, rates, card("membrane"), before).label is None


def test_a_decision_that_is_kept_above_its_threshold_would_never_begin() -> None:
    with pytest.raises(LivesnnError, match=r"from 0 to the threshold, 0\.5"):
        Decider(threshold=0.5, hysteresis=0.9)


def test_the_cards_temperature_is_taken() -> None:
    rates, flat = floats(2.0, 0.0, 0.0), replace(card("membrane"), temperature=3.0)
    expected = probabilities(rates / 3, card("membrane"))[0]
    assert Decider().decide(rates, rates, flat).confidence == pytest.approx(float(expected))


@pytest.mark.parametrize("label", ["thresholds", "allow", "deny"])
def test_a_label_the_model_lacks_is_refused(label: str) -> None:
    strange = {"thresholds": {"three": 0.5}} if label == "thresholds" else {label: ("three",)}
    with pytest.raises(LivesnnError, match="tiny has no class 'three': give one of zero, one, two"):
        Decider(**strange).check(card("membrane"))


@pytest.mark.parametrize("command", ["run", "eval", "gui"])
def test_the_commands_decide_as_usual_unless_they_are_told(command: str) -> None:
    flags = inspect.signature(COMMANDS[command].load()).parameters["decisions"].default
    assert Decider().merge(flags.given) == Decider()


def test_a_class_that_is_named_twice_is_refused() -> None:
    twice = replace(AS_USUAL, class_threshold=(("one", 0.1), ("two", 0.5), ("one", 0.2)))
    with pytest.raises(LivesnnError, match="--class-threshold names a class twice"):
        _ = twice.given


def test_a_class_with_a_low_threshold_does_not_stand_against_a_far_likelier_one() -> None:
    decider = Decider(threshold=0.5, thresholds={"one": 0.0, "two": 0.9})
    rates = np.log(np.array([0.05, 0.1, 0.85], np.float32))
    assert decider.decide(rates, rates, card("membrane"), Decision("one", 0.6)).label is None


def test_what_stands_ends_at_a_share_of_its_own_class_s_threshold() -> None:
    decider = Decider(threshold=0.5, thresholds={"one": 0.9})
    before = Decision("one", 0.95)
    for share, label in ((0.2, "one"), (0.15, None)):  # 0.2 of 0.9 lies between
        rates = np.log(np.array([(1 - share) / 2, share, (1 - share) / 2], np.float32))
        assert decider.decide(rates, rates, card("membrane"), before).label == label
