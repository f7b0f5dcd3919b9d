"""`livesnn bench`: one measurement or several, and options that only some of them take."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from livesnn.__main__ import main
from livesnn.cli.machine import STUDIES


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr of the command."""
    return main(["bench", *arguments]), *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("slicr",), "did you mean slicer"),
        (("denoise", "slicr"), "slicr"),
        (("denoise", "--model", "nmnist"), "--model has no effect on denoise: leave it out"),
        (("denoise", "slicer", "--source", "clip.raw"), "--source has no effect on denoise and slicer"),
        (("step", "--engines", "onnx", "cuda"), "cuda"),
    ],
)
def test_what_cannot_be_measured_is_bad_usage(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, _, errors = run(capsys, *arguments)
    assert code == 2
    assert words in errors


@pytest.mark.slow
def test_options_may_stand_beside_a_measurement_without_them_and_figures_are_json_with_the_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--repeats", "1", "--model", "nmnist", "--engines", "onnx", "--json")
    code, text, _ = run(capsys, "startup", "step", *options)
    assert code == 0
    figures = json.loads(text)
    assert list(figures) == ["machine", "startup", "step"]
    assert "spike" not in figures["step"]["engines"]


def test_no_repeats_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = run(capsys, "denoise", "--repeats", "0")
    assert code == 1
    assert errors == "livesnn bench: --repeats can't be 0: give 1 or more\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_in_the_repository_livesnn_itself_can_be_measured(name: str) -> None:
    command = [sys.executable, "-m", "livesnn", "bench", name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("usage: ")
