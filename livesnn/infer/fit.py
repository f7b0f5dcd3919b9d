"""Which shipped model fits a source, and why another one doesn't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.packet import Resolution
from livesnn.infer.load import DEFAULT_MODEL, TURNING_DIGITS, read_card, shipped_models
from livesnn.infer.model import Model
from livesnn.simulate import DIGITS_URI
from livesnn.sources import is_webcam

_KNOWN = {"nmnist": "N-MNIST"}
"""Data sets that are known by the size of their sensor, which no other has: as people call them."""


def shipped_for(sensor: tuple[int, int]) -> tuple[str, ...]:
    """Return the shipped models that were trained with a sensor of this width and height."""
    return tuple(name for name, card in _shipped_cards() if card.sensor == sensor)


def only_model_for(source: str) -> str | None:
    """Return the only shipped model that knows what is in a SOURCE of the command line; None: any may."""
    return TURNING_DIGITS if source.startswith(DIGITS_URI) and TURNING_DIGITS in shipped_models() else None


def wants_pictures(source: object, model: str | Path | Model | None) -> bool:
    """Whether a webcam should give its pictures themselves, because the model reads video."""
    if model is None or not is_webcam(source):
        return False
    with suppress(ModelError):  # loading it says why
        card = read_card(model) if isinstance(model, str | Path) else model.card
        return card.input.kind == "video"
    return False


class Fit(NamedTuple):
    """How a model fits a source."""

    plays: bool  # Whether it can take the source at all: events or pictures
    better: str | None = None  # A shipped model that was trained for such a source; None: none is better
    why: str = ""  # What speaks for that one, as the beginning of a sentence


def fit_events(card: ModelCard, size: Resolution) -> Fit:
    """Return how a model fits events of a sensor of this size."""
    plays = card.input.kind == "events"
    if plays and card.sensor in (None, size):
        return Fit(plays)
    trained = shipped_for(size)
    better = DEFAULT_MODEL if DEFAULT_MODEL in trained else next(iter(trained), None)
    if better is not None:
        known = _KNOWN.get(read_card(better).dataset)
        shape = f"{size.width} × {size.height} pixels"
        return Fit(plays, better, f"This looks like {known}" if known else f"{better} was trained with {shape}")
    default = None if plays or DEFAULT_MODEL not in shipped_models() else DEFAULT_MODEL
    return Fit(plays, default, "These are events" if default else "")


def fit_video(card: ModelCard, source: str) -> Fit:
    """Return how a model fits the pictures of a SOURCE of the command line."""
    if card.input.kind == "video":
        return Fit(plays=True)
    for_video = (name for name, card in _shipped_cards() if card.input.kind == "video" and name != TURNING_DIGITS)
    better = only_model_for(source) or next(for_video, None)
    return Fit(plays=False, better=better, why="This is a video")


def _shipped_cards() -> Iterator[tuple[str, ModelCard]]:
    for name in shipped_models():
        with suppress(ModelError):  # a damaged one says so when it is loaded
            yield name, read_card(name)
