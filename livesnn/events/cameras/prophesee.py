"""Prophesee's cameras, by neuromorphic-drivers, which is imported when one is looked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device, Driver, copy_events
from livesnn.events.cameras.reconnecting import SourceLost
from livesnn.events.packet import Events, Resolution

WAIT_S = 0.005
"""Of a poll, for something to come."""

INIVATION = "iniVation"
"""Begins the names of that vendor's cameras, which dv-processing opens where it is installed."""

_DRIVER_ERRORS = (RuntimeError, ValueError, OSError)  # what Rust's errors become
_USB = Path("/dev/bus/usb")


class Packet(Protocol):
    """neuromorphic_drivers.Evt3Packet and the others, as far as they are used."""

    polarity_events: npt.NDArray[np.void] | None
    """Fields t (µs, uint64), x, y (uint16) and whether it is ON, in this order."""


class OpenDevice(Protocol):
    """neuromorphic_drivers.device.Device, as far as it is used; a packet is None where nothing came in the time."""

    def __next__(self) -> tuple[object, Packet | None]:
        """Return a status, and what has come."""
        ...

    def close(self) -> None:
        """Close the camera."""
        ...


class PropheseeDriver:
    """A `Driver` of an open device. Its times are µs since the camera was opened."""

    def __init__(self, name: str, resolution: Resolution, device: OpenDevice) -> None:
        self.name, self.resolution = name, resolution
        self._device: OpenDevice | None = device

    def poll(self) -> Events | None:
        """Return what has come since the last call, after `WAIT_S` at most; None: nothing. Raises SourceLost."""
        assert self._device is not None
        lost = f"camera {self.name} is lost ({{}}): plug it in again"
        with _errors_as(SourceLost, lost):
            received = next(self._device, None)
            if received is not None:
                events = None if received[1] is None else received[1].polarity_events
                return None if events is None else copy_events(events, events.dtype.names or ())
        raise SourceLost(lost.format("it has ended"))

    def close(self) -> None:
        """Close the camera. Safe to call twice."""
        if self._device is not None:
            self._device.close()
        self._device = None


class PropheseeCameras:
    """`Cameras` by neuromorphic-drivers, imported here; every method raises SourceError where it isn't installed.

    EVK4, EVK3 HD and others with their sensors; iniVation's DAVIS346 and DVXplorer too, where dv-processing isn't
    installed. ``library`` imports and returns neuromorphic_drivers. On Linux, ``usb`` is a folder of machines with
    USB.
    """

    def __init__(self, library: Callable[[], ModuleType] | None = None, usb: Path = _USB) -> None:
        self._library, self._usb = library or _neuromorphic_drivers, usb

    def discover(self) -> list[Device]:
        """Return what is plugged in and may be opened, by USB; and by Ethernet, as far as it answers."""
        library = self._library()
        if sys.platform.startswith("linux") and not self._usb.is_dir():
            return []  # the library calls it an error
        with _errors_as(
            SourceError,
            "livesnn can't search for Prophesee cameras ({}): check the cable and the USB permissions",
        ):
            listed = library.list_devices()
        if _dv_processing_is_there():
            listed = [each for each in listed if not each.name.value.startswith(INIVATION)]
        usable = [each for each in listed if each.serial]
        if listed and not usable:
            name, error = listed[0].name.value, listed[0].error
            raise SourceError(
                f"{name} can't be opened ({error}): check the permission to use it (udev rules on Linux)"
            )
        return [
            Device("camera", f"camera:{each.serial}", each.name.value, each.serial, None) for each in usable
        ]

    def open(self, serial: str) -> Driver:
        """Open the camera of that serial number, as its driver sets it up. Raises SourceError."""
        library, device = self._library(), None
        cannot = (
            f"camera:{serial} can't be opened ({{}}): close other programs that use it, and check the permission to "
            "use it (udev rules on Linux)"
        )
        with _errors_as(SourceError, cannot):
            try:
                device = library.open(serial=serial, iterator_timeout=WAIT_S)
                name, size = device.name().value, device.properties()
            except BaseException:
                if device is not None:
                    device.close()
                raise
        return PropheseeDriver(f"{name} {serial}", Resolution(int(size.width), int(size.height)), device)


@contextmanager
def _errors_as(kind: type[SourceError], words: str) -> Iterator[None]:
    """Raise what the library raises as ``kind``, in words with {} for why; Rust's panics aren't even Exceptions."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, _DRIVER_ERRORS) and type(error).__name__ != "PanicException":
            raise
        raise kind(words.format(str(error) or type(error).__name__)) from error


def _dv_processing_is_there() -> bool:
    try:
        import dv_processing  # noqa: F401
    except ImportError:
        return False
    return True


def _neuromorphic_drivers() -> ModuleType:
    try:
        import neuromorphic_drivers
    except ImportError as error:
        raise SourceError(
            "Prophesee's cameras need neuromorphic-drivers, which isn't installed: pip install neuromorphic-drivers"
        ) from error
    library: ModuleType = neuromorphic_drivers
    return library
