"""Prophesee's cameras: neuromorphic-drivers as it is installed, and one that gives what it is told to."""

from __future__ import annotations

import dataclasses
import enum
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.cameras.discovery import EveryVendor, open_camera
from livesnn.events.cameras.driver import Cameras, Device
from livesnn.events.cameras.prophesee import WAIT_S, PropheseeCameras, PropheseeDriver
from livesnn.events.cameras.reconnecting import SourceLost
from livesnn.events.cameras.sensitivity import Region, SensorSettings
from livesnn.events.packet import EVENTS_DTYPE, Events, EventSource, Resolution
from tests.fake_camera import FakeCameras, device
from tests.fake_source import at, joined

neuromorphic_drivers = pytest.importorskip("neuromorphic_drivers", reason="needs neuromorphic-drivers")

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

    def __init__(self, items: Iterable[Packet | At | Exception | None] = ()) -> None:
        self._items = iter(items)
        self.closed = self.cleared = 0
        self.refuses = False
        self.configured: list[Any] = []

    def __iter__(self) -> Iterator[tuple[object, Packet | None]]:
        return self

    def __next__(self) -> tuple[object, Packet | None]:
        item = next(self._items, None)
        if isinstance(item, Exception):
            raise item
        if isinstance(item, At):
            ring = SimpleNamespace(system_time=item.unix_s, current_t=item.camera_us, raw_packets=2, backlog=10)
            return SimpleNamespace(ring=ring, system_time=item.unix_s + item.late_s), item.packet
        return SimpleNamespace(ring=None), item

    def clear_backlog(self, until: int) -> None:
        assert until == 0
        self.cleared += 1

    def name(self) -> Name:
        return Name.EVK4

    def properties(self) -> SimpleNamespace:
        return SimpleNamespace(width=1280, height=720)

    def biases_bounds(self) -> object:
        evk4 = neuromorphic_drivers.prophesee_evk4
        names = [each.name for each in dataclasses.fields(evk4.Biases)]
        bounds = dict.fromkeys(names, evk4.Bounds(-100, 150)) | {"diff_on": evk4.Bounds(-60, 120)}
        return evk4.BiasesBounds(**bounds)

    def update_configuration(self, configuration: Any) -> None:
        configuration.serialize()  # as the library does
        if self.refuses:
            raise RuntimeError("the device is busy")
        self.configured.append(configuration)

    def close(self) -> None:
        self.closed += 1


class FakeLibrary:
    """neuromorphic_drivers, as far as it is used: these devices in order, one an opening. Its classes are its own."""

    prophesee_evk4 = neuromorphic_drivers.prophesee_evk4
    RowColumnMask = neuromorphic_drivers.RowColumnMask

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


@pytest.mark.parametrize(
    ("end", "why"), [(StopIteration(), "it has ended"), (LOST, "No such device (it may have been disconnected)")]
)
def test_a_camera_that_ends_is_lost_and_let_go_once(end: Exception, why: str) -> None:
    device = FakeDevice([packet(at(1)), end])
    driver = PropheseeDriver("EVK4", HD, device)
    assert driver.poll() is not None
    with pytest.raises(SourceLost, match=re.escape(f"camera EVK4 is lost ({why}): plug it in again")):
        driver.poll()
    driver.close()
    driver.close()
    assert device.closed == 1


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


class At(NamedTuple):
    """A packet that the computer got at this Unix time, when the camera's clock had this time."""

    packet: Packet
    unix_s: float
    camera_us: int
    late_s: float = 0.0


def test_times_are_unix_times_by_when_the_computer_got_the_first_data() -> None:
    device = FakeDevice(
        [At(packet(at(990, 1000)), 1_700_000_000.5, 1_000), At(packet(at(2_000)), 1_700_000_001.0, 2_000)]
    )
    driver = PropheseeDriver("EVK4", HD, device)
    came = [driver.poll(), driver.poll()]
    start_us = 1_700_000_000_500_000 - 1_000
    assert [events["t"].tolist() for events in came if events is not None] == [
        [start_us + 990, start_us + 1_000],
        [start_us + 2_000],  # the camera's clock, not the computer's
    ]


def test_what_a_busy_computer_left_in_the_drivers_queue_for_too_long_is_dropped_and_counted() -> None:
    given = [At(packet(at(t)), 1.7e9 + t / 1e6, t, late_s) for t, late_s in ((10, 0.4), (20, 0.6), (30, 0.0))]
    device = FakeDevice(given)
    with open_camera("camera", cameras=cameras(FakeLibrary(device))) as camera:
        came = [*islice((packet for packet in camera if packet.events.size), 3)]
        assert [packet.events.size for packet in came] == [1, 1, 1]
        assert device.cleared == 1
        assert camera.counters.dropped == 5  # ten USB packets of half an event
    assert camera.counters.events == 3


def set_up(settings: SensorSettings, *, refuses: bool = False) -> tuple[Any, list[str]]:
    """Return what a camera was configured to after its next packet, and the warnings."""
    device = FakeDevice([packet(at(1))])
    device.refuses = refuses
    with open_camera("camera", cameras=cameras(FakeLibrary(device)), settings=settings) as camera:
        next(times(camera))
        return device.configured[-1] if device.configured else None, list(camera.warnings)


def test_the_dials_move_the_biases_within_the_cameras_own_limits() -> None:
    most, _ = set_up(SensorSettings(sensitivity=1.0, speed=1.0, biases={"refr": 7}))
    assert (most.biases.diff_on, most.biases.fo, most.biases.refr) == (-60, 55, 7)
    least, _ = set_up(SensorSettings(sensitivity=-1.0))
    assert least.biases.diff_on == 120


def test_a_region_masks_all_rows_and_columns_outside_counted_from_below() -> None:
    configured, _ = set_up(SensorSettings(region=Region(64, 0, 128, 20)))
    columns = np.unpackbits(np.array(configured.x_mask, "<u8").view(np.uint8), bitorder="little")
    rows = np.unpackbits(np.array(configured.y_mask, "<u8").view(np.uint8), bitorder="little")[:720]
    assert np.flatnonzero(columns == 0).tolist() == [*range(64, 192)]
    assert np.flatnonzero(rows == 0).tolist() == [*range(700, 720)]


def test_the_rate_limit_and_the_clock_are_the_sensors_own() -> None:
    configured, _ = set_up(SensorSettings(limit_events_per_s=5e6, clock="external"))
    limiter = configured.rate_limiter
    assert limiter.maximum_events_per_period / limiter.reference_period_us == 5
    assert configured.clock == neuromorphic_drivers.prophesee_evk4.Clock.EXTERNAL


def test_settings_that_a_camera_refuses_are_a_warning_and_it_goes_on() -> None:
    _, warnings = set_up(SensorSettings(sensitivity=0.5), refuses=True)
    assert warnings == [f"camera Prophesee EVK4 {SERIAL} refuses these settings (the device is busy): choose others"]


def test_settings_that_a_camera_does_not_have_are_an_error() -> None:
    device = FakeDevice()
    with pytest.raises(SourceError, match="has no bias 'prbp'"):
        open_camera("camera", cameras=cameras(FakeLibrary(device)), settings=SensorSettings(biases={"prbp": 1}))
    assert device.closed == 1


def test_what_a_camera_can_do_is_listed_without_opening_it() -> None:
    library = FakeLibrary()
    (found,) = cameras(library).discover()
    able: Any = found.summary()["abilities"]
    assert able["presets"] == ["dim", "normal", "bright", "fast"]
    assert able["dials"] == ["sensitivity", "speed"]
    assert {"name": "diff_on", "default": 0, "least": -150, "most": 200, "dial": "sensitivity"} in able["biases"]
    assert (able["region"], able["rate_limit"]) == (True, True)
    assert library.opened == []


def test_inivations_cameras_are_left_to_dv_processing_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    davis = SimpleNamespace(name=Name.DVXPLORER, serial="DXA1")
    closed = SimpleNamespace(name=Name.EVK4, serial=None, error="Access denied")  # without the permission to ask it
    library = FakeLibrary(listed=[davis, closed, SimpleNamespace(name=Name.EVK4, serial=SERIAL)])
    evk4 = Device("camera", f"camera:{SERIAL}", "Prophesee EVK4", SERIAL, None)
    monkeypatch.setitem(sys.modules, "dv_processing", SimpleNamespace())
    assert [replace(found, abilities=None) for found in cameras(library).discover()] == [evk4]
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
        with pytest.raises(SourceError, match=r"can't search for Prophesee cameras \(Other error\): check the cable"):
            cameras(Blind(error)).discover()
    with pytest.raises(KeyboardInterrupt):
        cameras(Blind(KeyboardInterrupt())).discover()


def test_a_camera_that_may_not_be_opened_is_said_where_there_is_no_other() -> None:
    closed = SimpleNamespace(name=Name.EVK4, serial=None, error="Access denied")
    with pytest.raises(SourceError, match=r"Prophesee EVK4 can't be opened \(Access denied\): check the permission"):
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
    for name in ("name", "properties", "close", "clear_backlog", "__iter__", "__next__"):
        assert callable(getattr(library.device.Device, name))
    for kind in ("Evt3Packet", "Davis346Packet", "DvxplorerPacket"):
        assert "polarity_events" in getattr(library, kind).__annotations__
    with pytest.raises(RuntimeError):
        library.open(serial="NO_SUCH", iterator_timeout=WAIT_S)
