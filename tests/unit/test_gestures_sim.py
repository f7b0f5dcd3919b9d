"""gestures-sim: clips cached as they were made, people of one split never in another; doubt; uncut streams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livesnn.card import ModelCard, SliceRule
from livesnn.errors import DataError
from livesnn.infer.decide import Decider
from livesnn.simulate.gestures import Segment, clip_frames
from livesnn.simulate.motions import EVERYDAY, GESTURES, IDLE, NOTHING, RAISING
from livesnn.simulate.practice import practice_frames
from livesnn.simulate.sources import SimulatedPerson
from livesnn.snn import build_network
from livesnn.train.batches import Batch
from livesnn.train.configuration import Configuration
from livesnn.train.datasets import gestures_sim
from livesnn.train.datasets.clips import IGNORED, UNKNOWN, Clips, Parts, UncutStream
from livesnn.train.datasets.gestures_sim import (
    INPUT,
    KINDS,
    STREAM_FRAMES,
    anticipated,
    breadth_of,
    load_gestures,
    load_streams,
)
from livesnn.train.datasets.registry import uncut_streams
from livesnn.train.evaluate_stream import StreamEvaluation, evaluate_stream
from livesnn.train.hybrid_method import HybridModule
from livesnn.train.network import build, with_classes
from livesnn.train.trainer import _module
from tests.fake_model import FakeModel

pytestmark = pytest.mark.slow

SHORT = replace(INPUT, window=2)


def test_clips_are_made_once_and_then_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path))
    clips = load_gestures(SHORT, 1, use="test")
    assert clips.frames.shape == (11, 2, 2, 64, 64)
    assert clips.labels.tolist() == list(range(11))
    assert np.array_equal(clips.frames[:][3], clip_frames(GESTURES[3], 0, SHORT, "test"))
    files = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(files) == 1
    assert np.array_equal(load_gestures(SHORT, 1, use="test").frames[:], clips.frames[:])
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == files


def test_who_practises_performs_everything_and_each_frame_says_what() -> None:
    frames, performed = practice_frames(4, INPUT, 100)
    assert frames.shape == (100, 2, 64, 64)
    assert len(performed) == 100
    assert {name for name in performed if name} <= {*GESTURES, *EVERYDAY, IDLE, RAISING}
    assert 5 < performed.count(None) < 60  # on the way from one to the next
    again, the_same = practice_frames(4, INPUT, 50)
    assert np.array_equal(again, frames[:50])
    assert the_same == performed[:50]
    everything = {name for seed in range(20) for name in practice_frames(seed, INPUT, 25)[1]}
    assert len(everything & {*GESTURES}) > 4
    assert len(everything & {*EVERYDAY}) > 4
    assert everything & {*NOTHING} - {IDLE, RAISING}  # some perform nothing at all


@pytest.fixture(scope="module")
def streams_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache of tests that read the same streams."""
    return tmp_path_factory.mktemp("cache")


def test_streams_are_made_once_and_cut_anew_in_every_epoch(
    streams_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(streams_cache))
    streams = load_streams(INPUT, 2, 40, seed=5)
    assert streams.frame_labels.shape == (2, STREAM_FRAMES)
    assert set(streams.labels) <= {IGNORED, UNKNOWN, *range(11)}
    files = {file: file.stat().st_mtime_ns for file in streams_cache.iterdir()}
    assert np.array_equal(load_streams(INPUT, 2, 40, seed=5).labels, streams.labels)
    assert {file: file.stat().st_mtime_ns for file in streams_cache.iterdir()} == files
    index = np.array([0, len(streams) - 1])
    frames, labels = streams.take(index, 0)
    assert frames.shape == (2, 40, 2, 64, 64)
    whole = streams.frames[np.array([1])][0]
    place = next(i for i in range(len(whole)) if np.array_equal(whole[i : i + 40], frames[1]))
    assert np.array_equal(labels[1], streams.frame_labels[1, place : place + 40])
    assert np.array_equal(streams.take(index, 0)[0], frames)
    assert not np.array_equal(streams.take(index, 1)[0], frames)


def test_the_way_to_a_movement_counts_as_it_but_not_all_of_a_long_way() -> None:
    labels = np.array([[3, IGNORED, IGNORED, 5, *[IGNORED] * 6, 7, IGNORED]])
    assert anticipated(labels).tolist() == [[3, 5, 5, 5, IGNORED, IGNORED, 7, 7, 7, 7, 7, IGNORED]]


def test_long_ways_to_a_movement_are_of_hands_that_rise_or_fall() -> None:
    rising = (*GESTURES, *KINDS).index(RAISING)
    labels = np.array([[3, *[IGNORED] * 9, 5]])
    assert anticipated(labels).tolist() == [[3, *[IGNORED] * 3, *[rising] * 2, *[5] * 5]]


def test_each_kind_of_movement_has_an_output_while_training_and_belongs_to_a_class_or_to_none(
    streams_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(streams_cache))
    streams = load_streams(INPUT, 2, 40, seed=5)
    names = streams.classes + streams.kinds
    assert len(names) == len(set(names)) == len(streams.class_of)
    of = dict(zip(names, streams.class_of, strict=True))
    assert [of[name] for name in (GESTURES[3], "throw", IDLE)] == [3, GESTURES.index("other"), UNKNOWN]
    config = Configuration(dataset="gestures-sim", width=2, burn_in=10, compile=False, kinds_weight=0.5)
    net = build_network(config.card(names))
    module = HybridModule(net, config, 1, class_of=torch.tensor(streams.class_of))
    frames, labels = streams.take(np.arange(2), 0)
    batch = Batch(torch.from_numpy(frames), torch.from_numpy(labels), torch.arange(2))
    module.loss_of(batch, 0)[0].backward()
    rows = net.classify.weight.grad.abs().sum(1)
    assert (rows[: len(GESTURES)] > 0).all()
    assert (rows[len(GESTURES) :] > 0).all()  # a softmax of all kinds
    smaller = with_classes(net.eval(), GESTURES)
    assert smaller.card.classes == GESTURES
    outputs, _ = net(batch.frames.transpose(0, 1), net.initial_state(2))
    kept, _ = smaller(batch.frames.transpose(0, 1), smaller.initial_state(2))
    assert torch.allclose(kept, outputs[..., : len(GESTURES)], atol=1e-6)


def test_without_a_loss_of_kinds_each_movement_counts_as_its_class(
    streams_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(streams_cache))
    streams = load_streams(INPUT, 2, 40, seed=5)
    config = Configuration(dataset="gestures-sim", width=2, burn_in=10, compile=False)
    assert config.kinds_weight == 0
    kept = Clips(np.zeros((1, 10, 2, 64, 64), np.uint8), np.zeros(1, np.int64), ("kept",), streams.classes)
    module = _module(build(config, streams.classes), config, Parts(streams, kept), 1)
    frames, labels = streams.take(np.arange(8), 0)
    assert labels.max() >= len(streams.classes)  # kinds are shown
    loss, _ = module.loss_of(Batch(torch.from_numpy(frames), torch.from_numpy(labels), torch.arange(8)), 0)
    loss.backward()
    assert (module.net.classify.weight.grad.abs().sum(1) > 0).all()


def test_a_frame_is_scored_where_a_stream_would_be_decided() -> None:
    config = Configuration(dataset="gestures-sim", width=2, burn_in=10, from_zero=0.0, compile=False)
    net = build_network(config.card(GESTURES)).eval()
    module = HybridModule(net, config, 1)
    frames = torch.randint(0, 4, (2, 30, 2, 64, 64), dtype=torch.uint8)
    labels = torch.full((2, 30), 3)
    labels[0, 15:20] = IGNORED
    labels[1, 25:] = UNKNOWN
    evidence, known, _ = module._run_stretches(frames, labels, torch.Generator())
    assert (known == 3).sum() == 20 - 5 + 15  # of 20 frames after the past, without those ignored
    assert (known == UNKNOWN).sum() == 5
    outputs, _ = net(frames.transpose(0, 1), net.initial_state(2))
    expected = Decider().evidence(outputs[20:30, 1].detach().numpy())
    assert np.allclose(evidence[0, -1].detach().numpy(), expected, atol=1e-5)
    from_zero = HybridModule(net, replace(config, from_zero=1.0), 1)
    evidence, known, _ = from_zero._run_stretches(frames[1:], labels[1:], torch.Generator())
    assert len(known) == 6 + 5  # once a whole window has gone by
    outputs, _ = net(frames[1:, 10:].transpose(0, 1), net.initial_state(1))
    expected = Decider().evidence(outputs[10:20, 0].detach().numpy())
    assert np.allclose(evidence[0, -1].detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("rule", [SliceRule(n_events=500), SliceRule(n_events=8_000)])
def test_a_clip_of_frames_of_so_many_events_is_as_long_as_it_takes(rule: SliceRule) -> None:
    frames = clip_frames("arm_roll", 1, replace(INPUT, slice=rule, count_max=255), "test")
    assert frames.sum(axis=(1, 2, 3)).tolist() == [rule.n_events] * 10


def test_a_clip_of_no_class_teaches_equal_probabilities() -> None:
    config = Configuration(dataset="gestures-sim", width=2)
    module = HybridModule(build_network(config.card(GESTURES)), config, 1)
    unknown, even = torch.tensor([UNKNOWN]), torch.zeros(10, 1, 11)
    assert module.loss(even, unknown).item() == pytest.approx(np.log(11))
    sure = even.clone()
    sure[..., 4] = 3.0
    assert module.loss(sure, unknown) > module.loss(even, unknown)
    assert module.loss(sure, torch.tensor([4])) < module.loss(even, torch.tensor([4]))


ROLLING = 20 * np.eye(11)[GESTURES.index("arm_roll")]


def measure(card: ModelCard, minutes: float) -> StreamEvaluation:
    """Measure a model that says arm_roll whatever it sees."""
    model = FakeModel(card, lambda *_: ROLLING)
    return evaluate_stream(model, uncut_streams("gestures-sim", Path(), "test", model.card, minutes, 0))


def test_a_stream_is_judged_by_the_windows_that_lie_within_one_gesture() -> None:
    card = Configuration(dataset="gestures-sim").card(GESTURES)
    measured = measure(card, 0.7)
    assert measured.recall["arm_roll"] == 1.0
    assert measured.recall["air_drums"] == 0.0
    assert 0 < measured.accuracy < 0.4
    assert 0.4 * 0.7 * 1200 < measured.n < 0.95 * 0.7 * 1200  # frames of 50 ms, less those of changes
    assert measured.idle_decisions_a_minute == pytest.approx(119, abs=2)
    around = {"moving_objects", "camera_shake", "camera_pan", "curtain", "two_people"}
    assert set(measured.false_decisions_a_minute) == {"idle", "walking", "noise", "lamp", "other"} | around


def test_how_late_and_how_steady_decisions_are_is_counted_from_the_onset() -> None:
    card = Configuration(dataset="gestures-sim").card(GESTURES)
    late = FakeModel(  # right only after 30 frames, and wavers on every sixth
        replace(card, input=replace(card.input, window=1)), lambda _, seen, __: ROLLING * (seen > 30 and seen % 6 > 0)
    )
    performs = SimulatedPerson(1, use="test", gestures=("arm_roll",), duration_us=2_900_000, paced=False)
    onset = Segment("arm_roll", 1_000_000, 2_500_000)
    measured = evaluate_stream(late, [UncutStream("one", performs, [onset], rests=True)])
    assert measured.latency_ms["p50"] == pytest.approx(550, abs=51)  # the 31st frame of 50 ms ends at 1.55 s
    assert measured.latency_ms["missed"] == 0
    assert measured.accuracy_after_ms["500"] == 0
    assert measured.accuracy_after_ms["750"] == 1
    assert measured.accuracy == pytest.approx(17 / 30, abs=0.05)
    assert measured.flickers_a_minute == pytest.approx(7 / 1.45 * 60, rel=0.15)
    assert measured.false_decisions_a_minute["one"] > 0


def test_a_stream_too_short_for_a_window_in_a_gesture_is_refused() -> None:
    card = Configuration(dataset="gestures-sim").card(GESTURES)
    with pytest.raises(DataError, match="give --stream more minutes"):
        measure(card, 0.001)


def test_a_model_of_other_classes_has_no_stream_to_be_measured_on() -> None:
    card = replace(Configuration(dataset="gestures-sim").card(GESTURES), classes=tuple("0123456789x"))
    with pytest.raises(DataError, match="choose a model of the gestures"):
        measure(card, 1.0)


def test_a_model_that_was_taught_a_gesture_is_measured_on_what_it_knew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gestures_sim, "VALIDATION_PEOPLE", 1)
    card = replace(Configuration(dataset="gestures-sim").card((*GESTURES, "flap")), taught={"flap": 8})
    clips = gestures_sim.load_split(Path(), "validation", card)
    assert clips.classes == card.classes
    assert sorted(clips.labels) == list(range(11))


def test_training_has_wide_people_the_test_narrow_ones_and_validation_both() -> None:
    breadths = {use: {breadth_of(use, seed, INPUT) for seed in range(4)} for use in ("train", "validation", "test")}  # type: ignore[arg-type]
    assert breadths == {"train": {"wide"}, "validation": {"narrow", "wide"}, "test": {"narrow"}}
    counted = replace(INPUT, slice=SliceRule(n_events=500))
    assert breadth_of("train", 0, counted) == "narrow"
