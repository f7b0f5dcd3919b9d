"""What every engine is: the Model, its state, and the checks of a step. load.py opens one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame

FloatArray = npt.NDArray[np.float32]

State = Sequence[FloatArray]
"""Membrane potentials U, one array a layer, in the order of `ModelCard.states`. Owned by the caller."""


class Model(Protocol):
    """A network that advances by one frame."""

    @property
    def card(self) -> ModelCard:
        """What the network is and how its input is made."""

    @property
    def engine(self) -> str:
        """The engine that ran the last step, or will run the first: "onnx", "spike" or "torch"."""

    def initial_state(self) -> State:
        """Return the all-zero state."""

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """Advance by one frame; return the per-class output [K] of this step and the next state.

        ``state`` is not changed.
        """


class CheckedModel:
    """A Model that checks frame and state before each step: the base of every engine."""

    card: ModelCard
    engine: str

    def initial_state(self) -> State:
        return zero_state(self.card)

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        check_step(self.card, frame, state)
        return self.advance(frame, state)

    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        """As `step`, without its checks."""
        raise NotImplementedError

    def __repr__(self) -> str:
        spec = self.card.input
        return (
            f"Model {self.card.name}: {len(self.card.classes)} classes, "
            f"{spec.width}×{spec.height} {spec.kind}, {self.engine} engine"
        )


def zero_state(card: ModelCard) -> State:
    return tuple(np.zeros(shape, np.float32) for shape in card.states.values())


class CountedState(Sequence[FloatArray]):
    """A State that has a card's shapes, and whose step has already counted what `density_and_mean` returns."""

    card: ModelCard
    density: FloatArray
    mean: FloatArray


def density_and_mean(state: State, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Return two float32 [layers]: the share of neurons at or above the threshold, which spiked, and the mean U."""
    if isinstance(state, CountedState):
        return state.density, state.mean
    spikes = [np.count_nonzero(u >= np.float32(threshold)) / u.size for u in state]
    return np.array(spikes, np.float32), np.array([u.mean() for u in state], np.float32)


def check_step(card: ModelCard, frame: Frame, state: State) -> None:
    """Raise ModelError if the frame or a state doesn't have the card's shape and dtype."""
    wanted = (card.input.channels, card.input.height, card.input.width)
    data: object = frame.data if isinstance(frame, Frame) else frame
    if data is frame or not _is_array(data, np.uint8, wanted):
        raise ModelError(
            f"model {card.name!r} takes a livesnn.events.slicer.Frame of uint8 {list(wanted)}, but this is "
            f"{'a bare array of ' * (data is frame)}{_describe(data)}: make frames with livesnn.frames and this model"
        )
    if isinstance(state, CountedState) and state.card is card:
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
    """Raise ModelError if a step on a blank frame gives NaN or infinity, as damaged weights do."""
    spec = model.card.input
    blank = Frame(0, np.zeros((spec.channels, spec.height, spec.width), np.uint8), 0)
    output, state = model.step(blank, model.initial_state())
    if not all(np.isfinite(array).all() for array in (output, *state)):
        raise ModelError(f"{where} gives NaN or infinity on a blank frame: its weights are damaged, train again")


def _is_array(value: object, dtype: type[np.generic], shape: tuple[int, ...]) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and value.shape == shape


def _describe(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__


def pooled_spikes(card: ModelCard, state: State) -> FloatArray:
    """Return the share of spikes in each cell of the read-out's pools, float32 [P], in the order of `STSResNet`."""
    size, names = card.network.final_pool, list(card.states)
    parts = []
    for layer in card.read_layers():
        spikes = np.asarray(state[names.index(layer)]) >= np.float32(card.neuron.threshold)
        channels, rows, columns = len(spikes), spikes.shape[1] // size, spikes.shape[2] // size
        cells = spikes[:, : rows * size, : columns * size].reshape(channels, rows, size, columns, size)
        parts.append(cells.mean((2, 4), dtype=np.float32).ravel())
    return np.concatenate(parts)
