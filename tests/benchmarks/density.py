"""The spike-driven engine beside ONNX Runtime at any density of spikes: `python tests/benchmarks/density.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from livesnn.bench import machine
from livesnn.bench.step import THREADS, by_turns, faster_onnx, onnx_ways, times_as_fast
from livesnn.card import ModelCard
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.errors import DataError
from livesnn.events.slicer import Frame, frames
from livesnn.infer.cost import FloatArray, mean_density, synops
from livesnn.infer.load import load_model
from livesnn.infer.model import Model, density_and_mean
from livesnn.infer.statistics import Percentiles
from livesnn.paths import recordings_dir
from livesnn.sources import event_source, open_source
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
    What was run (frames, repeats, threads, clip), and what `_measure` returns, by the bits of the blocks' kernels and
    by the target in percent.

    Raises
    ------
    DataError
        The recording is too short.
    """
    inputs = _inputs(source or str(recordings_dir() / CLIP), card_of(side, 32, width=width))
    measured: dict[str, object] = {}
    for bits in weight_bits:
        card = card_of(side, bits, width=width)
        rows = {}
        for target in targets:
            with tempfile.TemporaryDirectory() as folder:
                write_levelled(Path(folder), card, inputs, target)
                spike = load_model(folder, "spike", threads=THREADS)
                models = {**onnx_ways(Path(folder), threads=THREADS), "spike": spike}
                rows[f"{target:.0%}"] = _measure(models, inputs, target, repeats)
        measured[f"{bits} bits"] = rows
    return {
        "clip": source or CLIP,
        "frames": len(inputs) - SETTLING,
        "events_per_frame": SLICE.n_events,
        "repeats": repeats,
        "threads": THREADS,
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


def _measure(models: Mapping[str, Model], inputs: Sequence[Frame], target: float, repeats: int) -> dict[str, object]:
    """Time the same network on several engines.

    Returns
    -------
    density; density_min and density_max of the layers; layers_off, those off the target by more than `TOLERANCE`;
    synops; agreement, the share of frames with the same argmax on ONNX Runtime in float32 and on the spike-driven
    engine; spike_steps, the share of steps that the latter ran itself; engines (ms_p50, ms_p95, ms_p99 of each);
    best, the faster of ONNX Runtime's ways; ratio, how many times as fast as that the spike-driven engine is; goal,
    and met, by the median ratio.
    """
    card = models["onnx"].card
    density = _density(models["onnx"], inputs)
    passes = by_turns(models, inputs, repeats)
    onnx, spike = passes["onnx"][0], passes["spike"][0]
    timed = {name: [one.ms[SETTLING:] for one in of_one[1:]] for name, of_one in passes.items()}
    engines = {name: Percentiles.of(np.concatenate(of_one)).named() for name, of_one in timed.items()}
    best = faster_onnx(engines)
    ratio = times_as_fast(timed[best], timed["spike"])
    goal = GOALS.get(target, NEVER_BELOW)
    return {
        "density": mean_density(density, card),
        "density_min": float(density.min()),
        "density_max": float(density.max()),
        "layers_off": int(np.count_nonzero(np.abs(density - target) > TOLERANCE * target)),
        "synops": synops(density, card),
        "agreement": float(np.mean(onnx.winners == spike.winners)),
        "spike_steps": spike.spike_steps,
        "engines": engines,
        "best": best,
        "ratio": ratio,
        "goal": goal,
        "met": ratio["median"] >= goal,
    }


def _density(model: Model, inputs: Sequence[Frame]) -> FloatArray:
    """Return the spikes per neuron and step of each hidden layer [layers − 1]."""
    state, seen = model.initial_state(), []
    for frame in inputs:
        _, state = model.step(frame, state)
        seen.append(density_and_mean(state, model.card.neuron.threshold)[0][:-1])
    return np.mean(seen[SETTLING:], axis=0)


def main(repeats: int = 5, source: str = "") -> None:
    """Time the engines at densities of 1 to 100 %, and print the figures as JSON. It takes ten minutes.

    Parameters
    ----------
    repeats
        Runs of each engine.
    source
        Recording whose frames are taken; a shipped one if not given.
    """
    write_json({"machine": machine(), "density": bench_density(repeats, source)})


if __name__ == "__main__":
    run_script(main)
