"""A small data set in N-MNIST's official layout, of drawn digits; and the command line, in a new process or here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from livesnn.__main__ import main
from livesnn.simulate.digits import digit_recording
from tests.format_files import encode_nmnist


@pytest.fixture(scope="session")
def drawn_nmnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with Train/<digit>/NNNNN.bin, four drawn recordings a digit, and Test/ with one."""
    root = tmp_path_factory.mktemp("nmnist")
    for digit in range(10):
        for k in range(5):
            part = "Train" if k < 4 else "Test"
            events = digit_recording(digit, np.random.default_rng([digit, k]), 0.3)
            path = root / part / str(digit) / f"{digit * 10 + k + 1:05d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_nmnist(events))
    return root


class Ended(NamedTuple):
    """How a command has ended, and what it wrote."""

    code: int
    output: str
    errors: str


RunHere = Callable[..., Ended]


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Return a function that runs `livesnn ARGUMENTS` in this process, which has imported PyTorch already.

    A new process spends 2 to 8 s on its imports. Every command is also run by some test as a process of its own.
    """

    def run(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        return Ended(main([*map(str, arguments)]), *capsys.readouterr())

    return run


def livesnn(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start `livesnn ARGUMENTS` and return the process, its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "livesnn", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        preexec_fn=_heed_interrupts if os.name == "posix" else None,
    )


def _heed_interrupts() -> None:
    """Undo what a shell does to its background jobs: they ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
