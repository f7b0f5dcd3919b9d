"""The spike-driven engine beside ONNX Runtime at any density of spikes. Not here: networks of a density."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.bench.bandwidth import bench_bandwidth, limit, threads_name
from livesnn.bench.dense_network import SETTLING, SLICE, card_of, write_levelled
from livesnn.bench.onnx_best import BoundOnnx, write_int8
from livesnn.bench.spread import spread
from livesnn.bench.step import THREADS
from livesnn.card import ModelCard
from livesnn.errors import DataError
from livesnn.events.frames import Frame, frames
from livesnn.infer import Model, load_model
from livesnn.infer.spiking import density_and_mean
from livesnn.infer.synops import FloatArray, mean_density, synops
from livesnn.infer.tally import Percentiles
from livesnn.paths import recordings_dir
from livesnn.sources import open_source

CLIP = "arm_roll.aedat4"
TARGETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
GOALS = {0.02: 10.0, 0.05: 8.0, 0.1: 5.0}
"""Times ONNX Runtime's speed that are wanted at a density; at all others `NEVER_BELOW`."""
NEVER_BELOW = 0.9
TOLERANCE = 0.1
"""Of a layer's density, of the target."""
N_FRAMES = 60
"""Behind those in which the network, and the other engine's threads, come to rest (`SETTLING`)."""
RANGED = 10
"""Frames from which ONNX Runtime's 8-bit kernels take the range of their currents."""


Times = npt.NDArray[np.float64]


class Pass(NamedTuple):
    """All frames on one engine: ms of each step, the winner of each, and the share of steps that spikes drove."""

    ms: Times
    winners: npt.NDArray[np.int64]
    spike_steps: float


PAUSE_S = 0.1
"""Between two engines: ONNX Runtime's threads look for work after a step, where the next's would be."""


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
    with open_source(source) as opened:
        inputs = list(islice(frames(opened, card.input.slice, card.input), SETTLING + N_FRAMES))
    if len(inputs) <= SETTLING:
        raise DataError(
            f"{source} has {len(inputs)} frames of a thousand events: give a longer one, {SETTLING + 1} at least"
        )
    return inputs


def _models(folder: Path, inputs: Sequence[Frame]) -> dict[str, Model]:
    """Return the same network on each engine, ONNX Runtime's first."""
    path = folder / "model.onnx"
    onnx = load_model(folder, "onnx", threads=THREADS)
    models: dict[str, Model] = {"onnx": onnx, "onnx_bound": BoundOnnx(path, onnx.card, threads=THREADS)}
    if onnx.card.network.weight_bits == 8:
        int8 = folder / "int8.onnx"
        write_int8(path, int8, onnx, inputs[:RANGED])
        models["onnx_int8"] = BoundOnnx(int8, onnx.card, threads=THREADS)
    return {**models, "spike": load_model(folder, "spike", threads=THREADS)}


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
    onnx, spike = (_pass(models[name], inputs) for name in ("onnx", "spike"))
    compared = _compared(_by_turns(models, inputs, repeats))
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


def _by_turns(models: Mapping[str, Model], inputs: Sequence[Frame], repeats: int) -> dict[str, list[Times]]:
    """Return each engine's ms of a step, [repeats] of [frames]: all frames on one, on the next, and backwards."""
    timed: dict[str, list[Times]] = {name: [] for name in models}
    for model in models.values():
        _pass(model, inputs)
    for repeat in range(repeats):
        for name in list(models)[:: 1 if repeat % 2 == 0 else -1]:
            time.sleep(PAUSE_S)
            timed[name].append(_pass(models[name], inputs).ms[SETTLING:])
    return timed


def _compared(timed: Mapping[str, Sequence[Times]]) -> dict[str, Any]:
    """Return engines (ms_p50, ms_p95, ms_p99 of each), best, and ratio, median, min and max over the repeats.

    ratio: how many times as fast the spike-driven engine is as ``best``, the faster of ONNX Runtime's ways to run
    float32; ratio_int8: as its 8 bits, where they are there.
    """
    engines = {name: Percentiles.of(np.concatenate(passes)).named() for name, passes in timed.items()}
    best = min(("onnx", "onnx_bound"), key=lambda name: engines[name]["ms_p50"])
    more = {"ratio_int8": _ratio(timed["onnx_int8"], timed["spike"])} if "onnx_int8" in timed else {}
    return {"engines": engines, "best": best, "ratio": _ratio(timed[best], timed["spike"]), **more}


def _density(model: Model, inputs: Sequence[Frame]) -> FloatArray:
    """Return the spikes a neuron and step of each hidden layer [layers − 1]."""
    state, seen = model.initial_state(), []
    for frame in inputs:
        _, state = model.step(frame, state)
        seen.append(density_and_mean(state, model.card.neuron.threshold)[0][:-1])
    return np.mean(seen[SETTLING:], axis=0)


def _pass(model: Model, inputs: Sequence[Frame]) -> Pass:
    ms, winners, spike_steps, state = [], [], 0, model.initial_state()
    for frame in inputs:
        begun_s = time.perf_counter()
        output, state = model.step(frame, state)
        ms.append(1e3 * (time.perf_counter() - begun_s))
        winners.append(int(output.argmax()))
        spike_steps += model.engine == "spike"
    return Pass(np.array(ms), np.array(winners), spike_steps / len(inputs))


def _ratio(others: Sequence[Times], ours: Sequence[Times]) -> dict[str, float]:
    """Return how many times as fast ours is by the medians of each repeat."""
    return spread([np.median(other) / np.median(our) for other, our in zip(others, ours, strict=True)])
