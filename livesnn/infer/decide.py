"""Rates become a decision: probabilities, confidence, or "nothing". Pure. Not here: the rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import LivesnnError

FloatArray = npt.NDArray[np.float32]


class Decision(NamedTuple):
    """A class label, or None for "nothing"; and the winner's probability, 0..1, either way."""

    label: str | None
    confidence: float


def winner(rates: FloatArray, membrane: FloatArray) -> int:
    """Return the index of the highest rate; ties go to the higher membrane (SPEC), then to the first class.

    Parameters
    ----------
    rates
        float32 [K], mean output over the window.
    membrane
        float32 [K], U of the output layer after the window's last step.
    """
    return int(np.argmax(np.where(rates == rates.max(), membrane, -np.inf)))


def probabilities(rates: FloatArray, card: ModelCard, *, temperature: float = 1.0) -> FloatArray:
    """Return float32 [K] that sum to 1, in the order of ``rates``.

    Membrane read-out: the softmax of the mean membranes, which is what cross-entropy trains. Spikes read-out:
    each class's share of the window's output spikes, with one spike's weight spread evenly over the classes
    (p = (n_k + 1/K) / (n + 1)), so that silence is undecided and a lone spike is worth little more than half.
    ``temperature`` above 1 flattens either, below 1 sharpens it.
    """
    if card.readout == "membrane":
        logits = rates.astype(np.float64)
    else:
        logits = np.log(np.maximum(rates, 0.0) * card.input.window + 1.0 / rates.size)
    powers = np.exp((logits - logits.max()) / temperature)
    return (powers / powers.sum()).astype(np.float32)


@dataclass(frozen=True)
class Decider:
    """When a window's rates are a decision.

    Attributes
    ----------
    threshold
        Least probability of the winner, 0..1; below it the decision is "nothing" (None). The default asks it
        to be likelier than all other classes together.
    temperature
        Of the probabilities, > 0.
    """

    threshold: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise LivesnnError(f"the decision threshold is {self.threshold}: give a probability from 0 to 1")
        if not self.temperature > 0:
            raise LivesnnError(f"the temperature is {self.temperature}: give a number above 0")

    def decide(self, rates: FloatArray, membrane: FloatArray, card: ModelCard) -> Decision:
        """Return the decision on one window's rates [K], with ``membrane`` [K] to break ties."""
        index = winner(rates, membrane)
        confidence = float(probabilities(rates, card, temperature=self.temperature)[index])
        return Decision(card.classes[index] if confidence >= self.threshold else None, confidence)
