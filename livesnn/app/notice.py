"""What a person should know, with buttons to do something about it; the banner shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

Button = tuple[str, Callable[[], None]]  # The words of a button, and what it does


class Notice(NamedTuple):
    """What a person should know, and what they can do about it."""

    text: str
    kind: Literal["error", "info"]
    actions: tuple[Button, ...] = ()
