"""`livesnn train` as a person runs it: a data set in, a model folder out; killed and resumed; wrong uses."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import split

import numpy as np
import pytest
from safetensors.numpy import load_file

from livesnn.card import Accuracy
from livesnn.errors import TrainError
from livesnn.train.configuration import Configuration
from livesnn.train.run_folder import run_folder
from livesnn.weights import load_weights, save_weights
from tests import trees
from tests.waiting import eventually

from .conftest import RunHere, livesnn

SHALLOW = ("--width", "16", *split("--sub-blocks 1 1 1 1"))  # An export of 18 layers takes many seconds
SMALL = (*SHALLOW, *split("--batch 12 --epochs 4 --analog-epochs 2 --burn-in 10"))


def command(data: Path, runs: Path, *more: str) -> tuple[str | Path, ...]:
    where = ("--data", data, "--out", runs, "--name", "small", "--json")
    return ("train", "--no-compile", "--dataset", "nmnist", *SMALL, *where, *more)


def train(data: Path, runs: Path) -> subprocess.Popen[str]:
    return livesnn(*command(data, runs), OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def uninterrupted(drawn_nmnist: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Train once; return the run folder and what the command printed."""
    runs = tmp_path_factory.mktemp("runs")
    process = train(drawn_nmnist, runs)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    said = errors.splitlines()
    assert [line.split(",")[0] for line in said[1:5]] == [f"epoch {k} of 4" for k in (1, 2, 3, 4)]
    assert "clips to train on" in said[0]
    return runs / "small", json.loads(output.splitlines()[-1])


@pytest.mark.slow
def test_training_writes_a_model_folder_and_says_how_good_it_is(uninterrupted: tuple[Path, dict]) -> None:
    run, printed = uninterrupted
    assert {path.name for path in (run / "model").iterdir()} == {
        "model.safetensors",
        "model.onnx",
        "README.md",
        "confusion.png",
        "learning-curve.png",
    }
    assert printed["n"] == 4
    assert 0 <= printed["accuracy_reset"] <= 1
    rows = (run / "log" / "version_0" / "metrics.csv").read_text().splitlines()
    assert "val_accuracy_carried" in rows[0]
    assert len(rows) == 1 + 2 * 4


@pytest.mark.slow
def test_eval_repeats_the_validation_figures(uninterrupted: tuple[Path, dict], drawn_nmnist: Path) -> None:
    run, printed = uninterrupted
    process = livesnn("eval", "--model", run / "model", "--dataset", "nmnist", "--data", drawn_nmnist, "--json")
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    again = json.loads(output)
    for name in ("n", "accuracy_reset", "accuracy_carried", "density", "confusion"):
        assert again[name] == printed[name]


@pytest.fixture(scope="module")
def killed(drawn_nmnist: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Kill a training once an epoch is kept; return where it wrote, and why nobody else could train there before."""
    runs = tmp_path_factory.mktemp("killed")
    process = train(drawn_nmnist, runs)
    config_file, last = runs / "small" / "config.json", runs / "small" / "last.ckpt"
    try:
        eventually(lambda: config_file.exists() or process.poll() is not None, 250)
        config = replace(Configuration(), out=runs, name="small")
        with pytest.raises(TrainError) as refused, run_folder(config):
            pass
        eventually(lambda: last.exists() or process.poll() is not None, 250)
        assert process.poll() is None, process.communicate()[1]
    finally:
        process.kill()
        process.communicate()
    return runs, str(refused.value)


@pytest.mark.slow
def test_a_folder_that_another_process_trains_in_is_in_use(killed: tuple[Path, str]) -> None:
    assert "in use by another training" in killed[1]


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_weights(
    uninterrupted: tuple[Path, dict], killed: tuple[Path, str], drawn_nmnist: Path, run_here: RunHere
) -> None:
    resumed = run_here(*command(drawn_nmnist, killed[0], "--resume"))
    assert resumed.code == 0, resumed.errors
    whole = load_file(uninterrupted[0] / "model" / "model.safetensors")
    again = load_file(killed[0] / "small" / "model" / "model.safetensors")
    assert whole.keys() == again.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the folder is a copy
@pytest.mark.slow
def test_what_is_finished_and_resumed_stays_as_it_was_and_ends_in_plain_words_and_the_next_two_commands(
    uninterrupted: tuple[Path, dict], drawn_nmnist: Path, tmp_path: Path, run_here: RunHere
) -> None:
    shutil.copytree(uninterrupted[0], tmp_path / "small")
    config = tmp_path / "small" / "config.json"
    config.write_text(config.read_text().replace(str(uninterrupted[0].parent), str(tmp_path)))
    model = tmp_path / "small" / "model" / "model.safetensors"
    weights, card = load_weights(model)
    tested = replace(card, test=Accuracy(0.25, 0.125, 7), commit="abc", command="livesnn train it")
    save_weights(weights, model, tested)
    resumed = run_here(*(part for part in command(drawn_nmnist, tmp_path, "--resume") if part != "--json"))
    assert resumed.code == 0, resumed.errors
    again = load_weights(model)[1]
    assert (again.test, again.commit, again.command) == (tested.test, "abc", "livesnn train it")
    run, lines = tmp_path / "small", resumed.output.splitlines()
    assert re.match(r"accuracy on \d+ validation clips: \d+\.\d% with the state reset, \d+\.\d% with", lines[0])
    assert re.fullmatch(r"best epoch on validation: [34] of 4; its weights are now rounded to 8 bits", lines[1])
    assert lines[2:] == [
        f"the model is {run / 'model'}",
        f"livesnn eval --model {run} --dataset nmnist --data {drawn_nmnist} --split test",
        f"livesnn gui camera --model {run}    # or a recording in place of camera",
    ]


@pytest.mark.slow
def test_a_second_training_does_not_overwrite_the_first(
    uninterrupted: tuple[Path, dict], drawn_nmnist: Path, run_here: RunHere
) -> None:
    again = run_here(*command(drawn_nmnist, uninterrupted[0].parent))
    assert again.code == 1
    assert "--resume" in again.errors.strip().splitlines()[-1]


@pytest.mark.slow
def test_resuming_with_other_recordings_is_refused(
    uninterrupted: tuple[Path, dict], drawn_nmnist: Path, tmp_path: Path, run_here: RunHere
) -> None:
    shutil.copytree(uninterrupted[0], tmp_path / "runs" / "small")
    data = tmp_path / "nmnist"  # under the same name as the flag has it
    shutil.copytree(drawn_nmnist, data)
    (data / "Train" / "3" / "00099.bin").write_bytes(next((data / "Train" / "3").iterdir()).read_bytes())
    config = tmp_path / "runs" / "small" / "config.json"
    text = config.read_text().replace(str(drawn_nmnist), str(data))
    config.write_text(text.replace(str(uninterrupted[0].parent), str(tmp_path / "runs")))
    resumed = run_here(*command(data, tmp_path / "runs", "--resume"))
    assert resumed.code == 1
    assert "was begun with other recordings" in resumed.errors.strip().splitlines()[-1]


@pytest.mark.slow
def test_the_counterpart_is_trained_by_the_same_command_and_makes_no_model(
    tmp_path: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path / "cache"))
    data = trees.ucf101(tmp_path / "data")
    listed = next(data.rglob("trainlist01.txt")).read_text().split()[2]  # the first that is there
    unreadable = data / "UCF-101" / listed
    unreadable.write_bytes(unreadable.read_bytes()[:200])
    flags = split("--network cnn --width 8 --epochs 1 --batch 4 --augmentation.mirror 0.5 --json")
    train_it = ["train", "--dataset", "ucf101", "--data", data, "--out", tmp_path / "out", *flags]
    code, output, errors = run_here(*train_it, "--dry-run")
    assert code == 0, errors
    assert json.loads(output)["skipped"] == 1
    assert any(line.startswith("skipped: ") and unreadable.name in line for line in errors.splitlines())
    code, output, errors = run_here(*train_it)
    assert code == 0, errors
    trained = json.loads(output)
    assert trained["n"] > 0
    assert trained["skipped"] == 1
    assert any(line.startswith("skipped: ") and unreadable.name in line for line in errors.splitlines())
    assert 0 <= trained["accuracy_reset"] <= 1
    assert not list((tmp_path / "out").rglob("model.onnx"))


@pytest.mark.slow
def test_a_plan_says_what_the_training_will_and_refuses_what_it_would(
    tmp_path: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path / "cache"))
    data, runs = trees.lab(tmp_path / "data"), tmp_path / "runs"
    for session in [each for each in data.glob("*/*") if each.name != "ann"]:
        shutil.rmtree(session)
    flags = (*SHALLOW, *split("--epochs 1 --batch 4 --no-compile --burn-in 0 --name small"))
    train_it = ("train", "--dataset", "folder", "--data", data, "--out", runs, *flags)
    code, output, errors = run_here(*train_it, "--dry-run")
    assert code == 0, errors
    assert [line.split(":")[0] for line in output.splitlines()[:2]] == ["folder", "sts_resnet"]
    assert "all 1 take" in output
    assert "clips to train on" in errors
    assert "only one session" in errors
    assert not runs.exists()
    for run in ("small", "small-1"):
        (runs / run).mkdir(parents=True)
        (runs / run / "last.ckpt").touch()
    for more in (("--dry-run",), ("--runs", "2")):
        code, _, errors = run_here(*train_it, *more)
        assert code == 1
        assert "holds a training already" in errors.strip().splitlines()[-1]
    code, _, errors = run_here("eval", "--model", runs / "small", "--dataset", "folder", "--data", data)
    assert code == 1
    assert "isn't finished" in errors
    (runs / "small" / "config.json").write_text("{}")
    code, _, errors = run_here(*train_it, "--resume")
    assert code == 1
    assert "unexpected" not in errors


def test_a_folder_whose_name_cannot_be_recorded_and_a_recording_as_data_are_refused_at_once(
    tmp_path: Path, run_here: RunHere
) -> None:
    code, _, errors = run_here("train", "--dataset", "folder", "--data", tmp_path, "--out", "\udcff")
    assert code == 1
    assert "isn't UTF-8" in errors
    recording = next(trees.lab(tmp_path).rglob("*.aedat4"))
    code, _, errors = run_here("train", "--dataset", "folder", "--data", recording)
    assert code == 1
    assert "is no table of labels: give --data a folder" in errors


def test_a_missing_data_set_is_one_line_that_says_what_to_put_where(tmp_path: Path, run_here: RunHere) -> None:
    code, _, errors = run_here("train", "--dataset", "nmnist", "--data", tmp_path, "--out", tmp_path / "runs")
    assert code == 1
    assert len(errors.strip().splitlines()) == 1
    assert "Train/<digit>/NNNNN.bin" in errors


@pytest.mark.release
def test_two_processes_that_share_each_batch_lose_as_one_does(
    drawn_nmnist: Path, tmp_path: Path, run_here: RunHere
) -> None:
    still = [f"--augmentation.{name}" for name in ("shift-pixels", "rotate-degrees", "scale", "shear", "drop")]
    equal = split("--no-norm --dropout 0 --burn-in 0 --rate-weight 0 --precision 32-true --batch 8")
    mean = ("--average-epochs", "2")  # which once had the processes wait for each other
    flags = (*SMALL, *equal, *mean, *[part for flag in still for part in (flag, "0")])
    losses = []
    for devices in ("1", "2"):
        where = ("--data", drawn_nmnist, "--out", tmp_path, "--name", devices, "--devices", devices, "--json")
        train_it = ("train", "--no-compile", "--dataset", "nmnist", *flags, *where)
        if devices == "1":
            code, output, errors = run_here(*train_it)
        else:
            process = livesnn(*train_it, OMP_NUM_THREADS="1")
            output, errors = process.communicate(timeout=200)
            code = process.returncode
        assert code == 0, errors
        assert len(output.splitlines()) == 1
        with (tmp_path / devices / "log" / "version_0" / "metrics.csv").open() as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file) if row["loss"]])
    assert len(losses[0]) == 4
    assert losses[0][0] != losses[0][-1]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


@contextmanager
def no_file_above(most_bytes: int) -> Iterator[None]:
    """Let this process, and those that it starts meanwhile, write no longer files."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a limit on a process's files stands in for a full disk")
@pytest.mark.parametrize(("most_bytes", "where"), [(10_000, "cache"), (400_000, "out")])
def test_a_full_disk_is_one_line_that_names_the_folder(
    most_bytes: int, where: str, tmp_path: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path / "cache"))
    data = trees.lab(tmp_path / "data")
    small = ("--epochs", "1", "--width", "16", "--batch", "4", "--no-compile", "--burn-in", "0")
    with no_file_above(most_bytes):
        code, output, errors = run_here(
            "train", "--dataset", "folder", "--data", data, "--out", tmp_path / "out", *small
        )
    assert code == 1
    assert output == ""
    last = errors.strip().splitlines()[-1]
    assert str(tmp_path / where) in last
    assert "space" in last
    assert not list(tmp_path.rglob("*.ckpt"))


TREES = {
    "cifar10-dvs-sim": (trees.cifar10, "--windows", "1"),
    "cifar10-dvs": (partial(trees.cifar10_dvs, numbers=(0, 1, 2, 3)), "--n-events", "20"),
    "dvs-gesture": (trees.dvs_gesture, "--validation", "0.3"),
    "ucf101": (trees.ucf101,),
    "hmdb51": (trees.hmdb51,),
    "folder": (trees.lab,),
    "mnist-seq2": (trees.mnist,),
    "mnist-seq5-total": (trees.mnist,),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "dataset", [name if name == "folder" else pytest.param(name, marks=pytest.mark.release) for name in TREES]
)
def test_every_data_set_is_trained_on_and_measured_by_one_command_each(
    dataset: str, tmp_path: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path / "cache"))
    write, *flags = TREES[dataset]
    data = write(tmp_path / "data")
    small = (*SHALLOW, "--epochs", "1", "--batch", "4", "--no-compile")
    where = ("--data", data, "--out", tmp_path / "out", "--name", "small", "--burn-in", "0", "--json")
    code, output, errors = run_here("train", "--dataset", dataset, *small, *where, *flags)
    assert code == 0, errors
    trained = json.loads(output.splitlines()[-1])
    model = tmp_path / "out" / "small" / "model"
    code, output, errors = run_here("eval", "--model", model, "--dataset", dataset, "--data", data, "--json")
    assert code == 0, errors
    again = json.loads(output)
    assert again["n"] == trained["n"] > 0
    assert again["confusion"] == trained["confusion"]
