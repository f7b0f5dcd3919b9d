"""How fast this machine reads memory, and what a spike-driven step is bound by. Not here: steps (density.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial
from math import prod
from typing import TypedDict

import numpy as np
from numba import njit

from livesnn.bench.spread import spread
from livesnn.card import ModelCard
from livesnn.errors import LivesnnError
from livesnn.infer.operations import FloatArray, synops
from livesnn.threads import Worker, usable_processors

SIZES = {"16 KiB": 1 << 14, "256 KiB": 1 << 18, "6 MiB": 6 << 20, "128 MiB": 1 << 27}
"""Bytes that a thread reads again and again: what fits into the first, second and third cache of most processors."""
READ_BYTES = 1 << 30
"""In all, a thread."""

Speeds = dict[str, dict[str, dict[str, float]]]
"""By "1 thread", "2 threads", by the names of `SIZES`: GB/s (10⁹ bytes) of all threads, median, min and max."""


class Limit(TypedDict):
    """What a step touches in MB (10⁶ bytes), and how long reading as much takes."""

    weights_mb: float
    state_mb: float
    weights_ms: float
    state_ms: float
    ms: float


def threads_name(threads: int) -> str:
    """Return the key of a number of threads."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def bench_bandwidth(repeats: int) -> Speeds:
    """Sum arrays of each of `SIZES` on one thread, and on two where there are two processors."""
    measured: Speeds = {}
    for threads in sorted({1, min(2, usable_processors())}):
        by_size = {}
        for name, size in SIZES.items():
            by_size[name] = spread([_speed(size, threads) for _ in range(repeats)])
        measured[threads_name(threads)] = by_size
    return measured


def limit(
    card: ModelCard, density: FloatArray, counts: float, speeds: Mapping[str, Mapping[str, float]]
) -> Limit:
    """Return the least time of a step that reads a weight a synaptic operation, and all membranes, and writes them.

    Lists of spikes and sums aren't counted, writing counts as reading does, and nothing overlaps. Weights come from
    where a layer's kernel fits, membranes from where a thread's share of those before and after does.

    Parameters
    ----------
    density
        Of each hidden layer [layers − 1].
    counts
        Mean number of the frame's values that aren't zero.
    speeds
        Of two threads, or of one where there is one processor: see `Speeds`.
    """
    network, threads = card.network, min(2, usable_processors())
    weight_bytes = network.weight_bits // 8
    kernel = 9 * max(network.widths) ** 2 * weight_bytes
    blocks = synops(density, card) * weight_bytes
    stem_kernel = card.input.channels * network.stem_kernel**2 * network.widths[0] * 4
    stem = counts * (network.stem_kernel / network.stem_stride) ** 2 * network.widths[0] * 4
    state = 2 * 4 * sum(prod(shape) for shape in card.states.values())
    weights_ms = 1e3 * (blocks / _bytes_per_s(kernel, speeds) + stem / _bytes_per_s(stem_kernel, speeds))
    state_ms = 1e3 * state / _bytes_per_s(state / threads, speeds)
    return {
        "weights_mb": (blocks + stem) / 1e6,
        "state_mb": state / 1e6,
        "weights_ms": weights_ms,
        "state_ms": state_ms,
        "ms": weights_ms + state_ms,
    }


def _bytes_per_s(size: float, speeds: Mapping[str, Mapping[str, float]]) -> float:
    """Return the speed at which so many bytes are read that a thread comes back to."""
    fits = next((name for name, most in SIZES.items() if size <= most), list(SIZES)[-1])
    return 1e9 * speeds[fits]["median"]


def _speed(size: int, threads: int) -> float:
    """Return GB/s of so many threads, each reading an array of its own."""
    together = threading.Barrier(threads + 1)
    begun_s, ended_s = [0.0] * threads, [0.0] * threads

    def read(thread: int, _: threading.Event) -> None:
        numbers = np.ones(size // 8, np.int64)
        _sum(numbers, 1)
        together.wait()
        begun_s[thread] = time.perf_counter()
        _sum(numbers, READ_BYTES // size)
        ended_s[thread] = time.perf_counter()
        together.wait()

    workers = [
        Worker(f"read-{thread}", partial(read, thread), on_error=lambda _: together.abort())
        for thread in range(threads)
    ]
    for worker in workers:
        worker.start()
    try:
        together.wait()
        together.wait()
    except threading.BrokenBarrierError:
        why = next(worker.error for worker in workers if worker.error is not None)
        raise LivesnnError(f"{threads} × {size:,} octets can't be read again and again ({why!r})") from why
    return threads * (READ_BYTES // size) * size / 1e9 / (max(ended_s) - min(begun_s))


@njit(nogil=True, cache=True)
def _sum(numbers, times):  # type: ignore[no-untyped-def]
    """Return the sum of int64 numbers read so often: whole numbers, whose sums don't wait for each other."""
    total = 0
    for _ in range(times):
        for i in range(numbers.size):
            total += numbers[i]
    return total
