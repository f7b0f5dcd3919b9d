"""A class more from a few clips: what it is, what stays as it was, and what can't be taught."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from livesnn.__main__ import main
from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule, TraceSpec
from livesnn.errors import DataError, ModelError, SourceError
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, NO_EVENTS, Packet, Resolution
from livesnn.events.slicer import Frame
from livesnn.infer.model import load_model, pooled_spikes, read_card, shipped_models
from livesnn.infer.run import run_frames
from livesnn.paths import recordings_dir
from livesnn.sources import event_source, open_source
from livesnn.subprocesses import command, environment
from livesnn.teach import (
    AT_REST,
    LONGEST_NAME,
    NOISE,
    Lesson,
    Recordings,
    as_taught,
    change_class,
    describe_lesson,
    new_recording,
    own_folder,
    recognised_already,
    recordings_of,
)
from livesnn.teach.add_class import (
    LEAST_WINDOWS,
    fit_row,
    known_people,
    probability,
    rows_of,
    taught_before,
    teach,
)
from livesnn.teach.clips import (
    AGAINST,
    FADED_FRAMES,
    MEMORY,
    MOVES,
    ONSETS,
    OTHERWISE,
    RESTING,
    Clip,
    Memory,
    Take,
    at_tempo,
    likeness,
    moved,
    movement,
    read_takes,
    record_lesson,
    takes_of,
    watch,
)
from livesnn.weights import CARD_KEY, Weights, load_weights, save_weights
from tests.fake_source import FakeSource
from tests.networks import write_network
from tests.waiting import in_real_time

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="its networks are made with torch")

SIDE, FRAMES = 16, 120
CARD = ModelCard(
    "corners",
    ("up", "down"),
    InputSpec(SIDE, SIDE, SliceRule(delta_t_us=10_000)),
    NetworkSpec(widths=(16, 16, 16, 16), strides=(1, 1, 2, 1), stem_kernel=3, stem_stride=1, final_pool=2),
)
LEFT, RIGHT, BELOW = (slice(None), slice(0, 8)), (slice(None), slice(8, 16)), (slice(8, 16), slice(None))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("models"), CARD)


def clip(where: tuple[slice, slice], *, seed: int = 0, frames: int = FRAMES) -> Clip:
    """Return events here and there in one half of the picture."""
    made = np.zeros((frames, 2, SIDE, SIDE), np.uint8)
    half = made[:, :, where[0], where[1]]
    half[:] = np.random.default_rng(seed).poisson(0.8, half.shape)
    return made


def decisions(folder: Path, shown: Clip) -> list[str | None]:
    frames = (Frame(10_000 * (i + 1), data, 1) for i, data in enumerate(shown))
    return [result.decision for result in run_frames(frames, load_model(folder, "onnx")) if result.window_end]


def lesson(base: Path, out: Path, name: str = "right") -> Lesson:
    return teach(name, [clip(RIGHT)], base, out, others=[clip(LEFT), clip(BELOW)])


def test_what_was_taught_is_decided_and_nothing_else_is_taken_for_it(base: Path, tmp_path: Path) -> None:
    learned = lesson(base, tmp_path / "taught")
    assert (learned.windows, learned.right, learned.kept_aside) == (12, 3, 3)
    assert (learned.taken, learned.known) == (0, 6)
    assert set(decisions(tmp_path / "taught", clip(RIGHT, seed=5))) == {"right"}
    for other in (LEFT, BELOW):
        assert "right" not in decisions(tmp_path / "taught", clip(other, seed=5))


def check_engines(base: Path, taught: Path, *, frames: int = 10, tolerance: float = 1e-5) -> None:
    """Assert that all engines run the taught model alike, and that the old classes have what they had.

    A class that compares moments takes a part of "other", so that one may have less.
    """
    before, mixed = load_model(base, "onnx"), read_card(taught).traces.mixed
    same = [row for row, name in enumerate(before.card.classes) if not (mixed and name == "other")]
    state = before.initial_state()
    models = [load_model(taught, engine) for engine in ("onnx", "spike", "torch")]
    states = [model.initial_state() for model in models]
    for data in clip(RIGHT, frames=frames):
        output, state = before.step(Frame(0, data, 1), state)
        steps = [model.step(Frame(0, data, 1), own) for model, own in zip(models, states, strict=True)]
        states = [own for _, own in steps]
        for now, _ in steps:
            np.testing.assert_allclose(now[same], output[same], atol=tolerance)
            np.testing.assert_allclose(now, steps[0][0], atol=tolerance)


def test_all_engines_run_it_alike_and_give_the_old_classes_what_they_had(base: Path, tmp_path: Path) -> None:
    lesson(base, tmp_path / "taught")
    check_engines(base, tmp_path / "taught")


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_remembering(tmp_path_factory.mktemp("remembering"))


def write_remembering(folder: Path) -> Path:
    """Write a network with a class "other" and a memory, in which what two clips show has mean 0 and variance 1."""
    spec = TraceSpec((0.3, 0.9), 2, 32, 96)
    card = replace(CARD, classes=("up", "other"), readout="traces", traces=spec)
    write_network(folder, card)
    model = load_model(folder, "onnx")
    state, spikes = model.initial_state(), []
    for data in np.concatenate([clip(LEFT, frames=30), clip(RIGHT, frames=30)]):
        _, state = model.step(Frame(0, data, 1), state)
        spikes.append(pooled_spikes(model.card, state))
    project = np.random.default_rng(0).normal(0, 1, (32, len(spikes[0]))).astype(np.float16)
    bias = -project.astype(np.float32) @ np.mean(spikes, axis=0)
    mix, decay, traces, seen = np.array([[1, -0.5], [0, 1]], np.float32), np.array([[0.3], [0.9]]), 0.0, []
    for each in spikes:
        traces = decay * traces + (1 - decay) * (project @ each + bias)
        seen.append(mix @ traces)
    mix /= np.std(seen)
    save_file({"project.weight": project, "project.bias": bias, "mix": mix, "rest": bias}, folder / MEMORY)
    return folder


def test_a_class_more_reads_the_traces_of_a_read_out(remembering: Path, tmp_path: Path) -> None:
    traced = Path(shutil.copytree(remembering, tmp_path / "traced"))
    (traced / MEMORY).unlink()
    assert lesson(traced, tmp_path / "taught").right == 3
    assert read_card(tmp_path / "taught").traces == read_card(traced).traces
    assert set(decisions(tmp_path / "taught", clip(RIGHT, seed=5))) == {"right"}
    check_engines(traced, tmp_path / "taught")


def test_a_class_compares_moments_with_those_of_its_lesson(remembering: Path, tmp_path: Path) -> None:
    learned = lesson(remembering, tmp_path / "taught")
    assert (learned.windows, learned.right, learned.kept_aside) == (12, 3, 3)
    card = read_card(tmp_path / "taught")
    assert card.traces == TraceSpec((0.3, 0.9), 3, 32, 96, mixed=True)
    assert set(decisions(tmp_path / "taught", clip(RIGHT, seed=5))[2:]) == {"right"}
    assert "right" not in decisions(tmp_path / "taught", clip(LEFT, seed=5))
    check_engines(remembering, tmp_path / "taught", frames=30, tolerance=1e-3)


def test_what_remains_of_a_gesture_counts_against_its_class(remembering: Path) -> None:
    weights, card = load_weights(remembering / "model.safetensors")
    memory = Memory.of(remembering, weights, card)
    assert memory is not None
    moments = watch(load_model(remembering, "onnx"), weights, clip(RIGHT), memory).moments[20:]
    compared, shares = memory.compared(moments, 45, card.traces.alphas)
    assert compared.shape == (45, memory.size)
    assert shares[:36].sum() == pytest.approx(1)
    assert shares[36:].sum() == pytest.approx(-AGAINST)
    remains = memory.faded(moments, card.traces.alphas)
    assert likeness(remains, compared, shares).mean() < likeness(remains, compared, np.maximum(shares, 0)).mean()
    assert likeness(moments, compared, shares).mean() > 0.2
    few, shares = memory.compared(moments, 3, card.traces.alphas)
    assert few.shape == (3, memory.size)
    assert shares.sum() == pytest.approx(1)


def test_onsets_are_moments_after_a_rest(remembering: Path) -> None:
    weights, card = load_weights(remembering / "model.safetensors")
    memory = Memory.of(remembering, weights, card)
    assert memory is not None
    alphas, rest = card.traces.alphas, np.full(len(memory.bias), 0.5, np.float32)
    currents = np.random.default_rng(0).normal(0, 1, (50, len(rest))).astype(np.float32)
    found = memory.onsets(currents, rest, alphas)
    assert found.shape == (2 * len(ONSETS), memory.size)  # begun in frames 0 and 12
    decay = np.array(alphas, np.float32)[:, None]
    traces = np.zeros((len(decay), len(rest)), np.float32)
    for current in [rest] * 200 + [*currents[12 : 12 + ONSETS[0]]]:
        moment, traces = memory.moment(current, traces, decay)
    np.testing.assert_allclose(found[len(ONSETS)], moment, atol=1e-4)
    assert memory.onsets(currents[:20], rest, alphas).shape[0] == 0


def test_onsets_begin_from_how_the_person_stood_before(
    remembering: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[np.ndarray] = []
    onsets = Memory.onsets

    def noted(self: Memory, currents: np.ndarray, rest: np.ndarray, alphas: tuple[float, ...]) -> np.ndarray:
        begun.append(rest)
        return onsets(self, currents, rest, alphas)

    monkeypatch.setattr(Memory, "onsets", noted)
    weights, card = load_weights(remembering / "model.safetensors")
    memory = Memory.of(remembering, weights, card)
    assert memory is not None
    still = clip(LEFT, frames=30) // 4  # hardly anything happens
    moved_late = np.concatenate([still[:20], clip(RIGHT, frames=10)])
    for number, (before, stood) in enumerate(
        [(still, True), (still[:19], False), (clip(RIGHT, seed=1)[:30], False), (moved_late, True), (None, False)]
    ):
        begun.clear()
        out = tmp_path / str(number)
        shown = clip(RIGHT) if before is None else Take(clip(RIGHT), before)
        lesson = teach("right", [shown], remembering, out, others=[clip(LEFT)])
        assert lesson.restless == (before is not None and len(before) >= 20 and not stood)
        settled = slice(10, 20 if before is moved_late else 30)
        seen = watch(load_model(remembering, "onnx"), weights, still, memory).currents[settled].mean(0)
        for rest in begun:
            np.testing.assert_allclose(rest, seen if stood else memory.rest, atol=1e-6)
        assert len(begun) == 2  # without the last quarter, and with it


def test_faded_moments_are_what_traces_become(remembering: Path) -> None:
    weights, card = load_weights(remembering / "model.safetensors")
    memory = Memory.of(remembering, weights, card)
    assert memory is not None
    decay = np.array(card.traces.alphas, np.float32)[:, None]
    traces = np.random.default_rng(0).normal(0, 1, (len(decay), len(memory.bias))).astype(np.float32)
    mixed = (memory.mix @ traces).ravel()
    traces = (traces - np.linalg.solve(memory.mix, np.full_like(traces, mixed.mean()))) / mixed.std()  # variance 1
    moment = (memory.mix @ traces).ravel() / np.sqrt(memory.size)
    for _ in range(FADED_FRAMES[0]):
        found, traces = memory.moment(memory.bias, traces, decay)
    np.testing.assert_allclose(memory.faded(moment[None], card.traces.alphas)[0], found, atol=1e-5)


def test_more_lessons_of_moments_keep_the_first_one(remembering: Path, tmp_path: Path) -> None:
    lesson(remembering, tmp_path / "one")
    teach("left", [clip(LEFT)], tmp_path / "one", tmp_path / "two", others=[clip(BELOW)])
    card = read_card(tmp_path / "two")
    assert card.classes == ("up", "other", "right", "left")
    assert card.taught == {"right": 12, "left": 12}
    assert card.traces.members == 3
    assert set(decisions(tmp_path / "two", clip(RIGHT, seed=7))[2:]) == {"right"}
    assert set(decisions(tmp_path / "two", clip(LEFT, seed=7))[2:]) == {"left"}
    teach("right", [clip(RIGHT, seed=9)], tmp_path / "two", tmp_path / "three", others=[clip(BELOW)])
    assert read_card(tmp_path / "three").taught == {"left": 12, "right": 24}
    assert set(decisions(tmp_path / "three", clip(LEFT, seed=7))[2:]) == {"left"}


def test_what_was_taught_shares_what_other_had(
    remembering: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livesnn.teach.add_class.OTHERS_TAKEN", 1.0)  # the least edge, whatever else they do

    def biases(folder: Path) -> list[float]:  # outputs where nothing looks like a lesson differ only by these
        weights, card = load_weights(folder / "model.safetensors")
        return [
            weights["classify.bias"][card.classes.index(name)] / card.temperature for name in ("other", *card.taught)
        ]

    (whole,) = biases(remembering)
    teach("right", [clip(RIGHT)], remembering, tmp_path / "one", others=[clip(LEFT)])
    teach("left", [clip(LEFT)], tmp_path / "one", tmp_path / "two", others=[clip(RIGHT)])
    teach("left", [clip(LEFT, seed=2)], tmp_path / "two", tmp_path / "again", others=[clip(RIGHT)])
    change_class("right", tmp_path / "again", tmp_path / "less")
    for name, taught in (("one", 1), ("two", 2), ("again", 2), ("less", 1)):
        parts = biases(tmp_path / name)
        assert len(parts) == 1 + taught
        assert max(parts[1:]) < parts[0] < whole
        assert np.logaddexp.reduce(parts) == pytest.approx(whole, abs=1e-5)


def test_a_memory_of_another_network_is_refused(remembering: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(remembering, tmp_path / "copy")
    save_file({"project.weight": np.zeros((3, 3), np.float16)}, folder / MEMORY)
    with pytest.raises(ModelError, match=r"teach.safetensors can't be read .*: copy the model again"):
        lesson(folder, tmp_path / "taught")
    zeros = {"project.weight": (3, 3), "project.bias": (32,), "mix": (2, 2), "rest": (32,)}
    save_file({name: np.zeros(shape, np.float32) for name, shape in zeros.items()}, folder / MEMORY)
    with pytest.raises(ModelError, match=r"teach.safetensors belongs to another network: copy the model again"):
        lesson(folder, tmp_path / "taught")


@pytest.mark.parametrize("fixture", ["base", "remembering"])
def test_a_windows_mean_output_is_its_features_times_the_rows(fixture: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(fixture)
    model, shown = load_model(folder, "onnx"), clip(LEFT, frames=40)
    state, outputs = model.initial_state(), []
    for data in shown:
        output, state = model.step(Frame(0, data, 1), state)
        outputs.append(output)
    means = np.array(outputs).reshape(4, 10, -1).mean(1)
    weights, _ = load_weights(folder / "model.safetensors")
    found = watch(model, weights, shown).units @ rows_of(weights, model.card).T
    np.testing.assert_allclose(found, means, atol=1e-4)


def test_a_second_lesson_keeps_the_first(base: Path, tmp_path: Path) -> None:
    lesson(base, tmp_path / "one")
    learned = teach("below", [clip(BELOW)], tmp_path / "one", tmp_path / "two", others=[clip(LEFT)])
    assert (learned.taken, learned.known) == (0, 6)  # three windows of what was taught before among them
    card = read_card(tmp_path / "two")
    assert card.classes == ("up", "down", "right", "below")
    assert card.taught == {"right": 12, "below": 12}
    kept = taught_before(tmp_path / "two", card, 129)
    assert {name: len(windows) for name, windows in kept.items()} == card.taught
    assert set(decisions(tmp_path / "two", clip(RIGHT, seed=7))) == {"right"}
    assert set(decisions(tmp_path / "two", clip(BELOW, seed=7))) == {"below"}


ABOVE, UNDER = (slice(0, 8), slice(8, 16)), (slice(8, 16), slice(8, 16))
"""What two people do, each in a quarter of the picture."""


def test_a_gesture_that_was_taught_learns_more_from_another_person(base: Path, tmp_path: Path) -> None:
    others = [clip(LEFT)]
    teach("mine", [clip(UNDER)], base, tmp_path / "under", others=[*others, clip(ABOVE)])
    assert "mine" not in decisions(tmp_path / "under", clip(ABOVE, seed=7))
    teach("mine", [clip(ABOVE)], base, tmp_path / "one", others=others)
    teach("all", [clip((slice(None), slice(None)))], tmp_path / "one", tmp_path / "two", others=others)
    learned = teach("mine", [clip(UNDER)], tmp_path / "two", tmp_path / "three", others=others)
    assert (learned.windows, learned.right) == (12, 3)  # of the three kept aside
    card = read_card(tmp_path / "three")
    assert card.classes == ("up", "down", "mine", "all")  # where it was
    assert card.taught == {"all": 12, "mine": 24}
    for quarter in (ABOVE, UNDER):
        assert set(decisions(tmp_path / "three", clip(quarter, seed=7))) == {"mine"}
    assert "mine" not in decisions(tmp_path / "three", clip(LEFT, seed=7))
    assert as_taught("Mine", tmp_path / "three") == "mine"
    with pytest.raises(ModelError, match=r"knows mine already"):
        teach("Mine", [clip(UNDER)], tmp_path / "three", tmp_path / "four", others=others)


def test_more_of_what_was_taught_is_kept_in_a_folder_with_a_number(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path / "own"))
    names: list[str] = []
    for _ in range(3):
        folder = own_folder(tmp_path / "own" / names[-1] if names else base, "right")
        names.append(folder.name)
        teach("right", [clip(RIGHT)], base, folder, others=[clip(LEFT)])
    assert names == [f"{base.name}-right", f"{base.name}-right-2", f"{base.name}-right-3"]


def test_what_a_model_decided_as_something_else_is_said_to_be_that(base: Path, tmp_path: Path) -> None:
    lesson(base, tmp_path / "one")
    again = teach("again", [clip(RIGHT, seed=3)], tmp_path / "one", tmp_path / "two", others=[clip(LEFT)])
    assert (again.resembles, again.resembling) == ("right", 12)
    more = teach("right", [clip(RIGHT, seed=4)], tmp_path / "one", tmp_path / "three", others=[clip(LEFT)])
    assert (more.resembles, more.resembling) == ("right", 12)
    assert "before, " not in " ".join(describe_lesson(more))
    assert "before, 12 of the 12 windows were recognised as right" in " ".join(describe_lesson(again))


@pytest.mark.parametrize("side", [64, 34, 100])
def test_movement_tells_noise_hot_pixels_and_all_from_what_moves(side: int) -> None:
    random = np.random.default_rng(0)
    noise = random.poisson(0.03, (29, 2, side, side)).astype(np.uint8)
    hot = noise.copy()
    hot[:, :, [3, 30], [5, 33]] = 200
    moving, far = noise.copy(), np.zeros_like(noise)
    moving[:, :, 20:30, 10:30] += random.poisson(0.5, (29, 2, 10, 20)).astype(np.uint8)
    far[:, :, 10:13, 10:13] = 2  # and no noise
    assert movement(noise, 10) == pytest.approx([1, 1], abs=0.6)
    assert movement(hot, 10).max() < NOISE < AT_REST / 2 < movement(moving, 10).min()
    assert movement(far, 10).min() > AT_REST
    assert movement(np.zeros_like(noise), 10).tolist() == [0, 0]
    assert movement(noise[:9], 10).tolist() == []
    assert len(movement(noise[:, :, :5, :3], 10)) == 2


def test_a_lesson_says_that_hardly_anything_moved() -> None:
    still = Lesson(folder="folder", gesture="stand", windows=20, right=5, kept_aside=5, taken=0, known=192,
                   resembles="", resembling=0, movement=24.0, at_rest=True)  # fmt: skip
    assert "hardly anything moves in it" in " ".join(describe_lesson(still))
    assert "hardly anything" not in " ".join(describe_lesson(replace(still, at_rest=False)))


def test_frames_before_a_gap_dont_belong_to_the_part_after_it() -> None:
    data = clip(LEFT)
    starts, parts = {2, 5}, [None, None, None, 0, 0, 0, None, 1, 2]
    stream = ((part, Frame(n, data[n], 0, start=n in starts)) for n, part in enumerate(parts))
    takes = takes_of(stream)
    assert [len(take.clip) for take in takes] == [2, 1, 1, 1]
    for take, before in zip(takes, (data[2:3], data[2:3], data[6:7], data[6:7]), strict=True):
        np.testing.assert_array_equal(take.before, before)


@in_real_time
def test_a_live_lesson_is_recorded_with_the_rest_before_it(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / f"flap{len(list(tmp_path.iterdir()))}.aedat4"
    flapping = event_source(open_source("simulate:flap"))
    record_lesson(flapping, path, "flap", seconds=0.5, ready_s=1.5, tell=said.append)
    perform = "perform the gesture now, again and again for 0.5 s"
    assert said == ["stand still: begin in 1.5 s", perform, "you can stop now"]
    (take,) = read_takes(str(path), CARD.input, label="flap")
    assert 30 < len(take.clip) < 60  # frames of 10 ms
    assert len(take.before) == RESTING


def test_a_live_lesson_begins_while_nothing_moves(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "flap.aedat4"
    record_lesson(FakeSource(then="silence"), path, "flap", seconds=0.1, ready_s=0.1, tell=said.append)
    assert said[1:] == ["perform the gesture now, again and again for 0.1 s", "you can stop now"]
    assert path.exists()


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (FakeSource([Packet(NO_EVENTS, epoch=0), Packet(NO_EVENTS, epoch=1)], then="silence"), "lost before flap"),
        (FakeSource(then=SourceError("unplugged")), "unplugged"),
        (FakeSource([Packet(NO_EVENTS)]), "ended before flap"),
        (FakeSource(then=KeyboardInterrupt()), None),
    ],
)
def test_a_lesson_that_is_cut_short_leaves_no_recording(
    tmp_path: Path, source: FakeSource, error: str | None
) -> None:
    with pytest.raises(KeyboardInterrupt if error is None else SourceError, match=error):
        record_lesson(source, tmp_path / "flap.aedat4", "flap", seconds=10)
    assert not list(tmp_path.iterdir())
    assert source.closed.is_set()


def test_a_lesson_that_finds_its_name_taken_leaves_the_other_recording(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "flap.aedat4", clip(LEFT))
    before = path.read_bytes()
    with pytest.raises(SourceError, match="exists already"):
        record_lesson(FakeSource(then="silence"), path, "flap", seconds=0.1, ready_s=0.1)
    assert path.read_bytes() == before


def test_recordings_of_one_second_have_different_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path))
    names = set()
    for _ in range(3):
        (path := new_recording("flap")).touch()
        names.add(path.name)
    assert len(names) == 3


def test_a_recorded_lesson_is_upright_and_never_turned_again(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path))
    shown, other = clip(RIGHT), write_recording(tmp_path / "other.aedat4", clip(LEFT))
    file = write_recording(new_recording("right"), shown)
    learned = []
    for number, flags in enumerate(([], ["--rotate", "90"])):
        out = tmp_path / str(number)
        arguments = ["right", str(file), "--others", str(other), "--model", str(base), "--out", str(out), *flags]
        assert main(["teach", *arguments]) == 0
        learned.append(taught_before(out, load_weights(out / "model.safetensors")[1], rows(out))["right"])
    np.testing.assert_array_equal(*learned)


def rows(folder: Path) -> int:
    weights, card = load_weights(folder / "model.safetensors")
    return rows_of(weights, card).shape[1]


def test_a_lesson_needs_a_disk(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        record_lesson(FakeSource(then="silence"), tmp_path / "nowhere" / "a.aedat4", "flap", seconds=0.1, ready_s=0.1)


def test_a_row_is_where_its_loss_is_least() -> None:
    random = np.random.default_rng(0)
    known, taught = (
        random.normal(0, 1, (60, 5)).astype(np.float32),
        random.normal(0.7, 1, (20, 5)).astype(np.float32),
    )
    rows = random.normal(0, 1, (3, 5)).astype(np.float32)
    row = fit_row(taught, known, rows, 1.5)

    def loss(row: np.ndarray) -> float:
        right = np.log(probability(taught @ row, taught, rows, 1.5)).mean() * 60 / 3
        return float(
            0.5 * (row / 1.5) @ (row / 1.5) - right - np.log1p(-probability(known @ row, known, rows, 1.5)).sum()
        )

    for direction in np.eye(5, dtype=np.float32):
        assert min(loss(row + 0.1 * direction), loss(row - 0.1 * direction)) > loss(row)


def test_copies_are_moved_and_keep_their_counts_on_the_whole() -> None:
    shown = np.zeros((200, 2, SIDE, SIDE), np.uint8)
    shown[:, :, 6:10, 6:10] = 3
    for (right, down, size), copy in zip(MOVES, moved(shown), strict=True):
        weight = copy.sum((0, 1)) / copy.sum()
        assert weight.sum(0) @ np.arange(SIDE) - 7.5 == pytest.approx(right * SIDE, abs=0.6)
        assert weight.sum(1) @ np.arange(SIDE) - 7.5 == pytest.approx(down * SIDE, abs=0.6)
        assert copy.sum() == pytest.approx(shown.sum() * size**2, rel=0.2)


@pytest.mark.parametrize("name", ["up", "UP", "None", " ", "", "a\nb", " left", "x" * (LONGEST_NAME + 1)])
def test_a_class_that_is_there_and_what_is_no_name_are_refused(base: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"already|nothing is recognised|isn't a valid name|of at most"):
        lesson(base, tmp_path / "taught", name)
    assert not list(tmp_path.iterdir())


def test_too_little_is_refused(base: Path, tmp_path: Path) -> None:
    short = clip(RIGHT, frames=10 * LEAST_WINDOWS - 1)
    with pytest.raises(DataError, match=r"7 whole windows of right are too few .* record 8 \(0.8 s\) or more"):
        teach("right", [short], base, tmp_path / "taught", others=[clip(LEFT)])
    with pytest.raises(DataError, match="0 whole windows of right are too few"):
        teach("right", [], base, tmp_path / "taught", others=[clip(LEFT)])


def test_nothing_to_be_seen_is_refused(base: Path, tmp_path: Path) -> None:
    dark = np.zeros_like(clip(RIGHT))
    with pytest.raises(DataError, match="nothing can be seen of dark:"):
        teach("dark", [dark], base, tmp_path / "taught", others=[clip(LEFT)])
    with pytest.raises(DataError, match="nothing can be seen of dark in one of its clips"):
        teach("dark", [clip(RIGHT), clip(RIGHT, frames=9), dark], base, tmp_path / "taught", others=[clip(LEFT)])


def test_models_of_anything_but_simulated_people_need_others(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--others"):
        teach("right", [clip(RIGHT)], base, tmp_path / "taught")
    with pytest.raises(DataError, match="--others has fewer than two whole windows"):
        teach("right", [clip(RIGHT)], base, tmp_path / "taught", others=[clip(LEFT, frames=19)])


def test_clips_of_one_window_each_are_enough_if_there_are_some(base: Path, tmp_path: Path) -> None:
    short = [clip(RIGHT, seed=seed, frames=10) for seed in range(LEAST_WINDOWS)]
    others = [clip(LEFT, seed=seed, frames=10) for seed in range(4)]
    learned = teach("right", short, base, tmp_path / "taught", others=others)
    assert (learned.windows, learned.kept_aside, learned.known) == (8, 2, 1)


def test_nothing_is_overwritten(base: Path, tmp_path: Path) -> None:
    (tmp_path / "taught").mkdir()
    lesson(base, tmp_path / "taught")  # an empty folder is no loss
    with pytest.raises(ModelError, match="exists already"):
        lesson(base, tmp_path / "taught")


def test_a_model_that_reads_out_spikes_cant_be_taught(base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base, tmp_path / "spikes"))
    weights, card = load_weights(base / "model.safetensors")
    save_weights(weights, folder / "model.safetensors", replace(card, readout="spikes"))
    with pytest.raises(ModelError, match="reads out its spikes: only an sts_resnet"):
        lesson(folder, tmp_path / "taught")


def write_recording(path: Path, shown: Clip) -> Path:
    """Write each count as so many events in the middle of its frame, and an event at the beginning and the end."""
    parts = []
    for number, data in enumerate(shown):
        p, y, x = np.nonzero(data)
        events = np.zeros(len(x), EVENTS_DTYPE)
        events["t"], events["x"], events["y"], events["p"] = number * 10_000 + 5_000, x, y, p
        parts.append(events)
    ends = np.zeros(2, EVENTS_DTYPE)
    ends["t"] = 0, len(shown) * 10_000
    with Aedat4Writer(path, Resolution(SIDE, SIDE), "made") as writer:
        writer.write(np.concatenate([ends[:1], *parts, ends[1:]]))
    return path


def test_of_a_labelled_recording_only_what_the_label_holds_is_learned(tmp_path: Path) -> None:
    shown = np.minimum(np.concatenate([clip(LEFT), clip(RIGHT), clip(LEFT)]), 1)
    path = write_recording(tmp_path / "a.aedat4", shown)
    table = "file,start,end,label,session\na.aedat4,1.2,2.4,right,\na.aedat4,3.0,3.1,right,\n"
    (tmp_path / "a.labels.csv").write_text(table)
    first, second = read_takes(str(path), CARD.input, label="right", seconds=0.1)
    np.testing.assert_array_equal(first.clip[1:], shown[121:240])  # the first frame holds the file's first event
    np.testing.assert_array_equal(first.before, shown[120 - RESTING : 120])
    assert len(second.clip) == 10
    assert len(read_takes(f"{path}?stream=events", CARD.input, label="right", seconds=0.1)) == 2
    outside = read_takes(str(path), CARD.input, unless="right")
    np.testing.assert_array_equal(
        np.concatenate([take.clip for take in outside])[1:],
        shown[[*range(1, 120), *range(240, 300), *range(310, 360)]],
    )
    (tmp_path / "a.labels.csv").write_text(f"{table}a.aedat4,0.0,1.1,another,\n")
    first, _ = read_takes(str(path), CARD.input, label="right")
    np.testing.assert_array_equal(first.before, shown[110:120])  # who performs something else isn't resting
    (tmp_path / "a.labels.csv").write_text(table)
    with pytest.raises(DataError, match="has labels, but none is left: name the gesture as one of right"):
        read_takes(str(path), CARD.input, label="left")
    (tmp_path / "a.labels.csv").write_text(table.replace("1.2,2.4", "9.2,9.4"))
    said: list[str] = []
    assert len(read_takes(str(path), CARD.input, label="right", tell=said.append)) == 1
    (tmp_path / "a.labels.csv").write_text("file,start,end,label,session\na.aedat4,9.2,9.4,right,\n")
    with pytest.raises(DataError, match="no label right is as long as a window"):
        read_takes(str(path), CARD.input, label="right")
    path.write_bytes(path.read_bytes()[:-20])
    (tmp_path / "a.labels.csv").unlink()
    read_takes(str(path), CARD.input, tell=said.append)
    assert "a.aedat4: " in said[0]
    (whole,) = read_takes(str(path), CARD.input, label="left", seconds=2.0)
    assert len(whole.clip) == 199  # the last one isn't finished at 2 s


def test_the_command_teaches_by_recordings_and_says_how_well(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path / "own"))
    right = write_recording(tmp_path / "right.aedat4", clip(RIGHT))
    left = write_recording(tmp_path / "left.aedat4", clip(LEFT))
    command = ["teach", "to the right", str(right), "--others", str(left), "--model", str(base)]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["right"] == said["kept_aside"] > 0
    assert said["poor"] is False
    assert said["recordings"] == [str(right)]
    assert Path(said["folder"]).parent == tmp_path / "own"
    assert main(["run", str(right), "--model", Path(said["folder"]).name, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[-1]["summary"]["majority"] == "to the right"
    assert main(command) == 0
    assert "% of the 0.3 s of the lesson that were held out for a test were recognised" in capsys.readouterr().out
    assert len(list((tmp_path / "own").iterdir())) == 2  # another folder, nothing overwritten


class Terminal(io.StringIO):
    """Input that a person types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def known_again(base: Path, tmp_path: Path) -> list[str]:
    """Return the command that teaches a model what it knows by another name, up to its new folder."""
    lesson(base, tmp_path / "knows")
    right = write_recording(tmp_path / "right.aedat4", clip(RIGHT, seed=3))
    left = write_recording(tmp_path / "left.aedat4", clip(LEFT))
    return ["teach", "again", str(right), "--others", str(left), "--model", str(tmp_path / "knows"), "--out"]


ASKED = "livesnn teach: already recognised as right (100 %), go on?"


@pytest.mark.parametrize(("answer", "learned"), [("y\n", True), ("n\n", False), ("", False)])
def test_before_the_command_takes_a_known_gesture_it_asks(
    known_again: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    answer: str, learned: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    out = tmp_path / "out"
    assert main([*known_again, str(out)]) == int(not learned)
    said = capsys.readouterr().err
    assert said.startswith(f"{ASKED} [y: yes, N: no, a: no, but call right by the new name]\n")
    assert out.exists() == learned
    assert ("nothing was learned" in said) == (not learned)


def test_where_nobody_can_answer_the_command_says_so_and_goes_on(
    known_again: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main([*known_again, str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.startswith(f"{ASKED} Yes, since there is no terminal")


def test_a_program_learns_as_what_a_gesture_is_recognised(
    known_again: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*known_again, str(tmp_path / "out"), "--if-known", "stop", "--json"]) == 0
    recognised = {"label": "right", "resembling": 12, "windows": 12}
    assert json.loads(capsys.readouterr().out) == {"recognised": recognised}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("label", "resembling", "expected"),
    [("up", 10, "already recognised as up (83 %)"), ("up", 6, ""), ("other", 12, ""), ("mine", 12, "")],
)
def test_a_gesture_is_known_where_most_windows_are_one_other_class(
    label: str, resembling: int, expected: str
) -> None:
    recognised = recognised_already("mine", label, resembling, 12)
    assert ("" if recognised is None else recognised.words) == expected


def test_the_command_names_what_is_missing(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["teach", "right", "--model", str(base), "--out", str(tmp_path / "a"), "--others", "a"]) == 1
    assert capsys.readouterr().err == "livesnn teach: no source shows right: give recordings of it, or camera\n"
    assert main(["teach", "simulate:flap", "--model", str(base), "--others", "a"]) == 1
    assert "after the name of the gesture" in capsys.readouterr().err
    assert main(["teach", "up", "simulate:flap", "--model", str(base), "--others", "a"]) == 1  # before it is watched
    assert "corners knows up already" in capsys.readouterr().err
    few = ["teach", "right", "simulate:flap", "--seconds", "0.7", "--model", str(base), "--others", "a"]
    assert main(few) == 2  # before anybody performs
    assert "right can't be learned from --seconds 0.7: give 0.8 or more" in capsys.readouterr().err
    assert main(["teach", "right", "a", "--model", str(base), "--others", "camera"]) == 1
    assert "--others camera is a live source" in capsys.readouterr().err
    assert main(["teach", "right", "a", "a", "--model", str(base), "--others", "b"]) == 1
    assert "a is given twice" in capsys.readouterr().err
    assert main(["teach", "right", "a", "--model", str(base), "--others", "a"]) == 1
    assert "a is also among --others" in capsys.readouterr().err
    labelled = write_recording(tmp_path / "b.aedat4", clip(RIGHT))
    (tmp_path / "b.labels.csv").write_text("file,start,end,label,session\nb.aedat4,0,1,wrong,\n")
    asked_for = f"{labelled}?stream=events"
    assert main(["teach", "right", asked_for, "--model", str(base), "--others", asked_for]) == 1
    assert "has labels, but none is right" in capsys.readouterr().err
    assert main(["teach", "right", "nowhere", "--model", str(base), "--out", str(base), "--others", "a"]) == 1
    assert "exists already: give another --out" in capsys.readouterr().err


def test_lessons_that_are_damaged_or_missing_are_named(base: Path, tmp_path: Path) -> None:
    lesson(base, tmp_path / "one")
    for harm in (lambda file: file.write_bytes(b"nothing"), Path.unlink):
        harm(tmp_path / "one" / "taught.safetensors")
        with pytest.raises(ModelError, match=r"taught.safetensors (can't be read|is missing)"):
            teach("below", [clip(BELOW)], tmp_path / "one", tmp_path / "two", others=[clip(LEFT)])


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        (np.full((12, 129), np.nan, np.float32), "class: right holds NaN or infinity: copy the model again"),
        (np.zeros((0, 129), np.float32), "belongs to another network: copy it again"),
        (np.zeros((12, 129), np.int8), "the data type I8"),
    ],
)
def test_lessons_that_hold_no_numbers_are_refused(base: Path, tmp_path: Path, kept: np.ndarray, says: str) -> None:
    lesson(base, tmp_path / "one")
    save_file({"class: right": kept}, tmp_path / "one" / "taught.safetensors")
    with pytest.raises(ModelError, match=f"taught.safetensors.*{says}"):
        change_class("right", tmp_path / "one", tmp_path / "two", name="wrong")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_a_file_of_lessons_is_refused(base: Path, tmp_path: Path) -> None:
    lesson(base, tmp_path / "one")
    for name, says in (("lessons.json", "is no list of recordings"), ("taught.safetensors", "is missing")):
        file = tmp_path / "one" / name
        file.unlink(missing_ok=True)
        os.mkfifo(file)
        with pytest.raises(ModelError, match=f"{name} {says}"):
            change_class("right", tmp_path / "one", tmp_path / "two", name="wrong")
        file.unlink()


def test_a_tensor_that_is_missing_is_named_before_a_class_changes(base: Path, tmp_path: Path) -> None:
    lesson(base, tmp_path / "one")
    file = tmp_path / "one" / "model.safetensors"
    weights, card = load_weights(file)
    save_weights({name: array for name, array in weights.items() if name != "classify.weight"}, file, card)
    with pytest.raises(ModelError, match=r"model.safetensors: the tensor classify.weight .* is missing"):
        change_class("right", tmp_path / "one", tmp_path / "two", name="wrong")


@pytest.mark.parametrize("file", ["model.onnx", "model.safetensors"])
def test_a_model_that_lacks_a_file_is_named_before_anything_is_read(base: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(base, tmp_path / "part")
    (tmp_path / "part" / file).unlink()
    with pytest.raises(ModelError, match=f"{file} is missing, and teaching needs both"):
        lesson(tmp_path / "part", tmp_path / "taught")


def test_a_folder_that_cant_be_written_is_named_and_nothing_is_left(base: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"can't be (written|used)"):
        lesson(base, tmp_path / "file" / "taught")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def as_an_older_model(base: Path, folder: Path, weights: Weights, **renamed: str) -> Path:
    """Write a copy without hashes, with other weights, or with other names of tensors in its graph."""
    shutil.copytree(base, folder)
    _, card = load_weights(base / "model.safetensors")
    older = {CARD_KEY: replace(card, weights_sha256="", graph_sha256="").to_json()}
    save_file(weights, folder / "model.safetensors", older)
    octets = (folder / "model.onnx").read_bytes()
    for name, other in renamed.items():
        assert len(name) == len(other)
        octets = octets.replace(name.encode(), other.encode())
    graph = onnx.load_from_string(octets)
    onnx.helper.set_model_props(graph, older)
    onnx.save(graph, folder / "model.onnx")
    return folder


@pytest.mark.parametrize(
    ("fixture", "name", "damage", "says"),
    [
        ("base", "classify.weight", None, "is missing"),
        ("base", "classify.bias", np.zeros(3, np.float32), r"is \(3,\), not \(2,\)"),
        ("base", "stem.conv.weight", np.full((16, 2, 3, 3), np.nan, np.float32), "holds NaN or infinity"),
        ("remembering", "read_out.project.weight", None, "is missing"),
        ("remembering", "read_out.project.bias", np.zeros(3, np.float32), r"is \(3,\), not \(64,\)"),
    ],
)
def test_damaged_weights_are_named_with_their_file(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fixture: str,
    name: str,
    damage: np.ndarray | None,
    says: str,
) -> None:
    sound = request.getfixturevalue(fixture)
    weights, _ = load_weights(sound / "model.safetensors")
    del weights[name]
    if damage is not None:
        weights[name] = damage
    folder = as_an_older_model(sound, tmp_path / "damaged", weights)
    with pytest.raises(ModelError, match=rf"damaged/model\.safetensors: .*{name} .*{says}"):
        teach("left", [clip(LEFT)], folder, tmp_path / "out", others=[clip(RIGHT)])


def test_a_graph_with_other_names_is_refused(remembering: Path, tmp_path: Path) -> None:
    weights, _ = load_weights(remembering / "model.safetensors")
    folder = as_an_older_model(remembering, tmp_path / "strange", weights, project="prpject")
    with pytest.raises(ModelError, match=r"strange/model\.onnx isn't a graph that livesnn has exported"):
        lesson(folder, tmp_path / "taught")


def test_files_of_two_models_are_not_taught_together(base: Path, tmp_path: Path) -> None:
    lesson(base, tmp_path / "one")
    shutil.copy(base / "model.onnx", tmp_path / "one")
    with pytest.raises(ModelError, match="its two files belong to different models"):
        lesson(tmp_path / "one", tmp_path / "two", "again")


def test_what_is_like_all_else_is_said_not_to_be_learned(base: Path, tmp_path: Path) -> None:
    learned = teach("left too", [clip(LEFT, seed=9)], base, tmp_path / "taught", others=[clip(LEFT, frames=600)])
    assert learned.poor
    assert "that isn't enough: show it again" in " ".join(describe_lesson(learned))


@pytest.mark.parametrize("name", ["__metadata__", "a|b", "-x"])
def test_any_other_name_can_be_taught_and_taught_after(base: Path, tmp_path: Path, name: str) -> None:
    lesson(base, tmp_path / "one", name)
    lesson(tmp_path / "one", tmp_path / "two")
    assert read_card(tmp_path / "two").classes == ("up", "down", name, "right")


def test_a_gesture_has_a_folder_of_its_own_whatever_its_name(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path))
    for gesture in ("thumbs up", "../up", "拍手" * 20, "?!", "👍", "-wave"):
        for model in (base, "nmnist"):
            folder = own_folder(model, gesture)
            assert folder.parent == tmp_path
            assert folder.name not in shipped_models()
            folder.mkdir()
    assert len(list(tmp_path.iterdir())) == 12


def test_what_is_known_is_simulated_once_and_again_where_it_is_damaged(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path))
    model, shares = load_model(base, "onnx"), []
    weights, _ = load_weights(base / "model.safetensors")
    made = known_people(model, weights, shares.append, 2, 1)
    assert (len(made.learned), len(made.kept_aside)) == (2 * 12 * 2, 12 * 2)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    (file,) = tmp_path.glob("known-*.npz")
    shares.clear()
    again = known_people(model, weights, shares.append, 2, 1)
    assert not shares
    np.testing.assert_allclose(again.learned, made.learned, rtol=1e-3, atol=1e-3)
    file.write_bytes(file.read_bytes()[:1000])
    assert len(known_people(model, weights, shares.append, 2, 1).learned) == len(made.learned)
    assert shares


def test_the_command_says_before_it_learns_that_a_folder_cannot_be_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    source, out = str(recordings_dir() / "arm_roll.aedat4"), str(tmp_path / "file" / "taught")
    assert main(["teach", "roll", source, "--out", out]) == 1
    assert capsys.readouterr().err.startswith(f"livesnn teach: {out} can't be made")


def test_what_was_taught_is_served_to_other_programs(two_gestures: Path, tmp_path: Path) -> None:
    shown = write_recording(tmp_path / "right.aedat4", clip(RIGHT, seed=5, frames=400))
    arguments = ("serve", str(shown), "--model", str(two_gestures), "--tcp", "0", "--web", "0", "--json")
    pipe = subprocess.PIPE
    with subprocess.Popen(command(*arguments), env=environment(), stdout=pipe, stderr=pipe, text=True) as serving:
        try:
            assert serving.stderr is not None
            lines, page = (serving.stderr.readline().strip().rpartition(" ")[2] for _ in range(2))
            with socket.create_connection(("127.0.0.1", int(lines.rpartition(":")[2])), 100) as connected:
                with urllib.request.urlopen(f"{page}status", timeout=100) as answer:
                    assert json.load(answer)["model"] == "two"
                told = [json.loads(line) for line in connected.makefile()]
            output, errors = serving.communicate(timeout=100)
        finally:
            serving.kill()
    assert serving.returncode == 0, errors
    assert "right" in {line.get("decision") for line in told}
    assert json.loads(output)["summary"]["majority"] == "right"


def alike(first: Path, second: Path, rows: list[int], shown: Clip, *, raised: tuple[int, ...] = ()) -> None:
    """Assert that on all engines, the second model's outputs are these of the first one's, or ``raised`` alike."""
    before = load_model(first, "onnx")
    state = before.initial_state()
    models = [load_model(second, engine) for engine in ("onnx", "spike", "torch")]
    states = [model.initial_state() for model in models]
    for data in shown:
        output, state = before.step(Frame(0, data, 1), state)
        for i, model in enumerate(models):
            now, states[i] = model.step(Frame(0, data, 1), states[i])
            expected = output[rows]
            for row in raised:
                expected[row] += now[raised[0]] - output[rows[raised[0]]]
            np.testing.assert_allclose(now, expected, rtol=1e-3, atol=2e-3)  # moments are kept in float16


def test_another_name_for_a_known_class_changes_nothing_else(remembering: Path, tmp_path: Path) -> None:
    change_class("up", remembering, tmp_path / "named", name="thumb")
    card = read_card(tmp_path / "named")
    assert (card.classes, card.renamed, card.taught) == (("thumb", "other"), {"thumb": "up"}, {})
    alike(remembering, tmp_path / "named", [0, 1], clip(RIGHT, frames=20))
    assert "thumb is another name for up." in (tmp_path / "named" / "README.md").read_text()
    learned = lesson(tmp_path / "named", tmp_path / "taught")  # it compares moments all the same
    assert learned.right == 3
    assert read_card(tmp_path / "taught").traces.mixed
    assert read_card(tmp_path / "taught").renamed == {"thumb": "up"}


def test_another_name_is_in_what_is_exported(
    remembering: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_class("up", remembering, tmp_path / "named", name="thumb")
    for suffix in ("onnx", "nir"):
        assert main(["export", str(tmp_path / "named"), str(tmp_path / f"named.{suffix}"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["classes"] == ["thumb", "other"]
    props = {prop.key: prop.value for prop in onnx.load(tmp_path / "named.onnx").metadata_props}
    assert json.loads(props[CARD_KEY])["classes"] == ["thumb", "other"]


@pytest.fixture(scope="module")
def two_gestures(remembering: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model that was taught "right" and then "left", the first one from a recording that is listed."""
    folder = tmp_path_factory.mktemp("two")
    files = Recordings((str(folder / "lessons" / "right.aedat4"),), ("/elsewhere/no.aedat4",))
    others = [clip(LEFT), clip(BELOW)]
    teach("right", [clip(RIGHT)], remembering, folder / "one", others=others, recordings=files)
    teach("left", [clip(LEFT)], folder / "one", folder / "two", others=[clip(BELOW)])
    return folder / "two"


def test_a_taught_class_that_is_renamed_is_recognised_and_taught_as_before(
    two_gestures: Path, tmp_path: Path
) -> None:
    change_class("right", two_gestures, tmp_path / "renamed", name="east")
    card = read_card(tmp_path / "renamed")
    assert card.classes == ("up", "other", "east", "left")
    assert (card.taught, card.renamed) == ({"east": 12, "left": 12}, {"east": "right"})
    assert card.lessons["east"] == read_card(two_gestures).lessons["right"]
    assert set(decisions(tmp_path / "renamed", clip(RIGHT, seed=7))[2:]) == {"east"}
    teach("east", [clip(RIGHT, seed=9)], tmp_path / "renamed", tmp_path / "more", others=[clip(BELOW)])
    assert read_card(tmp_path / "more").taught["east"] == 24
    change_class("east", tmp_path / "renamed", tmp_path / "back", name="right")
    assert read_card(tmp_path / "back").renamed == {}


def test_a_taught_class_that_is_removed_leaves_the_others_as_they_were(two_gestures: Path, tmp_path: Path) -> None:
    change_class("right", two_gestures, tmp_path / "less")
    card = read_card(tmp_path / "less")
    assert (card.classes, [*card.taught], [*card.lessons]) == (("up", "other", "left"), ["left"], ["left"])
    # It has what right had.
    alike(two_gestures, tmp_path / "less", [0, 1, 3], clip(LEFT, frames=30), raised=(1, 2))
    assert "right" not in recordings_of(tmp_path / "less")
    with pytest.raises(ModelError, match=r"left is all that less was taught"):
        change_class("left", tmp_path / "less", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("gesture", "name", "says"),
    [
        ("up", "", r"has no gesture up that could be changed: it has right, left"),
        ("other", "rest", r"has no gesture other that could be changed: it has up, right, left"),
        ("right", "left", r"knows left already"),
        ("right", "up", r"knows up already"),
        ("right", " ", r"isn't a valid name"),
    ],
)
def test_what_cannot_be_renamed_or_removed_is_named(
    two_gestures: Path, tmp_path: Path, gesture: str, name: str, says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        change_class(gesture, two_gestures, tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


def test_recordings_of_lessons_are_listed_and_found_where_the_models_are_moved(
    two_gestures: Path, tmp_path: Path
) -> None:
    own = two_gestures.parent
    here = Recordings((str(own / "lessons" / "right.aedat4"),), ("/elsewhere/no.aedat4",))
    assert recordings_of(own / "one") == {"right": here}
    assert recordings_of(two_gestures) == {"right": here, "left": Recordings()}
    assert here.there == Recordings()
    shutil.copytree(own, tmp_path / "moved")
    moved = recordings_of(tmp_path / "moved" / "one")["right"]
    assert moved.shown == (str(tmp_path / "moved" / "lessons" / "right.aedat4"),)
    (tmp_path / "moved" / "one" / "lessons.json").write_text("[]")
    with pytest.raises(ModelError, match=r"lessons\.json can't be read"):
        recordings_of(tmp_path / "moved" / "one")


def test_a_class_learned_again_forgets_its_earlier_lessons(remembering: Path, tmp_path: Path) -> None:
    others = [clip(BELOW)]
    teach("it", [clip(LEFT)], remembering, tmp_path / "one", others=others)
    assert "it" in decisions(tmp_path / "one", clip(LEFT, seed=7))
    teach("it", [clip(RIGHT)], tmp_path / "one", tmp_path / "two", others=others, again=True)
    assert read_card(tmp_path / "two").taught == {"it": 12}
    assert "it" not in decisions(tmp_path / "two", clip(LEFT, seed=7))
    assert "it" in decisions(tmp_path / "two", clip(RIGHT, seed=7))


def test_card_and_page_say_how_well_a_class_was_learned(two_gestures: Path) -> None:
    card = read_card(two_gestures)
    assert [(each.right, each.kept_aside) for each in card.lessons.values()] == [(3, 3), (3, 3)]
    page = (two_gestures / "README.md").read_text()
    said = "- 100 % of the 0.3 s of the lesson that were held out for a test were recognised (3 of 3 windows)."
    assert page.count(said) == 2


def test_a_lesson_names_what_was_mistaken_for_it_most_often_first() -> None:
    some = Lesson(folder="folder", gesture="flap", windows=20, right=4, kept_aside=5, taken=3, known=192,
                  resembles="", resembling=0, movement=99.0, at_rest=False, window_s=0.5,
                  taken_from={"wave": 1, "drums": 2})  # fmt: skip
    assert describe_lesson(some)[:3] == [
        "flap is learned",
        "80 % of the 2.5 s of the lesson that were held out for a test were recognised (4 of 5 windows)",
        "3 of 192 windows of other movements were mistaken for it: 2 of drums, 1 of wave",
    ]
    none = replace(some, taken=0, taken_from={}, window_s=0.0)
    assert describe_lesson(none)[1:3] == [
        "80 % of the 5 windows of the lesson that were held out for a test were recognised (4 of 5 windows)",
        "none of 192 windows of other movements was mistaken for it",
    ]
    assert "mistaken" not in " ".join(describe_lesson(replace(none, known=0)))


def test_a_clip_at_another_tempo_keeps_its_events_and_lasts_as_long_as_that_takes() -> None:
    shown = clip(RIGHT, frames=40)
    slow, fast = at_tempo(shown, 0.7), at_tempo(shown, 1.4)
    assert (len(slow), len(fast)) == (57, 28)
    for other in (slow, fast):
        assert other.sum() == pytest.approx(shown.sum(), rel=0.03)
        assert not other[..., : SIDE // 2].any()  # where the clip has nothing either
    assert np.array_equal(at_tempo(shown, 1.0), shown)


def test_a_lesson_says_how_else_the_gesture_should_be_shown(base: Path, tmp_path: Path) -> None:
    learned = lesson(base, tmp_path / "taught")
    assert set(learned.otherwise) == {*OTHERWISE}
    assert learned.otherwise["more slowly"] == 1.0  # it doesn't move
    poor = {"faster": 0.1, "more slowly": 0.4, "nearer to the camera": 0.6}
    said = " ".join(describe_lesson(replace(learned, otherwise=poor)))
    assert "show it faster (10 % is recognised so far) and more slowly (40 % is recognised so far), too" in said
    assert "so far" not in " ".join(describe_lesson(replace(learned, otherwise={"faster": 0.9})))


def test_short_clips_are_learned_though_their_halves_hold_no_window(
    base: Path, remembering: Path, tmp_path: Path
) -> None:
    for model in (base, remembering):
        clips = [clip(RIGHT, frames=12, seed=seed) for seed in range(8)]
        learned = teach("right", clips, model, tmp_path / f"{model.name}-taught", others=[clip(LEFT)])
        assert (learned.windows, learned.otherwise, learned.to_add) == (8, {}, [])


def test_frames_of_so_many_events_have_no_tempo(tmp_path: Path) -> None:
    card = replace(CARD, input=replace(CARD.input, slice=SliceRule(n_events=100)))
    (base := tmp_path / "base").mkdir()
    write_network(base, card)
    assert {*OTHERWISE} - {*lesson(base, tmp_path / "taught").otherwise} == {"more slowly", "faster"}


def test_the_command_gives_a_known_gesture_another_name(
    known_again: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, answer in enumerate(["", "a\n"]):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        out = tmp_path / f"out{number}"
        assert main([*known_again, str(out), *([] if answer else ["--if-known", "alias"])]) == 0
        assert "right is now called again\n" in capsys.readouterr().out
        assert read_card(out).classes == ("up", "down", "again")
    json_out = [*known_again, str(tmp_path / "out"), "--if-known", "alias", "--json"]
    assert main(json_out) == 0
    told = {"folder": str(tmp_path / "out"), "gesture": "right", "name": "again"}
    assert json.loads(capsys.readouterr().out) == told


def test_the_command_corrects_renames_and_removes_what_was_taught(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path / "own"))
    moved = {"right": (RIGHT, 0), "left": (LEFT, 0), "below": (BELOW, 0), "more": (LEFT, 3)}
    right, left, below, more = (
        str(write_recording(tmp_path / f"{name}.aedat4", clip(where, seed=seed)))
        for name, (where, seed) in moved.items()
    )
    for name, model, shown in (("right", str(base), right), ("below", f"{base.name}-right", below)):
        assert main(["teach", name, shown, "--others", left, "--model", model]) == 0
    capsys.readouterr()
    model = f"{base.name}-right-below"

    def said(*arguments: str) -> dict[str, object]:
        assert main(["teach", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]

    told = said("right", "--again", "--others", more, "--model", model)
    assert told["right"] == told["kept_aside"]
    again = Path(str(told["folder"]))
    assert again.name == f"{model}-2"
    assert read_card(again).taught == {"below": 12, "right": 12}
    assert recordings_of(again)["right"] == Recordings((right,), (left, more))
    renamed = said("right", "--rename", "east", "--model", again.name)
    assert renamed["name"] == "east"
    east = Path(str(renamed["folder"]))
    (tmp_path / "right.labels.csv").write_text("file,start,end,label,session\nright.aedat4,0,0.85,right,\n")
    told = said("east", "--again", "--model", east.name)  # its label has the old name
    assert told["windows"] == 8
    removed = said("east", "--remove", "--model", east.name)
    assert removed["name"] is None
    assert read_card(str(removed["folder"])).classes == ("up", "down", "below")
    Path(right).unlink()
    assert main(["teach", "east", "--again", "--model", east.name]) == 1
    said_last = capsys.readouterr().err
    assert f"{right} isn't there any more" in said_last
    assert "has no recordings of east" in said_last
    assert main(["teach", "east", right, "--rename", "x", "--model", east.name]) == 2
