"""Opening another source beside what plays, and the same one again from the same place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from livesnn.events.filters import Orientation
from livesnn.events.formats.registry import parse_recording_path
from livesnn.files import expanded
from livesnn.session.session import Session, SourceLike
from livesnn.sources import is_live

WONDER_S = 0.5  # before a person wonders whether anything happens


class Place(NamedTuple):
    """Where a source goes on after it has been opened again."""

    t_us: int
    paused: bool


class Opening(NamedTuple):
    """A source that is being opened while another plays; the rest is as for `Player.play`."""

    source: SourceLike
    model: str | None
    orientation: Orientation | None
    insists: bool
    session: Session
    since_s: float

    @property
    def words(self) -> str:
        """What is being opened and how much of it has been read, once a person may wonder; "" before."""
        if time.perf_counter() - self.since_s < WONDER_S:
            return ""
        return f"Opening {self.session.name} …" + (f" {self.session.reading:.0%}" if self.session.reading else "")


def may_go_on(playing: SourceLike | None, source: SourceLike) -> bool:
    """Whether what plays can go on while a source is opened: not on the same camera, which only one may have."""
    if not isinstance(source, str | Path) or playing is None:
        return False
    return not is_live(str(source)) or _device(playing) != _device(source)


def _device(source: SourceLike) -> str:
    """Return what a source needs for itself: an address, or a camera, whose names may mean the same one."""
    if not isinstance(source, str | Path):
        return "camera"  # handed over open
    kind = str(source).partition(":")[0]
    return kind if kind in ("camera", "webcam") else str(source)


def folder_of(source: object) -> Path | None:
    """Return the folder of a source that is a file; None: it isn't one."""
    if not isinstance(source, str | Path) or is_live(str(source)):
        return None
    return parse_recording_path(expanded(source)).file.absolute().parent
