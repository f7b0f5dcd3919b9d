"""Cameras for tests: a driver that gives what it is told to, in dv-processing's own EventStore, or in arrays."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.bench.throughput import moving_blob
from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device, Driver
from livesnn.events.cameras.inivation import InivationDriver
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import Events, Resolution

if TYPE_CHECKING:
    from dv_processing import EventStore

VGA = Resolution(640, 480)
SERIAL = "DXA00093"
STORED_DTYPE = np.dtype(
    {
        "names": ["timestamp", "x", "y", "polarity"],
        "formats": ["<i8", "<i2", "<i2", "i1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
"""Of `EventStore.numpy()`, dv-processing 2.0.4."""


class Unplugged:
    """As an item: nothing, and from here on the driver isn't running."""


UNPLUG = Unplugged()
Item = Any | None | BaseException | Unplugged
"""What one call of the driver does: events, nothing yet, an error, the end."""


def device(serial: str = SERIAL) -> Device:
    return Device("camera", f"camera:{serial}", "DVXPLORER", serial, None)


@dataclass(frozen=True)
class ArrayBatch:
    """What an EventStore would give, from an array; also what no EventStore takes: events out of order."""

    stored: npt.NDArray[np.void]

    @classmethod
    def of(cls, events: Events) -> ArrayBatch:
        stored = np.zeros(events.size, STORED_DTYPE)
        for ours, theirs in (("t", "timestamp"), ("x", "x"), ("y", "y"), ("p", "polarity")):
            stored[theirs] = events[ours]
        return cls(stored)

    def numpy(self) -> npt.NDArray[np.void]:
        return self.stored.copy()


@dataclass(frozen=True)
class Later:
    """A batch whose events happen later."""

    batch: Any
    shift_us: int

    def numpy(self) -> npt.NDArray[np.void]:
        stored = self.batch.numpy()
        stored["timestamp"] += self.shift_us
        return stored


def event_store(events: Events) -> EventStore:
    """Return ordered events as one EventStore, by a file: there is no faster way from numpy (0.3 Mev/s)."""
    dv = pytest.importorskip("dv_processing", reason="needs dv-processing: pip install dv-processing")
    whole = dv.EventStore()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.aedat4"
        with Aedat4Writer(path, VGA, compression=None) as writer:
            writer.write(events)
        recording = dv.io.MonoCameraRecording(str(path))
        while (part := recording.getNextEventBatch()) is not None:
            whole.add(part)
        del recording  # an open file can't be deleted on Windows
    return whole


class FakeDriver:
    """What dv-processing calls a camera: does one item a call, then gives nothing, plugged in until UNPLUG."""

    def __init__(self, items: Iterable[Item] = (), *, serial: str = SERIAL) -> None:
        self._items = iter(items)
        self._name = f"DVXplorer_{serial}"
        self._running = True

    def getCameraName(self) -> str:  # noqa: N802
        return self._name

    def getEventResolution(self) -> tuple[int, int] | None:  # noqa: N802
        return VGA

    def getNextEventBatch(self) -> Any | None:  # noqa: N802
        item = next(self._items, None)
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, Unplugged):
            self._running = False
            return None
        return item

    def isRunning(self) -> bool:  # noqa: N802
        return self._running


class FakeCameras:
    """A `livesnn.events.cameras.discovery.Cameras`: what is found at each look, and a driver for each opening.

    Parameters
    ----------
    drivers
        Handed out in order, one an opening, an error raised instead; then nothing can be opened.
    looks
        What each look finds, the last one, or at first one camera of SERIAL, from then on.
    """

    def __init__(self, drivers: Iterable[Any], looks: Iterable[list[Device]] = ()) -> None:
        self._drivers = iter(drivers)
        self._looks = iter(looks)
        self._seen = [device()]
        self.opened: list[str] = []

    def discover(self) -> list[Device]:
        self._seen = next(self._looks, self._seen)
        return self._seen

    def open(self, serial: str) -> Driver:
        driver = next(self._drivers, SourceError(f"camera:{serial} can't be opened"))
        if isinstance(driver, BaseException):
            raise driver
        self.opened.append(serial)
        return InivationDriver(driver)


def batches(mev_per_s: float) -> Iterator[Any]:
    """Yield 10 ms of a moving blob at a time, for ever; made before the first, of 100 ms that repeat."""
    period_us, parts = 10_000, 10
    events = moving_blob(round(mev_per_s * 100_000), VGA, seed=1, duration_us=parts * period_us)
    cuts = np.searchsorted(events["t"], np.arange(1, parts) * period_us)
    made = [ArrayBatch.of(part) for part in np.split(events, cuts)]
    return (Later(batch, 100_000 * lap) for lap in itertools.count() for batch in made)


def paced(
    given: Iterable[Any], period_s: float = 0.01, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Any | None]:
    """Yield each batch when it is due, and nothing before: a camera in real time, for `FakeDriver`."""
    due_s = clock()
    for batch in given:
        due_s += period_s
        while clock() < due_s:
            yield None
        yield batch
