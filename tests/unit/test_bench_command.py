"""`livesnn bench`: a command a measurement, several at once, and options that only some of them take."""

from __future__ import annotations

import json

import pytest

from livesnn.__main__ import main
from livesnn.bench.measurements import DEFAULT, MEASUREMENTS, MOVED, Decode, Sensors, Simulate, measure
from livesnn.cli.bench import parse
from livesnn.errors import LivesnnError


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr of the command."""
    try:
        code = main(["bench", *arguments])
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "takes", "not_"),
    [
        ("step", {"--model", "--repeats", "--source", "--engines"}, {"--people", "--seconds", "--data"}),
        ("sustained", {"--seconds", "--rates", "--threads"}, {"--repeats", "--model"}),
        ("transfer", {"--model", "--data"}, {"--repeats", "--people"}),
    ],
)
def test_the_help_of_a_measurement_shows_its_options_and_no_others(
    capsys: pytest.CaptureFixture[str], name: str, takes: set[str], not_: set[str]
) -> None:
    code, text, _ = run(capsys, name, "--help")
    assert code == 0
    assert all(flag in text for flag in takes)
    assert not any(flag in text for flag in not_)


def test_the_help_without_a_name_lists_the_measurements(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(capsys, "--help")
    assert code == 0
    assert all(f" {name} " in text for name in MEASUREMENTS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("slicr",), "did you mean slicer"),
        (("density",), "python tests/benchmarks/density.py"),
        (("simulate", "slicr"), "slicr"),
        (("simulate", "--model", "nmnist"), "--model"),
        (("step", "--engines", "onnx", "cuda"), "cuda"),
    ],
)
def test_what_cannot_be_measured_is_bad_usage(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, _, errors = run(capsys, *arguments)
    assert code == 2
    assert words in errors


def test_several_measurements_share_their_options() -> None:
    together = parse(["simulate", "sensors", "--repeats", "3", "--people", "20", "--json"])
    assert together == {"simulate": Simulate(repeats=3), "sensors": Sensors(people=20)}
    usual = parse(["--repeats", "2"])
    assert tuple(usual) == DEFAULT
    assert usual["decode"] == Decode(repeats=2)


def test_the_figures_are_json_with_the_machine_that_they_hold_for(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(capsys, "simulate", "--repeats", "1")
    assert code == 0
    assert list(json.loads(text)) == ["machine", "simulate"]


def test_too_few_people_or_repeats_are_one_line() -> None:
    with pytest.raises(LivesnnError, match="give --people 10 or more"):
        measure(Sensors(people=3))
    with pytest.raises(LivesnnError, match="--repeats can't be 0: give 1 or more"):
        measure(Simulate(repeats=0))


def test_scripts_that_were_measurements_are_there() -> None:
    from tests.conftest import REPOSITORY

    for script in MOVED.values():
        assert (REPOSITORY / "tests" / "benchmarks" / script.split()[0]).is_file()
