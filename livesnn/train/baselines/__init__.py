"""What a spiking network is compared with, or taught by, on the same frames: ANNs, which make no model folder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt
import torch

from livesnn.card import ModelCard
from livesnn.errors import DataError
from livesnn.snn.network import eval_mode
from livesnn.train.baselines.baseline import Baseline
from livesnn.train.datasets.clips import Clips
from livesnn.train.networks import NetworkName
from livesnn.train.scores import accuracy_recordings, confusion, count_recordings

__all__ = ["Baseline", "Measured", "build_baseline", "measure_baseline"]
_CLASSES = {
    "cnn": "CNN",
    "cnn_lstm": "CNNLSTM",
    "conv_lstm": "ConvLSTM",
    "c3d": "C3D",
    "resnet18": "ResNet18",
    "resnet18_stacked": "ResNet18Stacked",
}
AT_ONCE = 50
"""Clips."""


@dataclass(frozen=True)
class Measured:
    """Accuracies, fractions 0..1: of ``n`` clips, and of ``recordings`` by the mean output of their clips.

    ``confusion``: rows are true classes, columns decisions.
    """

    n: int
    accuracy_reset: float
    recordings: int
    accuracy_recordings: float | None
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def build_baseline(name: NetworkName, card: ModelCard) -> Baseline:
    """Build a baseline with fresh weights, for the input and the classes of a card."""
    built: Baseline = getattr(import_module(f"livesnn.train.baselines.{name}"), _CLASSES[name])(card)
    return built


def measure_baseline(net: Baseline, clips: Clips) -> Measured:
    """Decide each clip by its mean output, and each recording by that of its clips.

    Raises
    ------
    DataError
        There are no clips, or of other classes.
    """
    if not len(clips) or clips.classes != net.card.classes:
        raise DataError(f"{len(clips)} clips of {clips.classes}, but the network knows {net.card.classes}")
    outputs = _mean_outputs(net, clips)
    decided = outputs.argmax(1)
    return Measured(
        n=len(clips),
        accuracy_reset=float((decided == clips.labels).mean()),
        recordings=count_recordings(clips),
        accuracy_recordings=accuracy_recordings(clips, outputs),
        classes=clips.classes,
        confusion=confusion(clips.labels, decided, len(clips.classes)),
    )


@torch.no_grad()
def _mean_outputs(net: Baseline, clips: Clips) -> npt.NDArray[np.float32]:
    """Return float32 [N, K] over each clip's frames; on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device)
    means = []
    with eval_mode(net):
        for first in range(0, len(clips), AT_ONCE):
            frames = torch.from_numpy(np.asarray(clips.frames[first : first + AT_ONCE])).to(device)
            outputs, _ = net(frames.transpose(0, 1), ())
            means.append(outputs.mean(0).cpu())
    means_of_all: npt.NDArray[np.float32] = torch.cat(means).numpy()
    return means_of_all
