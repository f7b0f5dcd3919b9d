"""Event augmentation on batches of frames: moved and thinned, or mirrored with what their labels become."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livesnn.train.augmentation import STILL, Augmentation


def augment(frames: Tensor, how: Augmentation, randoms: Sequence[np.random.Generator]) -> Tensor:
    """Return moved and thinned clips.

    Parameters
    ----------
    frames
        uint8 [B, T, C, H, W].
    randoms
        One a clip; used up.
    """
    if how == STILL:
        return frames
    clips, steps, channels, height, width = frames.shape
    uniform = torch.from_numpy(np.stack([random.random(7, np.float32) for random in randoms], axis=1))
    matrix = _affine(uniform[:6] * 2 - 1, how, 2 / width).to(frames.device)
    grid = F.affine_grid(matrix, [clips, steps * channels, height, width], align_corners=False)
    counts = F.grid_sample(frames.flatten(1, 2).float(), grid, mode="bilinear", align_corners=False)
    keep = (1 - how.drop * uniform[6]).view(-1, 1)
    if how.gain:
        each = torch.from_numpy(np.stack([random.random(channels, np.float32) for random in randoms]))
        keep = (keep * (1 + how.gain * (2 * each - 1))).repeat(1, steps)
    keep = keep.view(clips, -1, 1, 1)
    noise = np.stack([random.random(counts.shape[1:], np.float32) for random in randoms])
    # Cut off, so that a count is rounded up as often as its fraction says.
    thinned = counts * keep.to(counts.device) + torch.from_numpy(noise).to(counts.device)
    return thinned.clamp_(max=255).to(torch.uint8).view(frames.shape)


def mirror(
    frames: Tensor,
    labels: Tensor,
    share: float,
    randoms: Sequence[np.random.Generator],
    mirrored: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Return the clips with a share of them mirrored left to right, and their labels int64 [B].

    Parameters
    ----------
    frames
        uint8 [B, T, C, H, W].
    randoms
        One a clip; one number of each is used up.
    mirrored
        The label that each class has in a mirror; a negative label stays what it is.
    """
    chosen = torch.tensor([random.random() < share for random in randoms], device=frames.device)
    becomes = torch.tensor(mirrored, device=labels.device)[labels.clamp(min=0)]
    turned = torch.where(chosen.view(-1, 1, 1, 1, 1), frames.flip(-1), frames)
    return turned, torch.where(chosen & (labels >= 0), becomes, labels)


def _affine(uniform: Tensor, how: Augmentation, pixel: float) -> Tensor:
    """Return float [B, 2, 3] for affine_grid; ``uniform`` is [6, B] in -1..1."""
    angle = uniform[0] * (how.rotate_degrees * torch.pi / 180)
    shear, size = uniform[1] * how.shear, 1 + uniform[2:4] * how.scale
    cos, sin = angle.cos(), angle.sin()
    x = torch.stack([cos * size[0], (shear - sin) * size[1], uniform[4] * how.shift_pixels * pixel])
    y = torch.stack([sin * size[0], cos * size[1], uniform[5] * how.shift_pixels * pixel])
    return torch.stack([x, y]).permute(2, 0, 1)
