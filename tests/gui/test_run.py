"""run_app from start to end, in a process of its own; and what importing the app does not load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
from livesnn.app.run import run_app
print(json.dumps(run_app(sys.argv[1], sys.argv[2])))
"""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    repository = str(Path(__file__).resolve().parents[2])
    variables = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": repository, **environment}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, env=variables, check=False
    )


def test_it_quits_when_told_and_sums_up(model_folder: Path, recording: Path) -> None:
    done = python("-c", PROGRAM, str(recording), str(model_folder), LIVESNN_QUIT_AFTER="4")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["frames_shown"] > 0
    assert summary["decisions"] > 0
    assert summary["majority"] in [str(digit) for digit in range(10)]
    assert summary["dropped"] == 0


def test_it_can_quit_at_its_first_picture(model_folder: Path, recording: Path) -> None:
    done = python("-c", PROGRAM, str(recording), str(model_folder), LIVESNN_QUIT_AFTER="first-frame")
    assert done.returncode == 0, done.stderr
    assert 1 <= json.loads(done.stdout)["frames_shown"] <= 5


def test_it_outlives_a_file_that_is_not_there(model_folder: Path, tmp_path: Path) -> None:
    done = python("-c", PROGRAM, str(tmp_path / "none.aedat4"), str(model_folder), LIVESNN_QUIT_AFTER="1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"frames_shown": 0, "decisions": 0, "majority": None, "dropped": 0}


def test_a_wrong_time_to_quit_is_refused_before_a_window_opens(model_folder: Path, recording: Path) -> None:
    done = python("-c", PROGRAM, str(recording), str(model_folder), LIVESNN_QUIT_AFTER="soon")
    assert done.returncode == 1
    assert "LIVESNN_QUIT_AFTER='soon'" in done.stderr


def test_importing_the_app_loads_no_torch() -> None:
    program = "import sys, livesnn.app.run; print('torch' in sys.modules, 'lightning' in sys.modules)"
    assert python("-c", program).stdout.split() == ["False", "False"]
