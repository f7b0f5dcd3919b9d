"""What every engine asks of a frame, a state and its own first step. Not here: the card's limits (card.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.frames import Frame
from livesnn.infer import Model, State
from livesnn.infer.spiking import Counted


def check_step(card: ModelCard, frame: Frame, state: State) -> None:
    """Raise ModelError, saying which, if a frame or a state isn't of the card's shape and dtype."""
    wanted = (card.input.channels, card.input.height, card.input.width)
    data: object = frame.data if isinstance(frame, Frame) else frame
    if data is frame or not _is_array(data, np.uint8, wanted):
        raise ModelError(
            f"model {card.name!r} takes a livesnn.events.frames.Frame of uint8 {list(wanted)}, this one is "
            f"{'a bare array of ' * (data is frame)}{_describe(data)}: slice with the model's own card"
        )
    if isinstance(state, Counted) and state.card is card:
        return
    several = isinstance(state, Sequence)
    if not several or len(state) != len(card.states):
        found = len(state) if several else f"a {type(state).__name__}"
        raise ModelError(
            f"model {card.name!r} has {len(card.states)} states, not {found}: start from initial_state()"
        )
    for (name, shape), membrane in zip(card.states.items(), state, strict=True):
        if not _is_array(membrane, np.float32, shape):
            raise ModelError(
                f"state {name!r} of model {card.name!r} is float32 {list(shape)}, not {_describe(membrane)}: "
                f"start from initial_state()"
            )


def check_first_step(model: Model, where: str) -> None:
    """Raise ModelError if one step from the zero state, of a frame without events, gives anything but numbers.

    Weights that are NaN or infinite show here: they stay so when multiplied by 0.
    """
    spec = model.card.input
    blank = Frame(0, np.zeros((spec.channels, spec.height, spec.width), np.uint8), 0)
    output, state = model.step(blank, model.initial_state())
    if not all(np.isfinite(array).all() for array in (output, *state)):
        raise ModelError(
            f"{where} computes no numbers from a blank frame: its weights are damaged, train again"
        )


def _is_array(value: object, dtype: type[np.generic], shape: tuple[int, ...]) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape


def _describe(value: object) -> str:
    """Return dtype and shape, or the type of what is no array."""
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
