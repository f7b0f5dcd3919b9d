"""Learning a gesture in a process of its own: in this one it would make the picture stutter."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from livesnn import subprocesses
from livesnn.errors import LivesnnError, error_message
from livesnn.teach.lesson import Recordings
from livesnn.teach.model import Report, Resemblance
from livesnn.threads import Worker

LEARNING_LIMIT_S = 600.0  # Learning takes up to 40 s of a processor, which it has to share


@dataclass(frozen=True)
class Renaming:
    """A model in which a class has another name; None: in which it is missing."""

    folder: str
    gesture: str
    name: str | None = None


Outcome = Report | Resemblance | Renaming


class Learning:
    """Runs `livesnn teach` in another process: in this one it would make the picture stutter.

    ``sources`` are its recordings and ``flags`` its other flags. The model is written to ``out``.
    """

    def __init__(
        self, gesture: str, sources: Sequence[str | Path], model: str, out: Path, *flags: str | Path
    ) -> None:
        self._learned: Outcome | None = None
        arguments = [*flags, "--model", model, "--out", out, "--json", "--", gesture, *sources]
        self._command = subprocesses.command("teach", *map(str, arguments))
        self._worker = Worker("teach", self._learn).start()

    def take(self) -> Outcome | LivesnnError | None:
        """Return what was learned, or why nothing was; None while it isn't done."""
        if self._worker.running:
            return None
        if self._worker.error is not None:
            return LivesnnError(error_message(self._worker.error).removeprefix("livesnn teach: "))
        return self._learned

    def close(self) -> None:
        self._worker.close()

    def _learn(self, stop: threading.Event) -> None:
        written = subprocesses.run_apart(self._command, stop, limit_s=LEARNING_LIMIT_S)
        if not stop.is_set():
            fields = msgspec.json.decode(written, type=dict[str, Any])
            known = fields.get("recognised")
            kind: type[Outcome] = Resemblance if known else Renaming if "name" in fields else Report
            self._learned = msgspec.convert(known or fields, kind)


def as_flags(files: Recordings) -> list[str]:
    """Return the flags of `livesnn teach` for what isn't the gesture, and for its noise."""
    return [*(["--others", *files.others] if files.others else []), *["--denoise"] * files.denoise]
