"""Why no gesture is named, by what the frames of the last window show."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.events.slicer import Frame

FloatArray = npt.NDArray[np.float32]

OTHER = "other"  # The class of everything that isn't one of the gestures, in the models that have it

SIDE = 8  # The picture is cut into so many blocks across and down

QUIET = SIDE * SIDE // 4
"""Blocks in which nothing but noise is expected: who gestures leaves more than a quarter of the picture still."""

STILL = 0.006
"""Below this share of the training's mean count, and below half of the noise, nobody moves. A DVS128's wave in little
light has 0.04, and 0.007 behind the noise filter. An empty scene has a fifth of its noise."""

FEW = 0.1
"""Fewer than this are few. Nine of ten simulated people who wave have 0.16 or more. A DVS128's waves in low light,
where most decisions are lost, have 0.04 to 0.07."""

NOISY = 0.1
"""Noise from here on is a lot: 0.5 events a second and pixel of a DVS128. Simulated people who gesture have 0.07 at
most."""


class Reason(StrEnum):
    """Why no gesture is named. The values are those of the JSON lines."""

    NO_EVENTS = "no_events"
    FEW_EVENTS = "few_events"
    NOISE = "noise"
    UNKNOWN_MOVEMENT = "unknown_movement"


ADVICE = {
    Reason.NO_EVENTS: "no events: check the camera or the server",
    Reason.FEW_EVENTS: "few events: more light, or a higher sensitivity",
    Reason.NOISE: "a lot of noise: filter it, or lower the sensitivity",
    Reason.UNKNOWN_MOVEMENT: "a movement that the model doesn't know",
}
"""Each reason in words for people, with what helps."""


class Activity(NamedTuple):
    """Counts beside the training's mean count (1: as many): noise is even over the whole picture, moving the rest."""

    moving: float
    noise: float


def count_blocks(frame: Frame) -> FloatArray:
    """Return the counts in each block of a frame [SIDE · SIDE], before they were lifted, without leftover edges."""
    channels, height, width = frame.data.shape
    high, wide = height // SIDE, width // SIDE  # of a block
    whole = frame.data[:, : high * SIDE, : wide * SIDE]
    counts = whole.reshape(channels, SIDE, high, SIDE, wide).sum((0, 2, 4), dtype=np.float32)
    return counts.ravel() / np.float32(frame.lift)


def activity(window: Sequence[FloatArray], card: ModelCard) -> Activity | None:
    """Return what frames show, by their `count_blocks`; None where the card doesn't say how much is usual."""
    spec = card.input
    if spec.kind != "events" or spec.slice.delta_t_us is None or not card.mean_count:
        return None
    blocks = np.sum(window, axis=0)
    usual = card.mean_count * spec.channels * spec.height * spec.width * len(window)
    noise = float(np.partition(blocks, QUIET)[QUIET]) * blocks.size / usual
    return Activity(max(float(blocks.sum()) / usual - noise, 0.0), noise)


def reason(shown: Activity, decision: str | None) -> Reason | None:
    """Return why no gesture is named; None where one is decided (`OTHER` is none), or where nothing moves."""
    if decision not in (None, OTHER):
        return None
    if shown.noise >= NOISY and shown.noise >= shown.moving / 2:
        return Reason.NOISE
    if shown.moving < max(STILL, shown.noise / 2):
        return None
    return Reason.FEW_EVENTS if shown.moving < FEW else Reason.UNKNOWN_MOVEMENT
