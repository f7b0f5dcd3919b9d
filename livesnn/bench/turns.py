"""Engines that take the same frames by turns, and how they compare. Not here: which engines there are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.bench.spread import spread
from livesnn.events.slicer import Frame
from livesnn.infer.model import Model
from livesnn.threads import usable_processors

THREADS = min(2, usable_processors())
"""Of every engine that is timed: each is at its best with two where there are two processors."""

PAUSE_S = 0.1
"""Between two engines: ONNX Runtime's threads look for work after a step, where the next's would be."""

Times = npt.NDArray[np.float64]


class Pass(NamedTuple):
    """All frames on one engine: ms of each step, the winner of each, and the share of steps that spikes drove."""

    ms: Times
    winners: npt.NDArray[np.int64]
    spike_steps: float


def run_pass(model: Model, inputs: Sequence[Frame]) -> Pass:
    """Return what all frames take from zero state on, the state carried."""
    ms, winners, spike_steps, state = [], [], 0, model.initial_state()
    for frame in inputs:
        begun_s = time.perf_counter()
        output, state = model.step(frame, state)
        ms.append(1e3 * (time.perf_counter() - begun_s))
        winners.append(int(output.argmax()))
        spike_steps += model.engine == "spike"
    return Pass(np.array(ms), np.array(winners), spike_steps / len(inputs))


def by_turns(models: Mapping[str, Model], inputs: Sequence[Frame], repeats: int) -> dict[str, list[Pass]]:
    """Return each engine's passes: one to warm up, first, and ``repeats``.

    All frames are taken by one engine, then by the next, and backwards every other time, with `PAUSE_S` between two.
    """
    passes = {name: [run_pass(model, inputs)] for name, model in models.items()}
    for repeat in range(repeats):
        for name in list(models)[:: 1 if repeat % 2 == 0 else -1]:
            time.sleep(PAUSE_S)
            passes[name].append(run_pass(models[name], inputs))
    return passes


def times_as_fast(others: Sequence[Times], ours: Sequence[Times]) -> dict[str, float]:
    """Return how many times as fast ours is by the medians of each repeat."""
    return spread([np.median(other) / np.median(our) for other, our in zip(others, ours, strict=True)])
