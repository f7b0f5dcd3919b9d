"""What went wrong, in one line for a person. Not here: where it is shown."""

from __future__ import annotations

from livesnn.errors import LivesnnError


def in_words(error: BaseException) -> str:
    """Return what an error of ours says; of any other, that it is a fault of livesnn."""
    if isinstance(error, LivesnnError):
        return str(error)
    return f"{type(error).__name__}: {error} (a fault of livesnn: report it)"
