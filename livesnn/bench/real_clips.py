"""Clips of real people performing gestures, NN_GESTURE.npz in a folder. Not here: what is measured on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.errors import DataError
from livesnn.events.packet import Events, EventSource, Resolution
from livesnn.simulate.motions import GESTURES
from livesnn.sources import event_source, open_source


def find_clips(folder: Path) -> list[Path]:
    """Return the clips whose names say a gesture, by name; raises DataError when there are none."""
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: give --data a folder with clips NN_GESTURE.npz")
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


class RealClip(NamedTuple):
    """All events of a clip, its sensor, and what was wrong with it as it was read."""

    events: Events
    resolution: Resolution
    warnings: tuple[str, ...]


def read_clip(path: Path) -> RealClip:
    """Return a clip; raises DataError when it has no events."""
    with closing(event_source(open_source(path))) as source:
        packets = [packet.events for packet in source]
        if not packets:
            raise DataError(f"{path} holds no events: leave it out")
        return RealClip(np.concatenate(packets), source.resolution, tuple(_warnings(path, source)))


def _warnings(path: Path, source: EventSource) -> Iterator[str]:
    yield from (f"{path.name}: {warning}" for warning in source.warnings)
    counted = source.counters
    if counted.out_of_order:
        yield f"{path.name}: {counted.out_of_order:,} events out of order were put in order"
    if counted.out_of_bounds:
        yield f"{path.name}: {counted.out_of_bounds:,} events outside the sensor were left out"
