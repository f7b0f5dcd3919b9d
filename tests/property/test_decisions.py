"""Laws of the rule by which outputs become decisions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.events.slicer import Frame
from livesnn.infer.decide import Decider, FloatArray
from livesnn.infer.model import State
from livesnn.infer.run import Result, run_frames

WINDOW = 5
CARD = ModelCard(
    name="tiny",
    classes=("zero", "one", "two"),
    input=InputSpec(width=1, height=1, slice=SliceRule(delta_t_us=1000), window=WINDOW),
    states={"output": (3,)},
)
SHARES = st.floats(0, 0.95)
OUTPUTS = arrays(np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-8, 8, width=32))
DECIDERS = st.builds(Decider, threshold=st.floats(0.34, 1), smoothing=SHARES, leak=SHARES)


class Playback:
    """A model that gives these outputs, one a frame, whatever the frames are."""

    card = CARD
    engine = "none"

    def __init__(self, outputs: FloatArray) -> None:
        self._outputs = iter(outputs)

    def initial_state(self) -> State:
        return (np.zeros(3, np.float32),)

    def step(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        output = next(self._outputs)
        return output, (output,)


def played(outputs: FloatArray, decider: Decider, *, starts: tuple[int, ...] = (0,)) -> list[Result]:
    blank = np.zeros((2, 1, 1), np.uint8)
    frames = [Frame(1000 * i, blank, 0, start=i in starts) for i in range(len(outputs))]
    return list(run_frames(frames, Playback(outputs), decider=decider))


def labels(results: list[Result]) -> list[str | None]:
    return [result.decision for result in results]


@given(OUTPUTS, DECIDERS)
def test_later_outputs_change_no_earlier_decision(outputs: FloatArray, decider: Decider) -> None:
    whole, half = played(outputs, decider), played(outputs[: len(outputs) // 2 + 1], decider)
    assert labels(whole)[: len(half)] == labels(half)


@given(OUTPUTS, OUTPUTS, DECIDERS)
def test_nothing_from_before_a_reset_counts(before: FloatArray, after: FloatArray, decider: Decider) -> None:
    joined = played(np.concatenate([before, after]), decider, starts=(0, len(before)))[len(before) :]
    alone = played(after, decider)
    assert labels(joined) == labels(alone)
    for one, other in zip(joined, alone, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


@given(st.integers(1, 40), DECIDERS)
def test_silence_decides_nothing(frames: int, decider: Decider) -> None:
    assert set(labels(played(np.zeros((frames, 3), np.float32), decider))) == {None}


@given(arrays(np.float32, (WINDOW, 3), elements=st.floats(-8, 8, width=32)), st.integers(0, WINDOW - 1), DECIDERS)
def test_more_evidence_for_a_decided_class_keeps_it(outputs: FloatArray, frame: int, decider: Decider) -> None:
    decision = decider.decide(decider.evidence(outputs), outputs[-1], CARD)
    if decision.label is None:
        return
    best = CARD.classes.index(decision.label)
    more = outputs.copy()
    more[frame, best] += 1
    again = decider.decide(decider.evidence(more), more[-1], CARD)
    assert again.label == decision.label
    assert again.confidence >= decision.confidence - 1e-6


@given(OUTPUTS, SHARES, SHARES)
def test_a_higher_threshold_names_no_more(outputs: FloatArray, leak: float, smoothing: float) -> None:
    named = [
        sum(
            label is not None for label in labels(played(outputs, Decider(threshold, leak=leak, smoothing=smoothing)))
        )
        for threshold in (0.4, 0.6, 0.8)
    ]
    assert all(one >= other for one, other in pairwise(named))


@given(st.integers(0, 2), st.integers(0, 2))
def test_the_leakier_the_sooner_a_change_is_decided(old: int, new: int) -> None:
    outputs = np.zeros((2 * WINDOW, 3), np.float32)
    outputs[:WINDOW, old], outputs[WINDOW:, new] = 4, 4
    firsts = [
        labels(played(outputs, Decider(leak=leak)))[WINDOW:].index(CARD.classes[new]) for leak in (0.0, 0.2, 0.5)
    ]
    assert firsts == sorted(firsts, reverse=True)
