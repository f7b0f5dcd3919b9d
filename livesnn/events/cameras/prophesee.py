"""Prophesee's cameras, by neuromorphic-drivers, which is imported when one is looked for."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device, LibraryDriver, copy_events, errors_as, library_of, opening
from livesnn.events.cameras.sensitivity import Abilities, Bias, Clock, Dial, SensorSettings
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.files import closed_on_error

WAIT_S = 0.005  # Of a poll, for something to come.

TOO_LATE_S = 0.5
"""If a packet has waited longer in the driver's queue of 512 MB, the rest of the queue is dropped."""

INIVATION = "iniVation"
"""The names of that vendor's cameras begin with it. dv-processing opens them where it is installed."""

_STORED_DTYPE = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
_USB = Path("/dev/bus/usb")


_Turned = tuple[Dial | None, int, int]
"""A dial that turns a bias, if one does, and the bias's values with the dial at −1 and +1."""

_IMX636: dict[str, _Turned] = {
    "diff_on": ("sensitivity", 140, -85),
    "diff_off": ("sensitivity", 190, -35),
    "fo": ("speed", -35, 55),
}
"""Distances from the factory's settings, recommended for the sensors of EVK4 and Triton2 (OpenEB,
hal_psee_plugins/include/devices/imx636/imx636_bias_settings.h)."""


class _Model(NamedTuple):
    """The library's module of a camera, its biases' limits until an open camera tells its own, and their dials."""

    module: str
    least: int
    most: int
    turned: Mapping[str, _Turned]


# The threshold is proportional to a bias's distance from the bias diff, where there is one (Prophesee's manual,
# "Biases"). The ends of the dial are twice and half the factory's distance.
_MODELS = {
    "Prophesee EVK4": _Model("prophesee_evk4", -150, 200, _IMX636),
    "Lucid Triton": _Model("lucid_triton", -150, 200, _IMX636),
    "Prophesee EVK3 HD": _Model(
        "prophesee_evk3_hd",
        0,
        255,
        {"diff_on": ("sensitivity", 150, 98), "diff_off": ("sensitivity", 24, 66)},
    ),
    "CenturyArks VGA": _Model(
        "centuryarks_vga",
        0,
        1800,
        {
            "diff_on": ("sensitivity", 472, 340),
            "diff_off": ("sensitivity", 148, 259),
            "fo": ("speed", 1600, 1350),
        },
    ),
}

_LIMITED_US = 1000  # the sensor counts events over this time
_MOST_LIMITED = (1 << 22) - 1
_CLOCKS: dict[Clock, str] = {
    "internal": "INTERNAL",
    "output": "INTERNAL_WITH_OUTPUT_ENABLED",
    "external": "EXTERNAL",
}


def _abilities(library: ModuleType, name: str, bounds: object = None) -> Abilities:
    """Return what a camera can do, by the library's classes; ``bounds`` are an open camera's own."""
    model = _MODELS.get(name)
    camera = None if model is None else getattr(library, model.module, None)
    if model is None or camera is None:
        return Abilities()
    biases = []
    for bias, default in dataclasses.asdict(camera.Biases()).items():
        own = getattr(bounds, bias, None)
        least, most = model[1:3] if own is None else (own.minimum, own.maximum)
        dial, *ends = model.turned.get(bias, (None, default, default))
        low, high = (min(max(value, least), most) for value in ends)
        biases.append(Bias(bias, default, least, most, dial, low, high))
    has = {each.name for each in dataclasses.fields(camera.Configuration)}
    return Abilities(
        tuple(biases),
        region="x_mask" in has,
        rate_limit="rate_limiter" in has,
        clocks=tuple(_CLOCKS) if "clock" in has else ("internal",),
    )


def _configuration(
    library: ModuleType, name: str, settings: SensorSettings, abilities: Abilities, size: Resolution
) -> Any:
    """Return the settings as the library takes them. Its masks have their origin at the bottom left."""
    camera = getattr(library, _MODELS[name].module)
    fields: dict[str, Any] = {"biases": camera.Biases(**settings.bias_values(abilities))}
    if settings.region is not None:
        mask = library.RowColumnMask(*size, set=True)
        x, y, width, height = settings.region
        mask.clear_rectangle(x, size.height - y - height, width, height)
        fields |= {"x_mask": mask.x_mask(), "y_mask": mask.y_mask()}
    if settings.limit_events_per_s is not None:
        limit = round(settings.limit_events_per_s * _LIMITED_US / 1e6)
        fields["rate_limiter"] = camera.RateLimiter(_LIMITED_US, min(max(limit, 1), _MOST_LIMITED))
    if settings.clock != SensorSettings().clock:
        fields["clock"] = camera.Clock[_CLOCKS[settings.clock]]
    return camera.Configuration(**fields)


class PropheseeDriver(LibraryDriver):
    """A `Driver` of an open neuromorphic_drivers.device.Device, set up by ``configuration_of`` its settings.

    Its times are µs of the camera's own clock, which begins when it is opened. They are shifted to Unix time by when
    the computer got the first data, and so agree with other cameras' to some milliseconds.
    """

    def __init__(
        self,
        name: str,
        resolution: Resolution,
        device: Any,
        abilities: Abilities = Abilities(),  # noqa: B008 (frozen)
        configuration_of: Callable[[SensorSettings], Any] = lambda settings: None,
    ) -> None:
        self.name, self.resolution, self.abilities = name, resolution, abilities
        self._device: Any = device
        self._configuration_of = configuration_of
        self._clock_us: int | None = None  # Unix time of the camera's time 0, once it is known
        self.dropped = 0

    def _set_up(self, settings: SensorSettings) -> None:
        self._device.update_configuration(self._configuration_of(settings))

    def _poll(self) -> Events | None:
        received = next(self._device, None)  # after `WAIT_S` at most
        if received is None:
            raise OSError("it has ended")
        status, packet = received
        if self._clock_us is None and status.ring is not None:  # some milliseconds ago at most
            self._clock_us = round(status.ring.system_time * 1e6) - status.ring.current_t
        events = None if packet is None else packet.polarity_events
        if status.ring is not None and status.system_time - status.ring.system_time > TOO_LATE_S:
            n_events = 0 if events is None else events.size
            self.dropped += round(status.ring.backlog * n_events / status.ring.raw_packets)
            self._device.clear_backlog(until=0)
        if events is None:
            return None
        same = events.dtype == _STORED_DTYPE and events.flags.writeable  # always, in version 0.18
        ours = events.view(EVENTS_DTYPE) if same else copy_events(events, events.dtype.names or ())
        ours["t"] += self._clock_us or 0
        return ours

    def close(self) -> None:
        if self._device is not None:
            self._device.close()
        self._device = None


def _neuromorphic_drivers() -> ModuleType:
    install = "pip install neuromorphic-drivers, or install the library that is missing"
    with library_of("Prophesee's cameras need neuromorphic-drivers", install):
        import neuromorphic_drivers
    return neuromorphic_drivers


class PropheseeCameras:
    """`Cameras` by neuromorphic-drivers, imported here; every method raises SourceError where it isn't installed.

    They are EVK4, EVK3 HD and others with their sensors, and iniVation's DAVIS346 and DVXplorer where dv-processing
    isn't installed. ``library`` imports and returns neuromorphic_drivers. ``usb`` is a folder that Linux has on
    machines with USB.
    """

    def __init__(self, library: Callable[[], ModuleType] = _neuromorphic_drivers, usb: Path = _USB) -> None:
        self._library, self._usb = library, usb

    def discover(self) -> list[Device]:
        """Return what is plugged in and may be opened, by USB; and by Ethernet, as far as it answers."""
        library = self._library()
        if sys.platform.startswith("linux") and not self._usb.is_dir():
            return []  # the library calls it an error
        cannot = "livesnn can't search for Prophesee cameras ({}): check the cable and the USB permissions"
        with errors_as(SourceError, cannot):
            listed = library.list_devices()
        if _dv_processing_is_there():
            listed = [each for each in listed if not each.name.value.startswith(INIVATION)]
        usable = [each for each in listed if each.serial]
        if listed and not usable:
            name, error = listed[0].name.value, listed[0].error
            raise SourceError(
                f"{name} can't be opened ({error}): check the permission to use it (udev rules on Linux)"
            )
        names = [(each.name.value, each.serial) for each in usable]
        return [
            Device("camera", f"camera:{serial}", name, serial, None, _abilities(library, name))
            for name, serial in names
        ]

    def open(self, serial: str) -> PropheseeDriver:
        library = self._library()
        with (
            opening(f"camera:{serial}"),
            closed_on_error(library.open(serial=serial, iterator_timeout=WAIT_S)) as device,
        ):
            name, size = device.name().value, device.properties()
            bounds = device.biases_bounds() if name in _MODELS else None
        resolution = Resolution(int(size.width), int(size.height))
        abilities = _abilities(library, name, bounds)
        return PropheseeDriver(
            f"{name} {serial}",
            resolution,
            device,
            abilities,
            lambda settings: _configuration(library, name, settings, abilities, resolution),
        )


def _dv_processing_is_there() -> bool:
    try:
        import dv_processing  # noqa: F401
    except ImportError:
        return False
    return True
