"""numba's `njit`, with a cache on disk that notices damage: what is damaged there is compiled again.

numba itself runs code in which a bit has flipped, and fails at each start where a power cut left an empty file.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import numba
from numba.core import caching

MADE_OF = "made-of.txt"  # The file beside cached code that holds the hash of the sources it was compiled from
_HASH_BYTES = 32


class _CheckedFile(caching.IndexDataCacheFile):
    """A function's files in the cache, each with its SHA-256 at its end, which pickle doesn't read."""

    def holds(self, key: object) -> bool:
        """Return whether there is sound code under a key of `Cache._index_key`."""
        name = self._load_index().get(key)
        return name is not None and _is_sound(self._data_path(name))

    def _load_index(self) -> dict[object, str]:
        return super()._load_index() if _is_sound(self._index_path) else {}

    def _load_data(self, name: str) -> object:
        if not _is_sound(self._data_path(name)):
            raise OSError(f"{name} is damaged")  # as if it were missing
        return super()._load_data(name)

    def _dump(self, value: object) -> bytes:
        octets: bytes = super()._dump(value)
        return octets + hashlib.sha256(octets).digest()

    @contextmanager
    def _open_for_write(self, path: str) -> Iterator[IO[bytes]]:
        with super()._open_for_write(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


def _is_sound(path: str | Path) -> bool:
    """Return whether a file is there and whole; an index begins with numba's version, which has to be this one's."""
    try:
        octets = Path(path).read_bytes().removeprefix(pickle.dumps(numba.__version__, protocol=-1))
    except OSError:
        return False
    return hashlib.sha256(octets[:-_HASH_BYTES]).digest() == octets[-_HASH_BYTES:]


def njit(signature: Any = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return numba's `njit`, without a cache where it finds no place; with a ``signature``, it compiles at once."""

    def decorated(function: Callable[..., Any]) -> Any:
        try:
            made = numba.njit(**options)(function)
        except RuntimeError:
            made = numba.njit(**{**options, "cache": False})(function)
        if isinstance(kept := getattr(made._cache, "_cache_file", None), caching.IndexDataCacheFile):
            kept.__class__ = _CheckedFile
        if signature is not None:
            made.compile(signature)
            made.disable_compile()
        return made

    return decorated


def is_cached(function: Any, *arguments: object) -> bool:
    """Return whether calling a compiled function with such arguments would compile nothing."""
    signature = tuple(map(function.typeof_pyval, arguments))
    if signature in function.overloads:
        return True
    cached = function._cache
    try:
        # numba has no public way to ask. If these names change, the code counts as missing: it is looked for, or
        # compiled, once more.
        return bool(cached._cache_file.holds(cached._index_key(signature, function.targetctx.codegen())))
    except AttributeError:
        return False


@cache
def forget_stale(function: Any) -> None:
    """Delete the cached code of a compiled function's folder if any module there has changed since.

    Call it before any function of that folder; it looks only once a process. numba compares only a function's own
    module, and would go on with old code of the functions that it calls.
    """
    if function.stats.cache_path is None:  # no folder can be written: nothing is kept
        return
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
