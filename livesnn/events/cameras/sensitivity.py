"""What an event camera's sensor can be set to, and the law that holds its event rate; no driver is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from livesnn.errors import DataError, SourceError
from livesnn.events.denoise import stand_out
from livesnn.events.packet import Resolution
from livesnn.files import replace_file, require_file
from livesnn.json_text import decode_json

Scale = Literal["linear", "current", "coarse-fine"]
"""How a bias's number acts: evenly, by its logarithm as a current, or as a current of coarse × 256 + fine, which is
eight times as much with each coarse step."""

Dial = Literal["sensitivity", "speed"]
Clock = Literal["internal", "output", "external"]


@dataclass(frozen=True)
class Bias:
    """One of a driver's own settings, a whole number from ``least`` to ``most``."""

    name: str
    default: int  # as the driver sets it
    least: int
    most: int
    dial: Dial | None = None  # moves it; None: it stays until a person changes it
    low: int = 0  # where the dial is at −1
    high: int = 0  # where it is at +1
    scale: Scale = "linear"

    def at(self, dial: float) -> int:
        """Return its value with the dial at −1 to +1; 0 is the default. It is never outside its limits."""
        if self.dial is None or not dial:
            return self.default
        end = self.high if dial > 0 else self.low
        default, there = (_effect(value, self.scale) for value in (self.default, end))
        value = _value(default + min(abs(dial), 1.0) * (there - default), self.scale)
        return min(max(value, self.least), self.most)


def _effect(value: int, scale: Scale) -> float:
    if scale == "linear":
        return value
    current = value if scale == "current" else (value & 0xFF) * 8.0 ** (value >> 8)
    return math.log(max(current, 1))


def _value(effect: float, scale: Scale) -> int:
    if scale == "linear":
        return round(effect)
    if scale == "current":
        return round(math.exp(effect))
    # The smallest coarse step that reaches the current has the finest fine steps.
    coarse = min(max(math.ceil((effect - math.log(255.0)) / math.log(8.0)), 0), 7)
    return coarse << 8 | min(round(math.exp(effect) / 8.0**coarse), 255)


def scaled_threshold(default: int, reference: int, factor: float, scale: Scale) -> int:
    """Return the bias at which a threshold is ``factor`` times as high as at ``default``.

    The threshold is proportional to the distance from the reference bias: of voltages, or of the logarithms of
    currents, θ ∝ ln(I_on / I_d) (Nozaki and Delbruck 2017, "Temperature and parasitic photocurrent effects in dynamic
    vision sensors").
    """
    start, end = _effect(reference, scale), _effect(default, scale)
    return _value(start + factor * (end - start), scale)


def scaled_current(default: int, factor: float, scale: Scale) -> int:
    """Return the bias whose current is ``factor`` times as high as at ``default``: bandwidths follow it."""
    return _value(_effect(default, scale) + math.log(factor), scale)


@dataclass(frozen=True)
class Abilities:
    """What a camera can be set to, by its driver."""

    biases: tuple[Bias, ...] = ()
    region: bool = False  # whether the sensor can send a part of its picture only
    masked_pixels: int = 0  # how many single pixels the sensor can switch off
    rate_limit: bool = False  # whether the sensor itself drops events beyond a rate
    # Which it can follow, where a cable connects several cameras
    clocks: tuple[Clock, ...] = ("internal",)

    def has(self, dial: Dial) -> bool:
        return any(bias.dial == dial for bias in self.biases)

    def summary(self) -> dict[str, object]:
        shown = ("name", "default", "least", "most", "dial")
        return {
            "presets": list(PRESETS) if self.has("sensitivity") else [],
            "dials": [dial for dial in ("sensitivity", "speed") if self.has(dial)],
            "biases": [{name: getattr(bias, name) for name in shown} for bias in self.biases],
            "region": self.region,
            "masked_pixels": self.masked_pixels,
            "rate_limit": self.rate_limit,
            "clocks": self.clocks,
        }


class Region(NamedTuple):
    """A part of the sensor's picture, in pixels from the top left, as the sensor has them."""

    x: int
    y: int
    width: int
    height: int


DialPosition = Annotated[float, Meta(ge=-1, le=1)]
Rate = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True)
class SensorSettings:
    """What a person wants of a camera's sensor; by default everything is as the driver sets it.

    The dials go from −1 to +1, and 0 is as the driver sets them. More sensitive is a lower threshold: more events,
    and more noise. Faster is more bandwidth: less delay, and more noise.
    """

    sensitivity: DialPosition = 0.0
    speed: DialPosition = 0.0
    hold_events_per_s: Rate | None = None  # the sensitivity follows this rate; None: it stays
    biases: Mapping[str, int] = field(default_factory=dict)  # the driver's own, by name; no dial moves these
    region: Region | None = None  # only this part sends events; None: all of it does
    masked: tuple[tuple[int, int], ...] = ()  # pixels (x, y) that the sensor switches off
    limit_events_per_s: Rate | None = None  # the sensor itself drops what is beyond; None: it doesn't
    clock: Clock = "internal"

    def check(self, abilities: Abilities, sensor: Resolution, camera: str) -> None:
        """Raise SourceError, which says what to change, where the camera can't do it."""
        known = {bias.name: bias for bias in abilities.biases}
        for name, value in self.biases.items():
            if name not in known:
                names = ", ".join(known) or "none"
                raise SourceError(f"{camera} has no bias {name!r}: give one of its own ({names})")
            if not known[name].least <= value <= known[name].most:
                raise SourceError(
                    f"{camera}: bias {name} can't be {value}: give {known[name].least} to {known[name].most}"
                )
        asked = {
            "a region": (self.region is not None, abilities.region),
            "a rate limit": (self.limit_events_per_s is not None, abilities.rate_limit),
            "a mask of pixels": (bool(self.masked), abilities.masked_pixels > 0),
            "a sensitivity": (bool(self.sensitivity or self.hold_events_per_s), abilities.has("sensitivity")),
            "a speed": (bool(self.speed), abilities.has("speed")),
            f"the clock {self.clock!r}": (True, self.clock in abilities.clocks),
        }
        for what, (wanted, possible) in asked.items():
            if wanted and not possible:
                raise SourceError(f"{camera} can't be given {what}: leave it out of the camera's settings")
        if len(self.masked) > abilities.masked_pixels:
            raise SourceError(
                f"{camera} can switch off {abilities.masked_pixels} pixels, not {len(self.masked)}: leave some out"
            )
        region = self.region or Region(0, 0, *sensor)
        ends = (region.x + region.width - 1, region.y + region.height - 1)
        inside = all(0 <= x < sensor.width and 0 <= y < sensor.height for x, y in (region[:2], ends, *self.masked))
        if not inside or min(region.width, region.height) < 1:
            raise SourceError(f"{camera} has {sensor.words} pixels: keep its region and masked pixels inside")

    def bias_values(self, abilities: Abilities) -> dict[str, int]:
        dials: dict[Dial | None, float] = {"sensitivity": self.sensitivity, "speed": self.speed}
        values = {bias.name: bias.at(dials.get(bias.dial, 0.0)) for bias in abilities.biases}
        return values | dict(self.biases)


AS_THE_DRIVER_SETS_IT = SensorSettings()

PRESETS: dict[str, tuple[float, float]] = {
    "dim": (0.5, -0.5),
    "normal": (0.0, 0.0),
    "bright": (-0.3, 0.0),
    "fast": (-0.2, 1.0),
}
"""Sensitivity and speed for a kind of light. In dim light, contrasts hardly pass the threshold, and noise is fast.
Fast motion makes many events, and blurs where the pixel is slow."""


@dataclass(frozen=True)
class _SensorFile:
    """Content of a file: the settings, and the camera that they are from."""

    camera: str
    settings: SensorSettings


def load_settings(path: Path) -> SensorSettings:
    """Return the settings in a file that `save_settings` wrote. Raises DataError, and SourceError for no file."""
    require_file(path, "file of camera settings (.json)")
    try:
        octets = path.read_bytes()
        settings = decode_json(octets, _SensorFile).settings
        # A misspelt field would leave the camera as it is, without a word.
        if unknown := decode_json(octets, dict[str, Any])["settings"].keys() - asdict(settings).keys():
            raise msgspec.ValidationError(f"unknown field {min(unknown)!r}")
        return settings
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        raise DataError(f"{path}: not a file of camera settings ({error}): give one that the window saved") from error


def save_settings(path: Path, settings: SensorSettings, camera: str) -> None:
    """Write the settings of a camera, by its model, to a file that can be shared. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = msgspec.json.encode(_SensorFile(camera, settings))
    replace_file(path, msgspec.json.format(written, indent=2) + b"\n")


class HoldState(NamedTuple):
    """All that `hold_rate` remembers."""

    sensitivity: float = 0.0
    searching: bool = True  # it is on its way to the wanted rate
    blind_s: float = 0.0  # for so long what comes doesn't count: it is still from before the last change
    counted_s: float = 0.0  # since the last look
    events: float = 0.0  # since then
    step: float = 0.0  # the last change of this search; 0: there was none
    bisecting: bool = False  # the wanted rate has been passed: every step is half the last one
    # ln(wanted / rate) and the setting at the last look or, since bisecting began, where that was smallest
    nearest: tuple[float, float] = (math.inf, 0.0)
    settled_per_s: float = math.nan  # where the last search ended: the wanted rate, if that could be reached


BLIND_S, GLANCE_S, LOOK_S, SURE_S, SETTLED_S = 0.05, 0.1, 0.3, 0.8, 1.0
"""After a change, driver and pixels need a moment. Then a search looks the longer the less wrong the rate is, because
people move to and fro. A settled rate is watched for longer still."""

CLOSE, FAR, CLEAR = 1.2, 1.5, 2.5
"""A search ends within the first factor of the wanted rate, and begins again beyond the second: hysteresis. The
third is clearly wrong."""

LEAST_STEP, MOST_STEP = 1 / 32, 0.5
STEEPNESS = 2.0
"""Of the first steps: by how much ln(rate) changes for a step of 1. It is some 1 for signals and 10 for noise."""

MOST_NOISE = 0.8
"""Where more of the events are noise, a higher sensitivity would only add noise, so it isn't raised."""


def hold_rate(
    state: HoldState, events_per_s: float, dt_s: float, wanted_per_s: float, noise_share: float = 0.0
) -> tuple[HoldState, float]:
    """Return the next state and the sensitivity, −1 to +1, that brings a sensor's event rate to the wanted one.

    It steps towards the wanted rate until it has passed it, and then halves each step. So a search ends after a few
    steps, whatever the sensor's response, if more sensitive means more events. ``events_per_s`` is the mean over
    ``dt_s``, the time since the last call; ``noise_share`` of them, 0 to 1, were noise.
    """
    seen_s = max(dt_s - state.blind_s, 0.0)
    state = state._replace(
        blind_s=max(state.blind_s - dt_s, 0.0),
        counted_s=state.counted_s + seen_s,
        events=state.events + events_per_s * seen_s,
    )
    if state.counted_s < (GLANCE_S if state.searching else SETTLED_S):
        return state, state.sensitivity
    rate = max(state.events / state.counted_s, 1.0)
    error = math.log(wanted_per_s / rate)
    if state.searching and state.counted_s < _look_s(abs(error)):
        return state, state.sensitivity
    state = state._replace(counted_s=0.0, events=0.0)
    if not state.searching:
        if min(abs(error), abs(math.log(rate / state.settled_per_s))) <= math.log(FAR):
            return state, state.sensitivity
        state = HoldState(state.sensitivity)
    if abs(error) <= math.log(CLOSE):
        return _settled(state.sensitivity, wanted_per_s)
    if error > 0 and noise_share > MOST_NOISE:
        return _settled(state.sensitivity, rate)
    bisecting = state.bisecting or state.step * error < 0
    nearest = (error, state.sensitivity)
    if bisecting and abs(state.nearest[0]) < abs(error):
        nearest = state.nearest
    size = abs(state.step) / 2 if bisecting else min(max(abs(error) / STEEPNESS, 2 * LEAST_STEP), MOST_STEP)
    if size < LEAST_STEP:  # settings are too far apart
        return _settled(nearest[1], wanted_per_s * math.exp(-nearest[0]))
    sensitivity = min(max(state.sensitivity + math.copysign(size, error), -1.0), 1.0)
    step = sensitivity - state.sensitivity
    if not step:
        return _settled(sensitivity, rate)
    state = HoldState(sensitivity, blind_s=BLIND_S, step=step, bisecting=bisecting, nearest=nearest)
    return state, sensitivity


def _look_s(error: float) -> float:
    """Return how long a search looks at a rate that is so far off, |ln(wanted / rate)|."""
    if error > math.log(CLEAR):
        return GLANCE_S
    return LOOK_S if error > math.log(CLOSE) else SURE_S


def _settled(sensitivity: float, rate: float) -> tuple[HoldState, float]:
    settled = HoldState(sensitivity, searching=False, blind_s=BLIND_S, settled_per_s=max(rate, 1.0))
    return settled, sensitivity


BLOCKS = 16  # On a side of the picture, in which events are counted to tell noise from signal.


def noise_share(counts: npt.NDArray[np.int64]) -> float:
    """Return which share of the events is noise, by how many each pixel had, [H, W]; NaN where there are none.

    Noise is everywhere, and what moves is somewhere: the quieter half of the picture, in blocks, has noise only.
    Its mean is below the noise's mean m by √(2/π) √m, as is the lower half of a Gaussian.
    """
    down, across = (max(size // BLOCKS, 1) for size in counts.shape)
    rows, columns = counts.shape[0] // down, counts.shape[1] // across
    whole = counts[: rows * down, : columns * across]
    blocks = whole.reshape(rows, down, columns, across).sum((1, 3)).ravel()
    if not blocks.sum():
        return math.nan
    quieter = float(np.sort(blocks)[: (blocks.size + 1) // 2].mean())
    half = math.sqrt(2 / math.pi) / 2
    noise = (half + math.sqrt(half**2 + quieter)) ** 2 if quieter else 0.0
    return min(noise * blocks.size / float(blocks.sum()), 1.0)


HOT_HZ = 20.0  # A hot pixel has so many events a second, and `stand_out`.


def hot_pixels(counts: npt.NDArray[np.int64], seconds: float) -> list[tuple[int, int]]:
    """Return the hot pixels (x, y), those with the most events first, by how many each pixel had, [H, W]."""
    hot = np.argwhere(stand_out(np.pad(counts, 1), HOT_HZ * seconds))
    worst = np.argsort(-counts[tuple(hot.T)], kind="stable")
    return [(x, y) for y, x in hot[worst].tolist()]


def with_preset(settings: SensorSettings, name: str) -> SensorSettings:
    """Return the settings with a preset's dials; what else a person chose stays, but no rate is held."""
    sensitivity, speed = PRESETS[name]
    return replace(settings, sensitivity=sensitivity, speed=speed, hold_events_per_s=None)
