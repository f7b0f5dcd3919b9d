"""A running average of the weights, validated and kept in their place (Lightning's WeightAveraging)."""

from __future__ import annotations

from functools import partial

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class RunningAverage(WeightAveraging):
    """Exponential, of the steps from ``first_step`` on: the first is taken as it is, the next few weigh more.

    So that a short training isn't averaged with the weights it began with: the decay of step n is at most
    (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, decay: float, first_step: int) -> None:
        super().__init__(avg_fn=partial(_average, decay))
        self._first_step = first_step

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Say whether the weights after a step are averaged in."""
        return step_idx is not None and step_idx >= self._first_step


def _average(decay: float, average: Tensor, weights: Tensor, count: Tensor | int) -> Tensor:
    share = min(decay, (1 + int(count)) / (10 + int(count)))
    return average + (1 - share) * (weights - average)
