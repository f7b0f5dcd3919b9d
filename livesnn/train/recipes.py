"""The two recipes: what `livesnn train --recipe` sets, and every flag can change."""

from __future__ import annotations

from livesnn.train.augmentation import STILL
from livesnn.train.config import TrainConfig

RECIPES = {
    "best": TrainConfig(),
    "paper": TrainConfig(
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
    ),
}
