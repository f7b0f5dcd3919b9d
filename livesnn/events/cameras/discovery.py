"""Event cameras of any vendor: find them, open one, and keep its events in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from livesnn.errors import SourceError
from livesnn.events.cameras import metavision
from livesnn.events.cameras.driver import Cameras, Device, Driver, SourceLost
from livesnn.events.cameras.inivation import InivationCameras
from livesnn.events.cameras.prophesee import PropheseeCameras
from livesnn.events.cameras.reconnecting import QuietTime, ReconnectingSource
from livesnn.events.cameras.sensitivity import SensorSettings
from livesnn.events.cameras.sensor_control import SensorControl
from livesnn.events.packet import NO_EVENTS, Events, SourceCounters, put_in_order
from livesnn.files import closed_on_error
from livesnn.progress import Notify, no_notice

DELIVERED_US = 100_000  # For `QuietTime`: a driver delivers every 10 ms, and a busy computer may hold it up.

_POLL_S = 0.001  # drivers' packets come every 10 ms


class EveryVendor:
    """`Cameras` of several vendors: by default iniVation, Prophesee and, where it is installed, Metavision.

    A vendor that fails doesn't hide the others' cameras. If two find the same camera, the first one opens it.
    """

    def __init__(self, vendors: Sequence[Cameras] | None = None) -> None:
        if vendors is None:
            others = [metavision.MetavisionCameras()] if metavision.is_installed() else []
            vendors = [InivationCameras(), PropheseeCameras(), *others]
        self._vendors = vendors
        self._vendor_of: dict[str, Cameras] = {}  # by serial number

    def discover(self) -> list[Device]:
        """Return all that is plugged in. Raises a vendor's SourceError where that may be why nothing is found."""
        found: dict[str, Device] = {}
        failed = []
        for vendor in self._vendors:
            try:
                seen = vendor.discover()
            except SourceError as error:
                failed.append(error)
                continue
            for device in seen:
                self._vendor_of.setdefault(device.serial, vendor)
                found.setdefault(device.serial, device)
        if failed and not found:
            raise failed[0]
        return list(found.values())

    def open(self, serial: str) -> Driver:
        return self._vendor_of[serial].open(serial)


def discover() -> list[Device]:
    """Return the cameras that are plugged in. Raises SourceError where none is found, and one vendor's can't be."""
    return EveryVendor().discover()


def open_camera(
    uri: str,
    *,
    notify: Notify = no_notice,
    cameras: Cameras | None = None,
    settings: SensorSettings | None = None,
) -> ReconnectingSource:
    """Open ``camera``, the first one found, or ``camera:SERIAL``; after a loss, that very one again.

    ``camera:metavision`` and ``camera:metavision:SERIAL`` are opened by Metavision.
    ``uri``, ``notify`` and ``settings`` are as for `livesnn.sources.open_source`. ``cameras`` is where to look, by
    default every vendor's. Raises SourceError when there is no such camera, it can't be opened or set up so, or none
    can be looked for.
    """
    serial = uri.partition(":")[2]
    chosen, _, rest = serial.partition(":")
    known = cameras or EveryVendor()
    if chosen == metavision.NAME:
        known, serial = cameras or metavision.MetavisionCameras(), rest
    if not serial:
        found = known.discover()
        if not found:
            raise SourceError(
                "no camera found: plug one in and check its USB cable and the permission to use it (udev rules on "
                "Linux; `livesnn devices` lists what is found), or start `livesnn gui` for the demo"
            )
        serial = found[0].serial
    sensor = SensorControl()
    opened = ReconnectingSource(lambda: _connect(known, serial, sensor), notify=notify, serial=serial, sensor=sensor)
    if settings is not None:
        with closed_on_error(opened):
            sensor.change(settings)
    return opened


def _connect(cameras: Cameras, serial: str, sensor: SensorControl) -> CameraConnection:
    found = cameras.discover()
    if all(camera.serial != serial for camera in found):
        others = ", ".join(camera.uri for camera in found) or "none"
        raise SourceError(
            f"camera:{serial} isn't plugged in (found: {others}): check its cable and the permission to use it "
            f"(udev rules on Linux), or choose a camera that `livesnn devices` lists"
        )
    return CameraConnection(cameras.open(serial), sensor=sensor)


class CameraConnection:
    """An open camera, a `livesnn.events.cameras.reconnecting.Connection`; used from one thread at a time.

    Its times are µs of the camera's own clock; only their differences are relied on here. It owns ``driver``.
    ``sensor`` sets it up. ``clock``, in seconds, tells how long the scene has been quiet.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        sensor: SensorControl | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"camera {driver.name}"
        self.resolution = driver.resolution
        self.counters = SourceCounters()  # without what the driver loses and doesn't tell
        self._driver: Driver | None = driver
        self._clock = clock
        self._quiet = QuietTime(DELIVERED_US, clock)
        self._sensor = sensor or SensorControl()
        self._sensor.attach(driver)

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        """See `Connection.read`; SourceLost: it has been unplugged, or closed, and all it sent has been returned."""
        if self._driver is None:
            raise SourceLost(f"{self.name} is closed: open it again")
        deadline_s = self._clock() + timeout_s
        while (packet := self._driver.poll()) is None or not packet.size:  # an empty one is no news
            if self._clock() >= deadline_s:
                self._quiet.go_on(timeout_s)
                self._sensor.follow(NO_EVENTS, self._quiet.now_us)
                return NO_EVENTS, self._quiet.now_us
            time.sleep(_POLL_S)
        self.counters.dropped = self._driver.dropped
        packet = put_in_order(packet, self.resolution, self._quiet.newest_us, self.counters)
        self._quiet.note_packet(packet)
        self.counters.events += packet.size
        self._sensor.follow(packet, self._quiet.now_us)
        return packet, self._quiet.now_us

    def close(self) -> None:
        if self._driver is not None:
            self._driver.close()
        self._driver = None
