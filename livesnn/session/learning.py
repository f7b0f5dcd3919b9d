"""A lesson that is being learned, in another process: here it would hold the picture up. Not here: Qt, learning."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import msgspec

from livesnn import subprocesses as itself
from livesnn.errors import LivesnnError
from livesnn.session.session import in_words
from livesnn.teach import Lesson
from livesnn.threads import Latest, Worker

LIMIT_S = 600.0
"""It takes up to 40 s of a processor that it has to share."""


class Learning:
    """Teaches a model by a recording, from its making on.

    Parameters
    ----------
    gesture, recording, model, out, denoise
        As of `livesnn teach`.
    """

    def __init__(self, gesture: str, recording: Path, model: str, out: Path, *, denoise: bool) -> None:
        self._learned: Latest[Lesson | LivesnnError] = Latest()
        flags = ["--model", model, "--out", str(out), "--json", *["--denoise"] * denoise]
        command = itself.command("teach", *flags, "--", gesture, str(recording))
        self._worker = Worker("teach", partial(self._learn, command), on_error=self._fail).start()

    def take(self) -> Lesson | LivesnnError | None:
        """Return what was learned, or why nothing was, once; None: it isn't done."""
        return self._learned.take()

    def close(self) -> None:
        """Learn nothing more."""
        self._worker.close()

    def _learn(self, command: list[str], stop: threading.Event) -> None:
        written = itself.run_apart(command, stop, limit_s=LIMIT_S)
        if not stop.is_set():
            self._learned.put(msgspec.json.decode(written, type=Lesson))

    def _fail(self, error: BaseException) -> None:
        self._learned.put(LivesnnError(in_words(error).removeprefix("livesnn teach: ")))
