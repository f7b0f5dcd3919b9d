"""How fast a model runs: one step on each engine, decisions in real time, and the start of the window."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import onnxruntime

from livesnn import subprocesses
from livesnn.bench import EngineName, spread
from livesnn.bench.throughput import moving_blob
from livesnn.card import ModelCard
from livesnn.errors import DataError, LivesnnError, ModelError
from livesnn.events.packet import Closing, Events, Packet, Resolution, SourceCounters
from livesnn.events.pipeline import open_pipeline
from livesnn.events.slicer import Frame, Slicer, frames
from livesnn.infer.cost import mean_density
from livesnn.infer.load import load_model, model_folder
from livesnn.infer.model import Model, State, zero_state
from livesnn.infer.onnx_engine import session_options
from livesnn.infer.run import run_frames
from livesnn.infer.statistics import Percentiles
from livesnn.sources import event_source, open_source
from livesnn.threads import usable_processors

DEFAULT_MODEL = "nmnist"
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
SENSOR = Resolution(346, 260)
THREADS = min(2, usable_processors())
"""Threads of every engine that is timed. Each is at its best with two, where there are two processors."""

PAUSE_S = 0.1
"""Pause between two engines: ONNX Runtime's threads spin after a step, and would take the processor of the next."""

ONNX_WAYS = ("onnx", "onnx_bound")
"""ONNX Runtime's two ways to run a graph: plain, and with IO binding."""

Times = npt.NDArray[np.float64]
StepTimes = dict[str, float]
Feeds = dict[str, npt.NDArray[np.generic]]


def bench_step(
    model: str,
    repeats: int,
    source: str = "",
    *,
    n_frames: int = 300,
    engines: Sequence[EngineName] = (),
    peers: Mapping[str, Model] | None = None,
) -> dict[str, object]:
    """Time one step of each engine on the same frames by turns: ``repeats`` passes with the state carried.

    ``source`` is a recording whose first frames are taken; by default a blob moves. ``engines`` are by default all
    that are installed and can run the model; "onnx" stands for each of ONNX Runtime's ways. ``peers`` are the same
    network in other frameworks. Returned are, for each engine and peer, ms_p50, ms_p95, ms_p99 and fps; why others
    were left out; what `_compared` returns; and agreement, the share of frames on which all engines, each with its
    own state, have the same argmax. Of a peer also how many times as fast ours is, and how often both decide the
    same. Raises ModelError if there is no such model, or one of the ``engines`` given can't run it, and DataError if
    the source is shorter than a frame.
    """
    if len(set(engines)) < len(engines):
        raise LivesnnError(f"--engines {' '.join(engines)} names an engine twice: give each once")
    model = model or DEFAULT_MODEL
    onnx = load_model(model, "onnx")
    inputs = inputs_of(onnx.card, source, n_frames)
    densities = [result.density for result in run_frames(inputs, onnx)]
    models, left_out = _models(model, engines)
    passes = by_turns({**models, **(peers or {})}, inputs, repeats)
    times = {name: _times(passes[name]) for name in models}
    winners = zip(*(passes[name][0].winners for name in models), strict=True)
    figures: dict[str, object] = {
        "frames": len(inputs),
        "repeats": repeats,
        "threads": THREADS,
        "density": mean_density(np.mean(densities, axis=0), onnx.card),
        "weight_bits": onnx.card.network.weight_bits,
        "engines": times,
        "engines_left_out": left_out,
        **_compared(passes, times),
        "agreement": float(np.mean([len(set(won)) == 1 for won in winners])),
    }
    if peers is not None:
        ours = passes["spike" if "spike" in models else next(iter(models))]
        figures["peers"] = {
            name: {
                **_times(passes[name]),
                "ratio": times_as_fast(_ms(passes[name]), _ms(ours))["median"],
                "same_decision": float(np.mean(passes[name][0].winners == ours[0].winners)),
            }
            for name in peers
        }
    return figures


def _models(model: str, engines: Sequence[EngineName]) -> tuple[dict[str, Model], dict[str, str]]:
    """Return the model on each engine, and why others were left out; raises ModelError for one that was asked for."""
    models: dict[str, Model] = {}
    left_out: dict[str, str] = {}
    for engine in engines or ENGINES:
        try:
            if engine == "onnx":
                models |= onnx_ways(model_folder(model), threads=THREADS)
            else:
                models[engine] = load_model(model, engine, threads=THREADS)
        except ModelError as error:
            if engines:
                raise
            left_out[engine] = str(error)
    return models, left_out


def _ms(passes: Sequence[Pass]) -> list[Times]:
    """Return the ms of each step, of all passes but the first."""
    return [one.ms for one in passes[1:]]


def _times(passes: Sequence[Pass]) -> StepTimes:
    """Return the ms of a step and frames a second."""
    ms = np.concatenate(_ms(passes))
    return {**Percentiles.of(ms).named(), "fps": float(1e3 / np.median(ms))}


def _compared(passes: Mapping[str, Sequence[Pass]], times: Mapping[str, StepTimes]) -> dict[str, object]:
    """Return best, the faster of ONNX Runtime's ways, and how many times as fast as that each engine is (median)."""
    ms = {name: _ms(passes[name]) for name in times}
    ratios: dict[str, dict[str, float]] = {}
    more: dict[str, object] = {}
    if "onnx" in times:
        more["best"] = best = min(ONNX_WAYS, key=lambda name: times[name]["ms_p50"])
        ours = [name for name in times if name not in ONNX_WAYS]
        ratios = {f"{name}_vs_onnx": times_as_fast(ms[best], ms[name]) for name in ours}
    medians = {name: ratio["median"] for name, ratio in ratios.items()}
    return {"ratio": medians, "ratio_spread": ratios, **more}


def inputs_of(card: ModelCard, source: str, most: int) -> list[Frame]:
    if not source:
        events = moving_blob(400_000, SENSOR, seed=1, duration_us=12_000_000)
        return Slicer(SENSOR, card.input).push(Packet(events))[:most]
    with closing(event_source(open_source(source))) as opened:
        inputs = list(islice(frames(opened, card.input), most))
    if not inputs:
        raise DataError(f"{source} is shorter than one frame of {card.name}: give a longer recording")
    return inputs


class Pass(NamedTuple):
    """All frames on one engine: the ms and argmax of each step."""

    ms: Times
    winners: npt.NDArray[np.int64]


def run_pass(model: Model, inputs: Sequence[Frame]) -> Pass:
    ms, winners, state = [], [], model.initial_state()
    for frame in inputs:
        begun_s = time.perf_counter()
        output, state = model.step(frame, state)
        ms.append(1e3 * (time.perf_counter() - begun_s))
        winners.append(int(output.argmax()))
    return Pass(np.array(ms), np.array(winners))


def by_turns(models: Mapping[str, Model], inputs: Sequence[Frame], repeats: int) -> dict[str, list[Pass]]:
    """Return each engine's passes: a warm-up, then ``repeats``, engine after engine, every other round backwards."""
    passes = {name: [run_pass(model, inputs)] for name, model in models.items()}
    for repeat in range(repeats):
        for name in list(models)[:: 1 if repeat % 2 == 0 else -1]:
            time.sleep(PAUSE_S)
            passes[name].append(run_pass(models[name], inputs))
    return passes


def times_as_fast(others: Sequence[Times], ours: Sequence[Times]) -> dict[str, float]:
    """Return the `spread` of how many times as fast ours is, by the medians of each repeat."""
    return spread([np.median(other) / np.median(our) for other, our in zip(others, ours, strict=True)])


def onnx_ways(folder: Path, *, threads: int) -> dict[str, Model]:
    """Return the model on ONNX Runtime in each of `ONNX_WAYS`; raises ModelError if its graph can't be run."""
    onnx = load_model(folder, "onnx", threads=threads)
    bound = BoundOnnx(folder / "model.onnx", onnx.card, threads=threads)
    return dict(zip(ONNX_WAYS, (onnx, bound), strict=True))


class BoundOnnx:
    """A Model on ONNX Runtime with IO binding, which takes only the states that it returned, once."""

    engine = "onnx"

    def __init__(self, path: Path, card: ModelCard, *, threads: int) -> None:
        self.card = card
        self._session = onnxruntime.InferenceSession(
            str(path), session_options(threads), providers=["CPUExecutionProvider"]
        )
        spec = card.input
        self._frame = np.zeros((1, spec.channels, spec.height, spec.width), np.uint8)
        self._output = np.zeros((1, len(card.classes)), np.float32)
        self._states = [zero_state(card) for _ in range(2)]
        self._bindings = [self._bind(*self._states), self._bind(*reversed(self._states))]

    def initial_state(self) -> State:
        for membrane in self._states[0]:
            membrane[...] = 0
        return self._states[0]

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        turn = int(state is self._states[1])
        self._frame[0] = frame.data
        self._session.run_with_iobinding(self._bindings[turn])
        return self._output[0].copy(), self._states[1 - turn]

    def _bind(self, before: State, after: State) -> onnxruntime.IOBinding:
        binding = self._session.io_binding()
        inputs: Feeds = {"frame": self._frame}
        outputs: Feeds = {"output": self._output}
        for name, old, new in zip(self.card.states, before, after, strict=True):
            inputs[name], outputs[f"{name}.next"] = old[np.newaxis], new[np.newaxis]
        for bind, arrays in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding


STARTUP_LIMIT_S = 120
PACKET_US = 1000


class PacedSource(Closing):
    """EVENTS_DTYPE [N] as a live `EventSource`, a packet each millisecond in real time, with no packet lost."""

    live = True
    name = ""
    warnings = ()
    resolution = SENSOR

    def __init__(self, events: Events, duration_us: int) -> None:
        self.counters = SourceCounters()
        self._ends_us = np.arange(PACKET_US, duration_us + 1, PACKET_US)
        self._packets = np.split(events, np.searchsorted(events["t"], self._ends_us[:-1]))
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Packet]:
        begun_s = time.perf_counter()
        for events, end_us in zip(self._packets, self._ends_us.tolist(), strict=True):
            if self._closed.wait(max(0.0, begun_s + end_us / 1e6 - time.perf_counter())):
                return
            self.counters.events += events.size
            yield Packet(events, time.perf_counter())

    def close(self) -> None:
        self._closed.set()


def bench_latency(model: str, *, seconds: float = 6.0) -> dict[str, dict[str, float]]:
    """Play events in real time; return ms from the last packet to the decision, without the first second."""
    loaded = load_model(model or DEFAULT_MODEL)
    measured = {}
    for events_per_s in (100_000, 1_000_000):
        duration_us = int(seconds * 1e6)
        events = moving_blob(int(events_per_s * seconds), SENSOR, seed=2, duration_us=duration_us)
        with open_pipeline(PacedSource(events, duration_us)) as source:
            results = list(run_frames(frames(source, loaded.card.input), loaded))
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
        raise LivesnnError(f"the window took longer than {STARTUP_LIMIT_S} s: run livesnn gui to see why") from error
    took_s, summary = time.perf_counter() - begun_s, subprocesses.last_line(done.stdout)
    if not summary or not json.loads(summary)["frames_shown"]:
        why = subprocesses.last_line(done.stderr, f"exit code {done.returncode}")
        raise LivesnnError(f"the window showed nothing ({why}): run livesnn gui --model {model} to see why")
    return took_s
