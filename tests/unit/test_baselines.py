"""ResNet-18 as a counterpart: what it remembers, how it is measured, what it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livesnn.card import InputSpec, SliceRule
from livesnn.errors import TrainError
from livesnn.snn.network import SpikingNetwork
from livesnn.train.baselines import build_baseline, measure_baseline
from livesnn.train.config import TrainConfig
from livesnn.train.datasets.clips import Clips


def resnet(channels: int = 3) -> SpikingNetwork:
    spec = InputSpec(32, 32, SliceRule(delta_t_us=80_000), channels=channels, count_max=255, scale=1 / 128)
    torch.manual_seed(0)
    return build_baseline("resnet18", replace(TrainConfig().card(("a", "b")), input=spec)).eval()


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
        outputs = torch.stack(
            [net(torch.from_numpy(clip)[:, None], net.initial_state(1))[0] for clip in frames]
        )
    means = outputs.mean((1, 2))
    whole = means.unflatten(0, (2, 3)).mean(1).argmax(1)
    labels = np.array([int(whole[0])] * 3 + [1 - int(whole[1])] * 3)
    clips = Clips(frames, labels, tuple("uvwxyz"), ("a", "b"), recordings=("p",) * 3 + ("q",) * 3)
    measured = measure_baseline(net, clips)
    assert (measured.n, measured.recordings) == (6, 2)
    assert measured.accuracy_recordings == 0.5
    assert measured.accuracy_reset == pytest.approx(float((means.argmax(1).numpy() == labels).mean()))


def test_a_baseline_has_no_analog_epochs_and_starts_from_scratch() -> None:
    config = TrainConfig(dataset="ucf101", network="resnet18", epochs=5).completed()
    assert (config.analog_epochs, config.burn_in, config.rate_weight) == (0, 0, 0)
    assert config.run_name == "ucf101-resnet18-0"
    with pytest.raises(TrainError, match="leave --init out"):
        TrainConfig(dataset="ucf101", network="resnet18", init=Path("models/gestures")).completed()


def test_what_only_spikes_need_is_refused_of_a_baseline() -> None:
    with pytest.raises(TrainError, match="--width is of spiking networks, not of resnet18"):
        TrainConfig(dataset="ucf101", network="resnet18", width=32).completed()
