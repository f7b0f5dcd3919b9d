"""Where a network's weights, lists, marks and totals lie, as a plan is made. Not here: which there are (plan.py)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from livesnn.errors import ModelError
from livesnn.infer.spikes.lanes import FLOAT_BYTES
from livesnn.infer.spikes.layout import (
    BAND_BYTES,
    BYTES,
    COUNTS,
    FLOATS,
    GAP,
    LANES,
    LEAST_BAND,
    LISTED,
    MOST_BAND,
    POOLED,
    SWEPT,
    SWEPT_BYTES,
    SWEPT_FLOATS,
    THROUGH,
    TILE,
    TOTALS,
    Map,
    Read,
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


class Memory:
    """What the plan's rows point into, as it grows."""

    def __init__(self) -> None:
        self._weights: list[FloatArray] = []
        self._rounded = [np.zeros(0, np.int8)]
        self._floats = self._bytes = self._lists = self._begins = self._membranes = 0
        self._totals = self._marks = self._currents = 0

    def keep(self, weights: FloatArray) -> int:
        """Append weights, from the beginning of a cache line on; return where they start."""
        first, room = self._floats, -weights.size % (LINE // FLOAT_BYTES)
        self._weights += [np.ascontiguousarray(weights, np.float32).ravel(), np.zeros(room, np.float32)]
        self._floats += weights.size + room
        return first

    def read(self, source: Map, weights: FloatArray, *, gain: float = 1.0, stride: int = 1) -> Read:
        """Return the `Read` of a convolution [O, C, k, k] of a map's lists times a gain, of floats."""
        swept = weights.shape[2] == 3 and stride == 1
        lanes = SWEPT_FLOATS if swept else _lanes(len(weights))
        kept = self.keep(_by_tap(weights * np.float32(gain), lanes))
        return self._read(source, weights.shape, stride, SWEPT if swept else FLOATS, kept)

    def read_counts(
        self, source: Map, band: int, weights: FloatArray, worth: FloatArray, stride: int
    ) -> Read:
        """As `read`, of counts, each of which is ``worth`` [256] so much, in bands of so many rows."""
        outputs, channels, kernel, _ = weights.shape
        tiles, lanes = -(-kernel // TILE), _lanes(outputs)
        room = tiles * TILE - kernel
        tiled = np.pad(weights, [(0, 0), (0, 0), (0, room), (0, room)])
        tiled = tiled.reshape(-1, lanes, channels, tiles, TILE, tiles, TILE).transpose(0, 2, 3, 5, 4, 6, 1)
        read = self._read(source, weights.shape, stride, COUNTS, self.keep(tiled), self.keep(worth))
        border = -(-source.pad // 8) * 8
        across = border // 8 + -(-(source.width + source.pad) // 8) + tiles + 1
        high, rows = (band - 1) * stride + tiles * TILE, tiled[0, ..., 0].size
        return read._replace(across=across, offset=border - source.pad, rows=rows, high=high)

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
        rows = kernel**2 * source.outputs
        return Read(begin, across, weights, scales, source.outputs, kernel, stride, offset, kind, rows)

    def through(self, source: Map, *, kernel: int = 1, stride: int = 1) -> Read:
        """Return the `Read` of the same channel's mean under a window of neurons."""
        gain = self.keep(np.array([1 / kernel**2], np.float32))
        return self._read(source, (1, 1, kernel, kernel), stride, THROUGH, gain)._replace(begin=source.marks)

    def listed(self, source: Map, *, kernel: int, stride: int) -> Read:
        """Return the `Read` of all that spikes under a window, which a pool lists."""
        return self._read(source, (1, 1, kernel, kernel), stride, LISTED, 0)

    def map(self, shape: Shape, bias: FloatArray | None = None, *, times: int = 1, pad: int = PAD) -> Map:
        """Return the `Map` of neurons [C, H, W], each listed so many times at most; without bias: no neurons."""
        outputs, height, width = shape
        kept = 0 if bias is None else self.keep(bias)
        lanes = 0 if bias is None else _lanes(outputs)
        row, across = width * outputs * times, width + 2 * pad + 1
        band = min(max(BAND_BYTES // (width * outputs * FLOAT_BYTES), LEAST_BAND), MOST_BAND)
        made = Map(
            height, width, outputs, lanes, kept, self._membranes, self._totals, self._marks,
            self._lists, row, self._begins, across, pad, band,
        )  # fmt: skip
        self._membranes += 0 if bias is None else prod(shape)
        self._totals += 0 if bias is None else -(-height // band) * TOTALS
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

    def currents(self, bands: int, size: int) -> int:
        """Return where the currents [band, size] start that go to the read-out."""
        self._currents += bands * (size + GAP)
        return self._currents - bands * (size + GAP)


def _by_tap(weights: npt.NDArray[Any], lanes: int) -> npt.NDArray[Any]:
    """Return [O, C, k, k] as [chunk, C, k, k, lanes]."""
    _, inputs, kernel, _ = weights.shape
    chunks = weights.reshape(-1, lanes, inputs, kernel, kernel).transpose(0, 2, 3, 4, 1)
    return np.ascontiguousarray(chunks)


def _lanes(outputs: int) -> int:
    return next(lanes for lanes in LANES if outputs % lanes == 0)
