"""The spike-driven engine beside ONNX Runtime at any density of spikes. Not here: networks of a density."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from livesnn.bench.bandwidth import bench_bandwidth, limit, threads_name
from livesnn.bench.dense_network import SETTLING, SLICE, card_of, write_levelled
from livesnn.bench.onnx_best import INT8, best_float32, onnx_ways
from livesnn.bench.turns import THREADS, Times, by_turns, times_as_fast
from livesnn.card import ModelCard
from livesnn.errors import DataError
from livesnn.events.slicer import Frame, frames
from livesnn.infer.decide import Percentiles
from livesnn.infer.model import Model, density_and_mean, load_model
from livesnn.infer.operations import FloatArray, mean_density, synops
from livesnn.paths import recordings_dir
from livesnn.sources import event_source, open_source

CLIP = "arm_roll.aedat4"
TARGETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
GOALS = {0.02: 10.0, 0.05: 8.0, 0.1: 5.0}
"""Times ONNX Runtime's speed that are wanted at a density; at all others `NEVER_BELOW`."""
NEVER_BELOW = 0.9
TOLERANCE = 0.1
"""Of a layer's density, of the target."""
N_FRAMES = 60
"""Behind those in which the network, and the other engine's threads, come to rest (`SETTLING`)."""


def bench_density(
    repeats: int,
    source: str = "",
    *,
    targets: Sequence[float] = TARGETS,
    weight_bits: Sequence[int] = (32, 8),
    side: int = 128,
    width: int = 64,
) -> dict[str, object]:
    """Time a step of an STS-ResNet whose layers all spike as often as the target says, engines by turns.

    Parameters
    ----------
    source
        A recording, whose first frames of a thousand events are taken; default: `CLIP`, shipped.

    Returns
    -------
    What was run (frames, repeats, threads, clip), read_gb_per_s (`bandwidth.Speeds`), and by the bits of the blocks'
    kernels, by the target in percent: what `_measure` returns.

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
                rows[f"{target:.0%}"] = _measure(
                    models, inputs, target, repeats, speeds[threads_name(THREADS)]
                )
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
        inputs = list(islice(frames(opened, card.input.slice, card.input), SETTLING + N_FRAMES))
    if len(inputs) <= SETTLING:
        raise DataError(
            f"{source} has {len(inputs)} frames of a thousand events: give a longer one, {SETTLING + 1} at least"
        )
    return inputs


def _models(folder: Path, inputs: Sequence[Frame]) -> dict[str, Model]:
    """Return the same network on each engine, ONNX Runtime's first."""
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
    density, density_min and density_max (of layers), layers_off (those off the target by more than `TOLERANCE`);
    synops; agreement: share of frames with the same winner in float32 on ONNX Runtime and on the spike-driven one;
    spike_steps: share of steps that this one didn't leave to ONNX Runtime; what `_compared` returns; goal, and met:
    by the median ratio; limit: `bandwidth.Limit`, and ``times``, the spike-driven step's median over it.
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
    """Return engines (ms_p50, ms_p95, ms_p99 of each), best, and ratio, median, min and max over the repeats.

    ratio: how many times as fast the spike-driven engine is as ``best``, the faster of ONNX Runtime's ways to run
    float32; ratio_int8: as its 8 bits, where they are there.
    """
    engines = {name: Percentiles.of(np.concatenate(passes)).named() for name, passes in timed.items()}
    best = best_float32(engines)
    more = {"ratio_int8": times_as_fast(timed[INT8], timed["spike"])} if INT8 in timed else {}
    return {"engines": engines, "best": best, "ratio": times_as_fast(timed[best], timed["spike"]), **more}


def _density(model: Model, inputs: Sequence[Frame]) -> FloatArray:
    """Return the spikes a neuron and step of each hidden layer [layers − 1]."""
    state, seen = model.initial_state(), []
    for frame in inputs:
        _, state = model.step(frame, state)
        seen.append(density_and_mean(state, model.card.neuron.threshold)[0][:-1])
    return np.mean(seen[SETTLING:], axis=0)
