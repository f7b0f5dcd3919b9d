"""A second model or setting beside a session's own: agreement, latency, and what can't be compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import livesnn
from livesnn.card import SliceRule
from livesnn.infer.load import load_model
from livesnn.infer.model import Model
from livesnn.infer.run import Result
from livesnn.paths import recordings_dir
from livesnn.session.comparison import LOADING, Comparison, Second
from livesnn.session.results import ShownResult
from livesnn.session.session import Session
from livesnn.threads import Latest
from tests.synthetic import CARD, livesnn_threads, noisy_bar, write_model, write_recording
from tests.waiting import eventually

Play = Callable[..., Session]
Pairs = list[tuple[Result, Result]]


class Everything(Latest[ShownResult]):
    """A mailbox that keeps all that was ever put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.put_in: list[ShownResult] = []

    def put(self, value: ShownResult) -> None:
        self.put_in.append(value)
        super().put(value)


def compare(session: Session, second: Second) -> Comparison:
    """Compare from now on."""
    session.comparer.use(second)
    eventually(lambda: session.comparer.note != LOADING)
    assert session.comparer.now is not None, session.comparer.note
    return session.comparer.now


def pause_before_its_start(session: Session) -> Everything:
    """Let a recording wait at its beginning; return what will be shown from there on."""
    eventually(lambda: session.control.state == "playing")
    session.control.toggle()
    session.results = kept = Everything()
    return kept


def play_it_all(session: Session, kept: Everything) -> Pairs:
    """Play from the beginning to the end; return what both said, in frames that both have seen a window of."""
    session.control.seek(0)
    resets = session.control.resets
    session.control.toggle()
    eventually(lambda: session.control.state == "ended")
    shown = [each for each in kept.put_in if each.resets == resets]
    both = [(each.result, each.second.result) for each in shown if each.second is not None]
    return [(one, other) for one, other in both if one.window_seen and other.window_seen]


def played_beside(play: Play, source: Path, model: Path | Model, second: Second) -> tuple[Pairs, Comparison]:
    """Play a recording to two models from its beginning to its end."""
    session = play(source, model)
    kept = pause_before_its_start(session)
    session.control.apply(replace(session.control.choices, speed=math.inf))
    comparison = compare(session, second)
    return play_it_all(session, kept), comparison


def test_a_model_agrees_with_itself_in_every_frame_and_the_times_of_both_are_measured(
    play: Play, recording: Path, model_folder: Path
) -> None:
    pairs, comparison = played_beside(play, recording, model_folder, Second(str(model_folder)))
    assert len(pairs) > 50
    for one, other in pairs:
        assert other.frame is one.frame or np.array_equal(other.frame.data, one.frame.data)
        assert np.array_equal(other.probabilities, one.probabilities)
    agreement = comparison.difference.agreement
    assert (agreement.minute, agreement.total) == (1.0, 1.0)
    assert agreement.frames >= len(pairs)
    network, total = comparison.difference.network_ms, comparison.difference.total_ms
    for which in range(2):
        assert 0 < network[which].p50 < total[which].p50


def test_it_begins_with_the_first_model_reset_so_that_both_start_from_the_same_state(
    play: Play, recording: Path, model_folder: Path
) -> None:
    session = play(recording, loop=True)
    eventually(lambda: (shown := session.results.take()) is not None and shown.result.carried > 5)
    session.results = kept = Everything()
    comparison = compare(session, Second(str(model_folder)))
    eventually(lambda: comparison.difference.agreement.frames > 100)
    first = next(each for each in kept.put_in if each.second is not None)
    assert first.second is not None
    assert (first.result.carried, first.second.result.carried) == (1, 1)
    assert first.reset_by in ("the comparison", "starting again")
    assert comparison.difference.agreement.total == 1


@pytest.mark.release  # importing torch takes seconds
def test_another_engine_agrees_nearly_always(play: Play) -> None:
    clip = recordings_dir() / "hand_clapping.aedat4"
    pairs, comparison = played_beside(play, clip, load_model("gestures", "onnx"), Second("gestures", engine="torch"))
    assert len(pairs) > 50
    same = [int(one.probabilities.argmax()) == int(other.probabilities.argmax()) for one, other in pairs]
    assert np.mean(same) >= 0.99
    assert comparison.difference.agreement.total >= 0.99
    assert comparison.model.engine == "torch"


def test_the_agreement_is_the_share_of_frames_with_the_same_decision(
    play: Play, recording: Path, model_folder: Path
) -> None:
    second = Second(str(model_folder), threshold=1.0)
    pairs, comparison = played_beside(play, recording, model_folder, second)
    same = [one.decision == other.decision for one, other in pairs]
    assert {other.decision for _, other in pairs} == {None}
    assert 0 <= np.mean(same) < 1
    assert comparison.difference.agreement.total == pytest.approx(np.mean(same), abs=0.05)


def test_each_has_its_own_state(play: Play, recording: Path, model_folder: Path) -> None:
    second = Second(str(model_folder), state_mode="reset")
    pairs, _ = played_beside(play, recording, model_folder, second)
    assert max(other.carried for _, other in pairs) == CARD.input.window
    assert max(one.carried for one, _ in pairs) == len(pairs) + CARD.input.window - 1


def test_a_reset_by_hand_is_for_both(play: Play, recording: Path, model_folder: Path) -> None:
    session = play(recording, loop=True)
    compare(session, Second(str(model_folder)))
    eventually(lambda: (shown := session.results.take()) is not None and shown.result.carried > 5)
    session.results = kept = Everything()
    session.control.reset()
    eventually(lambda: any(each.resets == 1 for each in kept.put_in))
    first = next(each for each in kept.put_in if each.resets == 1)
    assert first.second is not None
    assert (first.result.carried, first.second.result.carried) == (1, 1)


def test_a_model_of_other_slices_gets_frames_of_its_own_but_none_from_later(
    play: Play, recording: Path, model_folder: Path, tmp_path: Path
) -> None:
    spec = replace(CARD.input, width=17, height=17, slice=SliceRule(delta_t_us=15_000))
    other_model = write_model(tmp_path / "coarse", replace(CARD, name="coarse", input=spec))
    pairs, comparison = played_beside(play, recording, model_folder, Second(str(other_model)))
    assert all(0 <= one.t - other.t < 15_000 for one, other in pairs)
    assert {other.frame.data.shape for _, other in pairs} == {(2, 17, 17)}
    alone = [each.t for each in livesnn.run(recording, other_model) if each.window_seen]
    assert list(dict.fromkeys(other.t for _, other in pairs)) == alone
    assert 0.5 < comparison.difference.agreement.total <= 1


def test_the_noise_filter_can_be_for_the_second_only(play: Play, model_folder: Path, tmp_path: Path) -> None:
    noisy = write_recording(tmp_path / "noisy.npz", noisy_bar(1_000_000))
    pairs, _ = played_beside(play, noisy, model_folder, Second(str(model_folder), denoise=True))
    for which, denoise in ((0, False), (1, True)):
        alone = [each for each in livesnn.run(noisy, model_folder, denoise=denoise) if each.window_seen]
        assert [pair[which].frame.n_events for pair in pairs] == [each.frame.n_events for each in alone]
        assert [pair[which].decision for pair in pairs] == [each.decision for each in alone]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (
            {"classes": tuple("abcdefghij")},
            "columns and other can't be compared: they have no class in common",
        ),
        (
            {"input": replace(CARD.input, kind="video", channels=1)},
            "columns and other can't be compared: one takes events, the other video",
        ),
    ],
)
def test_it_says_why_two_models_cannot_be_compared(
    play: Play, recording: Path, tmp_path: Path, changed: dict[str, object], why: str
) -> None:
    other = write_model(tmp_path / "other", replace(CARD, name="other", **changed))  # type: ignore[arg-type]
    session = play(recording, loop=True)
    session.comparer.use(Second(str(other)))
    eventually(lambda: session.comparer.note == why)
    assert session.comparer.now is None
    assert session.control.state == "playing"


def test_a_model_that_is_not_there_ends_the_comparison_and_not_the_session(play: Play, recording: Path) -> None:
    session = play(recording, loop=True)
    session.comparer.use(Second("no-such-model"))
    eventually(lambda: "no-such-model" in session.comparer.note)
    eventually(lambda: (shown := session.results.take()) is not None and shown.second is None)


def test_without_a_comparison_there_is_nothing_of_it(play: Play, recording: Path, model_folder: Path) -> None:
    session = play(recording, loop=True)
    eventually(lambda: session.control.state == "playing")
    assert not [name for name in livesnn_threads() if "compare" in name]
    compare(session, Second(str(model_folder)))
    session.comparer.use(None)
    session.results = kept = Everything()
    eventually(lambda: len(kept.put_in) > 5)
    assert kept.put_in[-1].second is None
