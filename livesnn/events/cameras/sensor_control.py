"""Setting a camera's sensor up while it runs, and measuring what comes of it: `SensorControl`.

What can be set, and the law that holds a rate, are in sensitivity.py.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Driver
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
from livesnn.events.packet import DISORDER_US, Events, Resolution
from livesnn.threads import Latest


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
