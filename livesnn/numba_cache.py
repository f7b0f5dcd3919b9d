"""Machine code that numba keeps on disk, of sources that have changed. Not here: where it is kept (paths.py)."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

MADE_OF = "made-of.txt"
"""Beside kept code: the hash of the sources that it was compiled from."""


@cache
def forget_stale(function: Any) -> None:
    """Delete the kept code of a compiled function's folder where any module there has changed since, once a process.

    To be called before any function of that folder is. numba compares a function's own module alone, and would go on
    with old code of what that calls.
    """
    modules = sorted(Path(function.py_func.__code__.co_filename).parent.glob("*.py"))
    made_of = hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()
    with suppress(OSError):  # a folder that can't be written holds what it was installed with
        kept = Path(function.stats.cache_path)
        kept.mkdir(parents=True, exist_ok=True)
        said = kept / MADE_OF
        if said.is_file() and said.read_text() == made_of:
            return
        for code in kept.glob("*.nb?"):
            code.unlink(missing_ok=True)
        said.write_text(made_of)
