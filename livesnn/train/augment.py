"""Event augmentation on batches of frames, vectorised. Never mirrors: digits and left/right gestures have a hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from livesnn.train.config import Augmentation


def augment(frames: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Return moved and thinned clips.

    Parameters
    ----------
    frames
        uint8 [B, T, C, H, W].
    """
    if how == Augmentation(0, 0, 0, 0, 0):
        return frames
    clips, steps, channels, height, width = frames.shape
    matrix = _affine(clips, how, 2 / width, generator).to(frames.device)
    grid = F.affine_grid(matrix, [clips, steps * channels, height, width], align_corners=False)
    counts = F.grid_sample(frames.flatten(1, 2).float(), grid, mode="bilinear", align_corners=False)
    keep = 1 - how.drop * torch.rand(clips, 1, 1, 1, generator=generator)
    noise = torch.rand(counts.shape, generator=generator)  # rounds up as often as the fraction says
    thinned = counts * keep.to(counts.device) + noise.to(counts.device)
    return thinned.clamp_(max=255).to(torch.uint8).view(frames.shape)


def _affine(clips: int, how: Augmentation, pixel: float, generator: torch.Generator) -> Tensor:
    """Return float [clips, 2, 3] for affine_grid."""
    uniform = torch.rand(6, clips, generator=generator) * 2 - 1
    angle = uniform[0] * (how.rotate_degrees * torch.pi / 180)
    shear, size = uniform[1] * how.shear, 1 + uniform[2:4] * how.scale
    cos, sin = angle.cos(), angle.sin()
    x = torch.stack([cos * size[0], (shear - sin) * size[1], uniform[4] * how.shift_pixels * pixel])
    y = torch.stack([sin * size[0], cos * size[1], uniform[5] * how.shift_pixels * pixel])
    return torch.stack([x, y]).permute(2, 0, 1)
