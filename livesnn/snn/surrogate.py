"""Surrogate derivatives of the step function. Not here: the neuron that uses them (lif.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Surrogate:
    """What stands for dO/dU in the backward pass.

    "gaussian": peak · exp(−(u−T)² / (2·width²)). The default is the authors' published form of "N(T, 1/6)": a true
    normal of σ = 1/6 peaks at 2.39 and explodes in 18 layers (SPEC, neuron).
    "rectangle": peak where |u−T| < width, as in STBP (Wu et al. 2018).
    """

    kind: Literal["gaussian", "rectangle"] = "gaussian"
    width: float = 1 / 6
    peak: float = 0.977

    def derivative(self, distance: Tensor) -> Tensor:
        """Return dO/dU for ``distance`` = u − T, any shape."""
        if self.kind == "rectangle":
            return (distance.abs() < self.width) * self.peak
        return torch.exp(distance.square() * (-0.5 / self.width**2)) * self.peak
