"""What an event camera's sensor can be set to; no driver is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from livesnn.errors import DataError, SourceError
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
            "a sensitivity": (bool(self.sensitivity or self.hold_events_per_s), abilities.has("sensitivity")),
            "a speed": (bool(self.speed), abilities.has("speed")),
            f"the clock {self.clock!r}": (True, self.clock in abilities.clocks),
        }
        for what, (wanted, possible) in asked.items():
            if wanted and not possible:
                raise SourceError(f"{camera} can't be given {what}: leave it out of the camera's settings")
        region = self.region or Region(0, 0, *sensor)
        ends = (region.x + region.width - 1, region.y + region.height - 1)
        inside = all(0 <= x < sensor.width and 0 <= y < sensor.height for x, y in (region[:2], ends))
        if not inside or min(region.width, region.height) < 1:
            raise SourceError(f"{camera} has {sensor.words} pixels: keep its region inside")

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
        # A misspelt field would leave the camera as it is, without a word. Older files have masked pixels.
        if unknown := decode_json(octets, dict[str, Any])["settings"].keys() - asdict(settings).keys() - {"masked"}:
            raise msgspec.ValidationError(f"unknown field {min(unknown)!r}")
        return settings
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        raise DataError(f"{path}: not a file of camera settings ({error}): give one that the window saved") from error


def save_settings(path: Path, settings: SensorSettings, camera: str) -> None:
    """Write the settings of a camera, by its model, to a file that can be shared. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = msgspec.json.encode(_SensorFile(camera, settings))
    replace_file(path, msgspec.json.format(written, indent=2) + b"\n")


def with_preset(settings: SensorSettings, name: str) -> SensorSettings:
    """Return the settings with a preset's dials; what else a person chose stays, but no rate is held."""
    sensitivity, speed = PRESETS[name]
    return replace(settings, sensitivity=sensitivity, speed=speed, hold_events_per_s=None)
