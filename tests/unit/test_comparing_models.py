"""Two models on the same clips: intervals, McNemar's test, the clips on which they differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livesnn.card import SliceRule
from livesnn.errors import DataError
from livesnn.train.compare import compare, describe_comparison, mcnemar, score_interval
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import Clips
from tests.fake_model import FakeModel

CLASSES = ("nod", "shake")
SPEC = Configuration(dataset="folder").input


def seeing(name: str, pixel: int) -> FakeModel:
    """Return a model that decides by one pixel of a frame: which class is written there."""
    card = Configuration(dataset="folder", name=name).card(CLASSES)
    return FakeModel(card, lambda frame, *_: np.eye(len(CLASSES))[frame.data[0, 0, pixel]])


def clips(written: list[tuple[int, int]], labels: list[int], *, clips_a_recording: int = 1) -> Clips:
    """Return clips in which two pixels say what two models will decide."""
    frames = np.zeros((len(labels), SPEC.window, 2, SPEC.height, SPEC.width), np.uint8)
    frames[:, :, 0, 0, :2] = np.array(written)[:, None]
    names = tuple(f"clip{number}" for number in range(len(labels)))
    recordings = tuple(f"recording{number // clips_a_recording}" for number in range(len(labels)))
    return Clips(frames, np.array(labels), names, CLASSES, recordings if clips_a_recording > 1 else ())


def test_the_score_interval_is_wilson_s() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion" (Stat. Med. 17:857), Table I, method 3
    for right, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        share = score_interval(right, n)
        assert share.value == right / n
        assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)


def test_mcnemar_s_test_is_the_sign_test_of_the_clips_on_which_one_is_right() -> None:
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1
    assert mcnemar(0, 5) == mcnemar(5, 0) == pytest.approx(2 / 2**5)
    assert mcnemar(2, 8) == pytest.approx(2 * (1 + 10 + 45) / 2**10)
    assert 0 < mcnemar(900, 1100) < 1e-4


def test_models_are_compared_clip_by_clip() -> None:
    # The first model is right on all twenty, the second on all but the last eight.
    labels = [0] * 10 + [1] * 10
    measured = clips([(label, label if i < 12 else 1 - label) for i, label in enumerate(labels)], labels)
    compared = compare((seeing("one", 0), seeing("two", 1)), (measured, measured))
    assert compared.models == ("one", "two")
    assert [share.value for share in compared.reset.accuracy] == [1, 0.6]
    assert compared.reset == compared.carried
    assert compared.reset.only_right == (8, 0)
    assert compared.reset.p == pytest.approx(2 / 2**8)
    assert compared.by_recording is None
    assert {name: [s.value for s in each.accuracy] for name, each in compared.by_class.items()} == {
        "nod": [1, 1],
        "shake": [1, pytest.approx(0.2)],
    }
    assert sorted(int(each.clip[4:]) for each in compared.differing) == list(range(12, 20))
    assert {(each.true, *each.decided) for each in compared.differing} == {("shake", "shake", "nod")}
    said = "\n".join(describe_comparison(compared))
    assert "only one is right on 8, only two on 0: p = 0.0078, one is better" in said
    assert "the models decide differently on 8 of 20 clips" in said


def test_models_of_one_name_are_told_apart() -> None:
    measured = clips([(0, 1), (0, 0)], [0, 0])
    compared = compare((seeing("mine", 0), seeing("mine", 1)), (measured, measured))
    assert compared.models == ("the first", "the second")


def test_clips_of_one_recording_count_once() -> None:
    labels = [0, 0, 0, 1, 1, 1]
    written = [(0, 0), (0, 0), (1, 1), (1, 0), (1, 0), (1, 1)]
    measured = clips(written, labels, clips_a_recording=3)
    compared = compare((seeing("one", 0), seeing("two", 1)), (measured, measured))
    assert compared.by_recording is not None
    assert (compared.by_recording.n, compared.by_recording.only_right) == (2, (1, 0))
    said = "\n".join(describe_comparison(compared))
    assert "p = 1, the difference is within chance" in said
    assert "judge by the recordings" in said


def test_only_clips_that_neither_model_was_trained_on_count() -> None:
    whole = clips([(0, 0), (1, 0), (1, 1), (0, 1)], [0, 1, 1, 0])
    first, second = whole.subset(np.array([0, 1, 2])), whole.subset(np.array([3, 2, 1]))
    compared = compare((seeing("one", 0), seeing("two", 1)), (first, second))
    assert compared.n == 2
    assert [each.clip for each in compared.differing] == ["clip1"]


def test_models_that_cannot_be_compared_are_refused_with_what_to_do() -> None:
    one, two = seeing("one", 0), seeing("two", 1)
    whole = clips([(0, 0), (1, 1)], [0, 1])
    with pytest.raises(DataError, match="no clip was kept out of both models' training: compare them on the test"):
        compare((one, two), (whole.subset(np.array([0])), whole.subset(np.array([1]))))
    two.card = replace(two.card, input=replace(SPEC, slice=SliceRule(n_events=100)))
    with pytest.raises(DataError, match="one and two have frames of different lengths"):
        compare((one, two), (whole, whole))
    two.card = replace(one.card, name="two", classes=("nod", "wave"))
    with pytest.raises(DataError, match="one and two know different classes"):
        compare((one, two), (whole, whole))
