"""How a recording is shown in a file, which files there are, and what was written. The writing is in export.py.

This imports no OpenCV, which would slow the start of the window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from livesnn.events.filters import Orientation
from livesnn.infer.model import Engine
from livesnn.session.control import Choices

MP4, GIF, CSV, AEDAT4 = ".mp4", ".gif", ".csv", ".aedat4"
FILMS_AND_TABLES = (MP4, GIF, CSV)
PICTURES_PER_S = {MP4: 30, GIF: 20}  # of films; GIF counts in hundredths of a second


@dataclass(frozen=True)
class Exported:
    """What was written: ``count`` pictures of a film, rows of a table, or events."""

    out: Path
    format: str
    count: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Showing:
    """How a recording is shown: the model, and what the window lets a person choose.

    A film is as fast as the speed of ``choices`` says, 1× where that is without a limit; loop and pre-roll mean
    nothing here. ``mirrored``: whether the picture is, but not for the network.
    """

    model: str | Path
    engine: Engine = "auto"
    choices: Choices = field(default_factory=Choices)
    orientation: Orientation = field(default_factory=Orientation)
    mirrored: bool = False
