"""A teacher: what it makes of clips becomes the targets; which run folders can be one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from livesnn.errors import TrainError
from livesnn.train.build import build
from livesnn.train.config import TrainConfig
from livesnn.train.hybrid import HybridModule
from livesnn.train.recipes import recipe
from livesnn.train.teacher import Teacher
from livesnn.train.trainer import Trained, train
from tests import trees

SMALL = {"epochs": 1, "batch": 10, "compile": False, "precision": "32-true", "measured_norms": False}


@pytest.fixture(scope="module")
def taught_by(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train a frame-stacking CNN on a few sequences."""
    root = tmp_path_factory.mktemp("teacher")
    small = {"width": 8, "burn_in": 0, **SMALL}
    trained = train(
        replace(recipe("best", "cnn", "mnist-seq1"), data=trees.mnist(root / "data"), out=root, **small)
    )
    assert trained is not None
    return trained


def pupil(teacher: Trained, **changes: object) -> TrainConfig:
    root = teacher.folder.parent
    usual = {"data": root / "data", "out": root, "teacher": teacher.folder, "analog_epochs": 0, **SMALL}
    return replace(recipe("best", "conv_snn", "mnist-seq1"), **usual, **changes)


def clips() -> torch.Tensor:
    return torch.randint(0, 256, (4, 10, 1, 28, 28), dtype=torch.uint8)


def test_its_probabilities_are_those_of_its_best_epoch(taught_by: Trained) -> None:
    config, net = pupil(taught_by), taught_by.network
    frames = clips()
    targets = Teacher(taught_by.folder, config.card(net.card.classes)).targets(frames)
    with torch.no_grad():
        outputs, _ = net(frames.transpose(0, 1), ())
    assert torch.allclose(targets, outputs.mean(0).softmax(1), atol=1e-6)
    assert not targets.requires_grad


def test_its_share_of_the_targets_is_as_given() -> None:
    config = TrainConfig(network="conv_snn", width=4, teacher_share=0.25, compile=False)
    fit = HybridModule(build(config, ("a", "b")), config, total_steps=1)
    outputs, taught = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[0.2, 0.8]])
    apart = -outputs[0, 0].log_softmax(0)
    wanted = (0.75 + 0.25 * 0.2) * apart[0] + 0.25 * 0.8 * apart[1]
    assert fit.loss(outputs, torch.tensor([0]), taught).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert fit.loss(outputs, torch.tensor([0])).item() == pytest.approx(apart[0].item(), rel=1e-5)


def test_a_spiking_network_learns_from_it_and_keeps_nothing_of_it(taught_by: Trained) -> None:
    trained = train(pupil(taught_by, width=8, burn_in=0, name="pupil"))
    assert trained is not None
    kept = torch.load(trained.folder.parent / "best.ckpt", weights_only=True)["state_dict"]
    assert kept
    assert not [name for name in kept if "teacher" in name]


def test_no_run_folder_and_one_of_other_classes_or_frames_are_refused(
    taught_by: Trained, tmp_path: Path
) -> None:
    card = pupil(taught_by).card(taught_by.network.card.classes)
    with pytest.raises(TrainError, match=r"no run folder: it has no config\.json"):
        Teacher(tmp_path, card)
    with pytest.raises(TrainError, match="other classes"):
        Teacher(taught_by.folder, replace(card, classes=("a", "b")))
    with pytest.raises(TrainError, match="other frames"):
        Teacher(taught_by.folder, replace(card, input=replace(card.input, scale=2.0)))
    record = tmp_path / "config.json"
    record.write_text('{"epochs": "many"}')
    with pytest.raises(TrainError, match="another version"):
        Teacher(tmp_path, card)
