"""What a spiking network is compared with, on the same frames: for tables alone, never a model folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from livesnn.card import ModelCard
from livesnn.snn.network import SpikingNetwork
from livesnn.train.datasets.clips import Clips

Name = Literal["resnet18"]
AT_ONCE = 50
"""Clips."""


@dataclass(frozen=True)
class Measured:
    """Accuracies, fractions 0..1: of ``n`` clips, and of ``recordings`` by the mean output of their clips."""

    n: int
    accuracy_reset: float
    recordings: int
    accuracy_recordings: float | None


def build_baseline(name: Name, card: ModelCard) -> SpikingNetwork:
    """Build a baseline with fresh weights, for the input and the classes of a card."""
    from livesnn.train.baselines.resnet18 import ResNet18

    return {"resnet18": ResNet18}[name](card)


def measure_baseline(net: SpikingNetwork, clips: Clips) -> Measured:
    """Decide each clip by its mean output, and each recording by that of its clips."""
    outputs = _mean_outputs(net, clips)
    recordings = len(set(clips.recordings)) or len(clips)
    return Measured(
        n=len(clips),
        accuracy_reset=float((outputs.argmax(1).numpy() == clips.labels).mean()),
        recordings=recordings,
        accuracy_recordings=_by_recording(outputs, clips) if recordings < len(clips) else None,
    )


@torch.no_grad()
def _mean_outputs(net: SpikingNetwork, clips: Clips) -> Tensor:
    """Return float32 [N, K] over each clip's frames, from zero state."""
    device = next(net.parameters()).device
    means = []
    for first in range(0, len(clips), AT_ONCE):
        frames = torch.from_numpy(np.asarray(clips.frames[first : first + AT_ONCE])).to(device)
        outputs, _ = net(frames.transpose(0, 1), net.initial_state(len(frames)))
        means.append(outputs.mean(0).cpu())
    return torch.cat(means)


def _by_recording(outputs: Tensor, clips: Clips) -> float:
    owners = np.array(clips.recordings)
    right = []
    for name in dict.fromkeys(clips.recordings):
        here = np.flatnonzero(owners == name)
        right.append(int(outputs[here].mean(0).argmax()) == clips.labels[here[0]])
    return float(np.mean(right))
