"""What plays when nothing has been named: a source, and the model that knows what is in it."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from livesnn.errors import ModelError
from livesnn.infer import model_folder, read_card, shipped_models
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
    """Return what to play, with this model if one is named; None: nothing is shipped, or it is of other videos.

    Digits to a model that knows them, to any other of events the simulated person; none named: to that of gestures.
    """
    if model is None:
        return Demo(SIMULATION, GESTURES) if GESTURES in shipped_models() else _drawn_digit(DIGITS)
    try:
        card = read_card(model)
    except ModelError:
        return Demo(SIMULATION, model)  # the window says what is wrong with it
    if card.input.kind == "video":
        return Demo(TURNING, model) if card.dataset.startswith("mnist-") else None
    return (_drawn_digit(model) if card.dataset == DIGITS else None) or Demo(SIMULATION, model)


def _drawn_digit(model: str) -> Demo | None:
    clips = sorted(
        recordings_dir().glob("digit-*.aedat4"), key=lambda clip: (clip.name != DIGIT_CLIP, clip.name)
    )
    return Demo(str(clips[0]), model) if clips else None


def turning_demo() -> Demo | None:
    """Return drawn digits that turn, and the model that names them; None: it isn't shipped."""
    return Demo(TURNING, TURNING_DIGITS) if TURNING_DIGITS in shipped_models() else None


def own_model(source: str) -> str | None:
    """Return the shipped model that alone knows what is in a source; None: the chosen one may."""
    shown = turning_demo()
    return shown.model if shown is not None and source.startswith(TURNING) else None


def default_model(last: str = "") -> str:
    """Return the model of a source that a person names: the one last used, else the shipped one."""
    with suppress(ModelError):  # it has gone since: nobody has asked for it now
        if last:
            model_folder(last)
            return last
    return GESTURES if GESTURES in shipped_models() else DIGITS
