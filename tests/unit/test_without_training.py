"""livesnn without livesnn[train]: what doesn't need it works, and what does says so in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from livesnn.__main__ import TRAINING, main
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from tests import trees
from tests.conftest import REPOSITORY

PROGRAM = f"""
import sys

class Hidden:
    def find_spec(name, *_):
        if name in {TRAINING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden)
from livesnn.__main__ import main
sys.exit(main())
"""


def livesnn(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_modules_are_those_of_the_extra() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [re.split(r"\W", package)[0] for package in extras["train"]] == list(TRAINING)


def test_the_conda_recipe_needs_what_the_wheel_needs() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    recipe = (REPOSITORY / "packaging" / "conda" / "recipe.yaml").read_text()
    names = {
        "flatbuffers": "python-flatbuffers", "opencv-python-headless": "py-opencv", "PySide6-Essentials": "pyside6",
    }  # fmt: skip
    needs = [re.fullmatch(r"([\w-]+)([^;]+)(;.*)?", line) for line in project["dependencies"]]
    assert all(needs)
    wanted = [f"{names.get(need[1], need[1])} {need[2]}" for need in needs if need and not need[3]]
    run = recipe.partition("  run:\n    - python >=3.11\n    - ")[2].partition("\n\n")[0]
    assert run.split("\n    - ") == wanted
    assert f"  version: {project['version']}\n" in recipe


def test_a_model_is_measured_on_clips(tmp_path: Path) -> None:
    for label in ("air_drums", "arm_roll"):
        (tmp_path / label).mkdir()
        with Aedat4Writer(tmp_path / label / "r.aedat4", trees.SENSOR) as writer:
            writer.write(trees.some_events(3000, 1.05))
    done = livesnn("eval", "--model", "gestures", "--dataset", "folder", "--data", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 4


@pytest.mark.parametrize("action", ["check", "get"])
def test_digits_are_checked_and_found(action: str, tmp_path: Path) -> None:
    done = livesnn("data", action, "mnist-still", "--data", trees.mnist(tmp_path), "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["train", "--dataset", "gestures-sim"], "torch"),
        (["tables", "table1", "--print"], "torch"),
        (["data", "get", "mnist-still", "--data", "nowhere"], "pooch"),
        (["eval", "--model", "gestures", "--dataset", "gestures-sim", "--split", "test", "--to-card"], "torch"),
    ],
)
def test_what_needs_a_module_names_it_in_one_line(arguments: list[str], module: str) -> None:
    done = livesnn(*arguments)
    assert done.returncode == 1
    assert done.stderr == f"livesnn {arguments[0]}: this needs {module}: pip install 'livesnn[train]'\n"


def test_another_data_sets_test_is_not_recorded_as_a_models_own(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data", "nowhere", "--split", "test", "--to-card"]
    assert main(["eval", "--model", "gestures", "--dataset", "dvs-gesture", *flags]) == 1
    assert "gestures was trained on gestures-sim: give that --dataset" in capsys.readouterr().err


def test_a_module_of_our_own_that_is_missing_is_unexpected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "livesnn.train.datasets.mnist", None)
    assert main(["data", "get", "mnist-still"]) == 1
    assert "unexpected ModuleNotFoundError" in capsys.readouterr().err
