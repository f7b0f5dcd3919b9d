"""Machine code that numba cached of sources that have changed is deleted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from livesnn.paths import MADE_OF, forget_stale


class Compiled:
    """Stands for a function of numba's, whose code lies in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.stats = type("Stats", (), {"cache_path": str(folder)})()
        self.py_func = forget_stale.__wrapped__


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a file of machine code, of the sources that are there."""
    forget_stale(Compiled(tmp_path))
    code = tmp_path / "step.serve-1.py311.nbi"
    code.write_bytes(b"code")
    return code


def test_code_of_these_sources_is_kept(code: Path) -> None:
    forget_stale(Compiled(code.parent))
    assert code.exists()


def test_code_of_other_sources_is_deleted(code: Path) -> None:
    (code.parent / MADE_OF).write_text("another hash")
    forget_stale(Compiled(code.parent))
    assert not code.exists()


def test_code_of_unknown_sources_is_deleted(code: Path) -> None:
    (code.parent / MADE_OF).unlink()
    forget_stale(Compiled(code.parent))
    assert not code.exists()


def test_opening_a_recording_deletes_decoders_of_other_sources(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from livesnn.events.formats.word_reader import unwrap\n"
        "kept = pathlib.Path(unwrap.stats.cache_path); kept.mkdir(parents=True, exist_ok=True)\n"
        "(kept / 'old.nbi').touch(); from livesnn.events.recording import open_recording\n"
        "open_recording(sys.argv[1]).close(); print((kept / 'old.nbi').exists())"
    )
    recording = sorted((Path(__file__).parents[2] / "recordings").glob("*.aedat4"))[0]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(recording)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
