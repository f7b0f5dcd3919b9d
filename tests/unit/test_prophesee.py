"""Prophesee's cameras: neuromorphic-drivers as it is installed, and one that gives what it is told to."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.cameras.discovery import EveryVendor, open_camera
from livesnn.events.cameras.driver import Cameras, Device
from livesnn.events.cameras.prophesee import WAIT_S, PropheseeCameras, PropheseeDriver
from livesnn.events.cameras.reconnecting import SourceLost
from livesnn.events.packet import EVENTS_DTYPE, Events, EventSource, Resolution
from tests.fake_camera import FakeCameras, device
from tests.fake_source import at, joined

SERIAL = "00050423"
HD = Resolution(1280, 720)
STORED_DTYPE = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
"""Of `Evt3Packet.polarity_events`, neuromorphic-drivers 0.18.2."""
LOST = RuntimeError("No such device (it may have been disconnected)")


class Name(enum.Enum):
    EVK4 = "Prophesee EVK4"
    DVXPLORER = "iniVation DVXplorer"


@dataclasses.dataclass
class Packet:
    polarity_events: np.ndarray | None


def packet(events: Events) -> Packet:
    stored = np.zeros(events.size, STORED_DTYPE)
    for ours, theirs in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on")):
        stored[theirs] = events[ours]
    return Packet(stored)


class FakeDevice:
    """An open device: does one item a call, then has nothing; an error is raised."""

    def __init__(self, items: Iterable[Packet | Exception | None] = ()) -> None:
        self._items = iter(items)
        self.closed = 0

    def __iter__(self) -> Iterator[tuple[object, Packet | None]]:
        return self

    def __next__(self) -> tuple[object, Packet | None]:
        item = next(self._items, None)
        if isinstance(item, Exception):
            raise item
        return SimpleNamespace(ring=None), item

    def name(self) -> Name:
        return Name.EVK4

    def properties(self) -> SimpleNamespace:
        return SimpleNamespace(width=1280, height=720)

    def close(self) -> None:
        self.closed += 1


class FakeLibrary:
    """neuromorphic_drivers, as far as it is used: these devices in order, one an opening."""

    def __init__(self, *devices: FakeDevice | Exception, listed: Iterable[Any] = ()) -> None:
        self._devices = iter(devices)
        self.listed = [*listed] or [SimpleNamespace(name=Name.EVK4, serial=SERIAL)]
        self.opened: list[dict[str, Any]] = []

    def list_devices(self) -> list[Any]:
        return self.listed

    def open(self, **asked: Any) -> FakeDevice:
        self.opened.append(asked)
        found = next(self._devices)
        if isinstance(found, Exception):
            raise found
        return found


def cameras(library: FakeLibrary) -> PropheseeCameras:
    usb = Path(__file__).parent  # any folder: a machine without USB has no cameras
    return PropheseeCameras(lambda: library, usb)  # type: ignore[arg-type, return-value]


def times(camera: EventSource) -> Iterator[list[int]]:
    """Yield those of each packet that has events."""
    return (packet.events["t"].tolist() for packet in camera if packet.events.size)


def test_events_come_as_the_driver_gave_them() -> None:
    given = at(5, 6, 6, 9, x=1279, y=719, p=False)
    given["p"][1] = True
    library = FakeLibrary(FakeDevice([None, Packet(None), packet(given[:3]), packet(given[3:])]))
    with open_camera("camera", cameras=cameras(library)) as camera:
        assert (camera.name, camera.resolution) == (f"camera Prophesee EVK4 {SERIAL}", HD)
        assert camera.serial == SERIAL
        whole = joined(islice((packet for packet in camera if packet.events.size), 2))
    assert whole.dtype == EVENTS_DTYPE
    np.testing.assert_array_equal(whole, given)
    assert camera.counters.events == 4
    assert library.opened == [{"serial": SERIAL, "iterator_timeout": WAIT_S}]


def test_what_lies_outside_the_sensor_is_left_out_and_counted() -> None:
    library = FakeLibrary(FakeDevice([packet(np.concatenate([at(1), at(2, x=1280), at(3, y=720)]))]))
    with open_camera(f"camera:{SERIAL}", cameras=cameras(library)) as camera:
        assert next(times(camera)) == [1]
        assert camera.counters.out_of_bounds == 2


def test_unplugged_it_is_waited_for_and_goes_on() -> None:
    first, second = FakeDevice([packet(at(1)), LOST]), FakeDevice([packet(at(2))])
    told: list[str] = []
    with open_camera("camera", notify=told.append, cameras=cameras(FakeLibrary(first, second))) as camera:
        came = [*islice((packet for packet in camera if packet.events.size), 2)]
        assert [(packet.epoch, packet.events["t"].tolist()) for packet in came] == [(0, [1]), (1, [2])]
    assert first.closed == 1
    assert second.closed == 1
    assert "is lost (No such device (it may have been disconnected)): plug it in again" in told[0]
    assert told[1] == f"camera Prophesee EVK4 {SERIAL} is back: going on"


def test_a_camera_that_ends_is_lost() -> None:
    driver = PropheseeDriver("EVK4", HD, FakeDevice([StopIteration()]))
    with pytest.raises(SourceLost, match=r"camera EVK4 is lost \(it has ended\)"):
        driver.poll()
    driver.close()
    driver.close()


def test_one_that_cannot_be_opened_is_an_error_in_one_line() -> None:
    library = FakeLibrary(RuntimeError("Access denied (insufficient permissions)"))
    with pytest.raises(SourceError, match=rf"^camera:{SERIAL} can't be opened \(Access denied .*udev rules"):
        open_camera("camera", cameras=cameras(library))


def test_one_that_fails_while_it_is_opened_is_let_go() -> None:
    class Failing(FakeDevice):
        def properties(self) -> SimpleNamespace:
            raise LOST

    failing = Failing()
    with pytest.raises(SourceError, match="can't be opened"):
        open_camera("camera", cameras=cameras(FakeLibrary(failing)))
    assert failing.closed == 1


def test_inivations_cameras_are_left_to_dv_processing_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    davis = SimpleNamespace(name=Name.DVXPLORER, serial="DXA1")
    closed = SimpleNamespace(
        name=Name.EVK4, serial=None, error="Access denied"
    )  # without the permission to ask it
    library = FakeLibrary(listed=[davis, closed, SimpleNamespace(name=Name.EVK4, serial=SERIAL)])
    evk4 = Device("camera", f"camera:{SERIAL}", "Prophesee EVK4", SERIAL, None)
    monkeypatch.setitem(sys.modules, "dv_processing", SimpleNamespace())
    assert cameras(library).discover() == [evk4]
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    assert [found.serial for found in cameras(library).discover()] == ["DXA1", SERIAL]


def test_usb_that_cannot_be_looked_at_is_said() -> None:
    class PanicException(BaseException):
        """As pyo3's."""

    class Blind(FakeLibrary):
        def __init__(self, error: BaseException) -> None:
            super().__init__()
            self._error = error

        def list_devices(self) -> list[Any]:
            raise self._error

    for error in (RuntimeError("Other error"), PanicException("Other error")):
        with pytest.raises(
            SourceError, match=r"can't search for Prophesee cameras \(Other error\): check the cable"
        ):
            cameras(Blind(error)).discover()
    with pytest.raises(KeyboardInterrupt):
        cameras(Blind(KeyboardInterrupt())).discover()


def test_a_camera_that_may_not_be_opened_is_said_where_there_is_no_other() -> None:
    closed = SimpleNamespace(name=Name.EVK4, serial=None, error="Access denied")
    with pytest.raises(
        SourceError, match=r"Prophesee EVK4 can't be opened \(Access denied\): check the permission"
    ):
        cameras(FakeLibrary(listed=[closed])).discover()


class Missing:
    """A vendor whose library isn't installed."""

    def discover(self) -> list[Device]:
        raise SourceError("its library isn't installed: pip install it")

    def open(self, serial: str) -> Any:
        raise AssertionError(serial)


def test_every_vendors_cameras_are_found_and_opened_by_their_own() -> None:
    library = FakeLibrary(FakeDevice([packet(at(7))]))
    vendors: list[Cameras] = [Missing(), FakeCameras([], looks=[[device("A")]]), cameras(library)]
    every = EveryVendor(vendors)
    assert [found.serial for found in every.discover()] == ["A", SERIAL]
    with open_camera(f"camera:{SERIAL}", cameras=every) as camera:
        assert next(times(camera)) == [7]


def test_where_nothing_is_found_it_is_said_what_could_not_be_looked_for() -> None:
    with pytest.raises(SourceError, match="pip install it"):
        EveryVendor([FakeCameras([], looks=[[]]), Missing()]).discover()
    assert EveryVendor([FakeCameras([], looks=[[]])]).discover() == []


def test_the_library_has_what_is_asked_of_it() -> None:
    library = pytest.importorskip("neuromorphic_drivers", reason="pip install neuromorphic-drivers")
    assert callable(library.list_devices)
    properties = library.generated.unions.name_to_properties(library.Name.PROPHESEE_EVK4)
    assert (properties.width, properties.height) == HD
    assert library.Name.INIVATION_DVXPLORER.value.startswith("iniVation")
    for name in ("name", "properties", "close", "__iter__", "__next__"):
        assert callable(getattr(library.device.Device, name))
    for kind in ("Evt3Packet", "Davis346Packet", "DvxplorerPacket"):
        assert "polarity_events" in getattr(library, kind).__annotations__
    with pytest.raises(RuntimeError):
        library.open(serial="NO_SUCH", iterator_timeout=WAIT_S)
