"""Machine code that numba cached of sources that have changed is deleted."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from livesnn.compiled import MADE_OF, forget_stale


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


def test_where_no_code_can_be_kept_none_is_looked_for() -> None:
    nowhere = Compiled(Path())
    nowhere.stats.cache_path = None  # of numba's cache for folders that can't be written
    forget_stale(nowhere)


@pytest.mark.parametrize("sources", ["another hash", None])
def test_code_of_other_or_unknown_sources_is_deleted(code: Path, sources: str | None) -> None:
    (code.parent / MADE_OF).unlink()
    if sources is not None:
        (code.parent / MADE_OF).write_text(sources)
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


MODULE = """
from livesnn.compiled import is_cached, njit

@njit(nogil=True, cache=True)
def inner(number):
    return number + 1

@njit(nogil=True, cache=True)
def outer(number):
    return inner(number) * 2
"""
ASKS = "import counting; known = counting.is_cached(counting.outer, 3); print(known, counting.outer(3))"


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[], str]:
    """Return what runs a compiled function in another process: whether its code was there, and what it returns."""
    (tmp_path / "counting.py").write_text(MODULE)
    reach = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": reach}

    def run() -> str:
        line = [sys.executable, "-c", ASKS]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr[-400:]

    return run


def empty(octets: bytes) -> bytes:
    return b""


def flip_a_bit_in_the_middle(octets: bytes) -> bytes:
    middle = len(octets) // 2
    return octets[:middle] + bytes([octets[middle] ^ 8]) + octets[middle + 1 :]


@pytest.mark.parametrize(("suffix", "damage"), [("nbi", empty), ("nbc", flip_a_bit_in_the_middle)])
def test_damaged_code_is_compiled_again(
    ask: Callable[[], str], tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]
) -> None:
    assert ask() == "False 8"
    files = sorted((tmp_path / "cache").rglob(f"*.{suffix}"))
    assert files
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    assert [ask(), ask()] == ["False 8", "True 8"]


def test_without_a_place_for_it_code_is_kept_in_memory(tmp_path: Path) -> None:
    program = (
        "from livesnn.compiled import njit\n"
        "from numba.core import caching\n"
        "caching.FunctionCache._impl_class._locator_classes = []\n"
        "def twice(number):\n    return number * 2\n"
        "print(njit(cache=True)(twice)(4), njit('i8(i8)', cache=True)(twice)(4))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("8 8\n", "")
