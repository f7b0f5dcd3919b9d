"""iniVation's cameras, by dv-processing, which is imported when one is looked for."""

from __future__ import annotations

from types import ModuleType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device, Driver, copy_events
from livesnn.events.cameras.reconnecting import SourceLost
from livesnn.events.packet import Events, Resolution

_SIZES = {"DVS128": Resolution(128, 128), "DVXPLORER_M": Resolution(640, 480)}  # the models of one size only
_FIELDS = ("timestamp", "x", "y", "polarity")
_DRIVER_ERRORS = (RuntimeError, IndexError, ValueError, OSError)  # what C++ exceptions become


class Batch(Protocol):
    """dv_processing.EventStore, as far as it is used."""

    def numpy(self) -> npt.NDArray[np.void]:
        """Return the events with fields timestamp (µs), x, y (int16), polarity (0, 1): a copy."""
        ...


class CameraInput(Protocol):
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


class InivationDriver:
    """A `Driver`. Its times are µs of the camera's own clock, by dv-processing offset to about Unix time.

    Raises SourceError for a camera that can't be read, or that has no events.
    """

    def __init__(self, camera: CameraInput) -> None:
        try:
            size, name = camera.getEventResolution(), camera.getCameraName()
        except _DRIVER_ERRORS as error:
            raise SourceError(f"the camera can't be read ({_reason(error)}): plug it in again") from error
        if size is None:
            raise SourceError(f"camera {name} has no events: choose an event camera of `livesnn devices`")
        self._camera: CameraInput | None = camera
        self.name = name.replace("_", " ")
        self.resolution = Resolution(int(size[0]), int(size[1]))

    def poll(self) -> Events | None:
        """Return what has come since the last call, without waiting; None: nothing. Raises SourceLost."""
        assert self._camera is not None
        try:
            batch = self._camera.getNextEventBatch()
            if batch is not None:
                return copy_events(batch.numpy(), _FIELDS)
            running = self._camera.isRunning()
        except _DRIVER_ERRORS as error:
            raise SourceLost(f"camera {self.name} is lost ({_reason(error)}): plug it in again") from error
        if not running:
            raise SourceLost(f"camera {self.name} is lost (unplugged or switched off): plug it in again")
        return None

    def close(self) -> None:
        """Close the camera. Safe to call twice."""
        self._camera = None  # its destructor closes it


class InivationCameras:
    """`Cameras` by dv-processing, imported here; every method raises SourceError where it isn't installed."""

    def discover(self) -> list[Device]:
        """Return what is plugged in, by USB."""
        driver = _dv_camera()
        try:
            found = [(each.cameraModel.name, each.serialNumber) for each in driver.discover()]
        except _DRIVER_ERRORS as error:
            raise SourceError(
                f"cameras can't be looked for ({_reason(error)}): check USB and its permissions"
            ) from error
        return [
            Device("camera", f"camera:{serial}", model, serial, _SIZES.get(model)) for model, serial in found
        ]

    def open(self, serial: str) -> Driver:
        """Open the camera of that serial number. Raises SourceError."""
        try:
            camera: CameraInput = _dv_camera().open(serial)
        except _DRIVER_ERRORS as error:
            raise SourceError(
                f"camera:{serial} can't be opened ({_reason(error)}): close other programs that use it, and "
                f"check the permission to use it (udev rules on Linux)"
            ) from error
        return InivationDriver(camera)


def _dv_camera() -> ModuleType:
    try:
        import dv_processing
    except ImportError as error:
        raise SourceError(
            "iniVation's cameras need dv-processing, which isn't installed: pip install dv-processing (there is "
            "none for macOS before 15)"
        ) from error
    camera: ModuleType = dv_processing.io.camera
    return camera


def _reason(error: BaseException) -> str:
    """Return what an error of dv-processing says, without where in its source and the stack trace."""
    lines = [line.strip() for line in str(error).partition("Stacktrace")[0].splitlines() if line.strip()]
    return lines[-1].removeprefix("RuntimeError: ") if lines else type(error).__name__
