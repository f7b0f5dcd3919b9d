"""Whether numba keeps a function's machine code: asked, since compiling takes seconds. Not here: the functions."""

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
    """Delete the kept code of a function's folder where any module there has changed since, once a process.

    numba compares a function's own module alone, and would go on with old code of what that calls.
    """
    modules = sorted(Path(__file__).parent.glob("*.py"))
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


def is_kept(function: Any, *arguments: object) -> bool:
    """Return whether a call of a compiled function with such arguments would compile nothing."""
    kinds = tuple(map(function.typeof_pyval, arguments))
    if kinds in function.overloads:
        return True
    kept = function._cache
    try:
        # numba has no public way to ask. Where these names change, code counts as not kept: it is looked for, or
        # compiled, once more.
        return kept._index_key(kinds, function.targetctx.codegen()) in kept._cache_file._load_index()
    except AttributeError:
        return False
