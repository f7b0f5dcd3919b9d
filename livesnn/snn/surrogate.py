"""Surrogate derivatives: what stands for the derivative of a spike, which is a step function, in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Surrogate:
    """f′(U), which stands for dO/dU in the backward pass.

    "gaussian":   f′(U) = peak · exp(−(U − T)² / (2 · width²))
    "rectangle":  f′(U) = peak if |U − T| < width else 0, as in STBP (Wu et al. 2018)

    The default is the Gaussian of the authors' published code. Samadzadeh et al. print "N(Threshold, 16)", a garbled
    1/6. A true normal distribution with σ = 1/6 peaks at 2.39, and its gradients explode in 18 layers.
    """

    kind: Literal["gaussian", "rectangle"] = "gaussian"
    width: float = 1 / 6
    peak: float = 0.977

    def derivative(self, distance: Tensor) -> Tensor:
        """Return f′ for ``distance`` = U − T of any shape."""
        if self.kind == "rectangle":
            return (distance.abs() < self.width) * self.peak
        return torch.exp(distance.square() * (-0.5 / self.width**2)) * self.peak
