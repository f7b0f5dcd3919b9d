"""How livesnn starts itself again in another process, frozen or not. Not here: starting it, and why."""

from __future__ import annotations

import os
import sys


def command(*arguments: str) -> list[str]:
    """Return the command line of livesnn with these arguments."""
    itself = () if getattr(sys, "frozen", False) else ("-m", "livesnn")
    return [sys.executable, *itself, *arguments]


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment, with the same modules in reach whatever the working directory is."""
    reach = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return os.environ | {"PYTHONPATH": reach, "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "utf-8"} | extra
