"""Whether numba keeps a function's machine code: asked, since compiling takes seconds. Not here: the functions."""

from __future__ import annotations

from typing import Any


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
