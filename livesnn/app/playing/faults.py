"""What went wrong, in one line for a person. Not here: where it is shown."""

from __future__ import annotations

import shlex

from livesnn.errors import LivesnnError, SourceError
from livesnn.events import EventSource


def in_words(error: BaseException) -> str:
    """Return what an error of ours says; of any other, that it is a fault of livesnn."""
    if isinstance(error, LivesnnError):
        return str(error)
    return f"{type(error).__name__}: {error} (a fault of livesnn: report it)"


def only_events(source: EventSource) -> EventSource:
    """Return a source of events itself; raise SourceError for a video."""
    if source.video is None:
        return source
    path = source.video.file.path
    raise SourceError(
        f"{path.name} is a video, and the window plays events so far: decide on it with "
        f"livesnn run {shlex.quote(str(path))} --model MODEL"
    )
