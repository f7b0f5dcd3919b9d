"""What is remembered of a camera from one start to the next: how it is mounted, and its hot pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import EVENTS_DTYPE, Resolution
from livesnn.files import replace_file
from livesnn.sources import Source, is_live

SIMULATED = "simulate:"


@dataclass(frozen=True)
class Mounting:
    """What makes a source upright that isn't open yet.

    Attributes
    ----------
    wanted
        By a person, for this opening; None: what is remembered of a camera or a stream, anything else as it comes.
    remembered
        By the name of `camera_name`.
    """

    wanted: Orientation | None = None
    remembered: Mapping[str, Orientation] = field(default_factory=dict)

    def of(self, opened: Source, source: object) -> Orientation:
        """Return it once the source is open; ``source`` is what a person called it."""
        if self.wanted is not None:
            return self.wanted
        serial = opened.serial if isinstance(opened, ReconnectingSource) else ""
        return self.remembered.get(camera_name(source, serial), Orientation())


def camera_name(source: object, serial: str) -> str:
    """Return what a camera or a stream is remembered by: serial number or address; "" for anything else."""
    if serial or not isinstance(source, str) or source.startswith(SIMULATED):
        return serial
    return source if is_live(source) else ""


def with_mounted(
    mounted: Mapping[str, Orientation], camera: str, orientation: Orientation
) -> dict[str, Orientation]:
    """Return what is remembered with this camera mounted so; one that is upright isn't in it."""
    others = {name: how for name, how in mounted.items() if name != camera}
    return others if orientation == Orientation() else {**others, camera: orientation}


FOLDER = "hot-pixels"


@dataclass(frozen=True)
class _Known:
    """What is in a file: ``hot`` pixels (x, y) of a sensor of this size."""

    width: int
    height: int
    hot: list[tuple[int, int]]


class HotPixels:
    """The hot pixels of every camera, by its serial number; nothing is known or kept of one without.

    Parameters
    ----------
    folder
        Where, in `FOLDER`; None: nowhere.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder / FOLDER

    def of(self, serial: str, sensor: Resolution, orientation: Orientation) -> npt.NDArray[np.bool_] | None:
        """Return which pixels of the upright picture are hot, bool [H, W]; None where nothing is known.

        Raises
        ------
        DataError
            When the camera's file can't be read, or is of another sensor.
        """
        if self._folder is None or not serial or not (file := self._file(serial)).is_file():
            return None
        try:
            known = msgspec.json.decode(file.read_bytes(), type=_Known)
        except (OSError, msgspec.DecodeError, UnicodeError) as error:
            raise DataError(f"{file}: can't be read ({error}): its hot pixels are learned again") from error
        inside = all(0 <= x < sensor.width and 0 <= y < sensor.height for x, y in known.hot)
        if (known.width, known.height) != sensor or not inside:
            raise DataError(
                f"{file}: not of {sensor.width}×{sensor.height}: its hot pixels are learned again"
            )
        hot = np.zeros((sensor.height, sensor.width), np.bool_)
        for x, y in known.hot:
            hot[y, x] = True
        return oriented(hot, orientation)

    def keep(self, serial: str, hot: npt.NDArray[np.bool_], orientation: Orientation) -> None:
        """Remember these of the upright picture, bool [H, W]. A disk that can't be written is no error here."""
        if self._folder is None or not serial:
            return
        hot = oriented(hot, Orientation().after(orientation))  # as the sensor has them
        height, width = hot.shape
        known = _Known(width, height, [(x, y) for y, x in np.argwhere(hot).tolist()])
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._file(serial), msgspec.json.encode(known))

    def _file(self, serial: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', serial)}.json"


def oriented(pixels: npt.NDArray[np.bool_], orientation: Orientation) -> npt.NDArray[np.bool_]:
    """Return a map of pixels, bool [H, W], oriented as `orient` does with events."""
    height, width = pixels.shape
    events = np.zeros(np.count_nonzero(pixels), EVENTS_DTYPE)
    events["y"], events["x"] = np.nonzero(pixels)
    events = orient(events, Resolution(width, height), orientation)
    upright = orientation.resolution(Resolution(width, height))
    turned = np.zeros((upright.height, upright.width), np.bool_)
    turned[events["y"], events["x"]] = True
    return turned
