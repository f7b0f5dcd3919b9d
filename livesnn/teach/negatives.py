"""What simulated people perform that a new class must not be confused with, simulated once for each network."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from livesnn.card import ModelCard
from livesnn.files import replace_file
from livesnn.infer.model import Model
from livesnn.paths import cache_dir
from livesnn.progress import Progress
from livesnn.simulate.gestures import VERSION, Use, clip_frames
from livesnn.simulate.motions import GESTURES, IDLE, WALKING
from livesnn.teach.model import HIDDEN_BIAS, FloatArray
from livesnn.teach.windows import Embedding, Windows, windows_of, with_units, without_moments
from livesnn.untrusted import DAMAGE
from livesnn.weights import Weights

PEOPLE, KEPT_ASIDE_PEOPLE = 25, 8
"""People for each gesture, for idle and for walking by, to learn from; and other people to measure with."""
CLIP_WINDOWS = 2  # Windows in the clip of each person


class Negatives(NamedTuple):
    """Windows float32 [N, F + 1] of known classes, to learn from and to measure with."""

    learned: FloatArray
    kept_aside: FloatArray


def simulated_negatives(
    model: Model,
    weights: Weights,
    progress: Progress,
    people: int = PEOPLE,
    kept_aside_people: int = KEPT_ASIDE_PEOPLE,
) -> Negatives:
    """Return windows of simulated people who perform everything that ``model`` was trained on.

    They are cached for its weights. Simulating them takes some 30 s, of which ``progress`` is told.
    """
    total, nothing = people + kept_aside_people, _nothing(model.card)

    def simulated() -> dict[str, FloatArray]:
        parts: dict[str, list[FloatArray]] = {"learned": [], "kept_aside": []}
        for number in range(total):
            use: Use = "train" if number < people else "validation"
            part, seed = ("learned", number) if number < people else ("kept_aside", number - people)
            for name in (*GESTURES, nothing[seed % len(nothing)]):
                clip = clip_frames(name, seed, model.card.input, use, CLIP_WINDOWS)
                parts[part].append(windows_of(clip, model, weights).units)
            progress((number + 1) / total)
        return {part: np.concatenate(units) for part, units in parts.items()}

    return Negatives(**_cached(f"known-{_key(model.card, weights, people, kept_aside_people)}.npz", simulated))


def simulated_moments(model: Model, weights: Weights, embedding: Embedding, progress: Progress) -> dict[str, Windows]:
    """Return windows of simulated people by what they perform.

    They are cached for the network, whatever it was taught: units that compare moments are computed of these.
    """
    card, trained = model.card, without_moments(weights, model.card)
    performed = (*GESTURES, *_nothing(card))

    def simulated() -> dict[str, FloatArray]:
        made: dict[str, FloatArray] = {}
        for number, name in enumerate(performed, 1):
            clips = (
                clip_frames(name, seed, card.input, "validation", CLIP_WINDOWS) for seed in range(KEPT_ASIDE_PEOPLE)
            )
            windows = Windows.joined([windows_of(clip, model, weights, embedding) for clip in clips])
            made[f"{name} units"] = windows.units[:, : trained[HIDDEN_BIAS].size]
            made[f"{name} moments"] = windows.moments
            progress(number / len(performed))
        return made

    embedded = {name: getattr(embedding, name) for name in ("project", "bias", "mix", "rest")}
    key = _key(card, trained | embedded, KEPT_ASIDE_PEOPLE, 0)
    kept = _cached(f"moments-{key}.npz", simulated)
    known = {name: Windows(kept[f"{name} units"], kept[f"{name} moments"]) for name in performed}
    return {name: with_units(windows, weights, card) for name, windows in known.items()}


def _nothing(card: ModelCard) -> tuple[str, ...]:
    """Return what people do who perform nothing; who walks by may never cause a fixed number of events."""
    return (IDLE, WALKING) if card.input.slice.delta_t_us else (IDLE,)


def _cached(name: str, make: Callable[[], dict[str, FloatArray]]) -> dict[str, FloatArray]:
    """Return arrays from a file of the cache, or make and keep them, as float16."""
    file = cache_dir() / name
    with suppress(*DAMAGE), file.open("rb") as octets, np.load(octets, allow_pickle=False) as kept:
        return {each: kept[each].astype(np.float32) for each in kept.files}
    arrays, made = make(), io.BytesIO()
    halves: dict[str, Any] = {each: array.astype(np.float16) for each, array in arrays.items()}
    np.savez(made, **halves)
    with suppress(OSError):  # without a cache they are made again
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, made.getvalue())
    return arrays


def _key(card: ModelCard, weights: Weights, people: int, kept_aside_people: int) -> str:
    """Return a key that is the same for all models with the same network, whatever their read-outs were taught."""
    simulated = (VERSION, people, kept_aside_people, CLIP_WINDOWS)
    network = (card.input, card.network, card.neuron, card.traces.alphas)
    key = blake2b(repr((simulated, network)).encode(), digest_size=8)
    for name in sorted(weights):
        if not name.startswith("classify."):
            key.update(name.encode() + weights[name].tobytes())
    return key.hexdigest()
