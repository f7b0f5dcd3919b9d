"""--init: what a training takes over from a model, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livesnn.card import BY_TABLE, InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule, Split
from livesnn.errors import TrainError
from livesnn.snn import SpikingNetwork, build_network
from livesnn.snn.checkpoint import weights_of
from livesnn.train.datasets.clips import Clips, Parts
from livesnn.train.resolve import CONFIG_FILE, Start, as_record, configure, read_start, resolve
from livesnn.train.start import say_validation, start_from, trained_before
from livesnn.weights import save_weights
from tests.trees import configured

CARD = ModelCard(
    name="tiny",
    classes=("clap", "roll", "wave"),
    input=InputSpec(34, 34, SliceRule(delta_t_us=50_000)),
    network=NetworkSpec(widths=(8,) * 4),
)


def network(seed: int, **changes: object) -> SpikingNetwork:
    torch.manual_seed(seed)
    return build_network(replace(CARD, **changes))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    net = network(1)
    save_weights(weights_of(net), tmp_path / "model.safetensors", replace(CARD, states=net.state_shapes()))
    return tmp_path


def test_the_same_classes_take_over_every_weight(model: Path) -> None:
    net = network(2)
    start_from(net, read_start(model))
    assert net.training
    for name, array in weights_of(network(1)).items():
        assert np.array_equal(weights_of(net)[name], array)


def test_other_classes_take_over_the_rows_they_share_and_all_layers_before(model: Path) -> None:
    net = network(2, classes=("nod", "wave", "clap", "point"))
    start_from(net, read_start(model))
    theirs, fresh, now = (
        weights_of(network(1)),
        weights_of(network(2, classes=("nod", "wave", "clap", "point"))),
        weights_of(net),
    )
    for name in ("classify.weight", "classify.bias"):
        assert np.array_equal(now[name][[1, 2]], theirs[name][[2, 0]])
        assert np.array_equal(now[name][[0, 3]], fresh[name][[0, 3]])
    for name in theirs:
        assert name.startswith("classify.") or np.array_equal(now[name], theirs[name])


@pytest.mark.parametrize("classes", [CARD.classes, ("a", "b")])
def test_another_network_is_refused_with_what_to_give(model: Path, classes: tuple[str, ...]) -> None:
    net = network(2, classes=classes, network=NetworkSpec(widths=(16,) * 4))
    with pytest.raises(TrainError, match=r"--init: .* as in this network: give a model of the same network"):
        start_from(net, read_start(model))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"--init .* is not a model folder"):
        read_start(tmp_path)


def test_only_a_model_of_the_same_recordings_has_a_split_to_keep(model: Path) -> None:
    start = read_start(model)

    def of(dataset: str, protocol: str = "") -> Start:
        return start._replace(card=replace(start.card, dataset=dataset, split=Split(protocol=protocol)))

    folder = configured(dataset="folder")
    assert trained_before(None, folder) is None
    assert trained_before(of("gestures-sim"), folder) is None
    assert trained_before(of("folder"), folder) == of("folder").card
    assert trained_before(of("folder", BY_TABLE), folder) is not None
    digits = configured(dataset="mnist-seq1")
    assert trained_before(of("mnist-seq2"), digits) is not None
    videos = configured(dataset="ucf101", protocol="split2")
    with pytest.raises(TrainError, match=r"tiny was trained on --protocol split1, .*: give --protocol split1"):
        trained_before(of("ucf101", "split1"), videos)


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (
            None,
            Split(),
            "tiny doesn't record its validation clips. It may have been trained on some of these",
        ),
        (Split(seed=1), Split(seed=1), "validation keeps the clips that it had for tiny"),
        (Split(groups=("ann",)), Split(groups=("ann", "bob")), "validation keeps the clips that it had for tiny"),
        (Split(groups=("ann",)), Split(groups=("bob",)), "count as other recordings"),
        (Split(protocol=BY_TABLE), Split(groups=("bob",)), "doesn't record its validation clips"),
        (Split(groups=("ann",)), Split(protocol=BY_TABLE), "doesn't record its validation clips"),
        (None, None, ""),
    ],
)
def test_what_becomes_of_validation_is_said(
    theirs: Split | None, ours: Split | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = Clips(np.zeros((1, 1, 1, 1, 1), np.uint8), np.array([0]), ("x",), ("clap",))
    say_validation(replace(CARD, split=theirs), Parts(clips, clips, split=ours))
    heard = capsys.readouterr().err
    assert said in heard if said else heard == ""


def test_a_training_has_the_network_of_the_model_it_starts_from(capsys: pytest.CaptureFixture[str]) -> None:
    folder = {"dataset": "folder", "init": Path("objects")}
    assert configure(folder).final_pool == 16
    assert capsys.readouterr().err == "as in objects: --final-pool 16\n"
    assert configure({**folder, "alpha": 0.7}).alpha == 0.7
    assert configured(dataset="folder").final_pool == 3
    capsys.readouterr()
    configure({"dataset": "gestures-sim", "init": Path("gestures"), "dropout": 0.0})
    assert capsys.readouterr().err == "as in gestures: --block-alphas 0.5 0.5 0.5 0.9 --readout traces\n"


def test_what_a_flag_gives_is_not_taken_from_the_model() -> None:
    with pytest.raises(TrainError, match="--init: objects has final_pool 16, not 3: leave that out"):
        configure({"dataset": "folder", "init": Path("objects"), "final_pool": 3})


def test_a_training_from_a_model_is_resumed_with_the_network_it_was_begun_with(tmp_path: Path) -> None:
    given = {"dataset": "folder", "init": Path("objects"), "out": tmp_path}
    begun = configure(given)
    begun.run.mkdir()
    (begun.run / CONFIG_FILE).write_bytes(as_record(begun))
    again = configure({**given, "resume": True})
    assert again.final_pool == 16
    assert replace(again, resume=False) == begun


def test_neuron_and_readout_are_the_model_s_too(model: Path) -> None:
    paper = replace(read_start(model).card, neuron=NeuronSpec(0.8, 1.0, reset=False), readout="spikes")
    taking = resolve({"dataset": "folder", "init": model}, start=paper)
    assert taking.card(CARD.classes).neuron == paper.neuron
    assert (taking.readout, taking.widths) == ("spikes", (8,) * 4)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"final_pool": 4}, r"tiny has final_pool 3, not 4: leave that out"),
        ({"width": 16}, r"tiny has widths \(8, 8, 8, 8\), not \(16, 16, 16, 16\)"),
        ({"network": "conv_snn", "width": 48}, "tiny isn't a conv_snn: give --network sts_resnet"),
    ],
)
def test_another_network_that_is_asked_for_is_refused(model: Path, flags: dict[str, object], said: str) -> None:
    with pytest.raises(TrainError, match=said):
        configure({"dataset": "folder", "init": model, **flags})


FROZEN = {"dataset": "gestures-sim", "init": Path("gestures"), "freeze": True}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"alpha": 0.7}, r"--freeze keeps gestures as it is, whose neuron has alpha 0\.5, not 0\.7"),
        ({"weight_bits": 32}, "whose network has weight_bits 8, not 32: give the same"),
        ({"delta_t_us": 20_000}, "whose input has slice"),
        ({"augmentation": {"drop": 0.1}}, "--augmentation has no effect with --freeze"),
        ({"analog_epochs": 1}, "--analog-epochs has no effect with --freeze"),
        ({"readout": "membrane"}, "add --init MODEL --readout traces"),
        ({"dataset": "nmnist"}, "--freeze only applies to gestures-sim, not to nmnist"),
        ({"network": "conv_snn"}, "give --network sts_resnet"),
    ],
)
def test_a_frozen_network_makes_the_spikes_that_its_read_out_learns(flags: dict[str, object], said: str) -> None:
    assert configure(FROZEN).readout == "traces"
    with pytest.raises(TrainError, match=said):
        configure(FROZEN | flags)


def test_a_network_whose_spikes_can_not_be_kept_is_not_frozen() -> None:
    start = read_start(Path("gestures")).card
    for pool, widths in ((16, 64), (3, 8)):
        card = replace(start, network=replace(start.network, final_pool=pool, widths=(widths,) * 4))
        with pytest.raises(TrainError, match="multiples of 16 and pools of at most 15×15"):
            resolve(FROZEN, start=card)


@pytest.mark.parametrize(
    "changes",
    [{"network": NetworkSpec(widths=(8,) * 4, final_pool=2)}, {"input": replace(CARD.input, width=64)}],
)
def test_a_head_that_looks_at_another_map_is_refused(model: Path, changes: dict[str, object]) -> None:
    net = network(2, classes=("nod", "wave"), **changes)
    with pytest.raises(TrainError, match=r"--init: .*classify\.weight.*of the same network and input"):
        start_from(net, read_start(model))
