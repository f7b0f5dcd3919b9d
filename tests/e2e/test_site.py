"""The documentation becomes a site without a warning: make docs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_site_is_built_without_a_warning_and_can_be_searched(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="livesnn[docs] is not installed")
    command = ["-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet"]
    folders = ["-d", str(tmp_path / "doctrees"), str(ROOT / "docs"), str(tmp_path / "html")]
    built = subprocess.run([sys.executable, *command, *folders], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    for page in ("index.html", "api.html", "search.html", "searchindex.js"):
        assert (tmp_path / "html" / page).stat().st_size > 0
    assert "load_model" in (tmp_path / "html" / "searchindex.js").read_text(encoding="utf-8")
