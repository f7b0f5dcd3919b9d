"""The program in real time: its latency, and the start of its window."""

from __future__ import annotations

import json
import subprocess
import time

import numpy as np

from livesnn import subprocesses
from livesnn.bench import spread
from livesnn.bench.step import DEFAULT_MODEL, SENSOR
from livesnn.bench.throughput import moving_blob
from livesnn.errors import LivesnnError
from livesnn.events.pipeline import open_pipeline
from livesnn.events.playback_clock import MemorySource
from livesnn.events.slicer import frames
from livesnn.infer.decide import Percentiles
from livesnn.infer.model import load_model
from livesnn.infer.run import run_frames

STARTUP_LIMIT_S = 120


def bench_latency(model: str, *, seconds: float = 6.0) -> dict[str, dict[str, float]]:
    """Play events in real time through buffer, slicer and network; return ms from the last packet to the decision.

    The first second is left out of the times and of `frames`, but not of `dropped`.
    """
    loaded = load_model(model or DEFAULT_MODEL)
    measured = {}
    for events_per_s in (100_000, 1_000_000):
        duration_us = int(seconds * 1e6)
        events = moving_blob(int(events_per_s * seconds), SENSOR, seed=2, duration_us=duration_us)
        paced = MemorySource(events, SENSOR, duration_us=duration_us)
        with open_pipeline(paced) as source:
            results = list(run_frames(frames(source, loaded.card.input.slice, loaded.card.input), loaded))
        late = np.array([result.latency.total_ms for result in results if result.t > 1_000_000])
        measured[f"{events_per_s:.0e} ev/s"] = {
            **Percentiles.of(late).named(),
            "frames": len(late),
            "dropped": source.counters.dropped,
        }
    return measured


def bench_startup(model: str, repeats: int) -> dict[str, dict[str, float]]:
    """Time the whole program from its start to its first picture, in seconds, offscreen and with warm caches."""
    return {"s": spread([_startup_s(model or DEFAULT_MODEL) for _ in range(repeats + 1)][1:])}


def _startup_s(model: str) -> float:
    command, begun_s = subprocesses.command("gui", "--model", model), time.perf_counter()
    offscreen = subprocesses.environment(QT_QPA_PLATFORM="offscreen", LIVESNN_QUIT_AFTER="first-frame")
    try:
        done = subprocess.run(
            command, env=offscreen, capture_output=True, text=True, timeout=STARTUP_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LivesnnError(
            f"the window took longer than {STARTUP_LIMIT_S} s: run livesnn gui to see why"
        ) from error
    took_s, summary = time.perf_counter() - begun_s, done.stdout.strip().splitlines()
    if not summary or not json.loads(summary[-1])["frames_shown"]:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise LivesnnError(f"the window showed nothing ({why}): run livesnn gui --model {model} to see why")
    return took_s
