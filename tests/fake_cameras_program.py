"""livesnn with two fake cameras plugged in, for tests of whole programs; and so are the processes that it starts."""

from __future__ import annotations

import sys

from livesnn import subprocesses
from livesnn.__main__ import start
from livesnn.events.cameras import discovery
from livesnn.events.cameras.driver import Device, Driver
from tests.fake_camera import FakeCameras, FakeDriver, batches, device, paced

SERIALS = ("A1", "B2")


class PluggedIn(FakeCameras):
    """Cameras that send 0.1 million events a second for ever."""

    def __init__(self) -> None:
        super().__init__([])

    def discover(self) -> list[Device]:
        return [device(serial) for serial in SERIALS]

    def open(self, serial: str) -> Driver:
        return FakeCameras([FakeDriver(paced(batches(0.1)), serial=serial)]).open(serial)


if __name__ == "__main__":
    discovery.EveryVendor = PluggedIn  # type: ignore[assignment, misc]
    subprocesses.command = lambda *arguments: [sys.executable, "-m", "tests.fake_cameras_program", *arguments]
    start()
