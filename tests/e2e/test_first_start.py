"""The first start on a machine: ONNX Runtime at once, the spike-driven engine compiled beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import livesnn
from livesnn.paths import keep_compiled, models_dir, recordings_dir

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

UNTIL_SPIKES = """
import json, sys, time
from livesnn.infer.load import load_model
from livesnn.infer.switching_engine import PREPARING, note_of
from livesnn.events.slicer import Frame
import numpy as np

model = load_model(sys.argv[1])
state, engines, note = model.initial_state(), [], PREPARING
frame = Frame(0, np.zeros((2, 34, 34), np.uint8), 0)
while note == PREPARING:
    note = note_of(model)
    _, state = model.step(frame, state)
    engines.append(model.engine)
    time.sleep(0.01)  # as frames come
print(json.dumps([engines[0], engines[-1], note]))
"""

WHILE_COMPILING = """
import sys
import psutil
from livesnn.infer.load import load_model
from tests.waiting import eventually

model = load_model(sys.argv[1])
print(eventually(lambda: psutil.Process().children())[0].pid)
"""


def run_python(program: str, where: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the modules that lie in a folder."""
    return subprocess.run(
        [sys.executable, "-c", program, str(models_dir() / "nmnist")],
        env=os.environ | {"PYTHONPATH": str(where)} | environment,
        cwd=where,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder with livesnn in it, where nothing can be kept beside the modules, whoever asks."""
    package = Path(livesnn.__file__).parent
    for folder in (package, *(path for path in package.rglob("*") if path.is_dir())):
        if folder.name == "__pycache__" or "_shipped" in folder.parts:
            continue
        copied = tmp_path / "livesnn" / folder.relative_to(package)
        copied.mkdir(parents=True, exist_ok=True)
        for module in folder.glob("*.py"):
            (copied / module.name).write_bytes(module.read_bytes())
        (copied / "__pycache__").touch()
    (tmp_path / "models").symlink_to(models_dir())
    return tmp_path


def test_a_read_only_installation_starts_on_onnx_runtime_and_goes_over(installed: Path) -> None:
    cache = installed / "cache"
    done = run_python(UNTIL_SPIKES, installed, XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["onnx", "spike", ""]
    assert list(cache.rglob("step.run_step*.nbi"))
    again = subprocess.run(
        [sys.executable, "-m", "livesnn", "run", recordings_dir() / "digit-3.aedat4", "--model", "nmnist", "--json"],
        env=os.environ | {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(cache)},
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )  # fmt: skip
    summary = json.loads(again.stdout.splitlines()[-1])["summary"]
    assert summary["engine"] == "spike"
    assert summary["engine_switched_at_frame"] is None
    assert summary["engine_frames"] == {"spike": summary["frames"]}
    assert summary["majority"] == "3"


def test_what_ends_while_another_process_compiles_leaves_none_behind(tmp_path: Path) -> None:
    here = Path(livesnn.__file__).parents[1]
    done = run_python(WHILE_COMPILING, here, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not psutil.pid_exists(int(done.stdout))


def test_compiling_that_fails_leaves_onnx_runtime_and_says_why(installed: Path) -> None:
    (installed / "livesnn" / "cli" / "machine.py").write_text("raise SystemExit('there is no memory')")
    done = run_python(UNTIL_SPIKES, installed, XDG_CACHE_HOME=str(installed / "cache"))
    assert done.returncode == 0, done.stderr
    first, last, note = json.loads(done.stdout)
    assert (first, last) == ("onnx", "onnx")
    assert note.endswith("isn't ready: there is no memory")


def test_a_frozen_app_keeps_compiled_code_in_the_user_s_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    keep_compiled()
    assert "NUMBA_CACHE_DIR" not in os.environ
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    keep_compiled()
    assert os.environ["NUMBA_CACHE_DIR"] == str(Path(os.environ["LIVESNN_CACHE"]) / "compiled")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "elsewhere")
    keep_compiled()
    assert os.environ["NUMBA_CACHE_DIR"] == "elsewhere"
