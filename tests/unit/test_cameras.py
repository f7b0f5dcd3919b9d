"""Cameras: dv-processing's own packets, stalls, bursts, unplugging, coming back, and what is told without one."""

from __future__ import annotations

import enum
import itertools
import math
import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pytest

from livesnn.bench.throughput import moving_blob
from livesnn.card import InputSpec, SliceRule
from livesnn.errors import SourceError
from livesnn.events.cameras.discovery import DELIVERED_US, CameraConnection, discover, open_camera
from livesnn.events.cameras.driver import Device
from livesnn.events.cameras.inivation import CommonClock, InivationCameras, InivationDriver
from livesnn.events.cameras.reconnecting import SourceLost
from livesnn.events.cameras.sensitivity import Clock, Region, SensorSettings
from livesnn.events.packet import EVENTS_DTYPE, Events, EventSource, Packet, SourceCounters
from livesnn.events.slicer import Slicer
from tests.fake_camera import SERIAL, UNPLUG, VGA, ArrayBatch, FakeCameras, FakeDriver, Item, device, event_store
from tests.fake_source import at, joined

pytestmark = pytest.mark.timeout(60)

BLOB = moving_blob(5000, VGA, seed=3, duration_us=50_000)
TEN_MS = SliceRule(delta_t_us=10_000)
INPUT = InputSpec(64, 64, TEN_MS, window=10)
DV_ERROR = RuntimeError(
    "/project/include/dv-processing/io/camera/usb_device.hpp(88): void dv::read()\n"
    "RuntimeError: Device was disconnected\nStacktrace:\n 0# 0x00000000003ABBDA in dv_processing.so\n"
)


def ticking(step_s: float) -> Callable[[], float]:
    """Return a clock that goes on by a step at each look."""
    ticks = itertools.count()
    return lambda: next(ticks) * step_s


def connection(*items: Item, step_s: float = 0.005) -> CameraConnection:
    return CameraConnection(InivationDriver(FakeDriver(items)), clock=ticking(step_s))


def arrays(*packets: Events) -> list[ArrayBatch]:
    return [ArrayBatch.of(packet) for packet in packets]


def read_all(source: EventSource, n_events: int) -> Events:
    packets = []
    for packet in source:
        packets.append(packet)
        if source.counters.events >= n_events:
            break
    source.close()
    return joined(packets)


def read(camera: CameraConnection, timeout_s: float = 1.0) -> Events:
    """Return the next packet's events."""
    return camera.read(timeout_s)[0]


class TestPackets:
    def test_dv_processings_events_come_through_exactly(self) -> None:
        camera = connection(event_store(BLOB))
        assert (camera.name, camera.resolution) == (f"camera DVXplorer {SERIAL}", VGA)
        events = read(camera)
        assert events.dtype == EVENTS_DTYPE
        np.testing.assert_array_equal(events, BLOB)

    def test_what_a_driver_gives_in_a_test_is_what_dv_processing_gives(self) -> None:
        store, array = event_store(BLOB).numpy(), ArrayBatch.of(BLOB).numpy()
        assert store.dtype == array.dtype
        np.testing.assert_array_equal(store, array)

    def test_a_stall_is_no_packet_and_no_loss(self) -> None:
        first, second = np.split(BLOB, 2)
        stall: list[Item] = [None] * 50
        camera = connection(event_store(first), *stall, event_store(second))
        packets = [read(camera, 0.02) for _ in range(40)]
        assert sum(events.size == 0 for events in packets) > 5
        np.testing.assert_array_equal(np.concatenate(packets), BLOB)

    def test_an_empty_batch_is_no_news_and_time_goes_by(self) -> None:
        camera = connection(event_store(at(0)), *[event_store(at())] * 3, event_store(at(500)))
        assert [read(camera).size for _ in range(2)] == [1, 1]
        quiet = connection(event_store(at(0)), *[event_store(at())] * 3000, step_s=0.01)
        assert read(quiet).size == 1
        for _ in range(10):
            events, now_us = quiet.read(1.0)
            assert events.size == 0
        assert now_us is not None
        assert now_us > 1_000_000

    def test_a_burst_of_a_million_events_at_once_is_whole(self) -> None:
        burst = moving_blob(1_000_000, VGA, seed=5, duration_us=1000)
        camera = connection(event_store(at(0)), event_store(burst), event_store(at(1000)))
        packets = [read(camera) for _ in range(3)]
        np.testing.assert_array_equal(packets[1], burst)
        assert camera.counters == SourceCounters(events=1_000_002)


class TestPuttingRight:
    @pytest.mark.parametrize(
        ("packets", "expected", "counters"),
        [
            (
                [at(100, 300, 200, 400), at(350, 500)],
                [[100, 200, 300, 400], [400, 500]],
                SourceCounters(events=6, out_of_order=2),
            ),
            (
                [np.concatenate([at(1, x=639, y=479), at(2, x=640), at(3, y=480), at(4, x=65_535)])],
                [[1]],
                SourceCounters(events=1, out_of_bounds=3),
            ),
            ([at(10_000_000), at(5)], [[10_000_000], [5]], SourceCounters(events=2)),
        ],
        ids=["out of order", "outside the sensor", "a clock set back stays a jump"],
    )
    def test_what_a_driver_mixes_up_is_put_right_and_counted(
        self, packets: list[Events], expected: list[list[int]], counters: SourceCounters
    ) -> None:
        camera = connection(*arrays(*packets))
        assert [read(camera)["t"].tolist() for _ in packets] == expected
        assert camera.counters == counters

    def test_the_drivers_own_packet_is_not_changed(self) -> None:
        batch = ArrayBatch.of(at(100, 50, x=640))
        before = batch.stored.copy()
        connection(batch).read(1.0)
        np.testing.assert_array_equal(batch.stored, before)


class TestQuietScene:
    def test_time_passes_without_events(self) -> None:
        camera = connection(*arrays(at(1_000_000)))
        assert camera.read(0.1)[1] is None
        times_us = []
        for _ in range(3):
            events, now_us = camera.read(0.1)
            assert events.size == 0
            times_us.append(now_us or 0)
        assert times_us == sorted(set(times_us))
        assert times_us[0] >= 1_100_000 - DELIVERED_US
        assert times_us[-1] < 1_000_000 + 1_000_000

    def test_time_does_not_jump_when_nobody_read_for_a_while(self) -> None:
        camera = connection(*arrays(at(0)), step_s=10.0)
        camera.read(0.02)
        quiet = [camera.read(0.02) for _ in range(3)]
        assert [(events.size, now_us) for events, now_us in quiet] == [(0, 40_000), (0, 80_000), (0, 120_000)]

    @pytest.mark.parametrize(("quiet_reads", "starts"), [(1, 1), (30, 2)])
    def test_events_held_up_keep_their_time_and_those_held_up_for_long_start_anew(
        self, quiet_reads: int, starts: int
    ) -> None:
        camera = connection(*arrays(at(0, 5000)), *[None] * quiet_reads, *arrays(at(6000, 106_000)), step_s=0.02)
        slicer = Slicer(VGA, INPUT)
        ended, times_us = [], []
        while camera.counters.events < 4:
            events, now_us = camera.read(0.01)
            ended += slicer.push(Packet(events, now_us=now_us))
            times_us += events["t"].tolist()
        assert times_us == [0, 5000, 6000, 106_000]
        assert camera.counters.out_of_order == 0
        assert sum(frame.start for frame in ended) == starts


class TestUnplugging:
    @pytest.mark.parametrize(
        ("end", "why"), [(UNPLUG, "unplugged or switched off"), (DV_ERROR, "Device was disconnected")]
    )
    def test_what_ends_a_camera_is_a_loss_in_one_line_after_its_last_packet(self, end: Item, why: str) -> None:
        camera = connection(event_store(BLOB), end)
        assert read(camera).size
        with pytest.raises(SourceLost) as caught:
            camera.read(1.0)
        assert str(caught.value) == f"camera DVXplorer {SERIAL} is lost ({why}): plug it in again"

    def test_a_closed_camera_gives_nothing(self) -> None:
        camera = connection(event_store(BLOB))
        camera.close()
        camera.close()
        with pytest.raises(SourceLost, match="is closed"):
            camera.read(1.0)

    def test_it_goes_on_when_it_is_plugged_in_again(self) -> None:
        told: list[str] = []
        first, second = np.split(BLOB, 2)
        cameras = FakeCameras([FakeDriver([event_store(first), UNPLUG]), FakeDriver([None, event_store(second)])])
        camera = open_camera("camera", notify=told.append, cameras=cameras)
        np.testing.assert_array_equal(read_all(camera, BLOB.size), BLOB)
        assert cameras.opened == [SERIAL, SERIAL]
        assert len(told) == 2
        assert "plug it in again. livesnn waits" in told[0]
        assert "is back" in told[1]

    def test_only_the_same_camera_is_taken_back(self) -> None:
        mine, other = device("MINE"), device("OTHER")
        cameras = FakeCameras(
            [FakeDriver([*arrays(at(1)), UNPLUG]), FakeDriver(arrays(at(2)))],
            looks=[[mine, other], [mine, other], [other], [other, mine]],
        )
        camera = open_camera("camera", cameras=cameras)
        assert read_all(camera, 2)["t"].tolist() == [1, 2]
        assert cameras.opened == ["MINE", "MINE"]


class TestOpening:
    def test_a_camera_is_chosen_by_its_serial_number(self) -> None:
        cameras = FakeCameras([FakeDriver()], looks=[[device("A"), device("B")]])
        open_camera("camera:B", cameras=cameras).close()
        assert cameras.opened == ["B"]

    def test_without_one_it_is_told_what_to_do(self) -> None:
        with pytest.raises(SourceError, match=r"^no camera found: plug one in .*udev.*`livesnn gui`"):
            open_camera("camera", cameras=FakeCameras([], looks=[[]]))

    def test_another_than_the_one_named_is_not_taken(self) -> None:
        cameras = FakeCameras([FakeDriver()], looks=[[device("A")]])
        with pytest.raises(SourceError, match=r"camera:B isn't plugged in \(found: camera:A\)"):
            open_camera("camera:B", cameras=cameras)
        assert cameras.opened == []

    def test_one_without_events_is_refused(self) -> None:
        class FramesOnly(FakeDriver):
            def getEventResolution(self) -> tuple[int, int] | None:  # noqa: N802
                return None

        with pytest.raises(SourceError, match="sends no events"):
            open_camera("camera", cameras=FakeCameras([FramesOnly()]))

    def test_one_that_fails_while_it_is_opened_is_an_error_in_one_line(self) -> None:
        class Failing(FakeDriver):
            def getEventResolution(self) -> tuple[int, int] | None:  # noqa: N802
                raise DV_ERROR

        with pytest.raises(SourceError, match=r"can't be read \(Device was disconnected\)"):
            open_camera("camera", cameras=FakeCameras([Failing()]))

    def test_where_dv_processing_is_missing_it_is_told_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "dv_processing", None)
        monkeypatch.setitem(sys.modules, "neuromorphic_drivers", None)
        for call in (discover, lambda: open_camera("camera")):
            with pytest.raises(SourceError, match="pip install dv-processing"):
                call()


class TestDvProcessing:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("dv_processing", reason="needs dv-processing: pip install dv-processing")

    def test_what_is_plugged_in_is_listed(self) -> None:
        found = discover()
        assert all(isinstance(camera, Device) for camera in found)
        assert [camera.uri for camera in found] == [f"camera:{camera.serial}" for camera in found]

    def test_a_camera_that_is_not_there_is_an_error_in_one_line(self) -> None:
        with pytest.raises(SourceError, match=r"^camera:NO_SUCH can't be opened \(Could not find device [^\n]*$"):
            InivationCameras().open("NO_SUCH")
        with pytest.raises(SourceError, match="camera:NO_SUCH isn't plugged in"):
            open_camera("camera:NO_SUCH")


DV_READOUT = enum.IntEnum("DV_READOUT", {"VARIABLE_2000": 7, "VARIABLE_5000": 8, "VARIABLE_15000": 10})


class Settable(FakeDriver):
    """A camera by dv-processing: what getX(*of) returns is what setX(*of, value) was given last.

    ``values`` has the first ones, by (X, *of); ``asked`` are the names that were asked for.
    """

    def __init__(self, values: dict[tuple[object, ...], Any], items: Iterable[Item] = ()) -> None:
        super().__init__(items or [ArrayBatch.of(at(1))])
        self.values = values
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        sizes = {len(key) - 1 for key in self.__dict__.get("values", {}) if key[0] == name[3:]}
        if name[:3] not in ("get", "set") or not sizes:
            raise AttributeError(name)
        self.asked.append(name)
        of = sizes.pop()

        def put(*given: Any) -> None:
            self.values[(name[3:], *given[:of])] = given[of:] if len(given) > of + 1 else given[of]

        return put if name[:3] == "set" else lambda *of: self.values[(name[3:], *of)]


class Dvxplorer(Settable):
    """One that refuses what dv-processing refuses."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        values = {("ContrastThresholdOn",): 9, ("ContrastThresholdOff",): 9}
        super().__init__({**values, ("ReadoutFPS",): DV_READOUT.VARIABLE_5000, ("CropArea",): ()}, items)

    @property
    def thresholds(self) -> tuple[int, int]:
        return self.values[("ContrastThresholdOn",)], self.values[("ContrastThresholdOff",)]

    def setContrastThresholdOff(self, value: int) -> None:  # noqa: N802
        if not 0 <= value <= 17:
            raise RuntimeError("Contrast threshold value must be between 0 and 17.")
        self.values[("ContrastThresholdOff",)] = value


class Davis(Settable):
    """A DAVIS346."""

    Davis346BiasCF = enum.Enum("Davis346BiasCF", "Diff On Off Photoreceptor PhotoreceptorSourceFollower Refractory")

    def __init__(self) -> None:
        currents = ((4, 39), (6, 28), (2, 71), (2, 63), (0, 153), (3, 225))
        values: dict[tuple[object, ...], Any] = {
            ("Davis346BiasCoarseFine", bias): value for bias, value in zip(self.Davis346BiasCF, currents, strict=True)
        }
        super().__init__(values | {("SensorModel",): SimpleNamespace(name="DAVIS346")})

    def logarithm(self, bias: enum.Enum) -> float:
        coarse, fine = self.values[("Davis346BiasCoarseFine", bias)]
        return coarse + math.log(fine, 8)


class Dvs128(Settable):
    """A DVS128, which has a socket for a synchronisation cable."""

    Bias = enum.Enum("Bias", "DIFF DIFF_ON DIFF_OFF PR FOLL REFR")

    def __init__(self) -> None:
        currents = (30153, 482443, 132, 217, 51, 969)
        biases = {("Bias", bias): value for bias, value in zip(self.Bias, currents, strict=True)}
        super().__init__({**biases, ("Master",): True})

    def synchronizeWith(self, secondary: object) -> None:  # noqa: N802
        raise AssertionError("synchronizeAnyTwo is called")


class Connected(FakeDriver):
    """A camera with a socket for a synchronisation cable."""

    def __init__(self, serial: str, *items: Item) -> None:
        super().__init__(items, serial=serial)

    def synchronizeWith(self, secondary: object) -> None:  # noqa: N802
        raise AssertionError("synchronizeAnyTwo is called")


Sensor = TypeVar("Sensor", bound=FakeDriver)


def set_up(sensor: Sensor, settings: SensorSettings) -> Sensor:
    """Return a camera that was set up so before its next packet was handed on."""
    with open_camera("camera", cameras=FakeCameras([sensor]), settings=settings) as camera:
        next(packet for packet in camera if packet.events.size)
    return sensor


class TestOneClock:
    def test_two_cameras_have_one_clock_once_both_are_open_and_one_that_is_back_again(self) -> None:
        set_together: list[tuple[object, object]] = []
        clock = CommonClock(lambda one, other: set_together.append((one, other)))
        first, second, again = Connected("A"), Connected("B", ArrayBatch.of(at(7))), Connected("B")
        drivers = [InivationDriver(camera, clock) for camera in (first, second, again)]
        drivers[0].configure(SensorSettings(clock="output"))
        assert set_together == []
        drivers[1].configure(SensorSettings(clock="external"))
        assert set_together == [(first, second)]
        came = drivers[1].poll()
        assert came is not None
        assert came["t"].tolist() == [7]
        drivers[1].close()
        drivers[2].configure(SensorSettings(clock="external"))
        assert set_together == [(first, second), (first, again)]

    def test_cameras_that_no_cable_connects_are_an_error(self) -> None:
        def refuse(one: object, other: object) -> None:
            raise RuntimeError("RuntimeError: Cameras have not been synchronized!\nStacktrace:\n 0# dv\n")

        clock = CommonClock(refuse)
        drivers = [InivationDriver(Connected(serial), clock) for serial in "AB"]
        drivers[0].configure(SensorSettings(clock="output"))
        with pytest.raises(SourceError, match=r"B refuses these settings \(Cameras have not been synchronized!"):
            drivers[1].configure(SensorSettings(clock="external"))

    def test_a_third_camera_is_refused(self) -> None:
        clock = CommonClock(lambda one, other: None)
        drivers = [InivationDriver(Connected(serial), clock) for serial in "ABC"]
        for driver in drivers[:2]:
            driver.configure(SensorSettings(clock="external"))
        with pytest.raises(SourceError, match="two cameras have one clock already"):
            drivers[2].configure(SensorSettings(clock="external"))
        drivers[0].configure(SensorSettings())
        drivers[2].configure(SensorSettings(clock="external"))

    @pytest.mark.parametrize("clock", ["internal", "external"])
    def test_the_times_of_a_common_clock_are_left_as_they_are(self, clock: Clock) -> None:
        cameras = FakeCameras([Connected(SERIAL, ArrayBatch.of(at(7)))])
        with open_camera("camera", cameras=cameras, settings=SensorSettings(clock=clock)) as camera:
            packet = next(packet for packet in camera if packet.events.size)
        assert (packet.to_utc_us is None) == (clock == "external")


class TestSettingUp:
    def test_a_dvxplorer_has_thresholds_a_readout_and_a_region(self) -> None:
        sensor = set_up(Dvxplorer(), SensorSettings(sensitivity=1.0, speed=1.0, region=Region(8, 16, 64, 32)))
        assert (sensor.thresholds, sensor.getReadoutFPS()) == ((1, 1), DV_READOUT.VARIABLE_15000)
        assert sensor.getCropArea() == (8, 16, 64, 32)
        sensor = set_up(Dvxplorer(), SensorSettings(sensitivity=-1.0))
        assert (sensor.thresholds, sensor.getReadoutFPS()) == ((17, 17), DV_READOUT.VARIABLE_5000)
        assert sensor.getCropArea() == ()

    def test_what_stays_the_same_is_not_sent_again(self) -> None:
        sensor = Dvxplorer()
        driver = InivationDriver(sensor)
        driver.configure(SensorSettings(sensitivity=0.5))
        sensor.values.update(dict.fromkeys(sensor.values, None))
        driver.configure(SensorSettings(sensitivity=0.51))  # the same steps
        assert set(sensor.values.values()) == {None}

    def test_what_a_camera_refuses_is_sent_again_with_the_next_settings(self) -> None:
        sensor = Dvxplorer()
        driver = InivationDriver(sensor)
        with pytest.raises(SourceError, match="must be between 0 and 17"):
            driver.configure(SensorSettings(biases={"contrast_threshold_off": 18}))
        driver.configure(SensorSettings(biases={"contrast_threshold_off": 17}))
        assert sensor.thresholds[1] == 17

    def test_a_davis_has_currents_of_coarse_and_fine(self) -> None:
        more = set_up(Davis(), SensorSettings(sensitivity=1.0))
        less = set_up(Davis(), SensorSettings(sensitivity=-1.0, speed=1.0))
        names = ("On", "Off", "PhotoreceptorSourceFollower")
        on, off, follower = (
            [each.logarithm(Davis.Davis346BiasCF[name]) for each in (less, Davis(), more)] for name in names
        )
        assert on[0] > on[1] > on[2]  # away from the one between them, the threshold is higher
        assert off[0] < off[1] < off[2]
        assert follower[0] > follower[1] == follower[2]

    def test_a_dvs128_has_currents_and_can_follow_another_cameras_clock(self) -> None:
        sensor = set_up(Dvs128(), SensorSettings(sensitivity=0.5, clock="external"))
        assert 482443 > sensor.getBias(Dvs128.Bias.DIFF_ON) > 30153
        assert 132 < sensor.getBias(Dvs128.Bias.DIFF_OFF) < 30153
        assert sensor.getMaster() is False

    def test_a_camera_that_comes_back_is_set_up_again(self) -> None:
        first, second = Dvxplorer([ArrayBatch.of(at(1)), UNPLUG]), Dvxplorer([ArrayBatch.of(at(2))])
        cameras = FakeCameras([first, second])
        with open_camera("camera", cameras=cameras, settings=SensorSettings(sensitivity=1.0)) as camera:
            packets = (packet for packet in camera if packet.events.size)
            assert [next(packets).epoch, next(packets).epoch] == [0, 1]
        assert first.thresholds == second.thresholds == (1, 1)

    def test_settings_for_another_camera_are_an_error(self) -> None:
        with pytest.raises(SourceError, match=f"DVXplorer {SERIAL} has no bias 'diff_on': give one of its own"):
            set_up(Dvxplorer(), SensorSettings(biases={"diff_on": 3}))

    def test_what_a_model_can_do_is_listed_where_it_is_known_before_it_is_open(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dv = pytest.importorskip("dv_processing", reason="needs dv-processing")
        models = ("DVXPLORER", "DAVIS")
        listed = [SimpleNamespace(cameraModel=SimpleNamespace(name=name), serialNumber=name) for name in models]
        monkeypatch.setattr(dv.io.camera, "discover", lambda: listed)
        found = {each.name: each.abilities for each in InivationCameras().discover()}
        assert found["DAVIS"] is None
        assert found["DVXPLORER"] == InivationDriver(Dvxplorer()).abilities

    def test_dv_processing_has_what_is_asked_of_it(self) -> None:
        camera = pytest.importorskip("dv_processing", reason="needs dv-processing").io.camera
        assert callable(camera.synchronizeAnyTwo)
        assert not hasattr(camera.DVXplorerM, "synchronizeWith")
        for kind, ours in ((camera.DVXplorer, Dvxplorer), (camera.DAVIS, Davis), (camera.DVS128, Dvs128)):
            sensor = set_up(ours(), SensorSettings(sensitivity=0.7))
            asked = {*sensor.asked, *(name for name in vars(FakeDriver) if not name.startswith("_"))}
            assert [name for name in asked if not hasattr(kind, name)] == []
            assert hasattr(kind, "synchronizeWith")
        for kind, members in (
            (camera.DAVIS.Davis346BiasCF, Davis.Davis346BiasCF),
            (camera.DAVIS.Davis240BiasCF, Davis.Davis346BiasCF),
            (camera.DAVIS.CDavisBiasCF, Davis.Davis346BiasCF),
            (camera.DVS128.Bias, Dvs128.Bias),
            (camera.DVXplorer.ReadoutFPS, DV_READOUT),
        ):
            assert {member.name for member in members} <= {*kind.__members__}
        assert {int(camera.DVXplorer.ReadoutFPS.__members__[each.name]) for each in DV_READOUT} == {7, 8, 10}
