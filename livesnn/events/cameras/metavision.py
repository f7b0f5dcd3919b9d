"""Prophesee's cameras, by the Metavision SDK or OpenEB of the user's system, imported when one is looked for.

Its interface is documented at https://docs.prophesee.ai/stable/api/python/hal/bindings.html.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device, LibraryDriver, copy_events, errors_as, library_of, opening
from livesnn.events.cameras.sensitivity import Abilities, Bias, Dial, SensorSettings
from livesnn.events.packet import Events, Resolution

NAME = "metavision"  # In ``camera:metavision:SERIAL``.

_FIELDS = ("t", "x", "y", "p")
_MOST_BUFFERS = 64  # Of a poll: more would keep the others waiting.

_DIALS: dict[str, Dial] = {"bias_diff_on": "sensitivity", "bias_diff_off": "sensitivity", "bias_fo": "speed"}

_RISING = ("IMX636", "GenX320", "GenX320MP")
"""Sensors whose thresholds and bandwidth rise with their biases (Prophesee's manual, "Biases"). Some of older sensors
fall."""


def is_installed() -> bool:
    return importlib.util.find_spec("metavision_hal") is not None


class MetavisionDriver(LibraryDriver):
    """A `Driver` of an open metavision_hal.Device; ``library`` is metavision_hal.

    Its times are µs since the camera was started, shifted to Unix time by when the first events came. Raises
    SourceError for a device that has no events.
    """

    def __init__(self, device: Any, library: Any) -> None:
        needed = "events_stream", "events_stream_decoder", "event_cd_decoder", "geometry", "hw_identification"
        found = {name: _facility(device, name) for name in needed}
        if missing := [name for name, facility in found.items() if facility is None]:
            raise SourceError(
                f"Metavision's camera has no {missing[0]}: choose an event camera, and install Metavision 4 or newer"
            )
        self._stream, self._decoder, events_decoder, geometry, hardware = found.values()
        sensor = hardware.get_sensor_info().name
        self.name = " ".join(filter(None, (hardware.get_integrator(), sensor, hardware.get_serial())))
        self.resolution = Resolution(geometry.get_width(), geometry.get_height())
        self.dropped = 0  # Metavision doesn't tell
        self._library = library
        self._device: Any = device  # its parts live as long as it does
        self._biases, self._roi, self._limiter = (
            _facility(device, name) for name in ("ll_biases", "roi", "erc_module")
        )
        self.abilities = Abilities(
            tuple(_biases(self._biases, rising=sensor in _RISING)),
            region=self._roi is not None,
            rate_limit=self._limiter is not None,
        )
        self._values = {bias.name: bias.default for bias in self.abilities.biases}  # as the sensor has them
        self._settings = SensorSettings()
        self._to_unix_us: int | None = None
        self._came: list[npt.NDArray[np.void]] = []
        events_decoder.add_event_buffer_callback(self._came.append)
        self._stream.start()

    def _set_up(self, settings: SensorSettings) -> None:
        """Send what isn't the same as before."""
        for name, value in settings.bias_values(self.abilities).items():
            if value != self._values[name]:
                if not self._biases.set(name, value):
                    raise ValueError(name)
                self._values[name] = value
        before, self._settings = self._settings, settings
        if settings.region != before.region:
            if settings.region is not None:
                self._roi.set_window(self._library.I_ROI.Window(*settings.region))
            self._roi.enable(settings.region is not None)
        if settings.limit_events_per_s != before.limit_events_per_s:
            if settings.limit_events_per_s is not None:
                self._limiter.set_cd_event_rate(round(settings.limit_events_per_s))
            self._limiter.enable(settings.limit_events_per_s is not None)

    def _poll(self) -> Events | None:
        for _ in range(_MOST_BUFFERS):
            if (state := self._stream.poll_buffer()) <= 0:
                break
            if (buffer := self._stream.get_latest_raw_data()) is not None:
                self._decoder.decode(buffer)  # hands its events to _came
        if not self._came:
            if state < 0:
                raise OSError("it has ended")
            return None
        events = copy_events(np.concatenate(self._came), _FIELDS)
        self._came.clear()
        if self._to_unix_us is None and events.size:
            self._to_unix_us = time.time_ns() // 1000 - int(events["t"][-1])
        events["t"] += self._to_unix_us or 0
        return events

    def close(self) -> None:
        if self._device is not None:
            self._stream.stop()
        self._device = self._stream = self._decoder = self._biases = self._roi = self._limiter = None


def _facility(device: Any, name: str) -> Any:
    """Return a part of a device; None where it, or this version of Metavision, has none."""
    getter = getattr(device, f"get_i_{name}", None)
    return None if getter is None else getter()


def _biases(facility: Any, *, rising: bool) -> list[Bias]:
    """Return a camera's biases as they are now; where they are ``rising``, dials turn some to their limits."""
    biases = []
    for name, value in ({} if facility is None else facility.get_all_biases()).items():
        info = facility.get_bias_info(name)
        least, most = info.get_bias_range()
        dial = _DIALS.get(name) if rising else None
        low, high = (most, least) if dial == "sensitivity" else (least, most)
        if info.is_modifiable():
            biases.append(Bias(name, value, least, most, dial, low, high))
    return biases


def _metavision_hal() -> ModuleType:
    install = "install it (https://docs.prophesee.ai/stable/installation) and add its modules to PYTHONPATH"
    with library_of(f"camera:{NAME} needs Prophesee's Metavision SDK or OpenEB", install):
        import metavision_hal
    return metavision_hal


class MetavisionCameras:
    """`Cameras` by Metavision; every method raises SourceError where it isn't installed.

    ``library`` imports and returns metavision_hal.
    """

    def __init__(self, library: Callable[[], Any] = _metavision_hal) -> None:
        self._library = library

    def discover(self) -> list[Device]:
        library = self._library()
        with errors_as(
            SourceError, "Metavision can't search for cameras ({}): check the cable and the USB permissions"
        ):
            found = library.DeviceDiscovery.list_available_sources()
        return [
            Device("camera", f"camera:{NAME}:{each.serial}", each.integrator_name or NAME, each.serial, None)
            for each in found
        ]

    def open(self, serial: str) -> MetavisionDriver:
        library = self._library()
        with opening(f"camera:{NAME}:{serial}"):
            device = library.DeviceDiscovery.open(serial)
            if device is None:
                raise ValueError("Metavision doesn't say why")
            return MetavisionDriver(device, library)
