"""What a vendor's driver offers: `Cameras` that are plugged in, and an open `Driver`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events.cameras.sensitivity import Abilities, SensorSettings
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution


class SourceLost(SourceError):  # noqa: N818 (it may come back)
    """The camera was unplugged, or the server is gone; it may come back. In words: what, why, what to do."""


@dataclass(frozen=True)
class Device:
    """A camera that is plugged in; ``resolution`` and ``abilities`` are None where only opening it would tell."""

    kind: str
    uri: str
    name: str
    serial: str
    resolution: Resolution | None
    abilities: Abilities | None = None

    def summary(self) -> dict[str, object]:
        return vars(self) | {"abilities": self.abilities and self.abilities.summary()}


class Driver(Protocol):
    """An open camera, by model and serial number ("DVXplorer DXA00093"); used from one thread at a time."""

    name: str
    resolution: Resolution
    abilities: Abilities
    dropped: int
    """How many events, about, were left in the driver's queue because a busy computer was too late for them."""

    def configure(self, settings: SensorSettings) -> None:
        """Set the sensor up; it was checked that it can be. Raises SourceError where the camera refuses."""

    def poll(self) -> Events | None:
        """Return what has come since the last call, in the driver's order, after some milliseconds at most.

        None, or no events: nothing has. Raises SourceLost when the camera has been unplugged; everything it sent has
        been returned then.
        """

    def close(self) -> None:
        """Close the camera. Safe to call twice."""


class Cameras(Protocol):
    """What is plugged in, and how to open it."""

    def discover(self) -> list[Device]:
        """Return the cameras found, in the driver's order. Raises SourceError where they can't be looked for."""

    def open(self, serial: str) -> Driver:
        """Open a camera found before. Raises SourceError."""


def copy_events(stored: npt.NDArray[np.void], fields: Sequence[str]) -> Events:
    """Return a driver's events as EVENTS_DTYPE; ``fields`` are its names of t, x, y and p.

    A negative coordinate becomes one beyond any sensor.
    """
    events = np.empty(stored.size, EVENTS_DTYPE)
    for ours, theirs in zip(("t", "x", "y", "p"), fields, strict=True):
        events[ours] = stored[theirs]
    return events


_LIBRARY_ERRORS = (RuntimeError, IndexError, ValueError, OSError)  # what errors of C++ and Rust become


@contextmanager
def errors_as(kind: type[SourceError], words: str) -> Iterator[None]:
    """Raise an error of a vendor's library as ``kind``, with ``words``, in which {} stands for the reason.

    Rust's panics aren't even Exceptions. The reason leaves out dv-processing's place in its source and stack trace.
    """
    try:
        yield
    except BaseException as error:
        if not isinstance(error, _LIBRARY_ERRORS) and type(error).__name__ != "PanicException":
            raise
        lines = [line.strip() for line in str(error).partition("Stacktrace")[0].splitlines() if line.strip()]
        why = lines[-1].removeprefix("RuntimeError: ") if lines else type(error).__name__
        raise kind(words.format(why)) from error


@contextmanager
def library_of(whose: str, install: str) -> Iterator[None]:
    """Raise SourceError, with how to install it, where a vendor's library can't be imported in the block."""
    try:
        yield
    except ImportError as error:
        raise SourceError(f"{whose}, which can't be loaded ({error}): {install}") from error


def opening(uri: str) -> AbstractContextManager[None]:
    return errors_as(
        SourceError,
        f"{uri} can't be opened ({{}}): close other programs that use it, and check the permission to use it (udev "
        "rules on Linux)",
    )


class LibraryDriver(ABC):
    """A base for a `Driver` by a vendor's library, of which `_set_up` and `_poll` may raise the library's errors."""

    name: str

    def configure(self, settings: SensorSettings) -> None:
        with errors_as(SourceError, f"camera {self.name} refuses these settings ({{}}): choose others"):
            self._set_up(settings)

    def poll(self) -> Events | None:
        with errors_as(SourceLost, f"camera {self.name} is lost ({{}}): plug it in again"):
            return self._poll()

    @abstractmethod
    def _set_up(self, settings: SensorSettings) -> None: ...

    @abstractmethod
    def _poll(self) -> Events | None: ...
