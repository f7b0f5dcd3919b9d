"""iniVation cameras by dv-processing, which is imported when one is looked for. Not here: coming back (live.py)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events import EVENTS_DTYPE, Events, EventSource, Resolution, SourceCounters
from livesnn.events.formats.tidy import tidy
from livesnn.events.live import Live, Notify, QuietTime, SourceLost, ignore

DELIVERED_US = 100_000
"""Of `QuietTime`: the driver delivers every 10 ms, and a busy computer may hold it up."""

_POLL_S = 0.001  # the driver has no read that waits; its packets come every 10 ms
_SIZES = {"DVS128": Resolution(128, 128), "DVXPLORER_M": Resolution(640, 480)}  # the models of one size only
_DRIVER_ERRORS = (RuntimeError, IndexError, ValueError, OSError)  # what C++ exceptions become


@dataclass(frozen=True)
class Device:
    """A camera that is plugged in; ``resolution`` is None where only opening it would tell."""

    kind: str
    uri: str
    name: str
    serial: str
    resolution: Resolution | None


class Batch(Protocol):
    """dv_processing.EventStore, as far as it is used."""

    def numpy(self) -> npt.NDArray[np.void]:
        """Return the events with fields timestamp (µs), x, y (int16), polarity (0, 1): a copy."""
        ...


class Driver(Protocol):
    """dv_processing.io.camera.CameraInputBase, as far as it is used: an open camera, closed when deleted."""

    def getCameraName(self) -> str:  # noqa: N802
        """Return model and serial number, "DVXplorer_DXA00093"."""
        ...

    def getEventResolution(self) -> tuple[int, int] | None:  # noqa: N802
        """Return width and height."""
        ...

    def getNextEventBatch(self) -> Batch | None:  # noqa: N802
        """Return what has come since the last call, without waiting."""
        ...

    def isRunning(self) -> bool:  # noqa: N802
        """Return whether it is still plugged in and working."""
        ...


class Cameras(Protocol):
    """What is plugged in, and how to open it."""

    def discover(self) -> list[Device]:
        """Return the cameras found, in the driver's order."""
        ...

    def open(self, serial: str) -> Driver:
        """Open a camera found before. Raises SourceError."""
        ...


def discover() -> list[Device]:
    """Return the cameras that are plugged in. Raises SourceError where dv-processing isn't installed."""
    return InivationCameras().discover()


def open_camera(uri: str, *, notify: Notify = ignore, cameras: Cameras | None = None) -> EventSource:
    """Open ``camera``, the first one found, or ``camera:SERIAL``; after a loss, that very one again.

    Parameters
    ----------
    uri, notify
        As for `livesnn.sources.open_source`.
    cameras
        Where to look; iniVation's by default.

    Raises
    ------
    SourceError
        When there is no such camera, it can't be opened, or dv-processing isn't installed.
    """
    looked_at = InivationCameras() if cameras is None else cameras
    serial = uri.partition(":")[2] or _first(looked_at.discover()).serial
    return Live(lambda: _connect(looked_at, serial), notify=notify, serial=serial)


def _first(found: list[Device]) -> Device:
    if not found:
        raise SourceError(
            "no camera found: plug one in and check its USB cable and the permission to use it (udev rules on "
            "Linux; `livesnn devices` lists what is found), or start `livesnn gui` for the demo"
        )
    return found[0]


def _connect(cameras: Cameras, serial: str) -> CameraConnection:
    found = cameras.discover()
    if all(camera.serial != serial for camera in found):
        others = ", ".join(camera.uri for camera in found) or "none"
        raise SourceError(
            f"camera:{serial} isn't plugged in (found: {others}): check its cable and the permission to use it "
            f"(udev rules on Linux), or name another of `livesnn devices`"
        )
    return CameraConnection(cameras.open(serial))


class CameraConnection:
    """An open camera, a `livesnn.events.live.Connection`; used from one thread at a time.

    Its times are µs of the camera's own clock, by dv-processing offset to about Unix time; only their differences
    are relied on here.

    Parameters
    ----------
    driver
        Owned from now on.
    clock
        Seconds; tells how long the scene has been quiet.
    """

    def __init__(self, driver: Driver, *, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            size, name = driver.getEventResolution(), driver.getCameraName()
        except _DRIVER_ERRORS as error:
            raise SourceError(f"the camera can't be read ({_reason(error)}): plug it in again") from error
        if size is None:
            raise SourceError(f"camera {name} has no events: choose an event camera of `livesnn devices`")
        self._driver: Driver | None = driver
        self._clock = clock
        self._name = f"camera {name.replace('_', ' ')}"
        self._resolution = Resolution(int(size[0]), int(size[1]))
        self._counters = SourceCounters()
        self._newest_us: int | None = None
        self._quiet = QuietTime(DELIVERED_US, clock)

    @property
    def name(self) -> str:
        """Model and serial number: "camera DVXplorer DXA00093"."""
        return self._name

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels."""
        return self._resolution

    @property
    def counters(self) -> SourceCounters:
        """Since the camera was opened; what the driver itself loses isn't told."""
        return replace(self._counters)

    @property
    def now_us(self) -> int | None:
        """Time up to which, the scene being quiet, there are no more events; None before, and while they come."""
        return self._quiet.now_us

    def read(self, timeout_s: float) -> Events | None:
        """Return the next packet; None when none has come in the time.

        Raises
        ------
        SourceLost
            When the camera has been unplugged, or closed; everything it sent has been returned then.
        """
        deadline_s = self._clock() + timeout_s
        while (packet := self._poll()) is None or not packet.size:  # an empty one is no news
            if self._clock() >= deadline_s:
                self._quiet.go_on(timeout_s)
                return None
            time.sleep(_POLL_S)
        return self._put_right(packet)

    def close(self) -> None:
        """Let go of the camera; safe to call twice."""
        self._driver = None  # its destructor closes it

    def _poll(self) -> Events | None:
        """Return what there is, without waiting; None when there is nothing."""
        if self._driver is None:
            raise SourceLost(f"{self._name} is closed: open it again")
        try:
            batch = self._driver.getNextEventBatch()
            if batch is not None:
                return _as_events(batch.numpy())
            running = self._driver.isRunning()
        except _DRIVER_ERRORS as error:
            raise SourceLost(f"{self._name} is lost ({_reason(error)}): plug it in again") from error
        if not running:
            raise SourceLost(f"{self._name} is lost (unplugged or switched off): plug it in again")
        return None

    def _put_right(self, packet: Events) -> Events:
        packet = tidy(packet, self._resolution, self._newest_us, self._counters)
        if packet.size:
            self._newest_us = int(packet["t"][-1])
            self._quiet.hear(self._newest_us)
            self._counters.events += packet.size
        return packet


class InivationCameras:
    """`Cameras` by dv-processing, imported here; every method raises SourceError where it isn't installed."""

    def discover(self) -> list[Device]:
        """Return what is plugged in, by USB."""
        driver = _dv_camera()
        try:
            return [_describe(found.cameraModel.name, found.serialNumber) for found in driver.discover()]
        except _DRIVER_ERRORS as error:
            raise SourceError(
                f"cameras can't be looked for ({_reason(error)}): check USB and its permissions"
            ) from error

    def open(self, serial: str) -> Driver:
        """Open the camera of that serial number. Raises SourceError."""
        try:
            driver: Driver = _dv_camera().open(serial)
        except _DRIVER_ERRORS as error:
            raise SourceError(
                f"camera:{serial} can't be opened ({_reason(error)}): close other programs that use it, and "
                f"check the permission to use it (udev rules on Linux)"
            ) from error
        return driver


def _dv_camera() -> ModuleType:
    try:
        import dv_processing
    except ImportError as error:
        raise SourceError(
            "cameras need dv-processing, which isn't installed: pip install dv-processing (there is none "
            "for Intel Macs)"
        ) from error
    camera: ModuleType = dv_processing.io.camera
    return camera


def _describe(model: str, serial: str) -> Device:
    return Device("camera", f"camera:{serial}", model, serial, _SIZES.get(model))


def _as_events(stored: npt.NDArray[np.void]) -> Events:
    """Return dv-processing's events as EVENTS_DTYPE; a negative coordinate becomes one beyond any sensor."""
    events = np.empty(stored.size, EVENTS_DTYPE)
    for name, theirs in (("t", "timestamp"), ("x", "x"), ("y", "y"), ("p", "polarity")):
        events[name] = stored[theirs]
    return events


def _reason(error: BaseException) -> str:
    """Return what an error of dv-processing says, without where in its source and the stack trace."""
    lines = [line.strip() for line in str(error).partition("Stacktrace")[0].splitlines() if line.strip()]
    return lines[-1].removeprefix("RuntimeError: ") if lines else type(error).__name__
