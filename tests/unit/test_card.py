"""The model card goes to JSON and back, and says which field is wrong."""

from __future__ import annotations

import pytest

from livesnn.card import Accuracy, InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule
from livesnn.errors import ModelError

CARD = ModelCard(
    "m",
    ("a", "b"),
    InputSpec(34, 20, SliceRule(n_events=1000), count_max=3, scale=0.25),
    NetworkSpec(widths=(8, 16, 16, 32), strides=(1, 2, 1, 1)),
    NeuronSpec(0.8, 0.5, False),
    "spikes",
    {"stem": (8, 10, 17)},
    accuracy=Accuracy(0.9, 0.8, 100),
)


def test_a_card_comes_back_from_json() -> None:
    assert ModelCard.from_json(CARD.to_json()) == CARD


def test_fields_of_a_later_livesnn_are_ignored() -> None:
    text = CARD.to_json().replace('"name"', '"colour": "green",\n  "name"', 1)
    assert ModelCard.from_json(text) == CARD


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"width": 34', '"width": "wide"', "input.width"),
        ('"n_events": 1000', '"n_events": -1', "n_events=-1"),
        ('"kind": "sts_resnet"', '"kind": "transformer"', "network.kind"),
        ("livesnn-model/1", "livesnn-model/9", "update livesnn"),
        ("{", "", "not a livesnn model card"),
    ],
)
def test_a_wrong_card_names_the_field(old: str, new: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as raised:
        ModelCard.from_json(CARD.to_json().replace(old, new, 1), where="here")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("both", [{}, {"delta_t_us": 1, "n_events": 1}, {"delta_t_us": 0}])
def test_a_slice_rule_is_one_positive_number(both: dict[str, int]) -> None:
    with pytest.raises(ModelError):
        SliceRule(**both)
