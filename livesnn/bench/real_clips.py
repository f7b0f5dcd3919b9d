"""Clips of real people performing gestures, NN_GESTURE.npz in a folder. Not here: what is measured on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livesnn.errors import DataError
from livesnn.events import Events, Resolution
from livesnn.simulate.motions import GESTURES
from livesnn.sources import open_source


def find_clips(folder: Path) -> list[Path]:
    """Return the clips whose names say a gesture, by name; raises DataError when there are none."""
    files = [path for path in sorted(folder.glob("*.npz")) if label_of(path) in GESTURES]
    if not files:
        raise DataError(
            f"no clips NN_GESTURE.npz in {folder}: give --data a folder with some of {GESTURES[0]} …"
        )
    return files


def label_of(path: Path) -> str:
    """Return the gesture that a clip's name says, after its number; "": it has no number."""
    number, _, label = path.stem.partition("_")
    return label if number.isdigit() else ""


def read_clip(path: Path) -> tuple[Events, Resolution]:
    """Return all events of a clip and its sensor; raises DataError when there are none."""
    with open_source(path) as source:
        packets = list(source)
        if not packets:
            raise DataError(f"{path} holds no events: leave it out")
        return np.concatenate(packets), source.resolution
