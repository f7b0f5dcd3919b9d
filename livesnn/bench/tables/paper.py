"""The paper's tables as they are printed, in one place. Not here: ours (cells.py)."""

from __future__ import annotations

from typing import NamedTuple

from livesnn.train.configuration import NetworkName


class Method(NamedTuple):
    """A method of Table 1: what it is called, and its configuration."""

    label: str
    configuration: str


METHODS: dict[NetworkName, Method] = {
    "cnn": Method("CNN", "256-256"),
    "cnn_lstm": Method("CNN+LSTM", "256-256, LSTM 256"),
    "conv_lstm": Method("ConvLSTM", "256-256"),
    "c3d": Method("C3D", "256-256"),
    "conv_snn": Method("ConvSNN", "48-48"),
    "sts_resnet": Method("STS-ResNet", "18 layers"),
    "resnet18": Method("ResNet-18 (ANN, from scratch)", "18 layers"),
}

TABLE1: dict[NetworkName, tuple[float, ...]] = {
    "cnn": (99, 98.89, 98.2, 98.8, 98.27, 20.1),
    "cnn_lstm": (96.84, 67.74, 98.93, 98.96, 94.88, 91.2),
    "conv_lstm": (99, 99.11, 98.9, 30.0, 97.43, 40.7),
    "c3d": (99.03, 98.49, 98.32, 99.17, 97.73, 64.0),
    "conv_snn": (99.4, 98.6, 98.4, 99.36, 98.8, 89.5),
    "sts_resnet": (99.7, 99.26, 99.2, 99.43, 99.1, 92.7),
}
"""Percent, in the order of `TABLE1_COLUMNS`."""

TABLE1_COLUMNS = ("MNIST", "Seq 1", "Seq 2", "Seq 3", "Seq 4", "Seq 5")


class Published(NamedTuple):
    """A row of Table 2: percent; ``network`` where it is one of ours."""

    model: str
    dataset: str
    percent: float
    network: NetworkName | None = None


TABLE2 = (
    Published("SPA [23]", "N-MNIST", 96.3),
    Published("SpiNNaker [28]", "N-MNIST", 98.5),
    Published("STBP tested in [28]", "N-MNIST", 97.92),
    Published("Natural ConvSNN [4]", "N-MNIST", 99.42),
    Published("NeuNorm [49]", "N-MNIST", 99.53),
    Published("STS-ResNet", "N-MNIST", 99.6, "sts_resnet"),
    Published("CNN [2]", "DVS-Gesture", 94.59),
    Published("pointnet++ [45]", "DVS-Gesture", 95.32),
    Published("STS-ResNet", "DVS-Gesture", 96.7, "sts_resnet"),
    Published("HAT [36]", "CIFAR10-DVS", 52.4),
    Published("Natural ConvSNN [4]", "CIFAR10-DVS", 60.3),
    Published("NeuNorm [49]", "CIFAR10-DVS", 60.5),
    Published("SPA [23]", "CIFAR10-DVS", 67.8),
    Published("STS-ResNet", "CIFAR10-DVS", 69.2, "sts_resnet"),
    Published("ResNet18 (ANN, from scratch) [11]", "UCF-101", 42.4, "resnet18"),
    Published("STS-ResNet", "UCF-101", 42.1, "sts_resnet"),
    Published("ResNet18 (ANN, from scratch) [11]", "HMDB51", 17.1, "resnet18"),
    Published("STS-ResNet", "HMDB51", 21.5, "sts_resnet"),
)
"""The numbers in brackets are the paper's references."""

EPOCHS, SEEDS, DIGITS = 100, 10, 60_000
"""The paper trains at least so many epochs, ten times, on all of MNIST."""
