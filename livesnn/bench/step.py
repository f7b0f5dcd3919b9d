"""How long one step takes on each engine, and how late a decision is at a given event rate; and start-up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib.util import find_spec
from itertools import islice

import numpy as np
import numpy.typing as npt

from livesnn import subprocesses as itself
from livesnn.bench import ENGINES, EngineName
from livesnn.bench.onnx_best import FLOAT32, INT8, best_float32, onnx_ways
from livesnn.bench.slicer import moving_blob
from livesnn.bench.spread import spread
from livesnn.bench.turns import THREADS, Pass, by_turns, times_as_fast
from livesnn.bench.window import run_window
from livesnn.card import ModelCard
from livesnn.errors import DataError, LivesnnError, ModelError
from livesnn.events.memory_source import MemorySource
from livesnn.events.packet import Resolution
from livesnn.events.pipeline import open_pipeline
from livesnn.events.slicer import Frame, frames
from livesnn.infer.decide import Percentiles
from livesnn.infer.model import Model, load_model, model_folder
from livesnn.infer.operations import mean_density
from livesnn.infer.run import run_frames
from livesnn.sources import event_source, open_source

SENSOR = Resolution(346, 260)
STARTUP_LIMIT_S = 120
Times = dict[str, float]


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
    densities = [result.density for result in run_frames(inputs, onnx)]
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


def _times(passes: Sequence[Pass]) -> Times:
    """Return ms and frames a second of a step over all passes but the first."""
    ms = np.concatenate([one.ms for one in passes[1:]])
    return {**Percentiles.of(ms).named(), "fps": float(1e3 / np.median(ms))}


def _compared(passes: Mapping[str, Sequence[Pass]], times: Mapping[str, Times]) -> dict[str, object]:
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
    from livesnn.bench.step_peers import build_peers

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
        with closing(event_source(open_source(source))) as opened:
            yield from islice(frames(opened, card.input.slice, card.input), most)
        return
    duration_us = 12_000_000
    events = moving_blob(400_000, SENSOR, seed=1, duration_us=duration_us)
    blob = MemorySource(events, SENSOR, duration_us=duration_us, paced=False)
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
