"""A network that was trained before, and teaches another by what it makes of each clip. Not here: training it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from livesnn.card import ModelCard
from livesnn.errors import TrainError
from livesnn.train.build import Network, build
from livesnn.train.run_folder import load_best, recorded_config


class Teacher:
    """The best epoch of a finished training, which may be of another network: knowledge distillation.

    Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network"; at temperature 1, so that
    what is taught are probabilities.

    Parameters
    ----------
    run
        Its run folder.
    card
        Of the network to be taught: same classes, same frames.

    Raises
    ------
    TrainError
        The folder holds no such training, or one of other classes or frames.
    """

    def __init__(self, run: Path, card: ModelCard) -> None:
        config = replace(recorded_config(run), compile=False)
        self._net: Network = build(config, card.classes)
        if self._net.card.input != card.input:
            raise TrainError(
                f"--teacher {run} sees other frames than what it is to teach: train it on the same"
            )
        try:
            load_best(self._net, run)
        except TrainError as error:
            raise TrainError(f"--teacher knows other classes, or isn't whole: {error}") from error
        self._net.requires_grad_(False).eval()

    @torch.no_grad()
    def targets(self, frames: Tensor) -> Tensor:
        """Return probabilities float32 [B, K] of clips uint8 [B, T, C, H, W], each from zero state."""
        net = self._net.to(frames.device)
        outputs, _ = net(frames.transpose(0, 1), net.initial_state(len(frames)))
        return outputs.mean(0).softmax(1)
