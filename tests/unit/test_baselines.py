"""Baselines: what they see and remember, how they are measured, what they are refused, what they learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livesnn.card import InputSpec, SliceRule
from livesnn.snn.network import channels_last
from livesnn.train.baselines import BASELINES, Baseline, measure_baseline
from livesnn.train.configuration import NETWORKS, RECIPES, Configuration, NetworkName, recipe
from livesnn.train.datasets.clips import Clips
from livesnn.train.datasets.registry import data_set
from livesnn.train.hybrid_method import HybridModule
from livesnn.train.network import build
from livesnn.train.trainer import train
from tests import trees
from tests.trees import configured


def resnet(channels: int = 3) -> Baseline:
    spec = InputSpec(32, 32, SliceRule(delta_t_us=80_000), channels=channels, count_max=255, scale=1 / 128)
    torch.manual_seed(0)
    return BASELINES["resnet18"](replace(Configuration().card(("a", "b")), input=spec)).eval()


@pytest.mark.parametrize("channels", [2, 3])
def test_resnet18_sees_each_frame_alone(channels: int) -> None:
    net = resnet(channels)
    frames = torch.randint(0, 256, (4, 2, channels, 32, 32), dtype=torch.uint8)
    outputs, state, rates = net.forward_rates(frames, net.initial_state(2))
    again, _ = net(frames[3:], state)
    assert outputs.shape == (4, 2, 2)
    assert torch.allclose(outputs[3], again[0], atol=1e-5)
    assert len(rates) == 0


def test_a_recording_is_decided_by_all_its_clips() -> None:
    net = resnet()
    random = np.random.default_rng(1)
    frames = random.integers(0, 256, (6, 10, 3, 32, 32)).astype(np.uint8)
    with torch.no_grad():
        outputs = torch.stack([net(torch.from_numpy(clip)[:, None], net.initial_state(1))[0] for clip in frames])
    means = outputs.mean((1, 2))
    whole = means.unflatten(0, (2, 3)).mean(1).argmax(1)
    labels = np.array([int(whole[0])] * 3 + [1 - int(whole[1])] * 3)
    clips = Clips(frames, labels, tuple("uvwxyz"), ("a", "b"), recordings=("p",) * 3 + ("q",) * 3)
    measured = measure_baseline(net, clips)
    assert (measured.n, measured.recordings) == (6, 2)
    assert measured.accuracy_recordings == 0.5
    assert measured.accuracy_reset == pytest.approx(float((means.argmax(1).numpy() == labels).mean()))


NEW: tuple[NetworkName, ...] = ("cnn", "cnn_lstm", "conv_lstm", "c3d", "conv_snn")


def tiny(network: NetworkName, name: str = "best", **changes: object) -> Configuration:
    small = {"width": 4, "compile": False, "precision": "32-true", "burn_in": 0, **changes}
    return configured(recipe=name, network=network, dataset="mnist-seq1", **small)


def shapes_of(batch: int) -> torch.Tensor:
    """Return clips uint8 [10, B, 1, 28, 28] in which the first half brightens and the second half darkens."""
    ramp = torch.arange(10, 110, 10).view(10, 1, 1, 1, 1).expand(10, batch, 1, 28, 28)
    rising = torch.arange(batch).view(1, -1, 1, 1, 1) < batch // 2
    return torch.where(rising, ramp, ramp.flip(0)).to(torch.uint8)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("network", NEW)
def test_a_window_gives_one_output_a_step_or_one_in_all(network: NetworkName, norm: bool) -> None:
    net = build(tiny(network, norm=norm), tuple("abc")).eval()
    outputs, state, rates = net.forward_rates(shapes_of(4), net.initial_state(4))
    assert outputs.shape == (1 if network in ("cnn", "c3d") else 10, 4, 3)
    assert outputs.dtype == torch.float32
    if network != "conv_snn":
        assert (state, len(rates)) == ((), 0)


@pytest.mark.parametrize("network", ["cnn_lstm", "conv_lstm"])
def test_what_has_steps_hears_the_past_and_not_the_future(network: NetworkName) -> None:
    net = build(tiny(network), tuple("abc")).eval()
    frames = torch.randint(0, 256, (10, 1, 1, 28, 28), dtype=torch.uint8)
    before, after = frames.clone(), frames.clone()
    before[2] = 0
    after[7] = 0
    with torch.no_grad():
        whole, forgot, foresaw = (net(x, ())[0] for x in (frames, before, after))
    assert not torch.allclose(whole[6], forgot[6], atol=1e-7)
    assert torch.allclose(whole[:7], foresaw[:7], atol=1e-7)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("network", NEW)
def test_each_learns_whether_a_clip_brightens_or_darkens(network: NetworkName, name: str) -> None:
    torch.manual_seed(0)
    config = tiny(network, name)
    net = build(config, ("brighter", "darker"))
    fit = HybridModule(net, config, total_steps=20)
    frames, labels = shapes_of(4), (torch.arange(4) >= 2).long()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(20):
        loss = fit.loss(net.forward_rates(frames, net.initial_state(4))[0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_the_recipes_are_the_papers_for_each_network() -> None:
    assert set(NETWORKS) == {"sts_resnet", "resnet18", *NEW}
    conv_snn = recipe("paper", "conv_snn", "mnist-seq1")
    assert (conv_snn.batch, conv_snn.learning_rate, conv_snn.reset, conv_snn.width) == (20, 5e-4, False, 48)
    assert recipe("paper", "conv_lstm", "mnist-seq1").loss == "bce"
    assert configured(recipe="paper", network="cnn", dataset="mnist-seq1").analog_epochs == 0
    events = configured(recipe="paper", dataset="cifar10-dvs")
    assert (events.optimizer, events.loss, events.batch, events.alpha) == ("sgd", "bce", 10, 0.8)
    assert events.card(()).input.slice == SliceRule(n_events=1000)
    assert replace(events, delta_t_us=50_000).card(()).input.slice == SliceRule(delta_t_us=50_000)
    assert recipe("best", "sts_resnet", "nmnist") == Configuration()
    assert recipe("paper", "cnn", "mnist-seq1").run_name == "mnist-seq1-cnn-paper-0"


def test_a_spiking_read_outs_rates_are_probabilities_in_binary_cross_entropy() -> None:
    config = tiny("conv_snn", "paper", loss="bce")
    fit = HybridModule(build(config, ("a", "b")), config, total_steps=1)
    silent = torch.zeros(10, 1, 2, requires_grad=True)
    loss = fit.loss(silent, torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(-(np.log(0.99) + np.log(0.01)) / 2, rel=1e-4)
    assert silent.grad is not None
    assert silent.grad[0, 0, 1] < 0 < silent.grad[0, 0, 0]


@pytest.mark.parametrize("channels", [1, 2])
def test_whatever_the_channels_a_convolution_takes_them_as_last(channels: int) -> None:
    frames = torch.rand(3, channels, 6, 6)
    laid_out = channels_last(frames)
    assert torch.equal(laid_out, frames)
    convolved = torch.nn.Conv2d(channels, 4, 3)(laid_out)
    assert convolved.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
def test_what_a_training_kept_for_validation_is_found_again_by_its_network_s_card(tmp_path: Path) -> None:
    data = trees.mnist(tmp_path / "data")
    config = configured(
        network="cnn", dataset="mnist-seq2", data=data, out=tmp_path, epochs=1, batch=10, width=8, burn_in=0,
        compile=False, precision="32-true", measured_norms=False,
    )  # fmt: skip
    trained = train(config)
    assert trained is not None
    again = data_set("mnist-seq2").load_split(data, "validation", trained.network.card)
    assert np.array_equal(again.frames, data_set("mnist-seq2").load_parts(config).validation.frames)
