"""How much faster than real time a gesturing person is simulated, on one core."""

from __future__ import annotations

import time

from livesnn.bench.spread import spread
from livesnn.simulate.gestures import gesture_stream

SECONDS = 10.0


def bench_simulate(repeats: int) -> dict[str, dict[str, float]]:
    """Time ``repeats`` people's first ten seconds, after one for the compiler; multiples of real time."""
    return {"times_real_time": spread([_times_real_time(seed) for seed in range(repeats + 1)][1:])}


def _times_real_time(seed: int) -> float:
    begun_s = time.perf_counter()
    for take in gesture_stream(seed, use="test"):
        if take.end_us >= SECONDS * 1e6:
            break
    return take.end_us / 1e6 / (time.perf_counter() - begun_s)
