"""Where a network's weights, lists, marks and totals lie, as a plan is made. Not here: which there are (plan.py)."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import ModelError
from livesnn.infer.spikes.lanes import FLOAT_BYTES
from livesnn.infer.spikes.layout import (
    BAND,
    BYTES,
    COUNTS,
    FLOATS,
    GAP,
    LANES,
    LISTED,
    POOLED,
    SWEPT,
    SWEPT_BYTES,
    SWEPT_FLOATS,
    THROUGH,
    TOTALS,
)
from livesnn.weights import Rounded

FloatArray = npt.NDArray[np.float32]
Shape = tuple[int, ...]

PAD = 1
"""Border of a map of spikes, in pixels, so that kernels of 3×3 may read beyond it."""
LINE = 64
"""Bytes of a cache line, and of the widest vector, which takes two lines if it doesn't begin with one."""


def aligned(size: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return room for so many numbers, from the beginning of a cache line on; what is in it is left as it is."""
    length = size * np.dtype(kind).itemsize
    room = np.empty(length + LINE, np.uint8)
    first = -room.__array_interface__["data"][0] % LINE
    return room[first : first + length].view(kind)


def zeros(size: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return zeros, `aligned`."""
    room = aligned(size, kind)
    room[:] = 0
    return room


class Map(NamedTuple):
    """A row of `LAYER`."""

    height: int
    width: int
    outputs: int
    lanes: int
    bias: int
    membranes: int
    totals: int
    marks: int
    lists: int
    row: int
    begin: int
    across: int
    pad: int


class Read(NamedTuple):
    """A row of `READ`; by default that of nothing."""

    begin: int = 0
    across: int = 0
    weights: int = 0
    scales: int = 0
    inputs: int = 0
    kernel: int = 0
    stride: int = 0
    offset: int = 0
    kind: int = 0
    tap_rows: int = 0
    columns: int = 0


class Memory:
    """What the plan's rows point into, as it grows."""

    def __init__(self) -> None:
        self._weights: list[FloatArray] = []
        self._rounded = [np.zeros(0, np.int8)]
        self._floats = self._bytes = self._lists = self._begins = self._membranes = 0
        self._totals = self._marks = self._currents = 0
        self._targets = np.zeros((0, 2), np.int32)

    def keep(self, weights: FloatArray) -> int:
        """Append weights, from the beginning of a cache line on; return where they start."""
        first, room = self._floats, -weights.size % (LINE // FLOAT_BYTES)
        self._weights += [np.ascontiguousarray(weights, np.float32).ravel(), np.zeros(room, np.float32)]
        self._floats += weights.size + room
        return first

    def read(self, source: Map, weights: FloatArray, *, gain: float = 1.0, stride: int = 1) -> Read:
        """Return the `READ` of a convolution [O, C, k, k] of a map's lists times a gain, of floats."""
        swept = weights.shape[2] == 3 and stride == 1
        lanes = SWEPT_FLOATS if swept else _lanes(len(weights))
        kept = self.keep(_by_tap(weights * np.float32(gain), lanes))
        return self._read(source, weights.shape, stride, SWEPT if swept else FLOATS, kept)

    def read_counts(self, source: Map, weights: FloatArray, stride: int) -> Read:
        """As `read`, of counts, by their places in a row [width, C]: see `layout.READ`."""
        by_tap = _by_tap(weights, _lanes(len(weights))).transpose(0, 2, 1, 3, 4)  # [chunk, ky, C, kx, lanes]
        first, case, taps = columns_reached(source.width, weights.shape[3], stride)
        none = np.zeros_like(by_tap[:, :, :, :1])
        rows = np.concatenate([by_tap, none], axis=3)[:, :, :, taps]  # [chunk, ky, C, case, column, lanes]
        cases, columns = taps.shape
        row = (np.arange(source.outputs) * cases + case[:, None]) * columns
        self._targets = np.stack([np.broadcast_to(first[:, None], row.shape), row], axis=-1).astype(np.int32)
        read = self._read(source, weights.shape, stride, COUNTS, self.keep(rows))
        return read._replace(tap_rows=source.outputs * cases * columns, columns=columns)

    def read_rounded(self, source: Map, rounded: Rounded, *, times: int, stride: int = 1) -> Read:
        """As `read`, of bytes; ``times``: how often lists may name a channel, which each time counts that part."""
        kernel, scale = rounded
        kept, scales = self._bytes, self.keep(scale / np.float32(times))
        most = SWEPT_BYTES if kernel.shape[2] == 3 and stride == 1 else LANES[0]
        room = -kernel.size % LINE
        self._rounded += [_by_tap(kernel, min(most, _lanes(len(kernel)))).ravel(), np.zeros(room, np.int8)]
        self._bytes += kernel.size + room
        return self._read(source, kernel.shape, stride, POOLED if times > 1 else BYTES, kept, scales)

    def _read(self, source: Map, shape: Shape, stride: int, kind: int, weights: int, scales: int = 0) -> Read:
        kernel, begin, across = shape[2], source.begin, source.across
        offset = source.pad - kernel // 2
        tap_rows = kernel * source.outputs
        return Read(begin, across, weights, scales, source.outputs, kernel, stride, offset, kind, tap_rows)

    def through(self, source: Map, *, kernel: int = 1, stride: int = 1) -> Read:
        """Return the `READ` of the same channel's mean under a window of neurons."""
        gain = self.keep(np.array([1 / kernel**2], np.float32))
        return self._read(source, (1, 1, kernel, kernel), stride, THROUGH, gain)._replace(begin=source.marks)

    def listed(self, source: Map, *, kernel: int, stride: int) -> Read:
        """Return the `READ` of all that spikes under a window, which a pool lists."""
        return self._read(source, (1, 1, kernel, kernel), stride, LISTED, 0)

    def map(self, shape: Shape, bias: FloatArray | None = None, *, times: int = 1, pad: int = PAD) -> Map:
        """Return the `LAYER` of neurons [C, H, W], each listed so many times at most; without bias: no neurons."""
        outputs, height, width = shape
        kept = 0 if bias is None else self.keep(bias)
        lanes = 0 if bias is None else _lanes(outputs)
        row, across = width * outputs * times, width + 2 * pad + 1
        made = Map(
            height, width, outputs, lanes, kept, self._membranes, self._totals, self._marks,
            self._lists, row, self._begins, across, pad,
        )  # fmt: skip
        self._membranes += 0 if bias is None else prod(shape)
        self._totals += 0 if bias is None else -(-height // BAND) * TOTALS
        self._marks += 0 if bias is None else (height + 2 * pad) * across * outputs // lanes
        self._lists += height * row
        self._begins += (height + 2 * pad) * across
        return made

    def weights(self) -> tuple[FloatArray, npt.NDArray[np.int8]]:
        """Return what was kept."""
        weights, rounded = aligned(self._floats, np.float32), aligned(self._bytes, np.int8)
        return np.concatenate(self._weights, out=weights), np.concatenate(self._rounded, out=rounded)

    def lists(self) -> tuple[npt.NDArray[Any], ...]:
        """Return room for lists, their beginnings and marks (borders are empty and stay so), totals and currents."""
        if self._lists >= 1 << 31:
            raise ModelError("its layers are too large for engine 'spike': use --engine onnx")
        sizes = self._lists, self._begins, self._marks, self._totals, self._currents
        kinds = np.uint16, np.int32, np.int64, np.float32, np.float32
        return tuple(zeros(size, kind) for size, kind in zip(sizes, kinds, strict=True))

    def targets(self) -> npt.NDArray[np.int32]:
        """Return where counts go, [places · 2]: see `layout.READ`."""
        return self._targets.ravel()

    def currents(self, bands: int, size: int) -> int:
        """Return where the currents [band, size] start that go to the read-out."""
        self._currents += bands * (size + GAP)
        return self._currents - bands * (size + GAP)


def _by_tap(weights: npt.NDArray[Any], lanes: int) -> npt.NDArray[Any]:
    """Return [O, C, k, k] as [chunk, C, k, k, lanes]."""
    _, inputs, kernel, _ = weights.shape
    chunks = weights.reshape(-1, lanes, inputs, kernel, kernel).transpose(0, 2, 3, 4, 1)
    return np.ascontiguousarray(chunks)


def columns_reached(width: int, kernel: int, stride: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Return which columns of outputs each pixel of a row reaches through a kernel: always so many.

    The first of them, int64 [width]; which case a pixel is, [width]; and by case the kx of each, [case, columns], or
    −1: it doesn't reach that one. A loop over as many as it does reach has a length that can't be guessed.
    """
    pad, outputs, pixel = kernel // 2, -(-width // stride), np.arange(width)
    columns = min(-(-kernel // stride), outputs)
    first = np.clip(-((pad - pixel) // stride), 0, outputs - columns)
    ahead = pixel - first * stride
    taps = np.arange(ahead.min(), ahead.max() + 1)[:, None] + pad - np.arange(columns) * stride
    return first, ahead - ahead.min(), np.where((taps >= 0) & (taps < kernel), taps, -1)


def _lanes(outputs: int) -> int:
    return next(lanes for lanes in LANES if outputs % lanes == 0)
