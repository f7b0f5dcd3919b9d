"""How a camera is mounted: as is remembered of it, or as a person says now. Not here: turning (orientation.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from livesnn.events import EventSource
from livesnn.events.orientation import Orientation
from livesnn.sources import is_live

SIMULATED = "simulate:"


@dataclass(frozen=True)
class Mounting:
    """What makes a source upright that isn't open yet.

    Attributes
    ----------
    wanted
        By a person, for this opening; None: what is remembered of a camera or a stream, anything else as it comes.
    remembered
        By the name of `camera_name`.
    """

    wanted: Orientation | None = None
    remembered: Mapping[str, Orientation] = field(default_factory=dict)

    def of(self, opened: EventSource, source: object) -> Orientation:
        """Return it once the source is open; ``source`` is what a person called it."""
        if self.wanted is not None:
            return self.wanted
        return self.remembered.get(camera_name(source, opened.serial), Orientation())


def camera_name(source: object, serial: str) -> str:
    """Return what a camera or a stream is remembered by: serial number or address; "" for anything else."""
    if serial or not isinstance(source, str) or source.startswith(SIMULATED):
        return serial
    return source if is_live(source) else ""


def with_mounted(
    mounted: Mapping[str, Orientation], camera: str, orientation: Orientation
) -> dict[str, Orientation]:
    """Return what is remembered with this camera mounted so; one that is upright isn't in it."""
    others = {name: how for name, how in mounted.items() if name != camera}
    return others if orientation == Orientation() else {**others, camera: orientation}
