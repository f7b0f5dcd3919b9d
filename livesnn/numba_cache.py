"""The machine code that numba caches on disk: what is there, and what is out of date. Its folder: paths.py."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

MADE_OF = "made-of.txt"
"""The file beside cached code that holds the hash of the sources it was compiled from."""


@cache
def forget_stale(function: Any) -> None:
    """Delete the cached code of a compiled function's folder if any module there has changed since.

    Call it before any function of that folder; it looks only once a process. numba compares only a function's own
    module, and would go on with old code of the functions that it calls.
    """
    modules = sorted(Path(function.py_func.__code__.co_filename).parent.glob("*.py"))
    made_of = hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()
    with suppress(OSError):  # a folder that can't be written holds what it was installed with
        folder = Path(function.stats.cache_path)
        folder.mkdir(parents=True, exist_ok=True)
        hash_file = folder / MADE_OF
        if hash_file.is_file() and hash_file.read_text() == made_of:
            return
        for code in folder.glob("*.nb?"):
            code.unlink(missing_ok=True)
        hash_file.write_text(made_of)


def is_cached(function: Any, *arguments: object) -> bool:
    """Return whether calling a compiled function with such arguments would compile nothing."""
    signature = tuple(map(function.typeof_pyval, arguments))
    if signature in function.overloads:
        return True
    cached = function._cache
    try:
        # numba has no public way to ask. If these names change, the code counts as missing: it is looked for, or
        # compiled, once more.
        return cached._index_key(signature, function.targetctx.codegen()) in cached._cache_file._load_index()
    except AttributeError:
        return False
