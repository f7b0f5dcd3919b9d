"""A class more from a few clips: what it is, what stays as it was, and what can't be taught."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from livesnn.__main__ import main
from livesnn.card import TraceSpec
from livesnn.errors import DataError, ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.load import Engine, load_model, read_card, shipped_models
from livesnn.infer.run import run_frames
from livesnn.teach.correct import LEAST_WINDOWS, change_class, teach
from livesnn.teach.lesson import OTHERWISE, Clip, Recordings, Take, new_recording, recordings_of
from livesnn.teach.model import (
    EMBEDDING,
    LONGEST_NAME,
    Report,
    as_taught,
    describe,
    own_folder,
    rows_of,
    taught_before,
)
from livesnn.weights import CARD_KEY, Weights, load_weights, save_weights
from tests.lessons import BELOW, CARD, LEFT, RIGHT, clip, lesson, write_recording, write_remembering
from tests.networks import write_network

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="its networks are made with torch")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("models"), CARD)


@pytest.fixture(scope="module")
def right(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Teach the network a class "right"; most tests only look at the model."""
    return lesson(base, tmp_path_factory.mktemp("right") / "one")


@pytest.fixture(scope="module")
def one(right: Report) -> Path:
    return Path(right.folder)


@pytest.fixture
def copy(one: Path, tmp_path: Path) -> Path:
    """Return a copy of the taught model that may be damaged."""
    return Path(shutil.copytree(one, tmp_path / "one"))


def decisions(folder: Path, shown: Clip) -> list[str | None]:
    frames = (Frame(10_000 * (i + 1), data, 1) for i, data in enumerate(shown))
    return [result.decision for result in run_frames(frames, load_model(folder, "onnx")) if result.window_end]


def test_what_was_taught_is_decided_and_nothing_else_is_taken_for_it(base: Path, right: Report, one: Path) -> None:
    assert (right.windows, right.right, right.kept_aside) == (12, 3, 3)
    assert (right.taken, right.known) == (0, 6)
    assert set(decisions(one, clip(RIGHT, seed=5))) == {"right"}
    for other in (LEFT, BELOW):
        assert "right" not in decisions(one, clip(other, seed=5))
    check_engines(base, one)


ENGINES: tuple[Engine, ...] = ("onnx", "spike", "torch")


def outputs(folder: Path, shown: Clip, engine: Engine = "onnx") -> np.ndarray:
    model, made = load_model(folder, engine), []
    state = model.initial_state()
    for data in shown:
        output, state = model.step(Frame(0, data, 1), state)
        made.append(output)
    return np.array(made)


def check_engines(base: Path, taught: Path, *, frames: int = 10, tolerance: float = 1e-5) -> None:
    """Assert that all engines run the taught model alike, and that the old classes have what they had.

    A class that compares moments takes a part of "other", so that one may have less.
    """
    classes, mixed, shown = read_card(base).classes, read_card(taught).traces.mixed, clip(RIGHT, frames=frames)
    same = [row for row, name in enumerate(classes) if not (mixed and name == "other")]
    before, (first, *others) = outputs(base, shown), [outputs(taught, shown, engine) for engine in ENGINES]
    np.testing.assert_allclose(first[:, same], before[:, same], atol=tolerance)
    for now in others:
        np.testing.assert_allclose(now, first, atol=tolerance)


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_remembering(tmp_path_factory.mktemp("remembering"))


@pytest.fixture(scope="module")
def two_gestures(remembering: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model that was taught "right" and then "left", the first one from a recording that is listed."""
    folder = tmp_path_factory.mktemp("two")
    files = Recordings((str(folder / "lessons" / "right.aedat4"),), ("/elsewhere/no.aedat4",))
    others = [clip(LEFT), clip(BELOW)]
    teach("right", [clip(RIGHT)], remembering, folder / "one", others=others, recordings=files)
    teach("left", [clip(LEFT)], folder / "one", folder / "two", others=[clip(BELOW)])
    return folder / "two"


def test_a_class_more_reads_the_traces_of_a_read_out(remembering: Path, tmp_path: Path) -> None:
    traced = Path(shutil.copytree(remembering, tmp_path / "traced"))
    (traced / EMBEDDING).unlink()
    assert lesson(traced, tmp_path / "taught").right == 3
    assert read_card(tmp_path / "taught").traces == read_card(traced).traces
    assert set(decisions(tmp_path / "taught", clip(RIGHT, seed=5))) == {"right"}
    check_engines(traced, tmp_path / "taught")


def test_a_class_compares_moments_with_those_of_its_lesson(remembering: Path, two_gestures: Path) -> None:
    one = two_gestures.parent / "one"
    card = read_card(one)
    assert (card.lessons["right"].right, card.lessons["right"].kept_aside) == (3, 3)
    assert card.traces == TraceSpec((0.3, 0.9), 3, 32, 96, mixed=True)
    assert set(decisions(one, clip(RIGHT, seed=5))[2:]) == {"right"}
    assert "right" not in decisions(one, clip(LEFT, seed=5))
    check_engines(remembering, one, frames=30, tolerance=1e-3)


def test_more_lessons_of_moments_keep_the_first_one(two_gestures: Path, tmp_path: Path) -> None:
    card = read_card(two_gestures)
    assert (card.classes, card.taught) == (("up", "other", "right", "left"), {"right": 12, "left": 12})
    assert card.traces.members == 3
    teach("right", [clip(RIGHT, seed=9)], two_gestures, tmp_path / "three", others=[clip(BELOW)])
    assert read_card(tmp_path / "three").taught == {"left": 12, "right": 24}
    for model in (two_gestures, tmp_path / "three"):
        assert set(decisions(model, clip(RIGHT, seed=7))[2:]) == {"right"}
        assert set(decisions(model, clip(LEFT, seed=7))[2:]) == {"left"}


def test_what_was_taught_shares_what_other_had(
    remembering: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livesnn.teach.detector.OTHERS_TAKEN", 1.0)  # the least edge, whatever else they do

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


def test_what_a_model_decided_as_something_else_is_said_to_be_that(one: Path, tmp_path: Path) -> None:
    again = teach("again", [clip(RIGHT, seed=3)], one, tmp_path / "two", others=[clip(LEFT)])
    assert (again.resembles, again.resembling) == ("right", 12)
    more = teach("right", [clip(RIGHT, seed=4)], one, tmp_path / "three", others=[clip(LEFT)])
    assert (more.resembles, more.resembling) == ("right", 12)
    assert "before, " not in " ".join(describe(more))
    assert "before, 12 of the 12 windows were recognised as right" in " ".join(describe(again))


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
        weights, card = load_weights(out / "model.safetensors")
        learned.append(taught_before(out, card, rows_of(weights, card).shape[1])["right"])
    np.testing.assert_array_equal(*learned)


@pytest.mark.parametrize("name", ["up", "UP", "None", " ", "", "a\nb", " left", "x" * (LONGEST_NAME + 1)])
def test_a_class_that_is_there_and_what_is_no_name_are_refused(base: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"already|nothing is recognised|isn't a valid name|of at most"):
        lesson(base, tmp_path / "taught", name)
    assert not list(tmp_path.iterdir())


DARK = np.zeros_like(clip(RIGHT))


@pytest.mark.parametrize(
    ("clips", "others", "error"),
    [
        ([clip(RIGHT, frames=79)], [clip(LEFT)], r"7 whole windows of it are too few .* record 8 \(0.8 s\) or more"),
        ([clip(RIGHT, frames=19)], [clip(LEFT)], "1 whole window of it is too few"),
        ([], [clip(LEFT)], "0 whole windows of it are too few"),
        ([DARK], [clip(LEFT)], "nothing can be seen of it:"),
        ([clip(RIGHT), clip(RIGHT, frames=9), DARK], [clip(LEFT)], "nothing can be seen of it in one of its clips"),
        (
            [clip(RIGHT)],
            [],
            "wasn't trained on simulated people: give recordings of what it knows as --others",
        ),
        ([clip(RIGHT)], [clip(LEFT, frames=19)], "--others has fewer than two whole windows"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(
    base: Path, tmp_path: Path, clips: list[Clip], others: list[Clip], error: str
) -> None:
    with pytest.raises(DataError, match=error):
        teach("it", clips, base, tmp_path / "taught", others=others)
    assert not list(tmp_path.iterdir())


def test_short_clips_are_learned_though_their_halves_hold_no_window(
    base: Path, remembering: Path, tmp_path: Path
) -> None:
    short = [clip(RIGHT, seed=seed, frames=12) for seed in range(LEAST_WINDOWS)]
    others = [clip(LEFT, seed=seed, frames=10) for seed in range(4)]
    for model, known in ((base, 1), (remembering, 0)):
        learned = teach("right", short, model, tmp_path / f"{known}", others=others)
        assert (learned.windows, learned.kept_aside, learned.known) == (8, 2, known)
        assert (learned.otherwise, learned.to_add) == ({}, [])


def test_a_lesson_says_that_nobody_stood_still_before_it(remembering: Path, tmp_path: Path) -> None:
    moving = Take(clip(RIGHT), clip(RIGHT, seed=1, frames=30))
    learned = teach("right", [moving], remembering, tmp_path / "taught", others=[clip(LEFT)])
    assert learned.restless
    assert "nobody stood still right before it" in " ".join(describe(learned))


def test_nothing_is_overwritten(base: Path, tmp_path: Path) -> None:
    (tmp_path / "taught").mkdir()
    lesson(base, tmp_path / "taught")  # an empty folder is no loss
    with pytest.raises(ModelError, match="exists already"):
        lesson(base, tmp_path / "taught")


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
def known_again(one: Path, tmp_path: Path) -> list[str]:
    """Return the command that teaches a model what it knows by another name, up to its new folder."""
    right = write_recording(tmp_path / "right.aedat4", clip(RIGHT, seed=3))
    left = write_recording(tmp_path / "left.aedat4", clip(LEFT))
    return ["teach", "again", str(right), "--others", str(left), "--model", str(one), "--out"]


ASKED = "livesnn teach: already recognised as right (100 %), go on?"


WITH_ANSWERS = f"{ASKED} [y: yes, N: no, a: no, but call right by the new name]\n"


@pytest.mark.parametrize(
    ("typed", "asked", "learned"),
    [
        (Terminal("y\n"), WITH_ANSWERS, True),
        (Terminal("n\n"), WITH_ANSWERS, False),
        (Terminal(""), WITH_ANSWERS, False),
        (io.StringIO(), f"{ASKED} Yes, since there is no terminal", True),
    ],
)
def test_before_the_command_takes_a_known_gesture_it_asks(
    known_again: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    typed: io.StringIO, asked: str, learned: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stdin", typed)
    assert main([*known_again, str(tmp_path / "out")]) == int(not learned)
    said = capsys.readouterr().err
    assert said.startswith(asked)
    assert (tmp_path / "out").exists() == learned
    assert ("nothing was learned" in said) == (not learned)


def test_a_program_learns_as_what_a_gesture_is_recognised(
    known_again: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*known_again, str(tmp_path / "out"), "--if-known", "stop", "--json"]) == 0
    recognised = {"label": "right", "resembling": 12, "windows": 12}
    assert json.loads(capsys.readouterr().out) == {"recognised": recognised}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["right"], 1, "livesnn teach: no source shows right: give recordings of it, or camera\n"),
        (["simulate:flap"], 1, "after the name of the gesture"),
        (["up", "simulate:flap"], 1, "corners knows up already"),  # before it is watched
        (["right", "simulate:flap", "--seconds", "0.7"], 2, "can't be learned from --seconds 0.7: give 0.8 or more"),
        (["right", "b", "--others", "camera"], 1, "--others camera is a live source"),
        (["right", "b", "b"], 1, "b is given twice"),
        (["right", "a"], 1, "a is also among --others"),
        (["right", "LABELLED", "--others", "LABELLED"], 1, "has labels, but none is right"),
        (["right", "b", "--out", "FOLDER"], 1, "exists already: give another --out"),
        (["right", "b", "--out", "FOLDER/b.aedat4/taught"], 1, "b.aedat4/taught can't be made"),
    ],
)
def test_the_command_says_what_is_missing(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    labelled = write_recording(tmp_path / "b.aedat4", clip(RIGHT))
    (tmp_path / "b.labels.csv").write_text("file,start,end,label,session\nb.aedat4,0,1,wrong,\n")
    given = [
        each.replace("LABELLED", f"{labelled}?stream=events").replace("FOLDER", str(tmp_path)) for each in arguments
    ]
    others = [] if "--others" in given else ["--others", "a"]
    assert main(["teach", *given, "--model", str(base), *others]) == code
    assert says in capsys.readouterr().err


TAUGHT_FILE, GRAPH_FILE, WEIGHTS_FILE = "taught.safetensors", "model.onnx", "model.safetensors"


def write_lessons(kept: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: save_file({"class: right": kept}, folder / TAUGHT_FILE)


def put_a_pipe(name: str) -> Callable[[Path], object]:
    def harm(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return harm


def read_out_spikes(folder: Path) -> None:
    weights, card = load_weights(folder / WEIGHTS_FILE)
    save_weights(weights, folder / WEIGHTS_FILE, replace(card, readout="spikes"))


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda folder: (folder / TAUGHT_FILE).write_bytes(b"nothing"), f"{TAUGHT_FILE} can't be read"),
        (lambda folder: (folder / TAUGHT_FILE).unlink(), f"{TAUGHT_FILE} is missing"),
        (write_lessons(np.full((12, 129), np.nan, np.float32)), f"{TAUGHT_FILE}: class: right holds NaN or infinity"),
        (write_lessons(np.zeros((0, 129), np.float32)), f"{TAUGHT_FILE} belongs to another network: copy it again"),
        (write_lessons(np.zeros((12, 129), np.int8)), f"{TAUGHT_FILE}.*the data type I8"),
        pytest.param(put_a_pipe(TAUGHT_FILE), f"{TAUGHT_FILE} is missing", marks=needs_pipes),
        pytest.param(put_a_pipe("lessons.json"), "lessons.json is no list of recordings", marks=needs_pipes),
        (lambda folder: (folder / GRAPH_FILE).unlink(), f"{GRAPH_FILE} is missing, and teaching needs both"),
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), f"{WEIGHTS_FILE} is missing, and teaching needs both"),
        (read_out_spikes, "reads out its spikes: only an sts_resnet"),
    ],
)
def test_what_is_wrong_with_the_files_of_a_model_is_said(
    copy: Path, tmp_path: Path, harm: Callable[[Path], object], says: str
) -> None:
    harm(copy)
    with pytest.raises(ModelError, match=says):
        teach("below", [clip(BELOW)], copy, tmp_path / "two", others=[clip(LEFT)])
    with pytest.raises(ModelError, match=says):
        change_class("right", copy, tmp_path / "two", name="wrong")
    assert not (tmp_path / "two").exists()


def test_files_of_two_models_are_not_taught_together(base: Path, copy: Path, tmp_path: Path) -> None:
    shutil.copy(base / GRAPH_FILE, copy)
    with pytest.raises(ModelError, match="its two files belong to different models"):
        lesson(copy, tmp_path / "two", "again")


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


def test_what_is_like_all_else_is_said_not_to_be_learned(base: Path, tmp_path: Path) -> None:
    learned = teach("left too", [clip(LEFT, seed=9)], base, tmp_path / "taught", others=[clip(LEFT, frames=600)])
    assert learned.poor
    assert "that isn't enough: show it again" in " ".join(describe(learned))


def test_any_other_name_can_be_taught_and_taught_after(one: Path, tmp_path: Path) -> None:
    folder, names = one, ("__metadata__", "a|b", "-x")
    for number, name in enumerate(names):
        lesson(folder, folder := tmp_path / str(number), name)
    assert read_card(folder).classes == ("up", "down", "right", *names)


def test_a_gesture_has_a_folder_of_its_own_whatever_its_name(
    base: Path, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path))
    copied = shutil.copytree(one, tmp_path / "base-right")
    assert own_folder(copied, "right").name == "base-right-2"  # more of what it was taught
    assert own_folder(shutil.copytree(one, tmp_path / "base-right-2"), "right").name == "base-right-3"
    for gesture in ("thumbs up", "../up", "拍手" * 20, "?!", "👍", "-wave"):
        for model in (base, "nmnist"):
            folder = own_folder(model, gesture)
            assert folder.parent == tmp_path
            assert folder.name not in shipped_models()
            folder.mkdir()
    assert len(list(tmp_path.iterdir())) == 14


def alike(first: Path, second: Path, rows: list[int], shown: Clip, *, raised: tuple[int, ...] = ()) -> None:
    """Assert that on all engines, the second model's outputs are these of the first one's, or ``raised`` alike."""
    before = outputs(first, shown)[:, rows]
    for now in (outputs(second, shown, engine) for engine in ENGINES):
        more = np.zeros_like(before)
        for row in raised:
            more[:, row] = now[:, raised[0]] - before[:, raised[0]]
        np.testing.assert_allclose(now, before + more, rtol=1e-3, atol=2e-3)  # moments are kept in float16


def test_another_name_for_a_known_class_changes_nothing_else_and_is_exported(
    remembering: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_class("up", remembering, tmp_path / "named", name="thumb")
    card = read_card(tmp_path / "named")
    assert (card.classes, card.renamed, card.taught) == (("thumb", "other"), {"thumb": "up"}, {})
    alike(remembering, tmp_path / "named", [0, 1], clip(RIGHT, frames=20))
    assert "thumb is another name for up." in (tmp_path / "named" / "README.md").read_text()
    for suffix in ("onnx", "nir"):
        assert main(["export", str(tmp_path / "named"), str(tmp_path / f"named.{suffix}"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["classes"] == ["thumb", "other"]
    props = {prop.key: prop.value for prop in onnx.load(tmp_path / "named.onnx").metadata_props}
    assert json.loads(props[CARD_KEY])["classes"] == ["thumb", "other"]
    learned = lesson(tmp_path / "named", tmp_path / "taught")  # it compares moments all the same
    assert learned.right == 3
    assert read_card(tmp_path / "taught").traces.mixed
    assert read_card(tmp_path / "taught").renamed == {"thumb": "up"}


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
    assert (two_gestures / "README.md").read_text().count(
        "- 100 % of the 0.3 s of the lesson that were held out"
    ) == 2
    assert here.there == Recordings()
    shutil.copytree(own, tmp_path / "moved")
    moved = recordings_of(tmp_path / "moved" / "one")["right"]
    assert moved.shown == (str(tmp_path / "moved" / "lessons" / "right.aedat4"),)
    (tmp_path / "moved" / "one" / "lessons.json").write_text("[]")
    with pytest.raises(ModelError, match=r"lessons\.json can't be read"):
        recordings_of(tmp_path / "moved" / "one")


def test_a_lesson_names_what_was_mistaken_for_it_most_often_first() -> None:
    some = Report(folder="folder", gesture="flap", windows=20, right=4, kept_aside=5, taken=3, known=192,
                  resembles="", resembling=0, movement=99.0, at_rest=False, window_s=0.5,
                  taken_from={"wave": 1, "drums": 2})  # fmt: skip
    assert describe(some)[:3] == [
        "flap is learned",
        "80 % of the 2.5 s of the lesson that were held out for a test were recognised (4 of 5 windows)",
        "3 of 192 windows of other movements were mistaken for it: 2 of drums, 1 of wave",
    ]
    none = replace(some, taken=0, taken_from={}, window_s=0.0)
    assert describe(none)[1:3] == [
        "80 % of the 5 windows of the lesson that were held out for a test were recognised (4 of 5 windows)",
        "none of 192 windows of other movements was mistaken for it",
    ]
    assert "mistaken" not in " ".join(describe(replace(none, known=0)))
    assert "hardly anything moves in it" in " ".join(describe(replace(some, at_rest=True)))
    assert "hardly anything" not in " ".join(describe(some))


def test_a_lesson_says_how_else_the_gesture_should_be_shown(right: Report) -> None:
    assert set(right.otherwise) == {*OTHERWISE}
    assert right.otherwise["more slowly"] == 1.0  # it doesn't move
    poor = {"faster": 0.1, "more slowly": 0.4, "nearer to the camera": 0.6}
    said = " ".join(describe(replace(right, otherwise=poor)))
    assert "show it faster (10 % is recognised so far) and more slowly (40 % is recognised so far), too" in said
    assert "so far" not in " ".join(describe(replace(right, otherwise={"faster": 0.9})))


def test_the_command_gives_a_known_gesture_another_name(
    known_again: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("a\n"))
    assert main([*known_again, str(tmp_path / "asked")]) == 0
    assert "right is now called again\n" in capsys.readouterr().out
    assert main([*known_again, str(tmp_path / "out"), "--if-known", "alias", "--json"]) == 0
    told = {"folder": str(tmp_path / "out"), "gesture": "right", "name": "again"}
    assert json.loads(capsys.readouterr().out) == told
    assert read_card(tmp_path / "asked").classes == read_card(tmp_path / "out").classes == ("up", "down", "again")


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
