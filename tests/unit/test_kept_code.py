"""Machine code on disk is of the sources that are there."""

from pathlib import Path

import pytest

from livesnn.infer.spikes import kept


class Compiled:
    """Stands for a function of numba's, whose code lies in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.stats = type("Stats", (), {"cache_path": str(folder)})()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a file of machine code, of the sources that are there."""
    kept.forget_stale(Compiled(tmp_path))
    code = tmp_path / "step.serve-1.py311.nbi"
    code.write_bytes(b"code")
    return code


def test_code_of_these_sources_is_kept(code: Path) -> None:
    kept.forget_stale(Compiled(code.parent))
    assert code.exists()


def test_code_of_other_sources_is_deleted(code: Path) -> None:
    (code.parent / kept.MADE_OF).write_text("another hash")
    kept.forget_stale(Compiled(code.parent))
    assert not code.exists()


def test_code_of_unknown_sources_is_deleted(code: Path) -> None:
    (code.parent / kept.MADE_OF).unlink()
    kept.forget_stale(Compiled(code.parent))
    assert not code.exists()
