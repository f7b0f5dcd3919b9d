"""The command line as a person uses it, on what is shipped: run, gui, info, eval; and its errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from livesnn.paths import models_dir, recordings_dir

from .conftest import livesnn

CLIPS = sorted(recordings_dir().glob("*.aedat4"))


def finish(process, seconds: float = 100) -> tuple[int, list[str], str]:
    """Return exit code, lines of output, and errors."""
    output, errors = process.communicate(timeout=seconds)
    return process.returncode, output.splitlines(), errors


def run_json(*arguments: str | Path) -> tuple[list[dict], dict]:
    code, lines, errors = finish(livesnn("run", *arguments, "--json"))
    assert code == 0, errors
    *rows, last = [json.loads(line) for line in lines]
    return rows, last["summary"]


def labels() -> dict[str, str]:
    """Return {clip: the label its README states}."""
    text = (recordings_dir() / "README.md").read_text()
    return dict(re.findall(r"^\| `(\S+\.aedat4)` \| (\w+) \|", text, re.MULTILINE))


def test_every_shipped_clip_has_a_label() -> None:
    assert CLIPS
    assert set(labels()) == {clip.name for clip in CLIPS}


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_the_shipped_model_recognises_the_shipped_clip(clip: Path) -> None:
    rows, summary = run_json(clip, "--model", "nmnist")
    expected = labels()[clip.name]
    assert summary["majority"] == expected
    assert summary["windows"] == len(rows) > 5
    assert sum(row["decision"] == expected for row in rows) >= 0.9 * len(rows)
    assert summary["dropped"] == 0
    assert 0 < summary["density"] < 0.3
    assert summary["synops_per_frame"] > 0


def test_run_prints_one_row_a_frame_when_asked() -> None:
    windows, _ = run_json(CLIPS[0])
    rows, summary = run_json(CLIPS[0], "--every", "frame")
    assert len(rows) == summary["frames"] - 9
    by_time = {row["t"]: row for row in rows}
    assert [by_time[row["t"]] for row in windows] == windows


def test_the_engines_decide_alike() -> None:
    onnx, _ = run_json(CLIPS[0], "--engine", "onnx")
    torch, _ = run_json(CLIPS[0], "--engine", "torch")
    assert [row["decision"] for row in onnx] == [row["decision"] for row in torch]


def test_the_window_decides_as_the_command_line_does() -> None:
    _, summary = run_json(CLIPS[0])
    process = livesnn("gui", CLIPS[0], QT_QPA_PLATFORM="offscreen", LIVESNN_QUIT_AFTER="6")
    code, lines, errors = finish(process)
    assert code == 0, errors
    shown = json.loads(lines[-1])
    assert shown["frames_shown"] > 0
    assert shown["decisions"] > 0
    assert shown["majority"] == summary["majority"]
    assert shown["dropped"] == 0


def test_the_real_sample_recording_is_described_and_decided(data_dir: Path) -> None:
    recording = data_dir / "recordings" / "nmnist" / "tonic_sample_nmnist.bin"
    code, lines, errors = finish(livesnn("info", recording, "--json"))
    assert code == 0, errors
    (stream,) = json.loads(lines[0])["streams"].values()
    assert stream["n"] == 4325
    _, summary = run_json(recording)
    assert summary["windows"] == 1
    assert summary["events"] == 4325


def test_the_shipped_model_holds_its_floor_on_real_recordings(data_dir: Path) -> None:
    flags = (
        "--model",
        models_dir() / "nmnist",
        "--dataset",
        "nmnist",
        "--data",
        data_dir / "nmnist",
        "--json",
    )
    code, lines, errors = finish(livesnn("eval", *flags), 250)
    assert code == 0, errors
    measured = json.loads(lines[0])
    assert measured["n"] == 100
    assert measured["accuracy_reset"] >= 0.94
    assert measured["accuracy_carried"] >= 0.94
    assert measured["density"] <= 0.15


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nowhere.aedat4"), "nowhere.aedat4"),
        (("run", CLIPS[0] if CLIPS else "", "--model", "nothing"), "available: "),
        (("run", CLIPS[0] if CLIPS else "", "--engine", "spike"), "spike"),
        (("run", "camera"), "camera"),
        (("info", "README.txt"), "README.txt"),
        (("eval", "--model", "nmnist", "--dataset", "nmnist", "--data", "nowhere"), "nowhere"),
    ],
    ids=lambda value: "-".join(map(str, value[:2])) if isinstance(value, tuple) else "",
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(arguments: tuple, says: str) -> None:
    code, lines, errors = finish(livesnn(*arguments))
    assert code == 1
    assert lines == []
    assert len(errors.strip().splitlines()) == 1
    assert says in errors


@pytest.mark.parametrize(
    "arguments", [("fly",), ("run",), ("run", "x", "--engine", "warp"), ("run", "x", "--fly")]
)
def test_bad_usage_is_exit_code_2(arguments: tuple) -> None:
    code, lines, errors = finish(livesnn(*arguments))
    assert code == 2
    assert lines == []
    assert errors
