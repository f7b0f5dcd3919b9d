"""The model card goes to JSON and back, and says which field is wrong."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from livesnn.card import Accuracy, InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule, Split, TraceSpec
from livesnn.errors import ModelError
from livesnn.events.slicer import count_gain

CARD = ModelCard(
    "m",
    ("a", "b"),
    InputSpec(34, 20, SliceRule(n_events=1000), count_max=3, scale=0.25),
    NetworkSpec(widths=(8, 16, 16, 32), strides=(1, 2, 1, 1)),
    NeuronSpec(0.8, 0.5, False),
    "spikes",
    {"stem": (8, 10, 17)},
    split=Split(0.1, 0),
    accuracy=Accuracy(0.9, 0.8, 100),
)


def test_a_card_comes_back_from_json() -> None:
    assert ModelCard.from_json(CARD.to_json()) == CARD


def test_counts_of_another_sensor_are_scaled_by_area_to_the_training_s() -> None:
    spec = InputSpec(64, 64, SliceRule(delta_t_us=50_000))
    card = ModelCard("m", ("a", "b"), spec).trained_with((128, 128))
    assert (card.sensor, card.input.cell_pixels) == ((128, 128), 4.0)
    assert ModelCard.from_json(card.to_json()) == card
    assert count_gain(card.input, 128, 128) == 1.0
    assert count_gain(card.input, 640, 480) == pytest.approx(128**2 / 480**2)
    assert "counts are scaled" in card.on_another_sensor(640, 480)
    assert card.on_another_sensor(128, 128) == ""
    assert count_gain(replace(card.input, slice=SliceRule(n_events=1000)), 640, 480) == 1.0


def test_where_the_training_s_sensor_isn_t_known_counts_are_as_they_come() -> None:
    assert CARD.trained_with(None) == CARD
    assert count_gain(CARD.input, 640, 480) == 1.0
    assert CARD.on_another_sensor(640, 480) == ""
    video = ModelCard("m", ("a", "b"), InputSpec(64, 64, SliceRule(40_000), kind="video", channels=3))
    assert video.trained_with((640, 480)).input == video.input


def test_fields_of_a_later_livesnn_are_ignored() -> None:
    text = CARD.to_json().replace('"name"', '"colour": "green",\n  "name"', 1)
    assert ModelCard.from_json(text) == CARD


LESSON = '{"right": %d, "kept_aside": 1, "taken": 0, "known": 1}'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"width": 34', '"width": "wide"', "input.width"),
        ('"stem": [', '"stem": [' + "9," * 9, "of length <= 8"),
        ('"n_events": 1000', '"n_events": -1', r"input\.slice\.n_events"),
        ('"n_events": 1000', '"n_events": null', "a slice rule takes one"),
        ('"width": 34', '"width": 4097', r"input\.width"),
        ('"height": 20', '"height": 0', r"input\.height"),
        ('"channels": 2', '"channels": 17', r"input\.channels"),
        ('"count_max": 3', '"count_max": 256', r"input\.count_max"),
        ('"cell_pixels": null', '"cell_pixels": 0', r"input\.cell_pixels"),
        ('"scale": 0.25', '"scale": 0', r"input\.scale"),
        ('"scale": 0.25', '"scale": 1e999', r"input\.scale"),
        ('"window": 10', '"window": 9223372036854775808', r"input\.window"),
        ('"threshold": 0.5', '"threshold": 0.0', r"neuron\.threshold"),
        ('"alpha": 0.8', '"alpha": 1.1', r"neuron\.alpha"),
        ('"a",', '"b",', "must be different and printable"),
        ('"a",', '"a\\n",', "must be different and printable"),
        ('"a",', '" ",', "must be different and printable"),
        ('"stem_kernel": 7', '"stem_kernel": 6', "stem_kernel is 6"),
        ('"stem_pool_stride": 2', '"stem_pool_stride": 0', r"network\.stem_pool_stride"),
        ('"kind": "sts_resnet"', '"kind": "conv_snn"', r"network\.widths has 4 entries, not 2"),
        ('"dropout": 0.2', '"dropout": 1', r"network\.dropout"),
        ('"fraction": 0.1', '"fraction": 0', r"split\.fraction"),
        ('"seed": 0', '"seed": -1', r"split\.seed"),
        ('"kind": "sts_resnet"', '"kind": "transformer"', "network.kind"),
        ("0.37,", "-0.1,", r"traces\.alphas\[0\]"),
        ("0.37,", '"0.37",', r"traces\.alphas\[0\]"),
        ("0.37,", "0.37," * 17, r"of length <= 16 - at `\$\.traces\.alphas"),
        ("0.97", "0.99999999", r"traces\.alphas\[4\]"),
        ('"members": 3', '"members": 1000000000', r"traces\.members"),
        ('"hidden": 256', '"hidden": 0', r"traces\.hidden"),
        ('"taught": {', '"taught": {"ghost": 1', "'ghost' was taught or renamed, but is none of its classes"),
        ('"lessons": {', f'"lessons": {{"a": {LESSON % 10**400}', "not a livesnn model card|lessons"),
        ('"lessons": {', f'"lessons": {{"a": {LESSON % -1}', r"lessons.*right"),
        ("livesnn-model/1", "livesnn-model/9", "update livesnn"),
        ("{", "", "not a livesnn model card"),
    ],
)
def test_a_wrong_card_names_the_field(old: str, new: str, says: str) -> None:
    text = CARD.to_json()
    assert old in text
    with pytest.raises(ModelError, match=says) as raised:
        ModelCard.from_json(text.replace(old, new, 1), where="here")
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("here ")


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (replace(CARD, classes=()), r"\.classes"),
        (replace(CARD, traces=TraceSpec(())), r"\.traces\.alphas"),
        (
            replace(CARD, readout="traces", network=NetworkSpec(kind="conv_snn", widths=(8, 8))),
            "only an sts_resnet has, not a conv_snn",
        ),
        (replace(CARD, states={"stem": (8, 0, 17)}), r"\.states"),
        (
            replace(CARD, neuron=NeuronSpec(block_alphas=(0.5, 0.9))),
            r"block_alphas has 2 entries, not one for each",
        ),
        (replace(CARD, neuron=NeuronSpec(block_alphas=(0.5, 0.5, 0.5, 1.1))), r"neuron\.block_alphas"),
        (replace(CARD, network=NetworkSpec(strides=(1, 2))), r"network\.strides has 2 entries, not 4"),
        (replace(CARD, network=NetworkSpec(sub_blocks=(1, 2, 0, 1))), r"network\.sub_blocks\[2\]"),
        (
            replace(CARD, network=NetworkSpec(widths=(4096, 8, 8, 8)), input=replace(CARD.input, width=4096)),
            "neurons",
        ),
        (
            replace(CARD, network=NetworkSpec(kind="conv_snn", widths=(8, 8)), input=replace(CARD.input, height=1)),
            "its layer second has no neurons",
        ),
        (replace(CARD, states={"stem": (1 << 31, 1 << 31)}), "neurons, more than"),
        (replace(CARD, input=replace(CARD.input, kind="video", without_flicker=True)), "kind is video"),
    ],
)
def test_what_does_not_go_together_is_named(card: ModelCard, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        ModelCard.from_json(card.to_json())


@pytest.mark.parametrize("both", [{}, {"delta_t_us": 1, "n_events": 1}, {"delta_t_us": 0}])
def test_a_slice_rule_is_one_positive_number(both: dict[str, int]) -> None:
    with pytest.raises(ModelError):
        SliceRule(**both)


FIRST_READERS = """
import importlib, sys, threading
import livesnn.card

def read():
    together.wait()
    livesnn.card.ModelCard.from_json(sys.argv[1])

sys.setswitchinterval(1e-6)
for _ in range(40):
    importlib.reload(livesnn.card)  # whose classes nobody has read yet
    together = threading.Barrier(4)
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_several_threads_may_be_the_first_to_read_a_card() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_READERS, CARD.to_json()], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
