"""When a window's outputs become a decision, and how long that holds. Why there is none: reason.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import LivesnnError

FloatArray = npt.NDArray[np.float32]

LEAK, THRESHOLD, HYSTERESIS = 0.22, 0.5, 0.2
"""The defaults of a `Decider`, chosen on simulated validation people and a half of the real ones
(docs/experiments/real-people.md#a-rule-for-the-new-weights).

The leak makes decisions 90 ms earlier. A high threshold names fewer movements that are no gesture. A low hysteresis
holds a gesture, once named, through weak moments. It is a share of the threshold.
"""


class Decision(NamedTuple):
    """A label, or None; its probability, or the likeliest class's; and all of them, float32 [K], empty at first."""

    label: str | None
    confidence: float
    probabilities: FloatArray = np.zeros(0, np.float32)


UNDECIDED = Decision(None, 0.0)  # Before anything can be said


STALE_S = 1.0  # After so long without events of a live source, the last decision is about the past
STALE_US = round(1e6 * STALE_S)


class Silence(NamedTuple):
    """How long no events have come from a live source, where that is too long for a decision."""

    seconds: float


def silence(events_s: float, now_s: float, *, live: bool) -> Silence | None:
    """Return the silence of a source whose last events came at ``events_s``; None while its decisions hold.

    A recording shows the past on purpose, so it is never silent. Both times are by `time.perf_counter`.
    """
    return Silence(now_s - events_s) if live and now_s - events_s > STALE_S else None


def probabilities(rates: FloatArray, card: ModelCard) -> FloatArray:
    """Return float32 [K] that sum to 1, in the order of ``rates``.

    Membrane and trace read-outs: the softmax of the mean outputs. Spikes read-out: each class's share of the window's
    output spikes, with one spike's weight spread evenly over the classes (p = (n_k + 1/K) / (n + 1)), so that silence
    is undecided. The card's temperature flattens either above 1, and sharpens it below.
    """
    if card.readout != "spikes":
        logits = rates.astype(np.float64)
    else:
        logits = np.log(np.maximum(rates, 0.0) * card.input.window + 1.0 / rates.size)
    powers = np.exp((logits - logits.max()) / card.temperature)
    return (powers / powers.sum()).astype(np.float32)


@dataclass(frozen=True)
class Decider:
    """When a window's outputs are a decision; the same type in the flags, in a session and in the settings file."""

    threshold: float = THRESHOLD  #: least probability that the winner needs, 0..1; below it the decision is None
    #: A decision stands until another class reaches its threshold, or until its own probability falls below this,
    #: 0..threshold. None: `HYSTERESIS` of its class's threshold, or of ``threshold`` if that is higher.
    hysteresis: float | None = None
    smoothing: float = 0.0  #: share of the previous frame's probabilities in this frame's, 0 to below 1
    #: How much less a frame of the window weighs than the next one, 0 to below 1. 0: the plain mean of the window,
    #: which is what the network was trained on.
    leak: float = LEAK
    thresholds: Mapping[str, float] = field(default_factory=dict)  #: of the classes with one of their own
    allow: tuple[str, ...] = ()  #: the only labels that may be decided; empty: all
    deny: tuple[str, ...] = ()  #: labels that are never decided: where one of them wins, the decision is None

    def __post_init__(self) -> None:
        for label, value in [(None, self.threshold), *self.thresholds.items()]:
            if not 0 <= value <= 1:
                of = "" if label is None else f" of {label!r}"
                raise LivesnnError(f"the decision threshold{of} is {value}: give a probability from 0 to 1")
        if self.hysteresis is not None and not 0 <= self.hysteresis <= self.threshold:
            raise LivesnnError(
                f"the hysteresis is {self.hysteresis}: give a probability from 0 to the threshold, {self.threshold}"
            )
        if both := [label for label in self.deny if label in self.allow]:
            raise LivesnnError(f"{both[0]} is both allowed and denied: leave it out of one of the two")
        for name, share in (("smoothing", self.smoothing), ("leak", self.leak)):
            if not 0 <= share < 1:
                raise LivesnnError(f"the {name} is {share}: give a number from 0 to below 1")

    def merge(self, given: Mapping[str, Any]) -> Decider:
        """Return a decider with the given fields; a threshold resets the hysteresis, allow or deny both."""
        fields = dict(given)
        if "threshold" in fields:
            fields.setdefault("hysteresis", None)
        if "allow" in fields or "deny" in fields:
            fields = {"allow": (), "deny": ()} | fields
        return replace(self, **fields)

    def denied(self, card: ModelCard) -> tuple[str, ...]:
        return tuple(label for label in card.classes if not self._may(label))

    def check(self, card: ModelCard) -> None:
        """Raise LivesnnError if the model has no class of one of the labels."""
        named = (*self.thresholds, *self.allow, *self.deny)
        if strange := [label for label in named if label not in card.classes]:
            raise LivesnnError(f"{card.name} has no class {strange[0]!r}: give one of {', '.join(card.classes)}")

    def evidence(self, outputs: FloatArray) -> FloatArray:
        """Return the mean [K] of a window's outputs [frames, K], oldest first: a leaky one, (1 − leak)^age each."""
        return leaky_weights(self.leak, len(outputs)) @ outputs if self.leak else outputs.mean(axis=0)

    def decide(
        self, evidence: FloatArray, membrane: FloatArray, card: ModelCard, before: Decision = UNDECIDED
    ) -> Decision:
        """Return the decision on the last window's evidence, float32 [K].

        The highest evidence wins. ``membrane`` float32 [K] breaks ties: U of the output layer after its last step, or
        the last output where it never fires. ``before`` is the previous frame's decision; UNDECIDED after a reset.
        """
        likely = probabilities(evidence, card)
        best = int(np.argmax(np.where(evidence == evidence.max(), membrane, -np.inf)))
        if self.smoothing and before.probabilities.size:
            likely = self.smoothing * before.probabilities + np.float32(1 - self.smoothing) * likely
            best = int(np.argmax(likely))
        confidence = float(likely[best])
        if confidence >= self._threshold(card.classes[best]):
            label = card.classes[best]
            return Decision(label if self._may(label) else None, confidence, likely)
        if before.label is not None and self._may(before.label):
            kept = float(likely[card.classes.index(before.label)])
            usual = HYSTERESIS * max(self.threshold, self._threshold(before.label))
            if kept >= (usual if self.hysteresis is None else self.hysteresis):
                return Decision(before.label, kept, likely)
        return Decision(None, confidence, likely)

    def _threshold(self, label: str) -> float:
        return self.thresholds.get(label, self.threshold)

    def _may(self, label: str) -> bool:
        return label not in self.deny and (not self.allow or label in self.allow)


@cache
def leaky_weights(leak: float, frames: int) -> FloatArray:
    """Return the weights of successive frames, oldest first, float32 [frames] with a sum of 1; see `Decider.leak`."""
    weights = (1 - leak) ** np.arange(frames)[::-1]
    return (weights / weights.sum()).astype(np.float32)
