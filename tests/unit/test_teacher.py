"""A teacher: what it makes of clips becomes the targets; which run folders can be one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import lightning
import pytest
import torch

from livesnn.errors import TrainError
from livesnn.train.batches import Batch
from livesnn.train.configuration import Configuration, NetworkName
from livesnn.train.datasets.clips import Parts
from livesnn.train.datasets.registry import data_set
from livesnn.train.hybrid_method import HybridModule
from livesnn.train.network import build
from livesnn.train.teacher import Teacher, read_teacher
from livesnn.train.trainer import Trained, train
from tests import trees
from tests.trees import configured

SMALL = {"epochs": 1, "batch": 10, "compile": False, "precision": "32-true", "measured_norms": False}


@pytest.fixture(scope="module")
def taught_by(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train a frame-stacking CNN on a few sequences."""
    root = tmp_path_factory.mktemp("teacher")
    small = {"width": 8, "burn_in": 0, **SMALL}
    trained = train(
        configured(
            recipe="best",
            network="cnn",
            dataset="mnist-seq1",
            data=trees.mnist(root / "data"),
            out=root,
            **small,
        )
    )
    assert trained is not None
    return trained


def pupil(teacher: Trained, network: NetworkName = "conv_snn", **changes: object) -> Configuration:
    root = teacher.folder.parent
    usual = {"data": root / "data", "out": root, "teacher": teacher.folder, **SMALL}
    return configured(recipe="best", network=network, dataset="mnist-seq1", **usual, **changes)


def clips() -> torch.Tensor:
    return torch.randint(0, 256, (4, 10, 1, 28, 28), dtype=torch.uint8)


def parts_of(config: Configuration) -> Parts:
    return data_set(config.dataset).load_parts(config)


def test_its_outputs_are_those_of_its_best_epoch(taught_by: Trained) -> None:
    config, net = pupil(taught_by), taught_by.network
    frames = clips()
    taught = Teacher(taught_by.folder, config.card(net.card.classes), parts_of(config)).outputs(frames)
    with torch.no_grad():
        outputs, _ = net(frames.transpose(0, 1), ())
    assert torch.allclose(taught, outputs.mean(0), atol=1e-6)
    assert not taught.requires_grad


def test_its_share_of_the_targets_is_as_given(tmp_path: Path) -> None:
    config = Configuration(network="conv_snn", width=4, teacher=tmp_path, teacher_share=0.25, compile=False)
    fit = HybridModule(build(config, ("a", "b")), config, total_steps=1)
    outputs, taught = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[0.2, 0.8]]).log() + 1
    apart = -outputs[0, 0].log_softmax(0)
    wanted = (0.75 + 0.25 * 0.2) * apart[0] + 0.25 * 0.8 * apart[1]
    assert fit.loss(outputs, torch.tensor([0]), taught).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert fit.loss(outputs, torch.tensor([0])).item() == pytest.approx(apart[0].item(), rel=1e-5)


@pytest.mark.parametrize("network", ["conv_snn", "cnn"])
def test_where_all_targets_are_its_labels_change_nothing(taught_by: Trained, network: NetworkName) -> None:
    config = replace(pupil(taught_by, network), width=4, teacher_share=1.0, rate_weight=0.0)
    parts = parts_of(config)
    net = build(config, parts.training.classes)
    net.eval()  # no dropout, and norms that stay
    fit = HybridModule(net, config, 1, None, Teacher(taught_by.folder, net.card, parts))
    fit.trainer = lightning.Trainer(logger=False, enable_checkpointing=False)
    numbers = torch.arange(4)
    frames = clips()
    one, two = (fit.loss_of(Batch(frames, labels, numbers), 0)[0] for labels in (numbers, numbers + 4))
    fit.config = replace(config, teacher_share=0.5)
    half, other = (fit.loss_of(Batch(frames, labels, numbers), 0)[0] for labels in (numbers, numbers + 4))
    assert torch.equal(one, two)
    assert not torch.allclose(half, other)


def test_a_spiking_network_learns_from_it_and_keeps_nothing_of_it(taught_by: Trained) -> None:
    trained = train(pupil(taught_by, width=8, burn_in=0, name="pupil"))
    assert trained is not None
    kept = torch.load(trained.folder.parent / "best.ckpt", weights_only=True)["state_dict"]
    assert {name.removeprefix("net.") for name in kept} == set(trained.network.state_dict())


@pytest.mark.parametrize(
    ("file", "octets", "said"),
    [
        ("best.ckpt", b"torn", r"best\.ckpt is damaged or not a checkpoint: train it again, or give another"),
        ("clips.blake2b", b"\xff\xfe", "trained on other clips"),
        ("clips.blake2b", None, "it has no record of the clips it was trained on: train it again"),
    ],
)
def test_a_damaged_teacher_is_said_to_be_the_teacher(
    taught_by: Trained, tmp_path: Path, file: str, octets: bytes | None, said: str
) -> None:
    run = shutil.copytree(taught_by.folder, tmp_path / "run")
    (run / file).unlink() if octets is None else (run / file).write_bytes(octets)
    config = pupil(taught_by)
    with pytest.raises(TrainError, match=f"^--teacher {run}: .*{said}"):
        Teacher(run, config.card(taught_by.network.card.classes), parts_of(config))


def test_a_teacher_with_the_classes_shares_in_its_outputs_gets_no_pupil_that_adds_them(
    taught_by: Trained, tmp_path: Path
) -> None:
    run = shutil.copytree(taught_by.folder, tmp_path / "run")
    record = run / "config.json"
    record.write_text(record.read_text().replace('"balance": "weights"', '"balance": "none"'))
    assert read_teacher(run).balance == "none"
    with pytest.raises(TrainError, match="it was trained with --balance none"):
        read_teacher(run, "logits")


def test_a_teacher_of_other_clips_or_frames_is_refused(taught_by: Trained) -> None:
    config = pupil(taught_by)
    card, parts = config.card(taught_by.network.card.classes), parts_of(config)
    with pytest.raises(TrainError, match=r"--teacher .*: it was trained on other clips"):
        Teacher(taught_by.folder, card, parts_of(replace(config, seed=1)))
    with pytest.raises(TrainError, match=r"--teacher .*: it was trained on other clips"):
        Teacher(taught_by.folder, replace(card, input=replace(card.input, scale=2.0)), parts)


def test_a_teacher_s_frames_may_be_freed_of_flicker_or_scaled_otherwise_by_default(
    taught_by: Trained,
) -> None:
    config = pupil(taught_by)
    card = config.card(taught_by.network.card.classes)
    as_init_has_it = replace(card, input=replace(card.input, cell_pixels=4.0, without_flicker=True))
    Teacher(taught_by.folder, as_init_has_it, parts_of(config))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"epochs": 2}, "isn't finished"),
        ({"loss": "mse"}, "--loss mse"),
        ({"epochs": "many"}, "another version"),
    ],
)
def test_a_training_that_cannot_teach_is_refused(
    taught_by: Trained, tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    run = shutil.copytree(taught_by.folder, tmp_path / "run")
    record = run / "config.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | changed))
    with pytest.raises(TrainError, match=f"--teacher .*{said}"):
        read_teacher(run)


def test_a_folder_without_a_training_is_refused_before_any_clip_is_read(tmp_path: Path) -> None:
    config = Configuration(data=tmp_path / "none", out=tmp_path, teacher=tmp_path / "nobody")
    with pytest.raises(TrainError, match=r"nobody: .* isn't a run folder, as it has no config\.json"):
        train(config)
