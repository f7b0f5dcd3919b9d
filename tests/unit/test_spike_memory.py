"""Where a spike-driven network's weights and states lie: at cache lines."""

from __future__ import annotations

import numpy as np
import pytest

from livesnn.infer.spikes.plan import LINE, aligned, zeros


@pytest.mark.parametrize("kind", [np.int8, np.float32, np.int64])
def test_numbers_begin_with_a_cache_line(kind: type) -> None:
    kept = [make(size, kind) for make in (aligned, zeros) for size in (1, 7, 100_000)]
    assert all(room.ctypes.data % LINE == 0 for room in kept)
    assert [len(room) for room in kept] == [1, 7, 100_000] * 2
