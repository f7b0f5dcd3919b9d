"""A model without a network: a function says what it makes of a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.events.slicer import Frame
from livesnn.infer.model import State

Said = Callable[[Frame, int, npt.NDArray[np.float32]], npt.ArrayLike]
"""Returns the output [K] for a frame, the number of frames since the state was zero, and the output before."""


class FakeModel:
    """A Model whose state is the number of frames and the last output."""

    engine = "none"

    def __init__(self, card: ModelCard, said: Said) -> None:
        self.card = replace(card, states={"hidden": (1,), "readout": (len(card.classes),)})
        self._said = said

    def initial_state(self) -> State:
        return np.zeros(1, np.float32), np.zeros(len(self.card.classes), np.float32)

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        seen = state[0] + 1
        output = np.asarray(self._said(frame, int(seen[0]), state[1]), np.float32)
        return output, (seen, output)
