"""A model is taught what it doesn't know by simulated people, and asked after. Not here: teaching (livesnn.teach)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from livesnn.card import InputSpec
from livesnn.console import say
from livesnn.events.packet import Packet
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.model import Model, load_model
from livesnn.infer.run import run_frames
from livesnn.simulate.gestures import RESOLUTION, gesture_stream
from livesnn.simulate.motions import EVERYDAY, GESTURES, IDLE
from livesnn.teach.add_class import teach
from livesnn.teach.clips import clips_of

TAUGHT_S, ASKED_S = 10.0, 20.0
OTHERS = 2
"""Other people who perform what one has taught."""

WAYS_S = {"one way": (60.0, 60.0), "changing": (3.0, 6.0)}
"""How long somebody goes on in one way (how far, how fast, with which arm) before the next."""

Shares = dict[str, float]


def bench_teach(model: str, people: int) -> dict[str, object]:
    """Teach a model each movement of `EVERYDAY` by ten seconds of so many people, one lesson a person and movement.

    Returns
    -------
    For people who go on in one way and such whose ways change, by movement and in all, n lessons; of windows decided
    afterwards the share, mean and from-to over lessons: ``same`` of the person who taught it, later, right;
    ``others`` of other people, right; ``gestures`` of the same person's ten gestures and idle, taken for it;
    ``known`` of what the model knew, of other people, taken for it.
    """
    return {way: _lessons(model, people, way) for way in WAYS_S}


def _lessons(model: str, people: int, way: str) -> dict[str, object]:
    lessons: dict[str, list[Shares]] = {movement: [] for movement in EVERYDAY}
    for movement in EVERYDAY:
        for seed in range(people):
            say(f"livesnn bench: {movement} ({way}), person {seed + 1} of {people}")
            lessons[movement].append(_lesson(model, movement, seed, WAYS_S[way]))
    everything = [lesson for of_one in lessons.values() for lesson in of_one]
    return {
        **{movement: _summary(of_one) for movement, of_one in lessons.items()},
        "all": _summary(everything),
    }


def _lesson(model: str, movement: str, seed: int, way_s: tuple[float, float]) -> Shares:
    with tempfile.TemporaryDirectory() as folder:
        spec = load_model(model, "onnx").card.input
        shown = list(_stream(spec, seed, (movement,), TAUGHT_S + ASKED_S, way_s))
        taught = round(len(shown) * TAUGHT_S / (TAUGHT_S + ASKED_S))
        lesson = teach(movement, clips_of(shown[:taught]), model, Path(folder) / "taught")
        knowing = load_model(lesson.folder, "onnx")
        gestures = _stream(spec, seed, (*GESTURES[:-1], IDLE), 2 * ASKED_S, WAYS_S["changing"])
        others = [
            _stream(spec, 1000 + seed * OTHERS + i, (movement,), ASKED_S / 2, way_s) for i in range(OTHERS)
        ]
        return {
            "same": _share(knowing, shown[taught:], movement),
            "others": float(np.mean([_share(knowing, other, movement) for other in others])),
            "gestures": _share(knowing, gestures, movement),
            "known": lesson.taken / lesson.known,
        }


def _stream(
    spec: InputSpec, seed: int, movements: tuple[str, ...], seconds: float, way_s: tuple[float, float]
) -> Iterator[Frame]:
    """Yield the frames of one person's movements, one after the other."""
    slicer = Slicer(spec.slice, RESOLUTION, spec)
    for take in gesture_stream(seed, use="show", gestures=movements, segment_s=way_s):
        yield from slicer.push(Packet(take.events))
        if take.end_us >= seconds * 1e6:
            break


def _share(model: Model, stream: Iterator[Frame] | list[Frame], movement: str) -> float:
    """Return the share of a stream's windows that are decided as the movement."""
    decisions = [result.decision for result in run_frames(stream, model) if result.window_end]
    return decisions.count(movement) / len(decisions)


def _summary(lessons: list[Shares]) -> dict[str, object]:
    of_all = {name: [lesson[name] for lesson in lessons] for name in lessons[0]}
    spread = {name: {"mean": float(np.mean(v)), "from": min(v), "to": max(v)} for name, v in of_all.items()}
    return {"n": len(lessons), **spread}
