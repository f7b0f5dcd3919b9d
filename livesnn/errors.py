"""The exceptions livesnn raises on purpose. Each message is one line: what, where, what to do next."""

from __future__ import annotations

import re


class LivesnnError(Exception):
    """Anything livesnn reports to a person in one line."""


class SourceError(LivesnnError):
    """A camera, stream or recording can't be opened or went away."""


class FormatError(LivesnnError):
    """A file's content is damaged, or isn't what it claims to be."""


class ModelError(LivesnnError):
    """A model folder can't be used: card, weights, shapes."""


class DataError(LivesnnError):
    """A data set is incomplete or not in the official layout."""


class TrainError(LivesnnError):
    """Training can't start or can't continue."""


class StoppedError(TrainError):
    """A signal stopped a training run. Its checkpoints are kept."""


def error_message(error: BaseException) -> str:
    """Return the line of an error for a person; one that isn't raised on purpose is a bug."""
    if isinstance(error, LivesnnError):
        return str(error)
    return f"{type(error).__name__}: {error} (a bug in livesnn: please report it)"


def reason_of(error: BaseException) -> str:
    """Return what an error of the system or of a library says, in one line, without its number."""
    said = getattr(error, "strerror", None) or re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    return " ".join(said.split())[:200]
