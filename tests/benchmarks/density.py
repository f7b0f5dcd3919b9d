"""The spike-driven engine beside ONNX Runtime at any density of spikes: `python tests/benchmarks/density.py`.

It also measures how fast memory is read, which bounds a spike-driven step.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numba import njit

from livesnn.bench import machine, spread
from livesnn.bench.step import INT8, THREADS, Times, best_float32, by_turns, onnx_ways, times_as_fast
from livesnn.card import ModelCard
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.errors import DataError, LivesnnError
from livesnn.events.slicer import Frame, frames
from livesnn.infer.cost import FloatArray, mean_density, synops
from livesnn.infer.load import load_model
from livesnn.infer.model import Model, density_and_mean
from livesnn.infer.statistics import Percentiles
from livesnn.paths import recordings_dir
from livesnn.sources import event_source, open_source
from livesnn.threads import Worker, usable_processors
from tests.benchmarks.random_network import SETTLING, SLICE, card_of, write_levelled

CLIP = "arm_roll.aedat4"
TARGETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
GOALS = {0.02: 10.0, 0.05: 8.0, 0.1: 5.0}
"""Goal at some densities, in times ONNX Runtime's speed. At all others it is `NEVER_BELOW`."""
NEVER_BELOW = 0.9
TOLERANCE = 0.1
"""Relative error of a layer's density that is tolerated."""
N_FRAMES = 60
"""Frames after the first `SETTLING`, in which membranes and the other engine's threads settle."""


SIZES = {"16 KiB": 1 << 14, "256 KiB": 1 << 18, "6 MiB": 6 << 20, "128 MiB": 1 << 27}
"""Bytes that a thread reads repeatedly. On most processors they fit into the first, second, third and no cache."""
READ_BYTES = 1 << 30
"""Bytes that each thread reads in total."""

Speeds = dict[str, dict[str, dict[str, float]]]
"""GB/s (10⁹ bytes) of all threads by "1 thread" and "2 threads", then by the names of `SIZES`: median, min, max."""


class Limit(TypedDict):
    """The MB (10⁶ bytes) that a step touches, and the time to read as much."""

    weights_mb: float
    state_mb: float
    weights_ms: float
    state_ms: float
    ms: float


def bench_density(
    repeats: int,
    source: str = "",
    *,
    targets: Sequence[float] = TARGETS,
    weight_bits: Sequence[int] = (32, 8),
    side: int = 128,
    width: int = 64,
) -> dict[str, object]:
    """Time a step of an STS-ResNet whose layers all have the target density, engines by turns.

    Parameters
    ----------
    source
        A recording whose first frames of a thousand events are taken; default: the shipped `CLIP`.

    Returns
    -------
    What was run (frames, repeats, threads, clip), read_gb_per_s (`Speeds`), and what `_measure` returns, by the bits
    of the blocks' kernels and by the target in percent.

    Raises
    ------
    DataError
        The recording is too short.
    """
    inputs = _inputs(source or str(recordings_dir() / CLIP), card_of(side, 32, width=width))
    speeds = bench_bandwidth(repeats)
    measured: dict[str, object] = {}
    for bits in weight_bits:
        card = card_of(side, bits, width=width)
        rows = {}
        for target in targets:
            with tempfile.TemporaryDirectory() as folder:
                write_levelled(Path(folder), card, inputs, target)
                models = _models(Path(folder), inputs)
                rows[f"{target:.0%}"] = _measure(models, inputs, target, repeats, speeds[threads_name(THREADS)])
        measured[f"{bits} bits"] = rows
    return {
        "clip": source or CLIP,
        "frames": len(inputs) - SETTLING,
        "events_per_frame": SLICE.n_events,
        "repeats": repeats,
        "threads": THREADS,
        "read_gb_per_s": speeds,
        **measured,
    }


def _inputs(source: str, card: ModelCard) -> list[Frame]:
    with closing(event_source(open_source(source))) as opened:
        inputs = list(islice(frames(opened, card.input), SETTLING + N_FRAMES))
    if len(inputs) <= SETTLING:
        raise DataError(
            f"{source} has {len(inputs)} frames of a thousand events: give one with {SETTLING + 1} at least"
        )
    return inputs


def _models(folder: Path, inputs: Sequence[Frame]) -> dict[str, Model]:
    """Return the network on each engine, ONNX Runtime first."""
    spike = load_model(folder, "spike", threads=THREADS)
    return {**onnx_ways(folder, inputs, threads=THREADS), "spike": spike}


def _measure(
    models: Mapping[str, Model],
    inputs: Sequence[Frame],
    target: float,
    repeats: int,
    speeds: Mapping[str, Mapping[str, float]],
) -> dict[str, object]:
    """Time the same network on several engines.

    Returns
    -------
    density; density_min and density_max of the layers; layers_off, those off the target by more than `TOLERANCE`;
    synops; agreement, the share of frames with the same argmax on ONNX Runtime in float32 and on the spike-driven
    engine; spike_steps, the share of steps that the latter ran itself; what `_compared` returns; goal, and met, by
    the median ratio; limit, a `Limit` and ``times``, the spike-driven step's median over it.
    """
    card = models["onnx"].card
    density = _density(models["onnx"], inputs)
    passes = by_turns(models, inputs, repeats)
    onnx, spike = passes["onnx"][0], passes["spike"][0]
    compared = _compared({name: [one.ms[SETTLING:] for one in of_one[1:]] for name, of_one in passes.items()})
    counts = float(np.mean([np.count_nonzero(frame.data) for frame in inputs[SETTLING:]]))
    least = limit(card, density, counts, speeds)
    goal = GOALS.get(target, NEVER_BELOW)
    return {
        "density": mean_density(density, card),
        "density_min": float(density.min()),
        "density_max": float(density.max()),
        "layers_off": int(np.count_nonzero(np.abs(density - target) > TOLERANCE * target)),
        "synops": synops(density, card),
        "agreement": float(np.mean(onnx.winners == spike.winners)),
        "spike_steps": spike.spike_steps,
        **compared,
        "goal": goal,
        "met": compared["ratio"]["median"] >= goal,
        "limit": {**least, "times": compared["engines"]["spike"]["ms_p50"] / least["ms"]},
    }


def _compared(timed: Mapping[str, Sequence[Times]]) -> dict[str, Any]:
    """Return engines (ms_p50, ms_p95, ms_p99 of each), best, and ratio as median, min and max over the repeats.

    ratio says how many times as fast the spike-driven engine is as ``best``, the faster of ONNX Runtime's ways in
    float32; ratio_int8 compares it with ONNX Runtime's 8-bit kernels, if there are any.
    """
    engines = {name: Percentiles.of(np.concatenate(passes)).named() for name, passes in timed.items()}
    best = best_float32(engines)
    more = {"ratio_int8": times_as_fast(timed[INT8], timed["spike"])} if INT8 in timed else {}
    return {"engines": engines, "best": best, "ratio": times_as_fast(timed[best], timed["spike"]), **more}


def _density(model: Model, inputs: Sequence[Frame]) -> FloatArray:
    """Return the spikes per neuron and step of each hidden layer [layers − 1]."""
    state, seen = model.initial_state(), []
    for frame in inputs:
        _, state = model.step(frame, state)
        seen.append(density_and_mean(state, model.card.neuron.threshold)[0][:-1])
    return np.mean(seen[SETTLING:], axis=0)


def threads_name(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def bench_bandwidth(repeats: int) -> Speeds:
    """Time sums of arrays of each of `SIZES` on one thread, and on two if there are two processors."""
    measured: Speeds = {}
    for threads in sorted({1, min(2, usable_processors())}):
        by_size = {}
        for name, size in SIZES.items():
            by_size[name] = spread([_speed(size, threads) for _ in range(repeats)])
        measured[threads_name(threads)] = by_size
    return measured


def limit(card: ModelCard, density: FloatArray, counts: float, speeds: Mapping[str, Mapping[str, float]]) -> Limit:
    """Return the least time of a step that reads a weight per synaptic operation, and reads and writes all membranes.

    Lists of spikes and sums aren't counted, writing counts like reading, and nothing overlaps. Weights come from the
    cache in which a layer's kernel fits, membranes from that in which a thread's share of old and new ones fits.

    Parameters
    ----------
    density
        Of each hidden layer [layers − 1].
    counts
        Mean number of nonzero values of a frame.
    speeds
        `Speeds` of two threads, or of one if there is one processor.
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
    """Return the bytes a second at which a thread reads ``size`` bytes repeatedly."""
    fits = next((name for name, most in SIZES.items() if size <= most), list(SIZES)[-1])
    return 1e9 * speeds[fits]["median"]


def _speed(size: int, threads: int) -> float:
    """Return the GB/s of all threads, each reading its own array."""
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
        raise LivesnnError(f"{threads} threads can't read {size:,} bytes ({why!r})") from why
    return threads * (READ_BYTES // size) * size / 1e9 / (max(ended_s) - min(begun_s))


@njit(nogil=True, cache=True)
def _sum(numbers, times):  # type: ignore[no-untyped-def]
    """Return the sum of int64 numbers, read ``times`` times. Integer sums don't wait for each other."""
    total = 0
    for _ in range(times):
        for i in range(numbers.size):
            total += numbers[i]
    return total


def main(repeats: int = 5, source: str = "", bandwidth: bool = False) -> None:
    """Time the engines at densities of 1 to 100 %, and print the figures as JSON. It takes ten minutes.

    Parameters
    ----------
    repeats
        Runs of each engine.
    source
        Recording whose frames are taken; a shipped one if not given.
    bandwidth
        Only measure how fast memory is read.
    """
    figures = {"bandwidth": bench_bandwidth(repeats)} if bandwidth else {"density": bench_density(repeats, source)}
    write_json({"machine": machine()} | figures)


if __name__ == "__main__":
    run_script(main)
