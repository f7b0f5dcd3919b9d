"""Batch-norm statistics are those of clips; the model has the mean of a training's last epochs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from livesnn.card import ModelCard
from livesnn.errors import StoppedError, TrainError
from livesnn.snn import SpikingNetwork, build_network
from livesnn.train import trainer
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.registry import data_set
from livesnn.train.final_weights import LastEpochs, load_final, mean_of, measure_norms
from livesnn.train.network import build
from livesnn.train.resolve import recorded_config
from livesnn.train.run_folder import epoch_file, load_checkpoint
from livesnn.train.trainer import Trained, train
from livesnn.weights import load_weights
from tests import trees
from tests.trees import configured


def a_network() -> SpikingNetwork:
    torch.manual_seed(0)
    card: ModelCard = Configuration(width=16, data=Path()).card(tuple("ab"))
    return build_network(card)


def norms(net: SpikingNetwork) -> list[torch.nn.BatchNorm2d]:
    return [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def some_clips(*counts: int) -> list[torch.Tensor]:
    random = np.random.default_rng(3)
    return [torch.from_numpy(random.poisson(0.3, (count, 10, 2, 34, 34)).astype(np.uint8)) for count in counts]


@pytest.mark.slow
def test_the_first_layer_s_statistics_are_those_of_all_its_currents() -> None:
    net, some = a_network(), some_clips(4, 4)
    frames = net.scale_input(torch.cat(some).flatten(0, 1))
    first = next(module for module in net.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        currents = first(frames)
    for _ in range(2):  # nothing is left of what was before
        measure_norms(net, some, 0.25)
        norm = norms(net)[0]
        torch.testing.assert_close(norm.running_mean, currents.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(norm.running_var, currents.var((0, 2, 3)), rtol=2e-2, atol=1e-5)


@pytest.mark.slow
def test_every_layer_is_measured_in_the_state_that_clips_before_left() -> None:
    net, some = a_network(), some_clips(6, 5)
    measure_norms(net, some, 0.0)
    last = norms(net)[-1].running_mean
    assert last is not None
    carried = last.clone()
    assert torch.isfinite(carried).all()
    assert (carried != 0).any()
    measure_norms(net, some, 1.0)
    assert not torch.allclose(carried, last)


def test_a_measurement_leaves_weights_mode_and_momentum_as_they_were() -> None:
    net = a_network().train()
    before = {name: tensor.clone() for name, tensor in net.named_parameters()}
    measure_norms(net, some_clips(3), 0.25)
    assert net.training
    assert all(norm.training and norm.momentum == 0.1 for norm in norms(net))
    for name, tensor in net.named_parameters():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_network_without_norms_has_nothing_to_measure() -> None:
    net = a_network()
    plain = build_network(replace(net.card, network=replace(net.card.network, norm=False)))
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    measure_norms(plain, some_clips(2), 0.25)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


SMALL = {"batch": 10, "compile": False, "precision": "32-true", "burn_in": 0, "width": 8, "analog_epochs": 0}


class KillAfter:
    """Ends a training at the end of an epoch, when it was kept and last.ckpt is still that of the epoch before."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def keeping(self, run: Path, epochs: range) -> LastEpochs:
        epoch = self.epoch

        class Killed(LastEpochs):
            def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
                super().on_train_epoch_end(trainer, pl_module)
                if trainer.current_epoch + 1 == epoch:
                    raise KeyboardInterrupt

        return Killed(run, epochs)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train three epochs, and average two."""
    root = tmp_path_factory.mktemp("averaged")
    config = configured(
        recipe="best",
        network="conv_snn",
        dataset="mnist-seq1",
        data=trees.mnist(root / "data"),
        out=root,
        **SMALL,
    )
    trained = train(replace(config, epochs=3, average_epochs=2))
    assert trained is not None
    return trained


@pytest.mark.slow
def test_the_model_has_the_mean_of_the_last_epochs(averaged: Trained) -> None:
    run = averaged.folder.parent
    assert sorted(path.name for path in run.glob("epoch-*")) == ["epoch-2.ckpt", "epoch-3.ckpt"]
    two, three = (load_checkpoint(epoch_file(run, epoch)) for epoch in (2, 3))
    made, _ = load_weights(averaged.folder / "model.safetensors")
    trained = [name for name in made if "running" not in name and "num_batches" not in name]
    assert trained
    for name in trained:
        half_way = (two[f"net.{name}"] + three[f"net.{name}"]) / 2
        np.testing.assert_allclose(made[name], half_way.numpy(), rtol=1e-5, atol=1e-7)
    assert any(not torch.equal(two[name], three[name]) for name in two)


@pytest.mark.slow
def test_its_norms_are_measured_with_these_weights(averaged: Trained) -> None:
    run = averaged.folder.parent
    config = recorded_config(run)
    net = build(replace(config, compile=False), averaged.network.card.classes)
    load_final(net, run, config, data_set("mnist-seq1").load_parts(config).training)
    made, _ = load_weights(averaged.folder / "model.safetensors")
    state = net.state_dict()
    for name, array in made.items():
        np.testing.assert_allclose(array, state[name].numpy(), rtol=1e-5, atol=1e-7)
    last = load_checkpoint(epoch_file(run, 3))
    assert any(not np.allclose(made[name], last[f"net.{name}"]) for name in made if "running_var" in name)


@pytest.mark.slow
def test_its_page_does_not_say_that_validation_chose_an_epoch(averaged: Trained) -> None:
    assert "chose the epoch" not in (averaged.folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_whole_numbers_are_not_averaged_and_other_networks_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.ckpt" for number in range(3)]
    for number, path in enumerate(paths):
        state = {"w": torch.tensor([1.0 + 3 * number, 2.0]), "n": torch.tensor(number)}
        torch.save({"state_dict": state, "epoch": 0, "pytorch-lightning_version": "2.6"}, path)
    of_three = mean_of(paths)
    assert of_three["w"].tolist() == [4.0, 2.0]
    assert of_three["n"].item() == 2
    torch.save({"state_dict": {"w": torch.zeros(3)}, "epoch": 0, "pytorch-lightning_version": "2.6"}, paths[2])
    with pytest.raises(TrainError, match=r"2\.ckpt belongs to another network"):
        mean_of(paths)


@pytest.mark.slow
def test_an_epoch_that_is_missing_is_named_before_the_training_goes_on(averaged: Trained, tmp_path: Path) -> None:
    run = shutil.copytree(averaged.folder.parent, tmp_path / averaged.folder.parent.name)
    record = run / "config.json"
    out = f'"out": "{averaged.folder.parent.parent}"'
    record.write_text(record.read_text().replace(out, f'"out": "{tmp_path}"'))
    (run / "epoch-2.ckpt").unlink()
    config = replace(recorded_config(run), resume=True)
    with pytest.raises(TrainError, match=r"epoch-2\.ckpt"):
        train(config)


@pytest.mark.slow
def test_a_training_that_was_killed_between_epochs_comes_to_the_same_mean(averaged: Trained, tmp_path: Path) -> None:
    config = replace(recorded_config(averaged.folder.parent), out=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "LastEpochs", KillAfter(2).keeping)
        with pytest.raises(StoppedError):
            train(config)
    resumed = train(replace(config, resume=True))
    assert resumed is not None
    once, again = (load_weights(each.folder / "model.safetensors")[0] for each in (averaged, resumed))
    for name in once:
        np.testing.assert_array_equal(once[name], again[name])
