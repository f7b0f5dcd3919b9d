"""Setting a camera's sensor up while it runs, measuring what comes of it, and holding its event rate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Driver
from livesnn.events.cameras.sensitivity import AS_THE_DRIVER_SETS_IT, Abilities, SensorSettings
from livesnn.events.packet import DISORDER_US, Events, Resolution
from livesnn.threads import Latest

BLIND_US = 50_000  # after a change, driver and pixels need a moment
LOOK_US, REST_US = 300_000, 1_000_000
"""The rate is a mean over the first time. While a held rate is right, over the second: people move to and fro."""

CLOSE, FAR = 1.25, 1.5
"""A search ends within the first factor of the wanted rate, and begins again beyond the second: hysteresis."""

LEAST_STEP, MOST_STEP = 1 / 32, 0.5
MOST_NOISE = 0.8
"""Where more of the events are noise, a higher sensitivity would only add noise, so it isn't raised."""

BLOCKS = 16  # On a side of the picture, in which events are counted to tell noise from signal.
_SAMPLE = 1000  # so many events of a packet, about, are enough for that


class Measured(NamedTuple):
    """What comes from a sensor: events a second, and which share of them is noise; NaN: not known yet."""

    events_per_s: float = math.nan
    noise_share: float = math.nan


def hold_rate(measured: Measured, wanted_per_s: float, sensitivity: float, step: float) -> tuple[float, float]:
    """Return the sensitivity, −1 to +1, that comes next on the way to an event rate, and the step to it.

    ``step`` is the last one; 0: the search has ended. Steps halve whenever the wanted rate was passed. So a search
    ends whatever the sensor's response, if more sensitive means more events.
    """
    error = math.log(wanted_per_s / max(measured.events_per_s, 1.0))
    if abs(error) <= math.log(CLOSE if step else FAR) or (error > 0 and measured.noise_share > MOST_NOISE):
        return sensitivity, 0.0
    size = abs(step) * (0.5 if step * error < 0 else 1.2)
    if not step:
        size = abs(error) / 3  # a step of 1 changes ln(rate) by some 1 for signals, and by 10 for noise
    size = min(max(size, LEAST_STEP), MOST_STEP)
    changed = min(max(sensitivity + math.copysign(size, error), -1.0), 1.0)
    return changed, changed - sensitivity


def noise_share(events: Events, sensor: Resolution) -> float:
    """Return which share of the events is noise; NaN where there are none.

    Noise is everywhere, and what moves is somewhere: the quieter half of the picture, in blocks, has noise only.
    Its mean is below the noise's mean m by √(2/π) √m, as is the lower half of a Gaussian.
    """
    if not events.size:
        return math.nan
    rows, columns = (events[name].astype(np.int64) * BLOCKS // size for name, size in zip("xy", sensor, strict=True))
    blocks = np.sort(np.bincount(rows * BLOCKS + columns, minlength=BLOCKS**2))
    quieter = float(blocks[: blocks.size // 2].mean())
    half = math.sqrt(2 / math.pi) / 2
    noise = (half + math.sqrt(half**2 + quieter)) ** 2 if quieter else 0.0
    return min(noise * blocks.size / events.size, 1.0)


class SensorControl:
    """The settings of a camera's sensor, and what is measured of its events; it outlives a loss of the camera.

    Any thread may use it, but only the thread that reads the camera may call `attach` and `follow`.
    """

    def __init__(self) -> None:
        self.camera = ""  # as its resolution and abilities, known once it is open
        self.resolution = Resolution(1, 1)
        self.abilities = Abilities()
        self.settings = AS_THE_DRIVER_SETS_IT  # asked for last
        self.sensitivity = 0.0  # as it is now: not the settings' while a rate is held
        self.now = Measured()
        self.error = ""  # why the camera refused the settings
        self._wanted: Latest[SensorSettings] = Latest()
        self._applied = AS_THE_DRIVER_SETS_IT  # of the thread that reads
        self._driver: Driver | None = None
        self._step = 0.0  # see `hold_rate`
        self._look_us = LOOK_US
        self._begun_us: int | None = None  # of this measurement
        self._passed_us = self._count = 0
        self._sample: list[Events] = []

    def change(self, settings: SensorSettings) -> None:
        """Set the sensor up this way, now or when the camera is back. Raises SourceError where it can't be."""
        settings.check(self.abilities, self.resolution, self.camera)
        self.settings = settings
        self.sensitivity = settings.sensitivity
        self._wanted.put(settings)

    # For the thread that reads

    def attach(self, driver: Driver) -> None:
        """Go on with an open camera. If it can't have the settings, `error` will say so."""
        self.camera, self.resolution, self.abilities = driver.name, driver.resolution, driver.abilities
        self._driver = driver
        self._applied = AS_THE_DRIVER_SETS_IT
        self._begin(None)
        if self.settings != AS_THE_DRIVER_SETS_IT:
            self._wanted.put(self.settings)

    def follow(self, events: Events, now_us: int | None) -> None:
        """Measure what the camera has sent, and set the sensor up if the settings or the rate ask for it."""
        if (wanted := self._wanted.take()) is not None:
            self._applied, self._step, self._look_us = wanted, 0.0, LOOK_US
            self.sensitivity = wanted.sensitivity
            self._configure(wanted)
        passed_us = int(events["t"][-1]) if events.size else now_us
        if passed_us is None:
            return
        if self._begun_us is None or passed_us < self._passed_us - DISORDER_US:
            self._begin(int(events["t"][0]) if events.size else passed_us)
        assert self._begun_us is not None
        self._passed_us = passed_us
        if passed_us < self._begun_us:
            return
        self._count += events.size
        self._sample.append(events[:: 1 + events.size // _SAMPLE].copy())
        seconds = (passed_us - self._begun_us) / 1e6
        if seconds >= self._look_us / 1e6:
            self.now = Measured(self._count / seconds, noise_share(np.concatenate(self._sample), self.resolution))
            self._begin(passed_us)
            if self._applied.hold_events_per_s is not None:
                self._hold(self._applied.hold_events_per_s)

    def _hold(self, wanted_per_s: float) -> None:
        sensitivity, self._step = hold_rate(self.now, wanted_per_s, self.sensitivity, self._step)
        self._look_us = LOOK_US if self._step else REST_US
        if self._step:
            self.sensitivity = sensitivity
            self._configure(replace(self._applied, sensitivity=sensitivity))

    def _begin(self, begun_us: int | None) -> None:
        """Begin to measure at a time; None: with the next packet."""
        self._begun_us = begun_us
        self._count, self._sample = 0, []

    def _configure(self, settings: SensorSettings) -> None:
        if self._driver is None:
            return
        try:
            settings.check(self.abilities, self.resolution, self.camera)
            self._driver.configure(settings)
            self.error = ""
        except SourceError as error:
            self.error = str(error)
        if self._begun_us is not None:
            self._begin(self._passed_us + BLIND_US)
