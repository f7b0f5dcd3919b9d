"""What a vendor's driver offers: `Cameras`, which are plugged in, and `Driver`, an open one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from livesnn.events.packet import Events, Resolution


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
