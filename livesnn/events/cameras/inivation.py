"""iniVation's cameras, by dv-processing, which is imported when one is looked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import ModuleType
from typing import Any, get_args

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device, LibraryDriver, copy_events, errors_as, library_of, opening
from livesnn.events.cameras.sensitivity import (
    Abilities,
    Bias,
    Clock,
    Region,
    Scale,
    SensorSettings,
    scaled_current,
    scaled_threshold,
)
from livesnn.events.packet import Events, Resolution

_SIZES = {"DVS128": Resolution(128, 128), "DVXPLORER_M": Resolution(640, 480)}  # the models of one size only
_FIELDS = ("timestamp", "x", "y", "polarity")

DVXPLORER_THRESHOLDS = (0, 17)  # Limits of dv-processing 2.0.4, which refuses others; the driver sets 9.
_DVXPLORER_DEFAULT, _READOUT_DEFAULT = 9, 8
_READOUT = (7, 10)
"""VARIABLE_2000 to VARIABLE_15000: the sensor sends all events, at least 500 to 66 µs apart."""

_LARGEST_CURRENT = (1 << 24) - 1  # of a DVS128's bias
_LARGEST_COARSE_FINE = 7 << 8 | 255
_MORE_SENSITIVE, _LESS_SENSITIVE = 0.45, 1.8  # times the threshold, at the ends of the dial
_FASTER = 4.0  # times the current

Set = Callable[[int], object]


def _dvxplorer_biases(on: int, off: int, readout: int) -> list[Bias]:
    least, most = DVXPLORER_THRESHOLDS
    slowest, fastest = _READOUT
    return [
        *(
            Bias(f"contrast_threshold_{name}", value, least, most, "sensitivity", most, least + 1)
            for name, value in (("on", on), ("off", off))
        ),
        Bias("readout_fps", readout, 0, fastest, "speed", slowest, fastest),
    ]


def pixel_biases(now: Mapping[str, int], scale: Scale) -> list[Bias]:
    """Return the biases of a DVS or DAVIS pixel, which are currents, from their values by the names in `_DVS128`."""
    most = _LARGEST_CURRENT if scale == "current" else _LARGEST_COARSE_FINE
    biases = []
    for name, value in now.items():
        if name == "diff":
            biases.append(Bias(name, value, 1, most, scale=scale))
        elif name in ("on", "off"):
            factors = (_LESS_SENSITIVE, _MORE_SENSITIVE)
            low, high = (scaled_threshold(value, now["diff"], factor, scale) for factor in factors)
            biases.append(Bias(name, value, 1, most, "sensitivity", low, high, scale))
        else:
            low, high = (scaled_current(value, factor, scale) for factor in (1 / _FASTER, _FASTER))
            biases.append(Bias(name, value, 1, most, "speed", low, high, scale))
    return biases


_DVS128 = {
    "diff": "DIFF", "on": "DIFF_ON", "off": "DIFF_OFF",
    "photoreceptor": "PR", "source_follower": "FOLL", "refractory": "REFR",
}  # fmt: skip
_DAVIS = {
    "diff": "Diff", "on": "On", "off": "Off",
    "photoreceptor": "Photoreceptor", "source_follower": "PhotoreceptorSourceFollower", "refractory": "Refractory",
}  # fmt: skip


def _settable(camera: Any) -> list[tuple[Bias, Set]]:
    """Return an open camera's biases as they are now, and what sets each."""
    if hasattr(camera, "setContrastThresholdOn"):
        readout = camera.getReadoutFPS()
        biases = _dvxplorer_biases(camera.getContrastThresholdOn(), camera.getContrastThresholdOff(), int(readout))
        setters: list[Set] = [
            camera.setContrastThresholdOn,
            camera.setContrastThresholdOff,
            lambda value: camera.setReadoutFPS(type(readout)(value)),
        ]
    elif hasattr(camera, "setBias"):
        members = {name: getattr(camera.Bias, key) for name, key in _DVS128.items()}
        biases = pixel_biases({name: camera.getBias(member) for name, member in members.items()}, "current")
        setters = [partial(camera.setBias, member) for member in members.values()]
    elif hasattr(camera, "getSensorModel"):
        biases, setters = _davis(camera)
    else:
        return []
    return list(zip(biases, setters, strict=True))


def _davis(camera: Any) -> tuple[list[Bias], list[Set]]:
    model = camera.getSensorModel().name
    kind = next((kind for kind in ("Davis240", "Davis346") if model.startswith(kind.upper())), "CDavis")
    get, put = getattr(camera, f"get{kind}BiasCoarseFine"), getattr(camera, f"set{kind}BiasCoarseFine")
    members = {name: getattr(getattr(camera, f"{kind}BiasCF"), key) for name, key in _DAVIS.items()}
    now = {}
    for name, member in members.items():
        coarse, fine = get(member)
        now[name] = coarse << 8 | fine

    def put_coarse_fine(member: Any, value: int) -> None:
        put(member, value >> 8, value & 0xFF)

    return pixel_biases(now, "coarse-fine"), [partial(put_coarse_fine, member) for member in members.values()]


def _listed_abilities(model: str) -> Abilities | None:
    """Return what a model can do, as far as that is known before it is open."""
    if not model.startswith("DVXPLORER"):
        return None
    biases = _dvxplorer_biases(_DVXPLORER_DEFAULT, _DVXPLORER_DEFAULT, _READOUT_DEFAULT)
    return Abilities(tuple(biases), region=True)


class CommonClock:
    """Gives two cameras one clock once both are open, if a synchronisation cable connects them; from any thread.

    The ends of the cable decide which one leads. dv-processing 2.0.4 has functions for more cameras, but they take a
    C++ span, which Python can't make. ``synchronize`` is dv_processing.io.camera.synchronizeAnyTwo.
    """

    def __init__(self, synchronize: Callable[[Any, Any], object]) -> None:
        self.lock = threading.Lock()
        """Held while clocks are set; hold it while one of these cameras is read."""
        self._synchronize = synchronize
        self._cameras: list[Any] = []

    def join(self, camera: Any) -> None:
        """Give a camera the clock of the one that joined before. Raises SourceError, and as dv-processing does."""
        with self.lock:
            others = [each for each in self._cameras if each is not camera]
            if len(others) > 1:
                raise SourceError("two cameras have one clock already: give this one its own")
            for other in others:
                self._synchronize(other, camera)
            self._cameras = [*others, camera]

    def leave(self, camera: Any) -> None:
        with self.lock:
            self._cameras = [each for each in self._cameras if each is not camera]


_COMMON_CLOCK = CommonClock(lambda one, other: _dv_camera().synchronizeAnyTwo(one, other))


class InivationDriver(LibraryDriver):
    """A `Driver` of an open camera of dv_processing.io.camera, which closes it when it is deleted.

    Its times are µs of the camera's own clock, which dv-processing shifts to about Unix time. Raises SourceError for
    a camera that can't be read, or has no events.
    """

    def __init__(self, camera: Any, common_clock: CommonClock = _COMMON_CLOCK) -> None:
        with errors_as(SourceError, "the camera can't be read ({}): plug it in again"):
            size, name = camera.getEventResolution(), camera.getCameraName()
            settable = _settable(camera)
        if size is None:
            raise SourceError(f"camera {name} sends no events: choose an event camera that `livesnn devices` lists")
        self._camera = camera
        self.name = name.replace("_", " ")
        self.dropped = 0  # dv-processing doesn't tell
        self.resolution = Resolution(int(size[0]), int(size[1]))
        self._set = {bias.name: put for bias, put in settable}
        clocks = get_args(Clock) if hasattr(camera, "synchronizeWith") else ("internal",)
        biases = tuple(bias for bias, _ in settable)
        self.abilities = Abilities(biases, region=hasattr(camera, "setCropArea"), clocks=clocks)
        self._values = {bias.name: bias.default for bias, _ in settable}  # as the sensor has them
        self._region, self._clock = Region(0, 0, *self.resolution), SensorSettings().clock
        self._common_clock = common_clock

    def _set_up(self, settings: SensorSettings) -> None:
        """Send what isn't the same as before."""
        for name, value in settings.bias_values(self.abilities).items():
            if value != self._values[name]:
                self._set[name](value)
                self._values[name] = value
        region = settings.region or Region(0, 0, *self.resolution)
        if region != self._region:
            self._camera.setCropArea(tuple(region))
            self._region = region
        if settings.clock != self._clock:
            self._set_clock(settings.clock)
            self._clock = settings.clock

    def _set_clock(self, clock: Clock) -> None:
        camera = self._camera
        if hasattr(camera, "setMaster"):  # others see it by the cable
            camera.setMaster(clock != "external")
        if clock == "internal":
            self._common_clock.leave(camera)
        else:
            self._common_clock.join(camera)

    def _poll(self) -> Events | None:
        own = self._clock == "internal"
        reading: AbstractContextManager[object] = nullcontext() if own else self._common_clock.lock
        with reading:
            batch = self._camera.getNextEventBatch()
            if batch is not None:
                return copy_events(batch.numpy(), _FIELDS)
            if not self._camera.isRunning():
                raise OSError("unplugged or switched off")
        return None

    def close(self) -> None:
        self._common_clock.leave(self._camera)
        self._camera = None  # its destructor closes it


class InivationCameras:
    """`Cameras` by dv-processing, imported here; every method raises SourceError where it isn't installed."""

    def discover(self) -> list[Device]:
        driver = _dv_camera()
        cannot = "livesnn can't search for cameras ({}): check the cable and the USB permissions"
        with errors_as(SourceError, cannot):
            found = [(each.cameraModel.name, each.serialNumber) for each in driver.discover()]
        return [
            Device("camera", f"camera:{serial}", model, serial, _SIZES.get(model), _listed_abilities(model))
            for model, serial in found
        ]

    def open(self, serial: str) -> InivationDriver:
        with opening(f"camera:{serial}"):
            return InivationDriver(_dv_camera().open(serial))


def _dv_camera() -> ModuleType:
    install = (
        "pip install dv-processing (macOS needs to be 15 or newer), or install the library that is missing "
        "(on Debian and Ubuntu: sudo apt install libatomic1)"
    )
    with library_of("iniVation's cameras need dv-processing", install):
        import dv_processing
    return dv_processing.io.camera
