"""Training batches: clips in an order that only (seed, epoch) decides, moved, thinned and mirrored at random.

How strongly is set by `Augmentation` in configuration.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from livesnn.train.configuration import NO_AUGMENTATION, Augmentation, Configuration
from livesnn.train.datasets.clips import Parts, Samples

AT_ONCE = 50
"""Clips that run at once without gradients, so that any number fits into memory (50 of 64×64 pixels take 3 GB)."""


class Batch(NamedTuple):
    """Clips uint8 [B, T, C, H, W], their labels int64 [B], and their numbers among all samples, int64 [B].

    Stretches of streams have a label for each frame, [B, T].
    """

    frames: Tensor
    labels: Tensor
    numbers: Tensor


class Draw(NamedTuple):
    """The numbers of the samples that make one batch, and its epoch."""

    epoch: int
    numbers: list[int]


class BatchDataset(Dataset[Batch]):
    """Samples, followed by the extra ones; an item is a whole batch."""

    def __init__(self, samples: Samples, extra: Samples | None = None) -> None:
        self._parts = [samples] if extra is None else [samples, extra]

    def __getitem__(self, draw: Draw) -> Batch:
        numbers, first, taken = np.array(draw.numbers, np.int64), 0, []
        for part in self._parts:
            here = np.flatnonzero((numbers >= first) & (numbers < first + len(part)))
            if here.size:
                taken.append((here, *part.take(numbers[here] - first, draw.epoch)))
            first += len(part)
        places, frames, labels = (np.concatenate(each) for each in zip(*taken, strict=True))
        order = np.argsort(places)
        return Batch(*map(torch.from_numpy, (frames[order], labels[order], numbers)))


@dataclass(eq=False)
class EpochBatches(Sampler[Draw]):
    """Shuffles all ``real`` samples and ``extra_per_epoch`` of the ``extra`` ones that follow them into batches.

    Batches are whole; what is left over comes in another epoch. Worker ``rank`` of ``workers`` gets its share of each
    batch: together they draw what one worker would.
    """

    real: int
    extra: int
    extra_per_epoch: int
    batch: int
    seed: int
    rank: int = 0
    workers: int = 1
    epoch: int = 0

    def __post_init__(self) -> None:
        self.extra_per_epoch = min(self.extra, self.extra_per_epoch)
        self.batch = min(self.batch, (self.real + self.extra_per_epoch) // self.workers * self.workers)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return (self.real + self.extra_per_epoch) // self.batch

    def __iter__(self) -> Iterator[Draw]:
        random = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        extra = torch.randperm(self.extra, generator=random)[: self.extra_per_epoch] + self.real
        index = torch.cat([torch.arange(self.real), extra])
        index = index[torch.randperm(len(index), generator=random)]
        share = self.batch // self.workers
        for i in range(len(self)):
            first = i * self.batch + self.rank * share
            yield Draw(self.epoch, index[first : first + share].tolist())


class Loaders(lightning.LightningDataModule):
    """Loads training and validation batches; without worker processes, as the data is in memory or mapped."""

    def __init__(self, parts: Parts, config: Configuration) -> None:
        super().__init__()
        self._parts, self._config = parts, config

    def batches(self, *, rank: int = 0, workers: int = 1) -> EpochBatches:
        parts, config = self._parts, self._config
        sizes = len(parts.training), len(parts.extra or ()), parts.extra_per_epoch, config.batch
        return EpochBatches(*sizes, config.seed, rank, workers)

    def train_dataloader(self) -> DataLoader[Batch]:
        sampler = self.batches(rank=self.trainer.global_rank, workers=self.trainer.world_size)
        return DataLoader(BatchDataset(self._parts.training, self._parts.extra), sampler=sampler, batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return a loader of one batch with all validation clips, in the order of a stream."""
        clips = self._parts.validation.shuffled(self._config.seed)
        return DataLoader(BatchDataset(clips), sampler=[Draw(0, list(range(len(clips))))], batch_size=None)


def augment(frames: Tensor, how: Augmentation, randoms: Sequence[np.random.Generator]) -> Tensor:
    """Return randomly moved and thinned clips uint8 [B, T, C, H, W]; the generators, one for each, are advanced."""
    if how == NO_AUGMENTATION:
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
    # Truncating the sum rounds a count up with a probability of its fraction.
    thinned = counts * keep.to(counts.device) + torch.from_numpy(noise).to(counts.device)
    return thinned.clamp_(max=255).to(torch.uint8).view(frames.shape)


def mirror(
    frames: Tensor,
    labels: Tensor,
    share: float,
    randoms: Sequence[np.random.Generator],
    mirrored: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Return the clips uint8 [B, T, C, H, W], a share of them mirrored left to right, and their labels.

    ``labels`` is int64 [B], or [B, T] with one for each frame; negative ones stay as they are. ``randoms`` has a
    generator for each clip, ``mirrored`` the label of each class in a mirror.
    """
    chosen = torch.tensor([random.random() < share for random in randoms], device=frames.device)
    becomes = torch.tensor(mirrored, device=labels.device)[labels.clamp(min=0)]
    turned = torch.where(chosen.view(-1, 1, 1, 1, 1), frames.flip(-1), frames)
    swapped = chosen.view(-1, *[1] * (labels.ndim - 1)) & (labels >= 0)
    return turned, torch.where(swapped, becomes, labels)


def _affine(uniform: Tensor, how: Augmentation, pixel: float) -> Tensor:
    """Return float [B, 2, 3] for affine_grid; ``uniform`` is [6, B] in -1..1."""
    angle = uniform[0] * (how.rotate_degrees * torch.pi / 180)
    shear, size = uniform[1] * how.shear, 1 + uniform[2:4] * how.scale
    cos, sin = angle.cos(), angle.sin()
    x = torch.stack([cos * size[0], (shear - sin) * size[1], uniform[4] * how.shift_pixels * pixel])
    y = torch.stack([sin * size[0], cos * size[1], uniform[5] * how.shift_pixels * pixel])
    return torch.stack([x, y]).permute(2, 0, 1)
