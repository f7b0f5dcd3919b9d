"""The flags of a training: their defaults, what contradicts each other, and what a model or data set brings along."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from livesnn.cli.models import given_flags
from livesnn.errors import LivesnnError, TrainError
from livesnn.train.configuration import RECIPES, Configuration
from livesnn.train.network import build
from livesnn.train.resolve import configure, read_start, resolve
from tests.trees import configured

GESTURES: dict[str, object] = {"dataset": "gestures-sim"}
SCALED = "--cell-pixels scales frames of a fixed time, not of --n-events"
FOUR = "takes four numbers from 1 to (64|4096), one for each block"
REFUSED: list[tuple[dict[str, object], str]] = [
    ({"epochs": 0}, "--epochs is 0: give a number from 1"),
    ({"batch": 0}, "--batch is 0"),
    ({"validation": 0.0}, "--validation is 0"),
    ({"alpha": float("nan")}, "--alpha is nan"),
    ({"epochs": 5, "analog_epochs": 5}, "--analog-epochs 5"),
    ({"epochs": 4, "analog_epochs": 2, "average_epochs": 3}, "--average-epochs 3 is more than the 2 spiking"),
    ({"balance": "logits", "loss": "mse"}, "--balance logits needs --loss cross-entropy"),
    ({"delta_t_us": 1000, "n_events": 1000}, "exclude each other"),
    ({"burn_in": 15}, "--burn-in 15 isn't whole windows: give a multiple of 10"),
    ({"people": 5}, "--people only applies to gestures-sim, not to nmnist: leave it out"),
    ({**GESTURES, "validation": 0.2}, "--validation only applies to nmnist, .*, not to gestures-sim: leave it out"),
    ({**GESTURES, "burn_in": 40}, "--burn-in 40 leaves none of the 40 frames of --stretch to score: give at most 30"),
    ({**GESTURES, "burn_in": 50, "stretch": 45}, "of the 45 frames of --stretch to score: give at most 40"),
    ({**GESTURES, "stretch": 0}, "--stretch is 0: give a number from 20 to 240"),
    ({**GESTURES, "network": "cnn"}, "--network cnn has no state, but gestures-sim is streams"),
    ({"dataset": "cifar10-dvs", "protocol": "split1"}, "has no --protocol 'split1': give one of 90/10, 70/30"),
    ({"dataset": "cifar10-dvs", "cell_pixels": 4.0}, SCALED),
    ({"dataset": "folder", "cell_pixels": 4.0, "n_events": 2000}, SCALED),
    ({"dataset": "ucf101", "network": "resnet18", "init": Path("models/gestures")}, "leave --init out"),
    ({"dataset": "ucf101", "network": "resnet18", "width": 32}, "--width has no effect on resnet18"),
    ({"dataset": "mnist-seq1", "network": "cnn", "alpha": 0.7}, "--alpha has no effect on cnn"),
    ({"network": "conv_snn", "widths": (1, 2, 3, 4)}, "--widths takes two numbers"),
    *[({name: values}, FOUR) for name, values in (
        ("widths", (8, 8)), ("widths", (1, 2, 3, 5000)), ("strides", (1, 2, 0, 1)), ("strides", ()),
        ("sub_blocks", (2, 2)), ("sub_blocks", (2, 65, 2, 2)),
    )],
    ({"augmentation": {"mirror": 0.5}}, r"leave --augmentation\.mirror out"),  # of digits
]  # fmt: skip


@pytest.mark.parametrize(("given", "words"), REFUSED)
def test_flags_without_sense_or_against_each_other_are_refused_by_name(given: dict[str, object], words: str) -> None:
    with pytest.raises(LivesnnError, match=words):
        configured(**given)


def test_a_training_spikes_from_the_beginning_if_it_is_short_or_begins_with_a_model() -> None:
    for recipe in RECIPES:
        assert configured(recipe=recipe, epochs=1).analog_epochs == 0
    assert configured().analog_epochs == 3
    assert configured(recipe="paper").analog_epochs == 50
    assert configured(init=Path("models/gestures")).analog_epochs == 0
    assert configured(init=Path("models/gestures"), analog_epochs=2).analog_epochs == 2


def test_what_depends_on_other_flags_has_their_default() -> None:
    assert configured(dataset="ucf101").protocol == "split1"
    assert configure({"dataset": "folder", "n_events": 2000, "init": Path("gestures")}).cell_pixels is None
    assert list(Configuration(epochs=4, average_epochs=2).averaged) == [3, 4]
    assert list(Configuration(epochs=4).averaged) == []
    assert Configuration(burn_in=0).zero_share == 1.0
    assert Configuration(burn_in=20, from_zero=0.25).zero_share == 0.25
    config = configured(dataset="ucf101", network="resnet18", epochs=5)
    assert (config.analog_epochs, config.burn_in, config.rate_weight) == (0, 0, 0)
    assert config.run_name == "ucf101-resnet18-0"


@pytest.mark.parametrize(
    ("features", "precision"),
    [
        ({"avx512f": True, "avx512bf16": False, "amx-bf16": False}, "32-true"),
        ({"avx512bf16": True, "amx-bf16": False}, "bf16-mixed"),
        ({"avx512bf16": False, "amx-bf16": True}, "bf16-mixed"),
        ({"neon": True}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_bf16_is_for_processors_that_multiply_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    assert configured().precision == precision
    given = "32-true" if precision == "bf16-mixed" else "bf16-mixed"
    assert configured(precision=given).precision == given


def test_bf16_is_for_gpus_that_multiply_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for known, precision in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda known=known, **_: known)
        assert configured().precision == precision


def test_what_a_flag_gives_is_told_from_what_is_left_out() -> None:
    assert given_flags([]) == {}
    typed = "--alpha 0.5 --no-norm --compile --augmentation.drop 0.2 --widths 1 2 --init m"
    assert given_flags(typed.split()) == {
        "alpha": 0.5,
        "norm": False,
        "compile": True,
        "augmentation": {"drop": 0.2},
        "widths": (1, 2),
        "init": Path("m"),
    }


def test_strides_that_leave_nothing_of_the_picture_are_named() -> None:
    with pytest.raises(
        TrainError,
        match="--strides or --final-pool is too large for this input: the classifier's pools of 4×4",
    ):
        build(Configuration(strides=(64, 1, 1, 1), final_pool=4), ("a", "b"))


def test_frames_are_made_as_the_model_that_is_started_from_is_used_to() -> None:
    start = read_start(Path("gestures")).card
    folder = {"dataset": "folder", "init": Path("gestures")}
    card = resolve(folder, start=start).card(start.classes)
    assert (card.input.cell_pixels, card.trained_with((640, 480)).input) == (4.0, card.input)
    assert resolve({**folder, "cell_pixels": 9.0}, start=start).cell_pixels == 9.0
    assert configured(dataset="folder").card(()).input.cell_pixels is None


@pytest.mark.parametrize(
    ("init", "given", "removed"),
    [
        ("gestures", None, True),
        ("objects", None, False),
        ("objects", "remove", True),
        ("gestures", "keep", False),
        (None, None, True),
        (None, "keep", False),
    ],
)
def test_a_light_s_flicker_is_removed_as_it_is_said_or_as_the_model_that_is_started_from_has_it(
    init: str | None, given: Literal["keep", "remove"] | None, removed: bool
) -> None:
    flags = {"init": init and Path(init), "light_flicker": given}
    config = configure({"dataset": "folder"} | {name: value for name, value in flags.items() if value})
    assert config.card(()).input.without_flicker is removed
