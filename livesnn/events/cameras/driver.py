"""What a vendor's driver offers: `Cameras`, which are plugged in, and `Driver`, an open one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution


@dataclass(frozen=True)
class Device:
    """A camera that is plugged in; ``resolution`` is None where only opening it would tell."""

    kind: str
    uri: str
    name: str
    serial: str
    resolution: Resolution | None


class Driver(Protocol):
    """An open camera, by model and serial number ("DVXplorer DXA00093"); used from one thread at a time."""

    name: str
    resolution: Resolution

    def poll(self) -> Events | None:
        """Return what has come since the last call, in the driver's order, after some milliseconds at most.

        None, or no events: nothing has. Raises SourceLost when the camera has been unplugged; everything it sent has
        been returned then.
        """
        ...

    def close(self) -> None:
        """Close the camera. Safe to call twice."""
        ...


class Cameras(Protocol):
    """What is plugged in, and how to open it."""

    def discover(self) -> list[Device]:
        """Return the cameras found, in the driver's order. Raises SourceError where they can't be looked for."""
        ...

    def open(self, serial: str) -> Driver:
        """Open a camera found before. Raises SourceError."""
        ...


def copy_events(stored: npt.NDArray[np.void], fields: Sequence[str]) -> Events:
    """Return a driver's events as EVENTS_DTYPE; ``fields`` are its names of t, x, y and p.

    A negative coordinate becomes one beyond any sensor.
    """
    events = np.empty(stored.size, EVENTS_DTYPE)
    for ours, theirs in zip(("t", "x", "y", "p"), fields, strict=True):
        events[ours] = stored[theirs]
    return events
