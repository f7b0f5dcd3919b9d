"""The types that every format shares: `Reader` is what each must offer. Ready-made ones are in shared_readers.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.events.packet import Events, Resolution, SourceCounters
from livesnn.progress import Progress


@dataclass(frozen=True)
class EventStream:
    """One stream of events in a file; ``resolution`` is None if the file doesn't give it.

    ``mirrored`` says for x and y whether the file counts them the other way. Packets are upright in any case.
    """

    name: str
    camera: str
    resolution: Resolution | None
    mirrored: tuple[bool, bool] = (False, False)


class OtherContent(NamedTuple):
    """How many frames, inertial samples and triggers a file holds besides its events."""

    frames: int = 0
    imu: int = 0
    triggers: int = 0


class Parts(NamedTuple):
    """Parts of a stream, int64 [N] each: events of a part, above 0, its least time and its greatest, µs."""

    items: npt.NDArray[np.int64]
    t_first: npt.NDArray[np.int64]
    t_last: npt.NDArray[np.int64]


class Reader(ABC):
    """An open file. Use it from one thread at a time."""

    format: str  # Short name, e.g. aedat4
    camera: str = ""  # What recorded it according to the file, or ""
    orientation: str = "x to the right, y down"  # How the file's coordinates lie, in words
    streams: Sequence[EventStream]  # Its event streams in the file's order; there may be none
    # Of the first event stream, else of the frames; None if the file doesn't give it
    resolution: Resolution | None

    @property
    def indexed(self) -> bool:
        """Whether the times of the whole file are known."""
        return True

    def index(self, progress: Progress) -> None:  # noqa: B027 (nothing to do, unless a format overrides it)
        """Find the times of the whole file, maybe in another thread; passes on what ``progress`` raises."""

    @property
    @abstractmethod
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed in the part read so far; one line each."""

    @abstractmethod
    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield the stream's packets of EVENTS_DTYPE from the first event at or after ``start_us``.

        The caller owns the packets. They are time-ordered, not empty, and may be strided. Events out of order are
        sorted, events outside the sensor are dropped, and ``counters`` counts both; its ``events`` is left to the
        caller. Damaged packets are skipped with a warning.
        """

    @abstractmethod
    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time in µs, judged by the stream's ends; None if it has no events."""

    def parts(self, stream: str) -> Parts | None:
        """Return the parts of a stream, as far as it is indexed; None where they are unknown, or few."""
        return None

    def other_content(self) -> OtherContent:
        """Count what isn't events; nothing, unless a format overrides it."""
        return OtherContent()

    def close(self) -> None:  # noqa: B027 (nothing to release, unless a format overrides it)
        """Release the file; packets stay valid. Safe to call twice."""
