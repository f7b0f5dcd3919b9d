"""C3D of Table 1 (Tran et al. 2015), two convolutions deep: kernels over space and time."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.train.baselines.baseline import Baseline, classifier, pooled_pixels


class C3D(Baseline):
    """Conv3×3×3 → pool 1×2×2 → Conv3×3×3 → pool 2×2×2 → ConvSNN's head; one output a window.

    The paper says "256-256" and that frames are stacked in the third dimension; kernels and pools are C3D's first two
    stages', the head is ours.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        norm = card.network.norm
        self.first = nn.Conv3d(card.input.channels, first, 3, padding=1, bias=not norm)
        self.second = nn.Conv3d(first, second, 3, padding=1, bias=not norm)
        self.norms = nn.ModuleList(
            nn.BatchNorm3d(width) if norm else nn.Identity() for width in card.network.widths
        )
        self.classify = classifier(second * (card.input.window // 2) * pooled_pixels(card), card)

    def window(self, x: Tensor) -> Tensor:
        """Return [1, B, K] of float x [T, B, C, H, W]."""
        x = x.permute(1, 2, 0, 3, 4).contiguous()
        x = F.relu(F.max_pool3d(self.norms[0](self.first(x)), (1, 2, 2)))
        x = F.relu(F.max_pool3d(self.norms[1](self.second(x)), 2))
        return self.classify(x.flatten(1)).unsqueeze(0)
