"""The mean of a training's last epochs: what is kept of them, and what the model has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livesnn.errors import TrainError
from livesnn.train.averaging import kept_epoch, load_mean, mean
from livesnn.train.config import TrainConfig
from livesnn.train.recipes import recipe
from livesnn.train.run_folder import load_checkpoint
from livesnn.train.trainer import Trained, train
from livesnn.weights import load_weights
from tests import trees

SMALL = {"batch": 10, "compile": False, "precision": "32-true", "burn_in": 0, "width": 8, "analog_epochs": 0}


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train three epochs, and average two."""
    root = tmp_path_factory.mktemp("averaged")
    config = replace(
        recipe("best", "conv_snn", "mnist-seq1"), data=trees.mnist(root / "data"), out=root, **SMALL
    )
    trained = train(replace(config, epochs=3, average_epochs=2))
    assert trained is not None
    return trained


def test_the_model_has_the_mean_of_the_last_epochs(averaged: Trained) -> None:
    run = averaged.folder.parent
    assert sorted(path.name for path in run.glob("epoch-*")) == ["epoch-2.ckpt", "epoch-3.ckpt"]
    two, three = (load_checkpoint(kept_epoch(run, epoch)) for epoch in (2, 3))
    made, _ = load_weights(averaged.folder / "model.safetensors")
    trained = [name for name in made if "running" not in name and "num_batches" not in name]
    assert trained
    for name in trained:
        half_way = (two[f"net.{name}"] + three[f"net.{name}"]) / 2
        np.testing.assert_allclose(made[name], half_way.numpy(), rtol=1e-5, atol=1e-7)
    assert any(not torch.equal(two[name], three[name]) for name in two)


def test_its_norms_are_measured_with_these_weights(averaged: Trained) -> None:
    run = averaged.folder.parent
    made, _ = load_weights(averaged.folder / "model.safetensors")
    norms = [name for name in made if name.endswith("running_var")]
    two, three = (load_checkpoint(kept_epoch(run, epoch)) for epoch in (2, 3))
    halves = [(two[f"net.{name}"] + three[f"net.{name}"]).numpy() / 2 for name in norms]
    assert any(not np.allclose(made[name], half) for name, half in zip(norms, halves, strict=True))


def test_its_page_does_not_say_that_validation_chose_an_epoch(averaged: Trained) -> None:
    assert "chose the epoch" not in (averaged.folder / "README.md").read_text(encoding="utf-8")


def test_whole_numbers_are_not_averaged() -> None:
    states = [
        {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)},
        {"w": torch.tensor([3.0, 2.0]), "n": torch.tensor(4)},
    ]
    of_both = mean(states)
    assert of_both["w"].tolist() == [2.0, 2.0]
    assert of_both["n"].item() == 4


def test_an_epoch_that_is_missing_is_named(averaged: Trained) -> None:
    run = averaged.folder.parent
    with pytest.raises(TrainError, match=r"epoch-1\.ckpt"):
        load_mean(averaged.network, run, range(1, 4))


def test_more_epochs_than_spike_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="--average-epochs 3 are more than 2 that spike"):
        replace(TrainConfig(), epochs=4, analog_epochs=2, average_epochs=3).completed()
    with pytest.raises(TrainError, match="--average-epochs means nothing to cnn"):
        replace(recipe("best", "cnn", "mnist-seq1"), average_epochs=2).completed()
    assert list(replace(TrainConfig(), epochs=4, average_epochs=2).averaged) == [3, 4]
    assert list(replace(TrainConfig(), epochs=4).averaged) == []
