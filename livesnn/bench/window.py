"""A program with a window, run to its end by a measurement. Not here: what is measured (step.py, sustained.py)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from livesnn import subprocesses as itself
from livesnn.errors import LivesnnError


def run_window(command: Sequence[str], limit_s: float, **environment: str) -> tuple[str, str]:
    """Run a program, without a screen unless Qt's platform is chosen; return its output, and why it seems to end.

    Raises
    ------
    LivesnnError
        It hasn't ended after ``limit_s``.
    """
    chosen = {"QT_QPA_PLATFORM": "offscreen"} | itself.environment(**environment)
    try:
        done = subprocess.run(
            command, env=chosen, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LivesnnError(
            f"the window was not done after {limit_s:.0f} s: try it with livesnn gui"
        ) from error
    said = done.stderr.strip().splitlines()
    return done.stdout, said[-1] if said else f"exit code {done.returncode}"
