"""What is remembered of a camera from one start to the next: its mounting, and its sensor's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from livesnn.errors import DataError, SourceError
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.cameras.sensitivity import SensorSettings, load_settings, save_settings
from livesnn.events.cameras.sensor_control import SensorControl
from livesnn.events.filters import Orientation
from livesnn.sources import Source, is_live

SIMULATED = "simulate:"


@dataclass(frozen=True)
class Mounting:
    """How the camera of a source that isn't open yet is mounted.

    Without an ``orientation`` it is the one remembered for a camera or a stream; anything else is played as it is.
    """

    orientation: Orientation | None = None  # requested for this time
    remembered: Mapping[str, Orientation] = field(default_factory=dict)  # by `camera_name`

    def orientation_of(self, opened: Source, source: object) -> Orientation:
        """Return what makes an open source upright; ``source`` is what a person named to open it."""
        if self.orientation is not None:
            return self.orientation
        serial = opened.serial if isinstance(opened, ReconnectingSource) else ""
        return self.remembered.get(camera_name(source, serial), Orientation())


def camera_name(source: object, serial: str) -> str:
    """Return the name that a camera or a stream is remembered by (serial number or address); "" for anything else."""
    if serial or not isinstance(source, str) or source.startswith(SIMULATED):
        return serial
    return source if is_live(source) else ""


class CameraFiles:
    """Files in ``folder`` with the settings of each camera's sensor, by its serial number.

    Nothing is loaded or saved without a folder, or for a source without a serial number. ``given`` are settings for
    every camera until the process ends, in place of the saved ones.
    """

    def __init__(self, folder: Path | None, given: SensorSettings | None = None) -> None:
        self._folder, self._given = folder, given

    def set_up(self, sensor: SensorControl, serial: str) -> str:
        """Set a camera up as was saved or given; return why that isn't possible, in one line, or ""."""
        try:
            if self._given is not None:
                sensor.change(self._given)
            elif (file := self._file(serial)) is not None and file.is_file():
                sensor.change(load_settings(file))
        except (DataError, SourceError) as error:
            return f"the sensor is set up as its driver does: {error}"
        return ""

    def change(self, sensor: SensorControl, serial: str, settings: SensorSettings) -> None:
        """Set a camera up this way, and save that where it is possible. Raises SourceError where it can't be."""
        sensor.change(settings)
        if (file := self._file(serial)) is not None:
            with suppress(OSError):
                save_settings(file, settings, sensor.camera)

    def _file(self, serial: str) -> Path | None:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", serial)
        return self._folder / "sensors" / f"{name}.json" if self._folder is not None and serial else None
