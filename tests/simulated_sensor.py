"""A simulated event camera whose pixels answer to its biases as published, looking at a simulated person."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from livesnn.events.cameras.inivation import pixel_biases
from livesnn.events.cameras.sensitivity import Abilities, SensorSettings
from livesnn.events.packet import NO_EVENTS, Events
from livesnn.simulate.gestures import performance
from livesnn.simulate.scene import FRAME_US, paint, shapes_of
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec

STEP_US = 5 * FRAME_US
"""20 ms of events come at a time."""

SEED = 3

DAVIS346 = Abilities(
    tuple(
        pixel_biases(
            {
                "diff": 4 << 8 | 39,
                "on": 6 << 8 | 28,
                "off": 2 << 8 | 71,
                "photoreceptor": 2 << 8 | 63,
                "source_follower": 153,
                "refractory": 3 << 8 | 225,
            },
            "coarse-fine",
        )
    )
)
"""As neuromorphic-drivers sets it."""


def _current(bias: int) -> float:
    return (bias & 0xFF) * 8.0 ** (bias >> 8)


def thresholds_of(values: Mapping[str, int]) -> tuple[float, float]:
    """Return the ON and OFF thresholds, θ = (κ_n / κ_p²) (C2 / C1) ln(I / I_d), with κ 0.7 and C1 / C2 22.

    Nozaki and Delbruck 2017, "Temperature and parasitic photocurrent effects in dynamic vision sensors".
    """
    diff = _current(values["diff"])
    on, off = (abs(math.log(_current(values[name]) / diff)) / 0.7 / 22 for name in ("on", "off"))
    return on, off


@dataclass(frozen=True)
class Light:
    """How much light a sensor has, and what that does to its pixels.

    Attributes
    ----------
    luminance
        Times the simulated person's; the dark current stays.
    noise
        Standard deviation of the pixels' noise, log units. Shot noise in dim light has more.
    bandwidth_hz
        Of the pixels: in proportion to the light where it is dim (Lichtsteiner et al. 2008).
    """

    luminance: float = 1.0
    noise: float = 0.05
    bandwidth_hz: float = 200.0


def noise_hz(threshold: float, light: Light) -> float:
    """Return how often Gaussian noise of limited bandwidth reaches a threshold, by Rice's formula.

    Rice 1944, "Mathematical analysis of random noise"; for DVS pixels: Graça, McReynolds and Delbruck 2023, "Optimal
    biasing and physical limits of DVS event noise".
    """
    return light.bandwidth_hz * math.exp(-((threshold / light.noise) ** 2) / 2)


class SimulatedSensor:
    """A `Driver` of a camera that looks at a person; each poll goes on by `STEP_US`."""

    def __init__(self, light: Light, *, seconds: float, gesture: str = "right_hand_wave") -> None:
        self.abilities = DAVIS346
        scene, limbs, self._times_us, rng = performance(gesture, SEED, seconds, use="show")
        scene = replace(scene, lamp=None)
        self._scene, self._shapes = scene, shapes_of(scene, limbs)
        self.name, self.resolution = "DAVIS346 SIMULATED", scene.resolution
        self._light, self._random = light, rng
        self._canvas = np.empty((8, *scene.background.shape), np.float32)
        self.settings = SensorSettings()
        self.configured: list[SensorSettings] = []
        self.dropped = 0
        self._pixels = self._made_pixels()
        self._state = self._pixels.initial_state(self._pictures(0, 1)[0], int(self._times_us[0]), rng)
        self._next = 1

    def _pictures(self, first: int, last: int) -> np.ndarray:
        return paint(self._scene, self._shapes[first:last], self._canvas) * np.float32(self._light.luminance)

    def _made_pixels(self) -> DvsPixels:
        on, off = thresholds_of(self.settings.bias_values(self.abilities))
        assert min(on, off) > 0
        spec = DvsPixelSpec(
            threshold_on=on,
            threshold_off=off,
            mismatch=0.05 * min(on, off),
            noise_hz=(noise_hz(on, self._light) + noise_hz(off, self._light)) / 2,
            cutoff_hz=self._light.bandwidth_hz,
        )
        return DvsPixels(spec, self.resolution, np.random.default_rng(SEED))

    def configure(self, settings: SensorSettings) -> None:
        self.settings = settings
        self.configured.append(settings)
        self._pixels = self._made_pixels()
        noise_per_us = max(self._pixels.spec.noise_hz, 1e-9) * 1e-6
        waits_us = self._random.exponential(1 / noise_per_us, self._state.noise_us.shape)
        self._state = self._state._replace(noise_us=self._state.t_us + waits_us)

    @property
    def now_us(self) -> int:
        return self._state.t_us

    @property
    def ended(self) -> bool:
        return self._next >= len(self._times_us)

    def poll(self) -> Events | None:
        if self.ended:
            return None
        last = min(self._next + STEP_US // FRAME_US, len(self._times_us))
        events, self._state = self._pixels.sequence(
            self._pictures(self._next, last), self._times_us[self._next : last], self._state
        )
        self._next = last
        return events if events.size else NO_EVENTS

    def close(self) -> None:
        """Do nothing."""
