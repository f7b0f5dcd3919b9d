"""A model measured on clips: accuracies, confusions, calibration, and what they mean in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError
from livesnn.infer.decide import probabilities
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import Clips
from livesnn.train.evaluate import (
    Evaluation,
    Mistake,
    accuracy_recordings,
    calibration_error,
    confusion,
    count_recordings,
    doubts,
    evaluate,
    explain,
    fit_temperature,
)
from tests.fake_model import FakeModel


def parrot() -> FakeModel:
    """Return a model whose output is the frame's first pixels, plus what it said before."""
    card = Configuration().card(("a", "b"))
    return FakeModel(
        replace(card, input=replace(card.input, window=2)), lambda frame, seen, before: frame.data[0, 0, :2] + before
    )


def test_evaluate_resets_each_clip_or_carries_one_stream() -> None:
    frames = np.zeros((8, 2, 2, 34, 34), np.uint8)
    labels = np.arange(8, dtype=np.int64) % 2
    frames[np.arange(8), :, 0, 0, labels] = 1  # the right answer, unless the past outweighs it
    data = Clips(frames, labels, tuple("abcdefgh"), ("a", "b"))
    measured = evaluate(parrot(), data)
    assert measured.n == 8
    assert measured.accuracy_reset == 1.0
    assert measured.accuracy_carried < 1.0
    assert sum(map(sum, measured.confusion)) == 8
    assert measured.density == pytest.approx(measured.densities["hidden"])


def test_a_clip_of_several_windows_is_one_decision_the_one_with_the_highest_rate_over_all() -> None:
    frames = np.zeros((2, 4, 2, 34, 34), np.uint8)  # two windows a clip
    frames[0, :2, 0, 0, 0], frames[0, 2:, 0, 0, 1] = 1, 9  # weakly a, then strongly b
    frames[1, :2, 0, 0, 0], frames[1, 2:, 0, 0, 1] = 200, 1  # strongly a, then weakly b
    data = Clips(frames, np.array([1, 0]), ("rises", "falls"), ("a", "b"))
    measured = evaluate(parrot(), data)
    assert measured.n == 2
    assert measured.accuracy_reset == 1.0


@pytest.mark.parametrize(
    ("steps", "classes", "words"), [(3, ("a", "b"), "3 frames aren't whole windows of 2"), (2, ("a", "c"), "classes")]
)
def test_evaluate_refuses_clips_of_other_lengths_or_classes(steps: int, classes: tuple[str, ...], words: str) -> None:
    data = Clips(np.zeros((1, steps, 2, 34, 34), np.uint8), np.zeros(1, np.int64), ("x",), classes)
    with pytest.raises(DataError, match=words):
        evaluate(parrot(), data)


def clips(*recordings: str) -> Clips:
    """Return five clips of classes 0, 0, 1, 1, 1."""
    frames = np.zeros((5, 10, 1, 2, 2), np.uint8)
    return Clips(frames, np.array([0, 0, 1, 1, 1]), tuple("abcde"), ("nod", "shake"), recordings)


def test_rows_are_true_classes_and_columns_decisions() -> None:
    assert confusion(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1]), 3) == ((1, 0, 1), (0, 1, 0), (0, 1, 0))


def test_a_recording_is_decided_by_what_its_clips_say_together() -> None:
    outputs = np.array([[0.4, 0.6], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.1, 0.9]], np.float32)
    named = clips("z", "z", "y", "x", "x")  # z: 1.3 to 0.7, right; y: wrong; x: right
    assert count_recordings(named) == 3
    assert accuracy_recordings(named, outputs) == np.float64(2 / 3)


def test_where_each_clip_is_a_recording_there_is_no_other_accuracy() -> None:
    for each in (clips(), clips(*"vwxyz")):
        assert count_recordings(each) == 5
        assert accuracy_recordings(each, np.zeros((5, 2), np.float32)) is None


CARD = ModelCard(name="two", classes=("a", "b", "c"), input=InputSpec(4, 4, SliceRule(delta_t_us=1000)))


def drawn(temperature: float) -> tuple[list[np.ndarray], np.ndarray]:
    """Return rates [K] of 1,000 clips, and labels drawn as likely as they are at that temperature."""
    rng = np.random.default_rng(0)
    rates = [rng.normal(0, 3, 3).astype(np.float32) for _ in range(1000)]
    card = replace(CARD, temperature=temperature)
    likely = np.array([probabilities(each, card) for each in rates])
    return rates, (likely.cumsum(1) > rng.random((len(rates), 1))).argmax(1)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 1.7, 3.0])
def test_the_temperature_is_found_that_labels_were_drawn_by(temperature: float) -> None:
    rates, labels = drawn(temperature)
    assert fit_temperature(rates, labels, CARD) == pytest.approx(temperature, rel=0.1)


@pytest.mark.slow
def test_no_model_is_made_surer_than_it_is() -> None:
    rates, labels = drawn(0.5)
    assert fit_temperature(rates, labels, CARD) == 1.0


@pytest.mark.slow
def test_whoever_is_as_often_right_as_sure_has_no_error() -> None:
    assert calibration_error([0.75] * 4, [True, True, True, False]) == 0
    assert calibration_error([1.0] * 4, [True, True, True, False]) == pytest.approx(0.25)
    assert calibration_error([0.9, 0.1], [False, True]) == pytest.approx(0.9)


GOOD = Evaluation(
    n=40,
    accuracy_reset=0.95,
    accuracy_carried=0.95,
    recordings=40,
    accuracy_recordings=None,
    accuracy_recordings_carried=None,
    density=0.06,
    densities={},
    synops_per_frame=1e6,
    macs_per_frame=1e5,
    energy_estimate_uj_per_frame=1.36,
    classes=("nod", "shake"),
    confusion=((20, 0), (2, 18)),
    confusion_reset=((20, 0), (2, 18)),
    calibration_error=0.02,
    temperature=1.0,
    mistakes=(Mistake("shake/bob/3", "shake", "nod", 0.91),),
    mean_count=0.3,
    saturated=0.01,
    empty=0.0,
    seconds=1.0,
)


def card(mean_count: float | None = 0.3) -> ModelCard:
    return replace(Configuration(dataset="folder").card(("nod", "shake")), mean_count=mean_count)


def test_classes_confusions_and_the_worst_clips_are_named() -> None:
    assert list(explain(GOOD, card()))[:6] == [
        "with the state carried:",
        "  nod: 100% of 20 clips",
        "  shake: 90% of 20 clips",
        "  shake decided as nod: 2 times",
        "with the state reset, the most confident mistakes:",
        "  shake/bob/3: nod with 91%, but it is shake",
    ]


def test_a_good_model_leaves_no_doubt() -> None:
    assert list(doubts(GOOD, card())) == ["a window is 10 frames of 50 ms"]
    assert list(doubts(GOOD, card(mean_count=None))) == ["a window is 10 frames of 50 ms"]


def test_another_sensor_is_said_and_the_same_one_is_not() -> None:
    trained = replace(card(), sensor=(128, 128))
    said = list(explain(GOOD, trained, (640, 480)))
    assert "the sensor is 640×480, but the model was trained with 128×128: decisions may be wrong" in said[-1]
    assert list(explain(GOOD, trained, (128, 128))) == said[:-1]
    assert list(explain(GOOD, trained)) == said[:-1]


def test_saturation_is_a_cause_only_where_training_had_much_less_of_it() -> None:
    measured = replace(GOOD, saturated=0.3)
    assert len(list(doubts(measured, replace(card(), saturated=0.2)))) == 1
    assert len(list(doubts(measured, replace(card(), saturated=0.1)))) == 2


def test_a_class_that_gets_nearly_all_decisions_is_named() -> None:
    one_sided = replace(GOOD, n=40, classes=("nod", "shake", "turn"), confusion=((10, 0, 0), (16, 4, 0), (10, 0, 0)))
    assert any("nearly everything is decided as nod" in line for line in explain(one_sided, card()))
    even = replace(GOOD, classes=("nod", "shake", "turn"), confusion=((10, 0, 0), (4, 16, 0), (0, 0, 10)))
    assert not any("nearly everything" in line for line in explain(even, card()))


def test_the_worst_clip_of_a_recording_stands_for_its_others() -> None:
    mistakes = tuple(
        Mistake(f"{name}/{k}", "nod", "shake", 0.9 - k / 10, name) for k in range(4) for name in ("a", "b")
    )
    said = [line for line in explain(replace(GOOD, mistakes=mistakes), card()) if "but it is" in line]
    assert [line.split(":")[0] for line in said] == ["  a/0", "  b/0"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"empty": 0.3}, "30% of the frames are empty"),
        ({"saturated": 0.4}, "40% of the pixels with events are at the model's 8 or above"),
        ({"mean_count": 1.5}, "a frame has 5 times the events of training"),
        ({"mean_count": 0.1}, "a frame has 0.33 times the events of training"),
        ({"density": 0.001}, "the network hardly spikes"),
        ({"density": 0.6}, "the network spikes all the time"),
        (
            {"accuracy_carried": 0.7},
            "accuracy is 25% lower with the state carried: train with a longer --burn-in, such as 20",
        ),
    ],
)
def test_each_cause_is_said_alone(change: dict[str, float], words: str) -> None:
    _, *said = doubts(replace(GOOD, **change), card())
    assert len(said) == 1
    assert words in said[0]
