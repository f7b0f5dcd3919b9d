"""How long one step takes on each engine, and how late a decision is at a given event rate; and start-up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from itertools import islice

import numpy as np
import numpy.typing as npt

from livesnn import itself
from livesnn.bench.slicer import moving_blob
from livesnn.bench.spread import spread
from livesnn.bench.window import run_window
from livesnn.card import ModelCard
from livesnn.errors import LivesnnError, ModelError
from livesnn.events import Resolution
from livesnn.events.buffered import Buffered
from livesnn.events.frames import Frame, frames
from livesnn.events.paced import Paced
from livesnn.infer import Engine, Model, load_model, model_folder
from livesnn.infer.pipeline import run
from livesnn.infer.synops import mean_density
from livesnn.infer.tally import Percentiles
from livesnn.sources import open_source
from livesnn.threads import usable_processors

SENSOR = Resolution(346, 260)
ENGINES: tuple[Engine, ...] = ("onnx", "spike", "torch")
THREADS = min(2, usable_processors())
"""Of every engine that is timed: each is at its best with two where there are two processors."""
STARTUP_LIMIT_S = 120
Times = dict[str, float]


def bench_step(
    model: str, repeats: int, source: str = "", *, n_frames: int = 300, peers: bool = False
) -> dict[str, object]:
    """Time one step of each engine on the same frames, state carried: ms over ``repeats`` passes after a warm-up.

    ``source``: whose first frames; default: a blob that moves. Engines that can't run the model, or aren't
    installed, are left out. ``agreement``: share of frames in which all engines, each running free, have the same
    argmax. ``peers``: other frameworks too, see `_peers`.
    """
    onnx = load_model(model, "onnx")
    card = onnx.card
    inputs = list(_frames(card, source, n_frames))
    results = list(run(iter(inputs), onnx))
    engines: dict[str, Times] = {}
    winners = {}
    for engine in ENGINES:
        with suppress(ModelError):  # said by --engine
            loaded = load_model(model, engine, threads=THREADS)
            engines[engine], winners[engine] = _time_engine(loaded, inputs, repeats)
    onnx_ms = engines["onnx"]["ms_p50"]
    figures: dict[str, object] = {
        "frames": len(inputs),
        "repeats": repeats,
        "threads": THREADS,
        "density": mean_density(np.mean([result.density for result in results], axis=0), card),
        "weight_bits": card.network.weight_bits,
        "engines": engines,
        "ratio": {
            f"{name}_vs_onnx": onnx_ms / known["ms_p50"] for name, known in engines.items() if name != "onnx"
        },
        "agreement": float(np.mean([len(set(won)) == 1 for won in zip(*winners.values(), strict=True)])),
    }
    if peers:
        ours: Engine = "spike" if "spike" in engines else "onnx"
        figures |= _peers(model, inputs, repeats, engines[ours]["ms_p50"], winners[ours])
    return figures


def _peers(
    model: str, inputs: list[Frame], repeats: int, ours_ms: float, ours_winners: npt.NDArray[np.int64]
) -> dict[str, object]:
    """Time a step in each framework that is installed.

    Returns
    -------
    For each of `peers` its times, ``ratio``, its median over ours, and ``same_decision``, the share of frames with
    the same argmax as ours; and `peers_left_out`: why the others are.
    """
    if find_spec("torch") is None:
        return {"peers": {}, "peers_left_out": {"all": "they need PyTorch: pip install 'livesnn[train]'"}}
    from livesnn.bench.step_peers import build_peers

    timed, left_out = {}, {}
    for name, peer in build_peers(model_folder(model), threads=THREADS):
        if isinstance(peer, str):
            left_out[name] = peer
            continue
        times, won = _time_engine(peer, inputs, repeats)
        same = {"ratio": times["ms_p50"] / ours_ms, "same_decision": float(np.mean(won == ours_winners))}
        timed[name] = times | same
    return {"peers": timed, "peers_left_out": left_out}


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


def _time_engine(model: Model, inputs: list[Frame], repeats: int) -> tuple[Times, npt.NDArray[np.int64]]:
    """Return the times of a step, and the winner [frames] of each."""
    times: list[float] = []
    winners: list[int] = []
    for _ in range(repeats + 1):
        state = model.initial_state()
        winners.clear()
        for frame in inputs:
            begun_s = time.perf_counter()
            output, state = model.step(frame, state)
            times.append(time.perf_counter() - begun_s)
            winners.append(int(output.argmax()))
    ms = np.array(times[len(inputs) :]) * 1e3  # without the first pass
    return {**Percentiles.of(ms).named(), "fps": float(1e3 / np.median(ms))}, np.array(winners)


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
