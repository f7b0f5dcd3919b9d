"""How long one step takes on each engine, and how late a decision is at a given event rate; and start-up."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from livesnn import subprocesses as itself
from livesnn.bench import ENGINES, EngineName
from livesnn.bench.realtime import run_window
from livesnn.bench.report import spread
from livesnn.bench.throughput import moving_blob
from livesnn.card import ModelCard
from livesnn.errors import DataError, LivesnnError, ModelError
from livesnn.events.memory_source import Paced
from livesnn.events.packet import Resolution
from livesnn.events.pipeline import Buffered
from livesnn.events.slicer import Frame, frames
from livesnn.infer.decide import Percentiles
from livesnn.infer.model import Model, State, load_model, model_folder, zero_state
from livesnn.infer.onnx_engine import feeds, session_options
from livesnn.infer.operations import mean_density
from livesnn.infer.run import run
from livesnn.sources import open_source
from livesnn.threads import usable_processors

SENSOR = Resolution(346, 260)
STARTUP_LIMIT_S = 120
StepTimes = dict[str, float]


def bench_step(
    model: str,
    repeats: int,
    source: str = "",
    *,
    n_frames: int = 300,
    engines: Sequence[EngineName] = (),
    peers: bool = False,
) -> dict[str, object]:
    """Time one step of each engine on the same frames by turns, state carried: ``repeats`` passes after a warm-up.

    ``source``: whose first frames; default: a blob that moves. ``engines``: "onnx" in each of ONNX Runtime's ways;
    default: all that are installed and run the model. ``peers``: other frameworks, by the same turns (`_of_peers`).

    Returns
    -------
    What was run; engines (ms_p50, ms_p95, ms_p99, fps of each), and why others were left out; what `_compared` and
    `_agreement` say.

    Raises
    ------
    ModelError
        There is no such model, or one of the ``engines`` given can't run it.
    DataError
        The source is shorter than a frame.
    """
    onnx = load_model(model, "onnx")
    inputs = _inputs(onnx.card, source, n_frames)
    densities = [result.density for result in run(iter(inputs), onnx)]
    models, left_out = _models(model, engines, inputs)
    others, no_peers = _peers(model) if peers else ({}, {})
    passes = by_turns({**models, **others}, inputs, repeats)
    times = {name: _times(passes[name]) for name in models}
    figures: dict[str, object] = {
        "frames": len(inputs),
        "repeats": repeats,
        "threads": THREADS,
        "density": mean_density(np.mean(densities, axis=0), onnx.card),
        "weight_bits": onnx.card.network.weight_bits,
        "engines": times,
        "engines_left_out": left_out,
        **_compared(passes, times),
        **_agreement({name: passes[name][0].winners for name in models}),
    }
    ours = passes["spike" if "spike" in models else next(iter(models))]
    return figures | (_of_peers(passes, others, no_peers, ours) if peers else {})


def _models(
    model: str, engines: Sequence[EngineName], inputs: Sequence[Frame]
) -> tuple[dict[str, Model], dict[str, str]]:
    """Return the model on each engine, and why it isn't on others; raises ModelError for one that was asked for."""
    models: dict[str, Model] = {}
    left_out: dict[str, str] = {}
    for engine in engines or ENGINES:
        try:
            if engine == "onnx":
                models |= onnx_ways(model_folder(model), inputs, threads=THREADS)
            else:
                models[engine] = load_model(model, engine, threads=THREADS)
        except ModelError as error:
            if engines:
                raise
            left_out[engine] = str(error)
    if "onnx" in models and models["onnx"].card.network.weight_bits == 8 and INT8 not in models:
        left_out[INT8] = "not installed: pip install onnx"
    return models, left_out


def _times(passes: Sequence[Pass]) -> StepTimes:
    """Return ms and frames a second of a step over all passes but the first."""
    ms = np.concatenate([one.ms for one in passes[1:]])
    return {**Percentiles.of(ms).named(), "fps": float(1e3 / np.median(ms))}


def _compared(passes: Mapping[str, Sequence[Pass]], times: Mapping[str, StepTimes]) -> dict[str, object]:
    """Return how engines compare.

    best: the faster of ONNX Runtime's ways to run float32. ratio: how many times as fast an engine is, median over
    the repeats, and ratio_spread: that with the least and the largest; ENGINE_vs_onnx: as ``best``;
    ENGINE_vs_onnx_8bit: as ONNX Runtime's own 8 bits. spike_steps: share of steps that "spike" didn't leave to ONNX
    Runtime.
    """
    ms = {name: [one.ms for one in passes[name][1:]] for name in times}
    ours = [name for name in times if name not in (*FLOAT32, INT8)]
    ratios: dict[str, dict[str, float]] = {}
    more: dict[str, object] = {}
    if "onnx" in times:
        more["best"] = best = best_float32(times)
        ratios = {f"{name}_vs_onnx": times_as_fast(ms[best], ms[name]) for name in ours}
    if INT8 in times:
        ratios |= {f"{name}_vs_onnx_8bit": times_as_fast(ms[INT8], ms[name]) for name in ours}
    if "spike" in times:
        more["spike_steps"] = passes["spike"][0].spike_steps
    medians = {name: ratio["median"] for name, ratio in ratios.items()}
    return {"ratio": medians, "ratio_spread": ratios, **more}


def _agreement(winners: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, float]:
    """Return the share of frames in which all engines, each running free, have the same argmax.

    ONNX Runtime's own 8 bits, which aren't quite the same network, are apart: agreement_8bit, with its float32.
    """
    same = zip(*(won for name, won in winners.items() if name != INT8), strict=True)
    agreed = {"agreement": float(np.mean([len(set(won)) == 1 for won in same]))}
    if INT8 in winners:
        agreed["agreement_8bit"] = float(np.mean(winners[INT8] == winners["onnx"]))
    return agreed


def _peers(model: str) -> tuple[dict[str, Model], dict[str, str]]:
    """Return the model in each framework that is installed, and why it isn't in others."""
    if find_spec("torch") is None:
        return {}, {"all": "they need PyTorch: pip install 'livesnn[train]'"}
    from tests.benchmarks.step_peers import build_peers

    built, left_out = {}, {}
    for name, peer in build_peers(model_folder(model), threads=THREADS):
        if isinstance(peer, str):
            left_out[name] = peer
        else:
            built[name] = peer
    return built, left_out


def _of_peers(
    passes: Mapping[str, Sequence[Pass]], built: Iterable[str], left_out: dict[str, str], ours: Sequence[Pass]
) -> dict[str, object]:
    """Return `peers` and `peers_left_out`.

    Of each peer its times, ``ratio``, how many times as fast ours is, and ``same_decision``, the share of frames with
    the same argmax as ours.
    """
    our_ms = [one.ms for one in ours[1:]]
    timed = {}
    for name in built:
        ratio = times_as_fast([one.ms for one in passes[name][1:]], our_ms)["median"]
        same = float(np.mean(passes[name][0].winners == ours[0].winners))
        timed[name] = _times(passes[name]) | {"ratio": ratio, "same_decision": same}
    return {"peers": timed, "peers_left_out": left_out}


def _inputs(card: ModelCard, source: str, most: int) -> list[Frame]:
    inputs = list(_frames(card, source, most))
    if not inputs:
        raise DataError(f"{source} is shorter than one frame of {card.name}: give a longer recording")
    return inputs


def _frames(card: ModelCard, source: str, most: int) -> Iterator[Frame]:
    """Yield the first frames of a source, or of a blob that moves."""
    if source:
        with open_source(source) as opened:
            yield from islice(frames(opened, card.input.slice, card.input), most)
        return
    duration_us = 12_000_000
    events = moving_blob(400_000, SENSOR, seed=1, duration_us=duration_us)
    blob = Paced(events, SENSOR, duration_us=duration_us, paced=False)
    yield from islice(frames(blob, card.input.slice, card.input), most)


def bench_latency(model: str, *, seconds: float = 6.0) -> dict[str, dict[str, float]]:
    """Play events in real time through buffer, slicer and network; ms from the last packet's arrival to the decision.

    The first second is left out. `frames` and `dropped` count the rest and all of it.
    """
    loaded = load_model(model)
    measured = {}
    for events_per_s in (100_000, 1_000_000):
        duration_us = int(seconds * 1e6)
        events = moving_blob(int(events_per_s * seconds), SENSOR, seed=2, duration_us=duration_us)
        paced = Paced(events, SENSOR, duration_us=duration_us)
        with Buffered(paced, policy="drop_oldest") as source:
            results = list(run(frames(source, loaded.card.input.slice, loaded.card.input), loaded))
        late = np.array([result.latency.total_ms for result in results if result.t > 1_000_000])
        measured[f"{events_per_s:.0e} ev/s"] = {
            **Percentiles.of(late).named(),
            "frames": len(late),
            "dropped": source.counters.dropped,
        }
    return measured


def _startup_s(model: str) -> float:
    command, begun_s = itself.command("gui", "--model", model), time.perf_counter()
    offscreen = {"QT_QPA_PLATFORM": "offscreen", "LIVESNN_QUIT_AFTER": "first-frame"}
    output, why = run_window(command, STARTUP_LIMIT_S, **offscreen)
    took_s, summary = time.perf_counter() - begun_s, output.strip().splitlines()
    if not summary or not json.loads(summary[-1])["frames_shown"]:
        raise LivesnnError(f"the window showed nothing ({why}): try livesnn gui --model {model}")
    return took_s


def bench_startup(model: str, repeats: int) -> dict[str, dict[str, float]]:
    """Time the whole program from its start to the first picture shown, offscreen, warm caches; s."""
    return {"s": spread([_startup_s(model) for _ in range(repeats + 1)][1:])}


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


FLOAT32 = ("onnx", "onnx_bound")
INT8 = "onnx_int8"
RANGED = 10
"""Frames from which ONNX Runtime's 8-bit kernels take the range of their currents."""

Feeds = dict[str, npt.NDArray[np.generic]]


def onnx_ways(folder: Path, frames: Sequence[Frame], *, threads: int) -> dict[str, Model]:
    """Return a model folder on ONNX Runtime in each of its ways: `FLOAT32`, and `INT8` of kernels in 8 bits.

    ``frames``: the first `RANGED` of them give the currents' range. Without onnx installed `INT8` isn't among them.

    Raises
    ------
    ModelError
        The folder has no graph that can be run.
    """
    path = folder / "model.onnx"
    onnx = load_model(folder, "onnx", threads=threads)
    ways: dict[str, Model] = dict(
        zip(FLOAT32, (onnx, BoundOnnx(path, onnx.card, threads=threads)), strict=True)
    )
    if onnx.card.network.weight_bits == 8 and find_spec("onnx") is not None:
        with tempfile.TemporaryDirectory() as scratch:
            int8 = Path(scratch) / "int8.onnx"
            write_int8(path, int8, onnx, frames[:RANGED])
            ways[INT8] = BoundOnnx(int8, onnx.card, threads=threads)
    return ways


def best_float32(engines: Mapping[str, Mapping[str, float]]) -> str:
    """Return which of ONNX Runtime's ways in float32 has the least ms_p50."""
    return min(FLOAT32, key=lambda name: engines[name]["ms_p50"])


class BoundOnnx:
    """A Model (`livesnn.infer.Model`) on ONNX Runtime's IO binding: membranes go to and fro between two fixed places.

    It takes those states alone that it gave, each until the step after the next writes over it.
    """

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
        """Return the all-zero state."""
        for membrane in self._states[0]:
            membrane[...] = 0
        return self._states[0]

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        """Return the output [K] and the next state."""
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
        for name, array in inputs.items():
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in outputs.items():
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding


def write_int8(source: Path, target: Path, model: Model, frames: Sequence[Frame]) -> None:
    """Write a graph whose blocks' convolutions run in ONNX Runtime's 8 bits, kernels by channel.

    It isn't quite the same network: currents are rounded too, to 8 bits over the range that they have on the frames.

    Parameters
    ----------
    source, model
        The graph, and the Model of it.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    nodes = [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"]
    logging.disable(logging.WARNING)  # it asks twice for a preparation that the session does anyway
    try:
        quantize_static(
            source,
            target,
            _Reader(_inputs_onnx_best(model, frames)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=nodes[1:],  # without the stem's
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)


class _Reader:
    """What `quantize_static` takes its ranges from."""

    def __init__(self, inputs: Iterator[Feeds]) -> None:
        self._inputs = inputs

    def get_next(self) -> Feeds | None:
        return next(self._inputs, None)


def _inputs_onnx_best(model: Model, frames: Sequence[Frame]) -> Iterator[Feeds]:
    state = model.initial_state()
    for frame in frames:
        yield feeds(model.card, frame, state)
        _, state = model.step(frame, state)
