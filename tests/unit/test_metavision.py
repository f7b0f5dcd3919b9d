"""Metavision's cameras: a fake of metavision_hal's documented interface and, where it is installed, the real one.

The interface: https://docs.prophesee.ai/stable/api/python/hal/bindings.html; what its methods return is in OpenEB's
hal/cpp/include/metavision/hal/facilities.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple
from unittest.mock import Mock, call

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.errors import SourceError
from livesnn.events.cameras.discovery import EveryVendor, open_camera
from livesnn.events.cameras.metavision import MetavisionCameras
from livesnn.events.cameras.sensitivity import Region, SensorSettings
from livesnn.events.packet import EVENTS_DTYPE, Events, EventSource, Packet, Resolution
from livesnn.events.recording import open_recording
from tests.fake_camera import FakeCameras, device
from tests.fake_source import at, joined

SERIAL = "00ca0009"
GENX320 = Resolution(320, 320)
EVENT_CD = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
"""Of `metavision_sdk_base.EventCD`."""

END = object()
"""As an item: the camera is unplugged."""


def cd(events: Events) -> npt.NDArray[np.void]:
    stored = np.zeros(events.size, EVENT_CD)
    for name in ("t", "x", "y", "p"):
        stored[name] = events[name]
    return stored


class BiasInfo(NamedTuple):
    least: int
    most: int
    modifiable: bool = True

    def get_bias_range(self) -> tuple[int, int]:
        return self.least, self.most

    def is_modifiable(self) -> bool:
        return self.modifiable


class FakeBiases:
    """I_LL_Biases of a GenX320 (genx320_bias_settings.h)."""

    INFOS: ClassVar = {
        "bias_diff": BiasInfo(41, 51, modifiable=False),
        "bias_diff_on": BiasInfo(24, 60),
        "bias_diff_off": BiasInfo(19, 50),
        "bias_fo": BiasInfo(19, 39),
    }

    def __init__(self) -> None:
        self.values = {"bias_diff": 51, "bias_diff_on": 25, "bias_diff_off": 28, "bias_fo": 34}
        self.refused = ""

    def get_all_biases(self) -> dict[str, int]:
        return dict(self.values)

    def get_bias_info(self, name: str) -> BiasInfo:
        return self.INFOS[name]

    def set(self, name: str, value: int) -> bool:
        self.values[name] = value
        return name != self.refused


class FakeDevice:
    """metavision_hal.Device, and the parts of it that have no settings: each buffer is one item.

    An item is EVENTS_DTYPE [N], None (nothing yet), an error, or END.
    """

    def __init__(self, items: Iterable[object] = (), sensor: str = "GenX320") -> None:
        self._items = iter(items)
        self._sensor = sensor
        self._buffer: Any = None
        self._ended = False
        self._callbacks: list[Callable[[npt.NDArray[np.void]], object]] = []
        self.running: bool | None = None
        self.biases = FakeBiases()
        self.roi, self.limiter = Mock(), Mock()  # I_ROI, I_ErcModule

    def get_i_events_stream(self) -> FakeDevice:
        return self

    def get_i_events_stream_decoder(self) -> FakeDevice:
        return self

    def get_i_event_cd_decoder(self) -> FakeDevice:
        return self

    def get_i_geometry(self) -> Any:
        return SimpleNamespace(get_width=lambda: GENX320.width, get_height=lambda: GENX320.height)

    def get_i_hw_identification(self) -> Any:
        info = SimpleNamespace(name=self._sensor)
        return SimpleNamespace(
            get_serial=lambda: SERIAL, get_integrator=lambda: "Prophesee", get_sensor_info=lambda: info
        )

    def get_i_ll_biases(self) -> FakeBiases:
        return self.biases

    def get_i_roi(self) -> Mock:
        return self.roi

    def get_i_erc_module(self) -> Mock:
        return self.limiter

    def add_event_buffer_callback(self, callback: Callable[[npt.NDArray[np.void]], object]) -> int:
        self._callbacks.append(callback)
        return len(self._callbacks)

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def poll_buffer(self) -> int:
        assert self.running
        self._buffer = next(self._items, None)
        if isinstance(self._buffer, Exception):
            raise self._buffer
        self._ended = self._ended or self._buffer is END
        return -1 if self._ended else int(self._buffer is not None)

    def get_latest_raw_data(self) -> Any:
        return self._buffer

    def decode(self, buffer: Events) -> None:
        for callback in self._callbacks:
            callback(cd(buffer))


class FakeHal:
    """The module metavision_hal: these devices in order, one an opening; an error is raised."""

    I_ROI = SimpleNamespace(Window=lambda *corner_and_size: corner_and_size)

    def __init__(self, *devices: FakeDevice | Exception | None) -> None:
        self._devices = iter(devices)
        self.opened: list[str] = []
        self.DeviceDiscovery = self

    def list_available_sources(self) -> list[Any]:
        return [SimpleNamespace(serial=SERIAL, integrator_name="Prophesee", plugin_name="hal_plugin_prophesee")]

    def open(self, serial: str) -> FakeDevice | None:
        self.opened.append(serial)
        found = next(self._devices)
        if isinstance(found, Exception):
            raise found
        return found


def cameras(*devices: FakeDevice | Exception | None) -> MetavisionCameras:
    return MetavisionCameras(lambda: FakeHal(*devices))


def some(camera: EventSource, count: int) -> list[Packet]:
    """Return the first packets that have events."""
    return [*islice((packet for packet in camera if packet.events.size), count)]


def test_events_come_as_the_camera_sent_them_at_about_unix_time() -> None:
    given = at(5, 6, 6, 9, x=319, y=319, p=False)
    given["p"][1] = True
    hal = FakeHal(FakeDevice([None, given[:1], given[1:], None]))
    begun_us = time.time_ns() // 1000
    with open_camera(f"camera:metavision:{SERIAL}", cameras=MetavisionCameras(lambda: hal)) as camera:
        assert camera.name == f"camera Prophesee GenX320 {SERIAL}"
        assert camera.resolution == GENX320
        whole = joined(some(camera, 1))
    assert whole.dtype == EVENTS_DTYPE
    assert begun_us <= whole["t"][-1] <= time.time_ns() // 1000
    whole["t"] -= whole["t"][0] - 5
    np.testing.assert_array_equal(whole, given)
    assert hal.opened == [SERIAL]


@pytest.mark.parametrize(("end", "why"), [(END, "it has ended"), (RuntimeError("USB failed"), "USB failed")])
def test_unplugged_it_is_waited_for_and_goes_on(end: object, why: str) -> None:
    first, second = FakeDevice([at(1), None, end]), FakeDevice([at(2)])
    hal = FakeHal(first, second)
    told: list[str] = []
    known = MetavisionCameras(lambda: hal)
    with open_camera("camera:metavision", notify=told.append, cameras=known) as camera:
        assert [packet.epoch for packet in some(camera, 2)] == [0, 1]
    assert (first.running, second.running) == (False, False)
    assert f"GenX320 00ca0009 is lost ({why}): plug it in again" in told[0]
    assert told[1].endswith("is back: going on")


@pytest.mark.parametrize("found", [RuntimeError("Access denied"), None])
def test_one_that_cannot_be_opened_is_an_error_in_one_line(found: Exception | None) -> None:
    with pytest.raises(SourceError, match=rf"^camera:metavision:{SERIAL} can't be opened \(.*udev rules"):
        open_camera("camera:metavision", cameras=cameras(found))


def test_what_has_no_events_is_refused() -> None:
    class Frames(FakeDevice):
        def get_i_event_cd_decoder(self) -> Any:
            return None

    with pytest.raises(SourceError, match="has no event_cd_decoder: choose an event camera"):
        open_camera("camera:metavision", cameras=cameras(Frames()))


def test_where_it_is_not_installed_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "metavision_hal", None)
    with pytest.raises(SourceError, match=r"install it \(https://docs.prophesee.ai/.*add its modules to PYTHONPATH"):
        open_camera("camera:metavision")


def test_it_opens_the_cameras_that_no_other_driver_knows() -> None:
    class Known(FakeCameras):
        def open(self, serial: str) -> Any:
            raise AssertionError(serial)

    every = EveryVendor([Known([], looks=[[device("A")]]), cameras(FakeDevice([at(7)]))])
    assert [found.uri for found in every.discover()] == ["camera:A", f"camera:metavision:{SERIAL}"]
    with open_camera(f"camera:{SERIAL}", cameras=every) as camera:
        assert len(some(camera, 1)) == 1


def set_up(*settings: SensorSettings, sensor: str = "GenX320", refused: str = "") -> tuple[FakeDevice, list[str]]:
    """Return a camera after it was set up in these ways, one a packet, and the warnings."""
    fake = FakeDevice([each for _ in settings for each in (at(1), None)], sensor)
    fake.biases.refused = refused
    with open_camera("camera:metavision", cameras=cameras(fake), settings=settings[0]) as camera:
        assert camera.sensor is not None
        packets = iter(camera)
        for after in [*settings[1:], None]:
            next(packet for packet in packets if packet.events.size)
            if after is not None:
                camera.sensor.change(after)
        return fake, list(camera.warnings)


def test_the_dials_move_the_biases_to_the_limits_that_metavision_recommends() -> None:
    most, _ = set_up(SensorSettings(sensitivity=1.0, speed=1.0))
    assert most.biases.values == {"bias_diff": 51, "bias_diff_on": 24, "bias_diff_off": 19, "bias_fo": 39}
    least, _ = set_up(SensorSettings(sensitivity=-1.0))
    assert least.biases.values == {"bias_diff": 51, "bias_diff_on": 60, "bias_diff_off": 50, "bias_fo": 34}
    untouched, _ = set_up(SensorSettings())
    assert (untouched.biases.values, untouched.roi.mock_calls) == (FakeBiases().values, [])


def test_of_an_older_sensor_only_the_biases_themselves_can_be_set() -> None:
    old, _ = set_up(SensorSettings(biases={"bias_diff_on": 30}), sensor="Gen3.1")
    assert old.biases.values["bias_diff_on"] == 30
    with pytest.raises(SourceError, match="can't be given a sensitivity"):
        set_up(SensorSettings(sensitivity=0.5), sensor="Gen3.1")


def test_a_bias_that_cannot_be_changed_is_none() -> None:
    with pytest.raises(SourceError, match="has no bias 'bias_diff'"):
        set_up(SensorSettings(biases={"bias_diff": 45}))


def test_a_bias_that_the_camera_refuses_is_a_warning() -> None:
    _, warnings = set_up(SensorSettings(sensitivity=0.5), refused="bias_diff_on")
    assert warnings == [f"camera Prophesee GenX320 {SERIAL} refuses these settings (bias_diff_on): choose others"]


def test_region_and_rate_limit_are_the_sensors_own_and_can_be_taken_back() -> None:
    settings = SensorSettings(region=Region(8, 16, 64, 32), limit_events_per_s=5e6)
    on, _ = set_up(settings)
    assert on.roi.mock_calls == [call.set_window((8, 16, 64, 32)), call.enable(True)]  # which needs a window
    assert on.limiter.mock_calls == [call.set_cd_event_rate(5_000_000), call.enable(True)]
    off, _ = set_up(settings, SensorSettings())
    assert off.roi.enable.call_args == off.limiter.enable.call_args == call(False)


@pytest.mark.parametrize("name", ["evt3/expelliarmus_evt3_sample.raw", "evt2/faery_evt2.raw"])
def test_the_real_metavision_gives_the_events_of_a_raw_file(data_dir: Path, name: str) -> None:
    hal = pytest.importorskip("metavision_hal", reason="needs Metavision or OpenEB")
    path = data_dir / "recordings" / name

    class Library:
        """metavision_hal, with a RAW file for a camera."""

        I_ROI = hal.I_ROI
        DeviceDiscovery = SimpleNamespace(
            list_available_sources=lambda: [SimpleNamespace(serial="file", integrator_name="")],
            open=lambda serial: hal.DeviceDiscovery.open_raw_file(str(path)),
        )

    with open_recording(path) as recording:
        expected = joined(recording)
    came: list[Events] = []
    with open_camera("camera:metavision", cameras=MetavisionCameras(Library)) as camera:
        for packet in camera:
            came.append(packet.events)
            if sum(map(len, came)) >= expected.size or camera.lost:
                break
        assert camera.resolution == recording.resolution
    whole = np.concatenate(came)
    assert whole.size == expected.size
    whole["t"] -= whole["t"][0] - expected["t"][0]
    np.testing.assert_array_equal(whole, expected)


def test_the_real_metavision_finds_no_camera_where_none_is() -> None:
    pytest.importorskip("metavision_hal", reason="needs Metavision or OpenEB")
    assert MetavisionCameras().discover() == []
