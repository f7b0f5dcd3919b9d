"""How functions are compiled, and what numba keeps of it: asked, since it takes seconds. Not here: the functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

outer = njit(nogil=True, cache=True)
"""Compiles a function that is called from Python, and keeps it, with all that it calls."""
inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compiles a function that compiled ones call: what Python and C would call it by took a third of the time."""
within = njit(inline="always")
"""Has a function compiled as a part of who calls it: LLVM works on an inner one again at each level of calls."""


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


def made_for(*what: object) -> Callable[[Callable[..., Any]], Any]:
    """Return `inner` for a function that another one makes for so many lanes, and the like.

    Code is found by name, and of two of one name, in code that different processes kept, the first is taken: each
    needs a name of its own.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        function.__qualname__ += "_".join(["", *map(str, what)])
        return inner(function)

    return compiled
