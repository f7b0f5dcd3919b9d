"""How far a training is: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
import time

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar

from livesnn.console import say


def progress() -> Callback:
    """Return what tells how far the training is, on stderr."""
    if sys.stderr is not None and sys.stderr.isatty():
        return RichProgressBar(console_kwargs={"stderr": True})
    return EpochLines()


class EpochLines(Callback):
    """One line an epoch, for a log."""

    def __init__(self) -> None:
        self._begun_s = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take the time."""
        self._begun_s = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say what the epoch came to."""
        if not trainer.is_global_zero:
            return
        known = {name: float(value) for name, value in trainer.callback_metrics.items()}
        words = [f"{label} {known[name]:{form}}" for name, label, form in _SAID if name in known]
        took_s = time.monotonic() - self._begun_s
        say(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, {took_s:.0f} s: {', '.join(words)}")


_SAID = (
    ("loss", "loss", ".4f"),
    ("val_accuracy_reset", "validation with the state reset", ".1%"),
    ("val_accuracy_carried", "carried", ".1%"),
    ("val_density", "density", ".3f"),
)
"""Metric, what it is called, how it is written."""
