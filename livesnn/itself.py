"""livesnn itself: how it starts again in another process, frozen or not, and which commit this is.

Not here: starting it, and why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def command(*arguments: str) -> list[str]:
    """Return the command line of livesnn with these arguments."""
    itself = () if getattr(sys, "frozen", False) else ("-m", "livesnn")
    return [sys.executable, *itself, *arguments]


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment, with the same modules in reach whatever the working directory is."""
    reach = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return os.environ | {"PYTHONPATH": reach, "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "utf-8"} | extra


def own_commit() -> str:
    """Return livesnn's own commit in a checkout, "-dirty" behind it where its code differs; elsewhere its version."""
    version = sys.modules["livesnn"].__version__  # not imported: it names modules of higher layers
    git, repository = shutil.which("git"), Path(__file__).parents[1]
    if git is None or not (repository / ".git").exists():
        return f"livesnn {version}"
    head = [git, "rev-parse", "--short", "HEAD"]
    said = subprocess.run(head, cwd=repository, capture_output=True, text=True, check=False)
    if said.returncode != 0:  # git refuses a checkout that is another user's
        return f"livesnn {version}"
    differs = [git, "diff", "--quiet", "HEAD", "--", "livesnn"]
    dirty = subprocess.run(differs, cwd=repository, capture_output=True, check=False).returncode == 1
    return said.stdout.strip() + "-dirty" * dirty
