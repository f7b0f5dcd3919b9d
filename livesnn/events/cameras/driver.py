"""What a vendor's driver offers: `Cameras` that are plugged in, an open `Driver`, and the `SensorControl` over it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events.cameras.sensitivity import (
    AS_THE_DRIVER_SETS_IT,
    BLIND_S,
    Abilities,
    HoldState,
    SensorSettings,
    hold_rate,
    hot_pixels,
    noise_share,
)
from livesnn.events.packet import DISORDER_US, EVENTS_DTYPE, Events, Resolution
from livesnn.threads import Latest


class SourceLost(SourceError):  # noqa: N818 (it may come back)
    """The camera was unplugged, or the server is gone; it may come back. In words: what, why, what to do."""


@dataclass(frozen=True)
class Device:
    """A camera that is plugged in; ``resolution`` and ``abilities`` are None where only opening it would tell."""

    kind: str
    uri: str
    name: str
    serial: str
    resolution: Resolution | None
    abilities: Abilities | None = None

    def summary(self) -> dict[str, object]:
        return vars(self) | {"abilities": self.abilities and self.abilities.summary()}


class Driver(Protocol):
    """An open camera, by model and serial number ("DVXplorer DXA00093"); used from one thread at a time."""

    name: str
    resolution: Resolution
    abilities: Abilities
    dropped: int
    """How many events, about, were left in the driver's queue because a busy computer was too late for them."""

    def configure(self, settings: SensorSettings) -> None:
        """Set the sensor up; it was checked that it can be. Raises SourceError where the camera refuses."""

    def poll(self) -> Events | None:
        """Return what has come since the last call, in the driver's order, after some milliseconds at most.

        None, or no events: nothing has. Raises SourceLost when the camera has been unplugged; everything it sent has
        been returned then.
        """

    def close(self) -> None:
        """Close the camera. Safe to call twice."""


class Cameras(Protocol):
    """What is plugged in, and how to open it."""

    def discover(self) -> list[Device]:
        """Return the cameras found, in the driver's order. Raises SourceError where they can't be looked for."""

    def open(self, serial: str) -> Driver:
        """Open a camera found before. Raises SourceError."""


def copy_events(stored: npt.NDArray[np.void], fields: Sequence[str]) -> Events:
    """Return a driver's events as EVENTS_DTYPE; ``fields`` are its names of t, x, y and p.

    A negative coordinate becomes one beyond any sensor.
    """
    events = np.empty(stored.size, EVENTS_DTYPE)
    for ours, theirs in zip(("t", "x", "y", "p"), fields, strict=True):
        events[ours] = stored[theirs]
    return events


_LIBRARY_ERRORS = (RuntimeError, IndexError, ValueError, OSError)  # what errors of C++ and Rust become


@contextmanager
def errors_as(kind: type[SourceError], words: str) -> Iterator[None]:
    """Raise an error of a vendor's library as ``kind``, with ``words``, in which {} stands for the reason.

    Rust's panics aren't even Exceptions. The reason leaves out dv-processing's place in its source and stack trace.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, _LIBRARY_ERRORS) and type(error).__name__ != "PanicException":
            raise
        lines = [line.strip() for line in str(error).partition("Stacktrace")[0].splitlines() if line.strip()]
        why = lines[-1].removeprefix("RuntimeError: ") if lines else type(error).__name__
        raise kind(words.format(why)) from error


@contextmanager
def library_of(whose: str, install: str) -> Iterator[None]:
    """Raise SourceError, with how to install it, where a vendor's library can't be imported in the block."""
    try:
        yield
    except ImportError as error:
        raise SourceError(f"{whose}, which can't be loaded ({error}): {install}") from error


def opening(uri: str) -> AbstractContextManager[None]:
    return errors_as(
        SourceError,
        f"{uri} can't be opened ({{}}): close other programs that use it, and check the permission to use it (udev "
        "rules on Linux)",
    )


class LibraryDriver(ABC):
    """A base for a `Driver` by a vendor's library, of which `_set_up` and `_poll` may raise the library's errors."""

    name: str

    def configure(self, settings: SensorSettings) -> None:
        with errors_as(SourceError, f"camera {self.name} refuses these settings ({{}}): choose others"):
            self._set_up(settings)

    def poll(self) -> Events | None:
        with errors_as(SourceLost, f"camera {self.name} is lost ({{}}): plug it in again"):
            return self._poll()

    @abstractmethod
    def _set_up(self, settings: SensorSettings) -> None: ...

    @abstractmethod
    def _poll(self) -> Events | None: ...


class Measured(NamedTuple):
    """What comes from a sensor: events a second, and which share of them is noise; NaN: not known yet."""

    events_per_s: float = math.nan
    noise_share: float = math.nan


MEASURED_US, COUNTED_US, LONGEST_US = 50_000, 100_000, 500_000
"""The rate is measured over the first time. The noise is measured since the last change: over at least the second
time, because a pixel has little noise, and at most the third."""

_MEAN_S = 0.3  # of the rate that is shown
LEARNED_S = 1.0  # Pixels are counted for this long before the hot ones are known.


class SensorControl:
    """The settings of a camera's sensor, and what is measured of its events; it outlives a loss of the camera.

    Any thread may use it, but only the thread that reads the camera may call `attach` and `follow`. The noise is
    measured while a rate is held, or while ``watched``.
    """

    def __init__(self) -> None:
        self.camera = ""  # as its resolution and abilities, known once it is open
        self.resolution = Resolution(1, 1)
        self.abilities = Abilities()
        self.settings = AS_THE_DRIVER_SETS_IT  # asked for last
        self.sensitivity = 0.0  # as it is now: not the settings' while a rate is held
        self.now = self.before = Measured()  # before: at the last change of the settings
        self.watched = False
        self.error = ""  # why the camera refused the settings
        self._wanted: Latest[SensorSettings] = Latest()
        self._applied = AS_THE_DRIVER_SETS_IT  # of the thread that reads
        self._driver: Driver | None = None
        self._hold = HoldState()
        self._begun_us: int | None = None  # of this measurement
        self._passed_us = 0
        self._events = 0  # since then
        self._pixels = _PixelCounts(self.resolution)
        self._blind_until_us = 0

    def change(self, settings: SensorSettings) -> None:
        """Set the sensor up this way, now or when the camera is back. Raises SourceError where it can't be."""
        settings.check(self.abilities, self.resolution, self.camera)
        self.before = self.now
        self.settings = settings
        self.sensitivity = settings.sensitivity
        self._wanted.put(settings)

    def hottest(self) -> tuple[tuple[int, int], ...]:
        """Return the hot pixels (x, y), as many as the sensor can switch off, those with the most events first.

        They are known after a second in which the noise is measured.
        """
        return tuple(self._pixels.hot()[: self.abilities.masked_pixels])

    # For the thread that reads

    def attach(self, driver: Driver) -> None:
        """Go on with an open camera. If it can't have the settings, `error` will say so."""
        self.camera, self.resolution, self.abilities = driver.name, driver.resolution, driver.abilities
        self._driver, self._begun_us, self._blind_until_us = driver, None, 0
        self._applied = AS_THE_DRIVER_SETS_IT
        self._pixels = _PixelCounts(self.resolution)
        if self.settings != AS_THE_DRIVER_SETS_IT:
            self._wanted.put(self.settings)

    def follow(self, events: Events, now_us: int | None) -> None:
        """Measure what the camera has sent, and set the sensor up if the settings or the rate ask for it."""
        if (wanted := self._wanted.take()) is not None:
            self._applied, self._hold = wanted, HoldState(wanted.sensitivity)
            self.sensitivity = wanted.sensitivity
            self._configure(wanted)
        passed_us = int(events["t"][-1]) if events.size else now_us
        if passed_us is None:
            return
        if self._begun_us is None or passed_us < self._passed_us - DISORDER_US:
            self._begin(int(events["t"][0]) if events.size else passed_us)
        self._passed_us = max(passed_us, self._passed_us)
        self._events += events.size
        measured = self.watched or self._applied.hold_events_per_s is not None
        if measured and passed_us >= self._blind_until_us:
            self._pixels.add(events)
        if self._passed_us - (self._begun_us or 0) >= MEASURED_US:
            assert self._begun_us is not None
            seconds = (self._passed_us - self._begun_us) / 1e6
            rate = self._events / seconds
            share, sure = self._pixels.noise_share(self._passed_us)
            kept = 0.0 if math.isnan(self.now.events_per_s) else math.exp(-seconds / _MEAN_S)
            mean = rate if not kept else kept * self.now.events_per_s + (1 - kept) * rate
            self.now = Measured(mean, share if sure else self.now.noise_share)
            self._begin(self._passed_us)
            settings = self._applied
            if (wanted_per_s := settings.hold_events_per_s) is not None:
                self._hold, sensitivity = hold_rate(self._hold, rate, seconds, wanted_per_s, share)
                if sensitivity != self.sensitivity:
                    self.sensitivity = sensitivity
                    self._configure(replace(settings, sensitivity=sensitivity))

    def _begin(self, begun_us: int) -> None:
        self._begun_us = self._passed_us = begun_us
        self._events = 0

    def _configure(self, settings: SensorSettings) -> None:
        if self._driver is None:
            return
        try:
            settings.check(self.abilities, self.resolution, self.camera)
            self._driver.configure(settings)
            self.error = ""
            self._pixels.begin()
            self._blind_until_us = self._passed_us + round(BLIND_S * 1e6)
            self.now = self.now._replace(noise_share=math.nan)
        except SourceError as error:
            self.error = str(error)


class _PixelCounts:
    """How many events each pixel has had, while they are counted."""

    def __init__(self, sensor: Resolution) -> None:
        self._shape = sensor.height, sensor.width
        self._all = np.zeros(sensor.height * sensor.width, np.int64)
        self._newest = np.zeros_like(self._all)
        self._waiting: list[npt.NDArray[np.int64]] = []  # pixels of events that aren't counted yet
        self._since_us: int | None = None
        self._passed_us = 0
        self._seconds = 0.0

    def add(self, events: Events) -> None:
        self._waiting.append(events["y"].astype(np.int64) * self._shape[1] + events["x"])

    def noise_share(self, now_us: int) -> tuple[float, bool]:
        """Return the share since the last `begin`, NaN if unknown, and whether that was `LONGEST_US` ago or more."""
        if self._waiting:
            self._newest += np.bincount(np.concatenate(self._waiting), minlength=self._all.size)
            self._waiting.clear()
        if self._since_us is None:
            self._since_us = now_us
        self._passed_us = now_us
        if now_us - self._since_us < COUNTED_US or not self._newest.any():
            return math.nan, False
        share = noise_share(self._newest.reshape(self._shape))
        sure = now_us - self._since_us >= LONGEST_US
        if sure:
            self.begin()
        return share, sure

    def begin(self) -> None:
        """Begin to measure the noise; what was counted is kept for the hot pixels."""
        if self._since_us is not None:
            self._all += self._newest
            self._newest.fill(0)
            self._seconds += (self._passed_us - self._since_us) / 1e6
            self._since_us = self._passed_us

    def hot(self) -> list[tuple[int, int]]:
        known = self._seconds >= LEARNED_S
        return hot_pixels(self._all.reshape(self._shape), self._seconds) if known else []
