"""Why no gesture is named: few events, much noise, or a movement that the model doesn't know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.events.slicer import Frame
from livesnn.infer.reason import FEW, NOISY, STILL, Activity, Reason, activity, count_blocks, reason

USUAL = 0.5
CARD = ModelCard(
    name="tiny",
    classes=("wave", "other"),
    input=InputSpec(width=32, height=32, slice=SliceRule(delta_t_us=50_000)),
    mean_count=USUAL,
)


def frame(counts: npt.NDArray[np.int_]) -> Frame:
    return Frame(0, counts.astype(np.uint8), int(counts.sum()))


def noise(mean: float, seed: int = 1) -> npt.NDArray[np.int_]:
    return np.random.default_rng(seed).poisson(mean, (2, 32, 32))


def hand(count: int) -> npt.NDArray[np.int_]:
    """Return counts in a sixteenth of the picture."""
    counts = np.zeros((2, 32, 32), int)
    counts[:, 8:16, 8:16] = count
    return counts


def judged(counts: npt.NDArray[np.int_], decision: str | None = None) -> Reason | None:
    return reason(shown([counts]), decision)


def shown(window: Sequence[npt.NDArray[np.int_]], card: ModelCard = CARD) -> Activity:
    seen = activity([count_blocks(frame(counts)) for counts in window], card)
    assert seen is not None
    return seen


def test_a_hand_of_few_events_is_said() -> None:
    assert judged(hand(0)) is None
    assert judged(hand(1) * (np.arange(32) % 2)) is Reason.FEW_EVENTS


def test_a_hand_of_many_events_is_a_movement_that_is_not_known() -> None:
    assert judged(hand(8)) is Reason.UNKNOWN_MOVEMENT


def test_noise_is_said_with_a_hand_and_without() -> None:
    assert judged(noise(0.3)) is Reason.NOISE
    assert judged(noise(0.3) + hand(4)) is Reason.NOISE


def test_a_little_noise_is_no_reason() -> None:
    window = [noise(0.04, seed) for seed in range(10)]
    assert reason(shown(window), None) is None
    assert reason(shown([counts + hand(8) for counts in window]), None) is Reason.UNKNOWN_MOVEMENT


def test_who_is_named_needs_no_reason_and_other_names_no_gesture() -> None:
    assert judged(hand(8), "wave") is None
    assert judged(hand(8), "other") is Reason.UNKNOWN_MOVEMENT


def test_a_window_tells_noise_from_movement_better_than_a_frame() -> None:
    window = [noise(0.1, seed) for seed in range(10)]
    one, all_of_it = (abs(shown(frames).noise - 0.1 / USUAL) for frames in (window[:1], window))
    assert all_of_it < one / 2


@pytest.mark.parametrize(
    ("moving", "noisy", "expected"),
    [
        (STILL - 1e-6, 0.0, None),
        (STILL, 0.0, Reason.FEW_EVENTS),
        (FEW - 1e-6, 0.0, Reason.FEW_EVENTS),
        (FEW, 0.0, Reason.UNKNOWN_MOVEMENT),
        (0.04, 0.09, None),  # an empty scene's noise isn't even everywhere
        (0.05, 0.09, Reason.FEW_EVENTS),
        (0.0, NOISY, Reason.NOISE),
        (0.0, NOISY - 1e-6, None),
        (3 * NOISY, NOISY, Reason.UNKNOWN_MOVEMENT),  # little beside so much movement
    ],
)
def test_the_thresholds_are_where_they_are_said_to_be(moving: float, noisy: float, expected: Reason | None) -> None:
    assert reason(Activity(moving, noisy), None) is expected


def cards_without() -> Iterator[ModelCard]:
    yield replace(CARD, mean_count=None)
    yield replace(CARD, input=replace(CARD.input, slice=SliceRule(n_events=100)))
    yield replace(CARD, input=replace(CARD.input, kind="video"))


@pytest.mark.parametrize("card", list(cards_without()))
def test_what_has_nothing_to_compare_with_has_no_reason(card: ModelCard) -> None:
    assert activity([count_blocks(frame(hand(1)))], card) is None


def test_a_picture_without_blocks_shows_nothing() -> None:
    card = replace(CARD, input=replace(CARD.input, width=4, height=4))
    assert shown([np.ones((2, 4, 4), int)], card) == (0, 0)
