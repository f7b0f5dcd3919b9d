"""Clips as batches, in an order that only (seed, epoch) decides. Not here: reading data sets (datasets/)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from livesnn.train.datasets import Clips

Batch = tuple[Tensor, Tensor]
"""uint8 [B, T, C, H, W] and int64 [B]."""


class ClipDataset(Dataset[Batch]):
    """Clips as tensors; a batch is one indexing."""

    def __init__(self, clips: Clips) -> None:
        self.frames, self.labels = torch.from_numpy(clips.frames), torch.from_numpy(clips.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: list[int]) -> Batch:
        return self.frames[index], self.labels[index]


class EpochBatches(Sampler[list[int]]):
    """Batches of indices: all ``real`` clips and ``extra_per_epoch`` of the ``extra`` ones behind them, shuffled.

    Whole batches only; what is left over comes in another epoch.
    """

    def __init__(self, real: int, extra: int, extra_per_epoch: int, batch: int, seed: int) -> None:
        self.real, self.extra, self.extra_per_epoch = real, extra, min(extra, extra_per_epoch)
        self.batch = min(batch, real + self.extra_per_epoch)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return (self.real + self.extra_per_epoch) // self.batch

    def __iter__(self) -> Iterator[list[int]]:
        random = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        extra = torch.randperm(self.extra, generator=random)[: self.extra_per_epoch] + self.real
        index = torch.cat([torch.arange(self.real), extra])
        index = index[torch.randperm(len(index), generator=random)]
        for i in range(len(self)):
            yield index[i * self.batch : (i + 1) * self.batch].tolist()


def training_batches(clips: ClipDataset, sampler: EpochBatches) -> DataLoader[Batch]:
    """Return the loader of a training; the data is in memory, so no worker processes."""
    return DataLoader(clips, sampler=sampler, batch_size=None)


def whole(clips: Clips) -> DataLoader[Batch]:
    """Return a loader of one batch: all clips in their order."""
    return DataLoader(ClipDataset(clips), sampler=[list(range(len(clips)))], batch_size=None)
