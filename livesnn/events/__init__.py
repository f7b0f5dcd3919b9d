"""What comes in: events, their sources, `open_source`. Not here: turning events into frames (frames.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError

EVENTS_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
"""One event: t in µs (signed, so that differences can't wrap), x to the right, y down, p True = ON."""

Events = npt.NDArray[np.void]
"""A packet: a time-ordered array of EVENTS_DTYPE, maybe empty."""


DISORDER_US = 10_000
"""An event older than the newest by at most this is out of order and takes the newest's time; older than that, time
has jumped back. Far above what a camera's readout mixes up, far below a clip's length."""


class Resolution(NamedTuple):
    """Sensor size in pixels. Arrays are always [..., height, width]."""

    width: int
    height: int


@dataclass
class SourceCounters:
    """What a source has let through and lost, in events, since it was opened."""

    events: int = 0
    dropped: int = 0
    out_of_order: int = 0
    out_of_bounds: int = 0


class EventSource(Protocol):
    """Anything that yields packets. A camera never ends, a recording does."""

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels."""
        ...

    @property
    def counters(self) -> SourceCounters:
        """Events let through and lost so far."""
        ...

    def __iter__(self) -> Iterator[Events]:
        """Yield packets in time order; empty packets are legal."""
        ...

    def close(self) -> None:
        """Release the file or device; safe to call twice."""
        ...


_NOT_YET = ("camera:", "tcp://", "unix://", "webcam:", "simulate:")


def open_source(uri: str | Path) -> EventSource:
    """Open a SOURCE of the command line: today the path of a recording.

    Raises
    ------
    SourceError
        When there is no such file, or the source isn't supported yet.
    FormatError
        When the file isn't a recording of a known format, or is damaged beyond use.
    """
    from livesnn.events.recording import open_recording

    path = Path(uri)
    if path.exists():
        return open_recording(path)
    name = str(uri)
    if name == "camera" or name.startswith(_NOT_YET):
        raise SourceError(
            f"{name}: {name.split(':')[0]} sources are not supported yet: give the path of a recording"
        )
    raise SourceError(f"{name}: no such file: give the path of a recording (.aedat4, N-MNIST .bin, .npz)")
