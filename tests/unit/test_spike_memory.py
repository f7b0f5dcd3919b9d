"""Where a spike-driven network's weights lie: at cache lines, and for counts by the columns that one reaches."""

from __future__ import annotations

import numpy as np
import pytest

from livesnn.infer.spikes.memory import LINE, aligned, columns_reached, zeros


@pytest.mark.parametrize("width", [1, 2, 5, 16, 33])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 3), (7, 2), (7, 1)])
def test_a_pixel_reaches_the_columns_that_a_convolution_says(width: int, kernel: int, stride: int) -> None:
    first, case, taps = columns_reached(width, kernel, stride)
    outputs = -(-width // stride)
    found = np.full((width, outputs), -1)
    for pixel in range(width):
        columns = first[pixel] + np.arange(taps.shape[1])
        assert columns[0] >= 0
        assert columns[-1] < outputs
        found[pixel, columns] = taps[case[pixel]]
    kx = np.arange(width)[:, None] + kernel // 2 - stride * np.arange(outputs)
    np.testing.assert_array_equal(found, np.where((kx >= 0) & (kx < kernel), kx, -1))


@pytest.mark.parametrize("kind", [np.int8, np.float32, np.int64])
def test_numbers_begin_with_a_cache_line(kind: type) -> None:
    kept = [make(size, kind) for make in (aligned, zeros) for size in (1, 7, 100_000)]
    assert all(room.ctypes.data % LINE == 0 for room in kept)
    assert [len(room) for room in kept] == [1, 7, 100_000] * 2
