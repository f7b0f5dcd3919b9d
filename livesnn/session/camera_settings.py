"""What is remembered of a camera from one start to the next: its mounting, its sensor's settings and hot pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError, SourceError
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.cameras.sensitivity import SensorSettings, load_settings, save_settings
from livesnn.events.cameras.sensor_control import SensorControl
from livesnn.events.filters import Orientation
from livesnn.events.packet import Resolution
from livesnn.files import replace_file
from livesnn.json_text import decode_json
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


FOLDER, SENSORS = "hot-pixels", "sensors"


@dataclass(frozen=True)
class _HotPixelFile:
    """Content of a file: size of the sensor, and its ``hot`` pixels (x, y)."""

    width: int
    height: int
    hot: list[tuple[int, int]]


class CameraFiles:
    """Files with the hot pixels of each camera, and with its sensor's settings, by its serial number.

    They are in the subfolders `FOLDER` and `SENSORS` of ``folder``. None: nothing is loaded or saved, as for a source
    without a serial number. ``given`` are settings for every camera until the process ends, in place of the saved
    ones.
    """

    def __init__(self, folder: Path | None, given: SensorSettings | None = None) -> None:
        self._folder, self._given = folder, given

    def load_hot_pixels(
        self, serial: str, sensor: Resolution, orientation: Orientation
    ) -> npt.NDArray[np.bool_] | None:
        """Return which pixels of the upright picture are hot, bool [H, W]; None where nothing was saved.

        Raises DataError if the camera's file can't be read, or is for another sensor.
        """
        if (file := self._file(FOLDER, serial)) is None or not file.is_file():
            return None
        try:
            known = decode_json(file.read_bytes(), _HotPixelFile)
        except (OSError, msgspec.DecodeError, UnicodeError) as error:
            raise DataError(f"{file}: can't be read ({error}), so livesnn learns the hot pixels again") from error
        inside = all(0 <= x < sensor.width and 0 <= y < sensor.height for x, y in known.hot)
        if (known.width, known.height) != sensor or not inside:
            raise DataError(
                f"{file}: not for a sensor of {sensor.width}×{sensor.height}, so livesnn learns the hot pixels again"
            )
        hot = np.zeros((sensor.height, sensor.width), np.bool_)
        for x, y in known.hot:
            hot[y, x] = True
        return _oriented(hot, orientation)

    def save_hot_pixels(self, serial: str, hot: npt.NDArray[np.bool_], orientation: Orientation) -> None:
        """Save which pixels of the upright picture are hot, bool [H, W]; do nothing where that isn't possible."""
        if (file := self._file(FOLDER, serial)) is None:
            return
        hot = _oriented(hot, Orientation().after(orientation))  # as the sensor has them
        height, width = hot.shape
        known = _HotPixelFile(width, height, [(x, y) for y, x in np.argwhere(hot).tolist()])
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, msgspec.json.encode(known))

    def set_up(self, sensor: SensorControl, serial: str) -> str:
        """Set a camera up as was saved or given; return why that isn't possible, in one line, or ""."""
        try:
            if self._given is not None:
                sensor.change(self._given)
            elif (file := self._file(SENSORS, serial)) is not None and file.is_file():
                sensor.change(load_settings(file))
        except (DataError, SourceError) as error:
            return f"the sensor is set up as its driver does: {error}"
        return ""

    def change(self, sensor: SensorControl, serial: str, settings: SensorSettings) -> None:
        """Set a camera up this way, and save that where it is possible. Raises SourceError where it can't be."""
        sensor.change(settings)
        if (file := self._file(SENSORS, serial)) is not None:
            with suppress(OSError):
                save_settings(file, settings, sensor.camera)

    def _file(self, kind: str, serial: str) -> Path | None:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", serial)
        return self._folder / kind / f"{name}.json" if self._folder is not None and serial else None


def _oriented(pixels: npt.NDArray[np.bool_], orientation: Orientation) -> npt.NDArray[np.bool_]:
    """Return a map of pixels, bool [H, W], as `orient` mirrors and turns events."""
    return np.rot90(np.fliplr(pixels) if orientation.mirrored else pixels, -orientation.quarter_turns)
