"""Turning digits: the paper's Seq 2 as a live source."""

from __future__ import annotations

import itertools
import json
import threading

import numpy as np
import pytest

from livesnn.card import InputSpec, SliceRule
from livesnn.cli import streams
from livesnn.errors import ModelError, SourceError
from livesnn.infer.load import load_model
from livesnn.infer.run import run_frames
from livesnn.simulate.digits import STEPS, TURNS, TurningDigits, draw_digit, turned
from livesnn.simulate.sources import open_simulation
from livesnn.sources import event_source
from livesnn.video.frame_source import Limit

RULE = SliceRule(delta_t_us=100_000)
GREY = InputSpec(28, 28, RULE, kind="video", channels=1, count_max=255, scale=1 / 255)


def first_frames(seed: int, count: int) -> tuple[TurningDigits, list[np.ndarray]]:
    source = TurningDigits(seed, paced=False)
    taken = list(itertools.islice(source.frames(GREY), count))
    assert [frame.t for frame in taken] == [100_000 * n for n in range(count)]
    assert [frame.start for frame in taken] == [True] + [False] * (count - 1)
    return source, [frame.data for frame in taken]


def test_a_seed_gives_the_same_frames_and_another_others() -> None:
    _, one = first_frames(1, 40)
    _, again = first_frames(1, 40)
    _, other = first_frames(2, 40)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_each_digit_turns_three_times_and_another_follows() -> None:
    count = 20 * STEPS * TURNS
    source, seen = first_frames(3, count)
    labels = [turn.label for turn in source.turns]
    assert [turn.begun_us for turn in source.turns] == [100_000 * STEPS * TURNS * n for n in range(20)]
    assert all(a[0] != b[0] for a, b in itertools.pairwise(labels))
    assert {label.split(" ")[1] for label in labels} == {"clockwise", "counter-clockwise"}
    for n in range(20):
        turns = np.array(seen[n * STEPS * TURNS : (n + 1) * STEPS * TURNS]).reshape(TURNS, STEPS, 28, 28)
        assert np.array_equal(turns[0], turns[1])
        assert np.array_equal(turns[0], turns[2])


@pytest.mark.parametrize("way", [0, 1])
def test_a_turn_is_the_data_sets_own(way: int) -> None:
    torch = pytest.importorskip("torch")
    from livesnn.train.datasets.mnist_frames import make_sequences

    digits = np.stack([draw_digit(digit, np.random.default_rng(digit)) for digit in range(10)])
    made = make_sequences("mnist-seq2", torch.from_numpy(digits), torch.full((10,), way), torch.zeros(10, 0)).numpy()
    for digit, sequence in zip(digits, made, strict=True):
        turn = [turned(digit, 36 * step) for step in range(STEPS)]
        assert np.array_equal(np.stack(turn[::-1] if way else turn), sequence[:, 0])


def test_it_comes_in_real_time() -> None:
    now_s = [0.0]
    waits: list[float] = []

    class Closed(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            now_s[0] += timeout or 0.0
            return False

    source = TurningDigits(0, clock=lambda: now_s[0])
    for frame in itertools.islice(source.frames(GREY, limit=Limit(stop=Closed())), 5):
        assert now_s[0] == pytest.approx(frame.t * 1e-6)
    assert waits == pytest.approx([0.0, 0.1, 0.1, 0.1, 0.1])


def test_it_ends_after_so_many_seconds_or_when_told_to() -> None:
    stop = threading.Event()
    assert len(list(TurningDigits(0, paced=False).frames(GREY, limit=Limit(2_000_000, stop)))) == 20
    coming = TurningDigits(0).frames(GREY, limit=Limit(stop=stop))
    next(coming)
    stop.set()
    assert next(coming, None) is None


def test_a_model_of_events_is_refused() -> None:
    events = InputSpec(34, 34, SliceRule(delta_t_us=100_000))
    with pytest.raises(ModelError, match="simulate:digits is a video, but the model reads events"):
        next(TurningDigits(0).frames(events))


def test_it_has_no_events() -> None:
    with pytest.raises(SourceError, match="simulate:digits: a video has no events"):
        event_source(open_simulation("simulate:digits:5"))


def test_the_shipped_model_names_drawn_digits_and_the_way_they_turn() -> None:
    """It has never seen drawn ones; 6 and 9 are each other after half a turn, so each digit's first turn counts."""
    model = load_model("mnist-seq2", "onnx")
    source = TurningDigits(4, paced=False)
    results = run_frames(itertools.islice(source.frames(model.card.input), 60 * STEPS * TURNS), model)
    decided = [result.decision for result in results if result.window_end][::TURNS]
    shown = [turn.label for turn in source.turns]
    assert sum(a == b for a, b in zip(decided, shown, strict=True)) >= 51


def test_without_a_model_named_the_one_that_knows_them_decides(capsys: pytest.CaptureFixture[str]) -> None:
    assert streams.run("simulate:digits", seconds=1.05, json=True) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["decision"] == "4 counter-clockwise"
