"""The two scripts for robots: what they say is what livesnn decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from livesnn.paths import models_dir, recordings_dir

from .conftest import livesnn

SCRIPTS = Path(__file__).resolve().parents[2] / "packaging" / "robot"
CLIP = recordings_dir() / "arm_roll.aedat4"


def said(*command: str | Path) -> list[str]:
    """Return the lines of a command that ends well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def finished(*arguments: str | Path) -> str:
    process = livesnn(*arguments)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return str(output)


@pytest.mark.parametrize("clip", ["arm_roll", "air_drums"])
def test_the_graph_alone_decides_as_livesnn_does(tmp_path: Path, clip: str) -> None:
    recording, events = recordings_dir() / f"{clip}.aedat4", tmp_path / "events.npz"
    finished("convert", recording, events)
    graph = models_dir() / "gestures" / "model.onnx"
    alone = said(sys.executable, SCRIPTS / "step_onnx.py", graph, events)
    *rows, _ = finished("run", recording, "--engine", "onnx", "--threshold", "0", "--json").splitlines()
    assert len(alone) == len(rows) == 9
    for line, row in zip(alone, map(json.loads, rows), strict=True):
        _, _, decision, confidence = line.split()
        assert decision == row["decision"]
        assert float(confidence) == pytest.approx(row["confidence"], abs=2e-3)


def test_a_robot_is_told_of_a_change_and_to_stop_at_the_end(tmp_path: Path) -> None:
    lines = finished("run", CLIP, "--json", "--every", "frame")
    rows = tmp_path / "rows.json"
    rows.write_text(lines, encoding="utf-8")
    with rows.open() as file:
        followed = subprocess.run(
            [sys.executable, SCRIPTS / "follow.py"], stdin=file, capture_output=True, text=True, timeout=30
        )
    told = followed.stdout.splitlines()
    assert told[0].endswith(": arm_roll")
    assert told[-1] == "stop"
    late = json.dumps(json.loads(lines.splitlines()[0]) | {"total_ms": 900.0})
    done = subprocess.run(
        [sys.executable, SCRIPTS / "follow.py"], input=late, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.splitlines() == ["stop"]


def test_a_robot_stops_when_a_line_is_none_and_doubts_ten_frames_after_a_loss(tmp_path: Path) -> None:
    row = json.loads(finished("run", CLIP, "--json", "--seconds", "0.7").splitlines()[0])
    rows = [row, row | {"dropped": 5}, *[row] * 9, row, row]
    lines = "\n".join(json.dumps(each) for each in rows) + "\nno line\n"
    done = subprocess.run(
        [sys.executable, SCRIPTS / "follow.py"], input=lines, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert [line.rpartition(" ")[2] for line in done.stdout.splitlines()] == [
        "arm_roll",
        "stop",
        "arm_roll",
        "stop",
    ]
