"""Which livesnn this is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import livesnn
from livesnn.errors import LivesnnError
from livesnn.subprocesses import run_apart

PROGRAM = "from livesnn.subprocesses import own_commit; print(own_commit())"


def said(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_checkout_s_commit_says_whether_its_code_differs_from_it(tmp_path: Path) -> None:
    package = tmp_path / "livesnn"
    package.mkdir()
    for name in ("__init__.py", "subprocesses.py", "errors.py"):
        shutil.copy(Path(livesnn.__file__).with_name(name), package)
    assert said(tmp_path, sys.executable, "-c", PROGRAM) == f"livesnn {livesnn.__version__}"
    said(tmp_path, "git", "init")
    (tmp_path / "results.json").write_text("{}")
    said(tmp_path, "git", "add", "livesnn/*.py", "results.json")
    said(tmp_path, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "first")
    commit = said(tmp_path, "git", "rev-parse", "--short", "HEAD")
    assert said(tmp_path, sys.executable, "-c", PROGRAM) == commit
    (tmp_path / "results.json").write_text("[]")
    assert said(tmp_path, sys.executable, "-c", PROGRAM) == commit
    with (package / "__init__.py").open("a") as file:
        file.write("# changed\n")
    assert said(tmp_path, sys.executable, "-c", PROGRAM) == f"{commit}-dirty"


def test_what_runs_apart_says_how_it_ended() -> None:
    never, told = threading.Event(), threading.Event()
    told.set()
    python = [sys.executable, "-c"]
    assert len(run_apart([*python, "print('x' * 1_000_000)"], never, limit_s=60)) == 1_000_001
    assert run_apart([*python, "import time; time.sleep(60)"], told, limit_s=60) == ""
    for program, why in (
        ("import sys; sys.exit('a\\nb')", "b"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.abort()", "signal 6"),
        ("import time; time.sleep(60)", "not within"),
    ):
        with pytest.raises(LivesnnError, match=why):
            run_apart([*python, program], never, limit_s=2 if "time" in program else 60)
    with pytest.raises(LivesnnError, match="nowhere: No such file"):
        run_apart(["nowhere"], never, limit_s=60)
