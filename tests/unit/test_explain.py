"""My model is bad, why? What is said of a measurement, and that nothing is said without a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from livesnn.card import ModelCard
from livesnn.train.configuration import Configuration
from livesnn.train.evaluate import Evaluation, Mistake, doubts, explain

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
