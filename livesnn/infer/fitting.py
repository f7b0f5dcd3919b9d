"""Whether a model fits a source, by kind and size, and which shipped model was trained for it."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.packet import Resolution
from livesnn.infer.model import (
    DEFAULT_MODEL,
    TURNING_DIGITS,
    only_model_for,
    read_card,
    shipped_for,
    shipped_models,
)

_KNOWN = {"nmnist": "N-MNIST"}
"""Data sets that are known by the size of their sensor, which no other has: as people call them."""


class Fit(NamedTuple):
    """How a model fits a source.

    Attributes
    ----------
    plays
        Whether it can take the source at all: events or pictures.
    better
        A shipped model that was trained for such a source; None: none is better.
    why
        What speaks for that one, as the beginning of a sentence.
    """

    plays: bool
    better: str | None = None
    why: str = ""


def fit_events(card: ModelCard, size: Resolution) -> Fit:
    """Return how a model fits events of a sensor of this size."""
    plays = card.input.kind == "events"
    if plays and card.sensor in (None, tuple(size)):
        return Fit(plays)
    trained = shipped_for((size.width, size.height))
    better = DEFAULT_MODEL if DEFAULT_MODEL in trained else next(iter(trained), None)
    if better is not None:
        known = _KNOWN.get(read_card(better).dataset)
        shape = f"{size.width} × {size.height} pixels"
        return Fit(
            plays, better, f"This looks like {known}" if known else f"{better} was trained with {shape}"
        )
    default = None if plays or DEFAULT_MODEL not in shipped_models() else DEFAULT_MODEL
    return Fit(plays, default, "These are events" if default else "")


def fit_video(card: ModelCard, source: str) -> Fit:
    """Return how a model fits the pictures of a SOURCE of the command line."""
    if card.input.kind == "video":
        return Fit(plays=True)
    better = only_model_for(source) or next(iter(_video_models()), None)
    return Fit(plays=False, better=better, why="This is a video")


def _video_models() -> list[str]:
    """Return the shipped models for any video."""
    found = []
    for name in shipped_models():
        with suppress(ModelError):  # a damaged one says so when it is loaded
            found += [name] if read_card(name).input.kind == "video" and name != TURNING_DIGITS else []
    return found
