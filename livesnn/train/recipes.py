"""The two recipes: what `livesnn train --recipe` sets, and every flag can change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from livesnn.train.augmentation import STILL
from livesnn.train.config import TrainConfig
from livesnn.train.datasets import Name
from livesnn.train.networks import NETWORKS, NetworkName

RecipeName = Literal["best", "paper"]

_PAPER = TrainConfig(
    recipe="paper",
    epochs=100,
    batch=100,
    learning_rate=1e-3,
    optimizer="adam",
    loss="mse",
    readout="spikes",
    reset=False,
    surrogate_width=1 / 6,
    norm=False,
    analog_ceiling=float("inf"),
    dropout=0.2,
    rate_weight=0.0,
    gradient_clip=0.0,
    precision="32-true",
    burn_in=0,
    augmentation=STILL,
    weight_bits=32,
)
RECIPES = {"best": TrainConfig(), "paper": _PAPER}
"""For STS-ResNet; see `recipe`."""

_PAPER_OF: dict[str, dict[str, Any]] = {
    "conv_snn": {"batch": 20, "learning_rate": 5e-4, "dropout": 0.0},
    "conv_lstm": {"loss": "bce", "dropout": 0.0},
    "cnn": {"dropout": 0.0},
    "cnn_lstm": {"dropout": 0.0},
    "c3d": {"dropout": 0.0},
    "cifar10-dvs": {
        "optimizer": "sgd", "learning_rate": 5e-4, "loss": "bce", "batch": 10, "alpha": 0.8,
    },
}  # fmt: skip
"""Where the paper (Sec. 5.3) sets something else for a network or a data set."""


def recipe(name: RecipeName, network: NetworkName, dataset: Name) -> TrainConfig:
    """Return the recipe for a network on a data set: the defaults of all other flags."""
    changed: dict[str, Any] = {"network": network, "dataset": dataset, "width": NETWORKS[network].width}
    if name == "paper":
        changed |= _PAPER_OF.get(network, {}) | _PAPER_OF.get(dataset, {})
    elif network == "conv_snn":
        changed |= {
            "reset": False,
            "dropout": 0.0,
        }  # as the paper has it: the architecture's, not the recipe's
    return replace(RECIPES[name], **changed)
