"""What is known of cameras' hot pixels from one start to the next, a file a camera. Learning is in denoise.py."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import EVENTS_DTYPE, Resolution
from livesnn.files import replace_file

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
