"""A step of the spike-driven engine while another program takes a core: `python -m tests.benchmarks.busy_step`.

Idle and busy turns follow each other. A turn is so many steps without a pause, then decisions at a camera's pace.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, islice

import numpy as np

import livesnn
from livesnn.bench import machine
from livesnn.bench.step import THREADS
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.model import Model

WARM_UP = 200
"""Steps before each turn."""
PERIOD_S = 0.05
"""From decision to decision, at 20 a second."""


@contextmanager
def busy(programs: int) -> Iterator[None]:
    """Let so many other programs take a core each."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        if programs:
            time.sleep(0.5)
        yield
    finally:
        for program in running:
            program.kill()
            program.wait()


def step_ms(model: Model, inputs: list[Frame], steps: int) -> np.ndarray:
    """Return the time of each step in ms, one after the other, of frames that have waited."""
    times, state = [], model.initial_state()
    for frame in islice(cycle(inputs), steps):
        begun_s = time.perf_counter()
        _, state = model.step(frame, state)
        times.append(1e3 * (time.perf_counter() - begun_s))
    return np.array(times)


def paced_ms(model: Model, inputs: list[Frame], decisions: int) -> np.ndarray:
    """Return the time from when each of the frames was due to its decision, in ms: 20 frames a second."""
    times, state = [], model.initial_state()
    begun_s = time.perf_counter()
    for number, frame in enumerate(islice(cycle(inputs), decisions), 1):
        due_s = begun_s + number * PERIOD_S
        time.sleep(max(due_s - time.perf_counter(), 0))
        _, state = model.step(replace(frame, arrived_s=due_s), state)
        times.append(1e3 * (time.perf_counter() - due_s))
    return np.array(times)


def told(turns: list[np.ndarray]) -> dict[str, object]:
    """Return percentiles over all turns, and of each turn p99 / p50."""
    together = np.concatenate(turns)
    p50, p99 = np.percentile(together, (50, 99))
    ratios = [float(np.percentile(turn, 99) / np.median(turn)) for turn in turns]
    return {
        "n": together.size,
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "longest_ms": round(float(together.max()), 2),
        "p99_to_p50": round(float(p99 / p50), 2),
        "p99_to_p50_of_turns": [round(ratio, 2) for ratio in sorted(ratios)],
        "later_than_period": int((together > 1e3 * PERIOD_S).sum()),
    }


def main(
    model: str = "gestures",
    source: str = "recordings/arm_roll.aedat4",
    turns: int = 5,
    steps: int = 2000,
    decisions: int = 100,
    programs: tuple[int, ...] = (0, 1),
    threads: int = THREADS,
) -> None:
    """Time steps and paced decisions, by turns idle and busy; print JSON.

    Parameters
    ----------
    model
        A model or its folder.
    source
        A recording whose first frames are taken.
    turns
        How often each.
    steps
        Steps of a turn.
    decisions
        Decisions of a turn, 20 a second.
    programs
        How many other programs take a core each, by turns.
    threads
        Threads of a step.
    """
    loaded = load_model(model, "spike", threads=threads)
    inputs = [replace(frame, arrived_s=0.0) for frame in islice(livesnn.frames(source, loaded), 300)]
    measured: dict[str, list[np.ndarray]] = {}
    for _ in range(turns):
        for number in programs:
            loaded = load_model(model, "spike", threads=threads)  # it has learnt nothing of the turn before
            step_ms(loaded, inputs, WARM_UP)
            with busy(number):
                measured.setdefault(f"steps, {number} busy", []).append(step_ms(loaded, inputs, steps))
                measured.setdefault(f"decisions, {number} busy", []).append(paced_ms(loaded, inputs, decisions))
    write_json(
        {"machine": machine(), "threads": threads, "turns": turns}
        | {name: told(times) for name, times in measured.items()}
    )


if __name__ == "__main__":
    run_script(main)
