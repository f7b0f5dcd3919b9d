"""Prophesee's cameras by neuromorphic-drivers, imported when one is looked for. Not here: reading on (cameras.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events import EVENTS_DTYPE, Events, Resolution
from livesnn.events.camera_driver import Device, Driver
from livesnn.events.live import SourceLost

WAIT_S = 0.005
"""Of a poll, for something to come."""

INIVATION = "iniVation"
"""Begins the names of that vendor's cameras, which dv-processing opens where it is installed."""

_DRIVER_ERRORS = (RuntimeError, ValueError, OSError)  # what Rust's errors become


class Packet(Protocol):
    """neuromorphic_drivers.Evt3Packet and the others, as far as they are used."""

    polarity_events: npt.NDArray[np.void] | None
    """Fields t (µs, uint64), x, y (uint16) and whether it is ON, in this order."""


class OpenDevice(Protocol):
    """neuromorphic_drivers.device.Device, as far as it is used; a packet is None where nothing came in the time."""

    def __iter__(self) -> Iterator[tuple[object, Packet | None]]:
        """Return itself."""
        ...

    def __next__(self) -> tuple[object, Packet | None]:
        """Return a status, and what has come."""
        ...

    def close(self) -> None:
        """Let go of the camera."""
        ...


class PropheseeDriver:
    """A `Driver` of an open device. Its times are µs since the camera was opened."""

    def __init__(self, name: str, resolution: Resolution, device: OpenDevice) -> None:
        self.name, self.resolution = name, resolution
        self._device: OpenDevice | None = device

    def poll(self) -> Events | None:
        """Return what has come since the last call, after `WAIT_S` at most; None: nothing. Raises SourceLost."""
        assert self._device is not None
        try:
            _, packet = next(self._device)
        except (*_DRIVER_ERRORS, StopIteration) as error:
            raise SourceLost(f"camera {self.name} is lost ({_reason(error)}): plug it in again") from error
        return (
            None if packet is None or packet.polarity_events is None else _as_events(packet.polarity_events)
        )

    def close(self) -> None:
        """Let go of the camera; safe to call twice."""
        if self._device is not None:
            self._device.close()
        self._device = None


class PropheseeCameras:
    """`Cameras` by neuromorphic-drivers, imported here; every method raises SourceError where it isn't installed.

    EVK4, EVK3 HD and others with their sensors; iniVation's DAVIS346 and DVXplorer too, where dv-processing isn't
    installed.

    Parameters
    ----------
    library
        Returns neuromorphic_drivers.
    """

    def __init__(self, library: Callable[[], ModuleType] | None = None) -> None:
        self._library = _neuromorphic_drivers if library is None else library

    def discover(self) -> list[Device]:
        """Return what is plugged in and may be opened, by USB; and by Ethernet, as far as it answers."""
        library, others = self._library(), find_spec("dv_processing") is not None
        try:
            listed = library.list_devices()
        except _DRIVER_ERRORS as error:
            raise SourceError(
                f"Prophesee's cameras can't be looked for ({_reason(error)}): check USB and its permissions"
            ) from error
        return [
            Device("camera", f"camera:{each.serial}", each.name.value, each.serial, None)
            for each in listed
            if each.serial and not (others and each.name.value.startswith(INIVATION))
        ]

    def open(self, serial: str) -> Driver:
        """Open the camera of that serial number, as its driver sets it up. Raises SourceError."""
        library, device = self._library(), None
        try:
            device = library.open(serial=serial, iterator_timeout=WAIT_S)
            name, size = device.name().value, device.properties()
        except _DRIVER_ERRORS as error:
            if device is not None:
                device.close()
            raise SourceError(
                f"camera:{serial} can't be opened ({_reason(error)}): close other programs that use it, and "
                f"check the permission to use it (udev rules on Linux)"
            ) from error
        return PropheseeDriver(f"{name} {serial}", Resolution(int(size.width), int(size.height)), device)


def _neuromorphic_drivers() -> ModuleType:
    try:
        import neuromorphic_drivers
    except ImportError as error:
        raise SourceError(
            "Prophesee's cameras need neuromorphic-drivers, which isn't installed: pip install neuromorphic-drivers"
        ) from error
    library: ModuleType = neuromorphic_drivers
    return library


def _as_events(stored: npt.NDArray[np.void]) -> Events:
    """Return neuromorphic-drivers' events as EVENTS_DTYPE."""
    events = np.empty(stored.size, EVENTS_DTYPE)
    for ours, theirs in zip(("t", "x", "y", "p"), stored.dtype.names or (), strict=True):
        events[ours] = stored[theirs]
    return events


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
