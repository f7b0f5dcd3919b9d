"""A finished training as the teacher of another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from livesnn.card import ModelCard
from livesnn.errors import TrainError
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import Parts
from livesnn.train.final_weights import load_final
from livesnn.train.network import Network, build
from livesnn.train.resolve import recorded_config
from livesnn.train.run_folder import LAST, epochs_done, has_clips


class Teacher:
    """The final network of a finished training (see `load_final`), which may be of another kind than its pupil.

    It teaches probabilities at temperature 1. It is no nn.Module, since checkpoints, the optimiser and DDP must not
    see it. Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network".

    ``card`` and ``parts`` are the pupil's. Raises TrainError like `read_teacher`, and if the teacher was trained on
    other clips, since it may have seen the pupil's validation clips.
    """

    def __init__(self, run: Path, card: ModelCard, parts: Parts) -> None:
        config = read_teacher(run)
        with _naming(run):
            # Not compiled: that takes a minute, and the teacher only runs forward.
            self._net: Network = build(replace(config, compile=False), card.classes)
            # The network doesn't know how its counts were scaled, lifted or freed of flicker; `has_clips` does.
            theirs, ours = (
                replace(of.input, cell_pixels=None, without_flicker=False, lift_to=None)
                for of in (self._net.card, card)
            )
            if theirs != ours or not has_clips(run, parts):
                raise TrainError("it was trained on other clips: give both trainings the same data, seed and frames")
            load_final(self._net, run, config, parts.training)
        self._net.requires_grad_(False).eval()

    @torch.no_grad()
    def outputs(self, frames: Tensor) -> Tensor:
        """Return the mean outputs float32 [B, K] for clips uint8 [B, T, C, H, W], each from zero state."""
        net = self._net.to(frames.device)
        outputs, _ = net(frames.transpose(0, 1), net.initial_state(len(frames)))
        return outputs.mean(0)


def read_teacher(run: Path, balance: str = "weights") -> Configuration:
    """Return the configuration of a training that can teach a pupil with this ``balance``.

    Raises TrainError if it isn't finished, or its outputs aren't made for the softmax or for ``balance``. A pupil
    that adds the classes' shares to its outputs needs a teacher whose classes counted alike.
    """
    with _naming(run):
        config = recorded_config(run)
        if epochs_done(run / LAST) < config.epochs:
            raise TrainError("it isn't finished: run its command with --resume first")
        if config.loss != "cross-entropy":
            raise TrainError(f"it was trained with --loss {config.loss}: choose one with --loss cross-entropy")
        if balance == "logits" and config.balance == "none":
            raise TrainError("it was trained with --balance none: give --balance weights or none here too")
    return config


@contextmanager
def _naming(run: Path) -> Iterator[None]:
    try:
        yield
    except (TrainError, OSError) as error:
        reason = str(error).replace("start again under another --name", "train it again, or give another")
        raise TrainError(f"--teacher {run}: {reason}") from error
