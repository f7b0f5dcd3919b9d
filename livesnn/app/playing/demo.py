"""What plays when nothing has been named: a source, and the model that knows what is in it."""

from __future__ import annotations

from typing import NamedTuple

from livesnn.infer import shipped_models
from livesnn.paths import recordings_dir
from livesnn.simulate import opening

SIMULATION, TURNING = opening.GESTURES, opening.DIGITS
GESTURES = "gestures"
DIGITS, TURNING_DIGITS = "nmnist", "mnist-seq2"
DIGIT_CLIP = "digit-3.aedat4"


class Demo(NamedTuple):
    """A source of open_source, and the name of a shipped model."""

    source: str
    model: str


def demo(model: str | None = None) -> Demo | None:
    """Return what to play, with this model if one is named; None: nothing is shipped.

    The simulated person where the model of gestures is there and no other is named, else a drawn digit.
    """
    if model in (None, GESTURES) and GESTURES in shipped_models():
        return Demo(SIMULATION, GESTURES)
    clips = sorted(recordings_dir().glob("*.aedat4"), key=lambda clip: (clip.name != DIGIT_CLIP, clip.name))
    return Demo(str(clips[0]), model or DIGITS) if clips else None


def turning_demo() -> Demo | None:
    """Return drawn digits that turn, and the model that names them; None: it isn't shipped."""
    return Demo(TURNING, TURNING_DIGITS) if TURNING_DIGITS in shipped_models() else None


def own_model(source: str) -> str | None:
    """Return the shipped model that alone knows what is in a source; None: the chosen one may."""
    shown = turning_demo()
    return shown.model if shown is not None and source.startswith(TURNING) else None


def default_model() -> str:
    """Return the shipped model for a source that a person names."""
    return GESTURES if GESTURES in shipped_models() else DIGITS
