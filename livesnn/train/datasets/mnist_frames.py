"""The frames of the paper's MNIST sequences (Seq 1 to 5): a digit that grows, turns or is partly hidden.

Pure functions of digits and random numbers, on any device with float64 (Apple's MPS has none). Where a kind has two
directions, direction 1 is direction 0 played backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from livesnn.train.datasets.request import SequenceName

STEPS = 10
SIZE = 28
MASK = 14  # Side of Seq 4's square, in pixels


def make_sequences(kind: SequenceName, digits: Tensor, directions: Tensor, random: Tensor) -> Tensor:
    """Return uint8 [B, 10, 1, 28, 28], a sequence of each digit; its frames don't depend on the batch.

    ``digits`` are uint8 [B, 28, 28], ``directions`` int64 [B], 0 or 1 (see `classes_of`; ignored for a kind without
    directions), ``random`` float [B, randoms_needed(kind)], uniform in [0, 1).
    """
    made_of = _KINDS[kind]
    if random.shape != (len(digits), made_of.randoms):
        raise ValueError(f"random is {list(random.shape)}, not {[len(digits), made_of.randoms]}")
    frames = made_of.frames(digits, random.double()).view(len(digits), STEPS, 1, SIZE, SIZE)
    if not made_of.directions:
        return frames
    return torch.where((directions == 1).view(-1, 1, 1, 1, 1), frames.flip(1), frames)


def randoms_needed(kind: SequenceName) -> int:
    return _KINDS[kind].randoms


def classes_of(kind: SequenceName) -> tuple[str, ...]:
    """Return the names of the classes by label, which is the digit + 10 · direction: "3 growing", "3 shrinking".

    Clockwise is as seen on the screen, with y pointing down.
    """
    digits = tuple(str(digit) for digit in range(10))
    directions = _KINDS[kind].directions
    return tuple(f"{digit} {way}" for way in directions for digit in digits) if directions else digits


class _Kind(NamedTuple):
    """``frames``: digits uint8 [B, 28, 28], random float64 [B, R] → uint8 [B, 10, 28, 28] in direction 0."""

    frames: Callable[[Tensor, Tensor], Tensor]
    directions: tuple[()] | tuple[str, str] = ()
    randoms: int = 0


def _still(digits: Tensor, random: Tensor) -> Tensor:
    """Return the digit itself in every frame (Table 1's column "MNIST")."""
    return digits[:, None].repeat(1, STEPS, 1, 1)


def _turning(digits: Tensor, random: Tensor) -> Tensor:
    """Seq 2: clockwise by 0°, 36° … 324°. The first frame is the digit, and one more step would be it again."""
    return _turned(digits, 36.0 * _steps(digits)[None])


def _turning_in_total(digits: Tensor, random: Tensor) -> Tensor:
    """Seq 5, total: clockwise by R/10, 2R/10 … R, with R = 360° · random.

    It doesn't begin at 0: a first frame that isn't resampled is sharp, and would give the direction away.
    """
    return _turned(digits, 36.0 * random * (_steps(digits) + 1))


def _turning_unevenly(digits: Tensor, random: Tensor) -> Tensor:
    """Seq 5, sorted: ten ascending angles 360° · random, each frame turned clockwise from the one before."""
    return _turned(digits, 360.0 * random.sort(dim=1).values)


def _hidden(digits: Tensor, random: Tensor) -> Tensor:
    """Seq 4: a square of zeroes inside the image, at a random place in each frame: left [10], top [10]."""
    first = (random * (SIZE - MASK + 1)).floor().view(-1, 2, STEPS, 1)
    offset = torch.arange(SIZE, device=digits.device) - first  # [B, 2, 10, 28]
    inside = (offset >= 0) & (offset < MASK)
    return digits[:, None] * ~(inside[:, 0, :, None, :] & inside[:, 1, :, :, None])


def _growing(digits: Tensor, random: Tensor, first: float) -> Tensor:
    """Seq 1 and 3: ten equally spaced zooms from ``first`` to 1. At 0 the frame is empty, at 1 it is the digit."""
    factor = first + (1 - first) * (_steps(digits) / (STEPS - 1))
    inverse = 1 / factor.clamp(min=2**-10)  # at 0 each pixel looks far outside the image and finds zero
    return _sampled(digits, torch.complex(inverse, torch.zeros_like(inverse))[None])


_TURNS = ("clockwise", "counter-clockwise")
_ZOOMS = ("growing", "shrinking")
_KINDS: dict[SequenceName, _Kind] = {
    "mnist-still": _Kind(_still),
    "mnist-seq1": _Kind(partial(_growing, first=0.0), _ZOOMS),
    "mnist-seq2": _Kind(_turning, _TURNS),
    "mnist-seq3": _Kind(partial(_growing, first=0.5), _ZOOMS),
    "mnist-seq4": _Kind(_hidden, randoms=2 * STEPS),
    "mnist-seq5-total": _Kind(_turning_in_total, _TURNS, randoms=1),
    "mnist-seq5-sorted": _Kind(_turning_unevenly, _TURNS, randoms=STEPS),
}


def _steps(digits: Tensor) -> Tensor:
    return torch.arange(STEPS, dtype=torch.float64, device=digits.device)


def _turned(digits: Tensor, degrees: Tensor) -> Tensor:
    angle = torch.deg2rad(degrees)
    return _sampled(digits, torch.complex(angle.cos(), -angle.sin()))


def _sampled(digits: Tensor, to_source: Tensor) -> Tensor:
    """Return for the pixel at x + iy from the centre the image at ``to_source`` · (x + iy): bilinear, zero outside.

    ``to_source`` is complex128 [S, 10]. S is B, or 1 if all samples share it; these are then channels, whose places
    and weights are computed once. The ten frames are stacked in the grid's height, which saves copies of the digits.
    In float64, since rounding differs with the device and the place in the batch, and must not decide a pixel.
    """
    axis = torch.arange(SIZE, dtype=torch.float64, device=digits.device) - (SIZE - 1) / 2
    place = torch.complex(*torch.broadcast_tensors(axis[None, :], axis[:, None])) * (2 / SIZE)  # edges at ±1
    grid = torch.view_as_real(to_source[..., None, None] * place).flatten(1, 2)  # [S, 10 · 28, 28, xy]
    images = digits.double().view(len(grid), -1, SIZE, SIZE)  # [1, B, …] or [B, 1, …]
    values = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    # Zooms of 1/2, 2/3 … meet exact halves: round them up on every device, whatever the last bit is.
    return values.add_(1e-6).round_().to(torch.uint8).view(-1, STEPS, SIZE, SIZE)
