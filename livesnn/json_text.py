"""Reading JSON from any thread."""

from __future__ import annotations

import threading
from typing import TypeVar

import msgspec

T = TypeVar("T")

_DECODING = threading.Lock()


def decode_json(text: str | bytes, kind: type[T]) -> T:
    """Return JSON as a dataclass; raises what msgspec.json.decode does.

    msgspec 0.22 crashes the process where two threads are the first to read a class, both at once.
    """
    with _DECODING:
        return msgspec.json.decode(text, type=kind)
