"""record: what ends up in the file, from recordings and live sources, and however it ends."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livesnn.bench.throughput import moving_blob
from livesnn.errors import SourceError
from livesnn.events.cameras.discovery import open_camera
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import Events, SourceCounters
from livesnn.events.recorder import Recorded, record
from livesnn.events.recording import NOTHING, open_recording
from livesnn.signals import ENDING
from tests.fake_camera import UNPLUG, VGA, ArrayBatch, FakeCameras, FakeDriver
from tests.fake_source import FakeSource, Then, joined

pytestmark = pytest.mark.timeout(60)

PATIENCE_S = 20.0
BLOB = moving_blob(200_000, VGA, seed=4, duration_us=2_000_000)
PACKETS = np.split(BLOB, 200)


def source(then: Then = "silence", **options: Any) -> FakeSource:
    """Return a camera of `PACKETS`."""
    return FakeSource(PACKETS, resolution=VGA, then=then, **options)


def interrupting(number: int, times: int = 1, how: int = signal.SIGINT) -> Callable[[int], None]:
    """Return what presses Ctrl-C, or sends another signal, after that packet."""

    def after(given: int) -> None:
        for _ in range(times if given == number else 0):
            signal.raise_signal(how)

    return after


def ticking(step_s: float) -> Callable[[], float]:
    ticks = itertools.count()
    return lambda: next(ticks) * step_s


def read(path: Path) -> Events:
    with open_recording(path) as recording:
        events = joined(recording)
        said = [NOTHING] * recording.empty
        assert recording.warnings == said  # it has its table: it was finished
    return events


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.aedat4"
    with Aedat4Writer(path, VGA, "DVXplorer 1", compression="zstd") as writer:
        writer.write(BLOB)
    return path


def test_a_recording_is_copied_whole(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy.aedat4"
    recorded = record(open_recording(original), out, buffer_bytes=1)
    np.testing.assert_array_equal(read(out), BLOB)
    length_s = (BLOB["t"][-1] - BLOB["t"][0]) / 1e6
    assert recorded == Recorded(out, events=BLOB.size, dropped=0, seconds=length_s)
    with open_recording(out) as copy:
        assert copy.name == "DVXplorer 1"
        assert copy.resolution == VGA


def test_the_first_seconds_of_a_recording_are_those_of_its_time(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy.aedat4"
    recorded = record(open_recording(original), out, seconds=0.5)
    expected = BLOB[BLOB["t"] < BLOB["t"][0] + 500_000]
    np.testing.assert_array_equal(read(out), expected)
    assert recorded.events == expected.size


def test_a_live_source_is_recorded_to_its_end(tmp_path: Path) -> None:
    camera = source("end", counters=SourceCounters(dropped=7))
    recorded = record(camera, tmp_path / "out.aedat4")
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB)
    assert (recorded.events, recorded.dropped) == (BLOB.size, 7)
    assert camera.closed.is_set()


@pytest.fixture(params=ENDING)
def how(request: pytest.FixtureRequest) -> Iterator[int]:
    """Yield a signal that ends a program, also where these tests run under nohup."""
    inherited = signal.getsignal(request.param)
    if inherited is signal.SIG_IGN:
        signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, inherited)


def test_ctrl_c_kill_and_a_closed_terminal_stop_and_finish_the_file(tmp_path: Path, how: int) -> None:
    before = signal.getsignal(how)
    recorded = record(source(after=interrupting(9, how=how)), tmp_path / "out.aedat4")
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB[:10_000])  # that packet is kept as well
    assert (recorded.events, recorded.dropped) == (10_000, 0)
    assert signal.getsignal(how) is before


def test_a_second_ctrl_c_interrupts_and_the_file_is_kept(tmp_path: Path) -> None:
    camera = source(after=interrupting(9, times=2))
    with pytest.raises(KeyboardInterrupt):
        record(camera, tmp_path / "out.aedat4")
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB[:9000])
    assert camera.closed.is_set()


def test_a_camera_that_is_lost_and_comes_back_is_recorded_on(tmp_path: Path) -> None:
    before, after = np.split(BLOB, 2)
    cameras = FakeCameras([FakeDriver([ArrayBatch.of(before), UNPLUG]), FakeDriver([ArrayBatch.of(after)])])
    told: list[str] = []
    live = open_camera("camera", notify=told.append, cameras=cameras)

    def clock() -> float:  # the time is over when all has come
        return float(live.counters.events == BLOB.size)

    recorded = record(live, tmp_path / "out.aedat4", seconds=1.0, clock=clock)
    kept = read(tmp_path / "out.aedat4")
    kept["t"] -= kept["t"][0] - BLOB["t"][0]  # UTC
    np.testing.assert_array_equal(kept, BLOB)
    assert recorded.dropped == 0
    assert len(told) == 2
    with open_recording(tmp_path / "out.aedat4") as recording:
        assert recording.name == "camera DVXplorer DXA00093"


def test_a_cameras_recording_begins_at_the_computers_utc_and_goes_on_by_the_cameras_clock(
    tmp_path: Path,
) -> None:
    first, second = np.split(BLOB, 2)
    cameras = FakeCameras([FakeDriver([ArrayBatch.of(first), ArrayBatch.of(second)])])
    live = open_camera("camera", cameras=cameras)

    def clock() -> float:
        return float(live.counters.events == BLOB.size)

    begun_us = time.time_ns() // 1000
    record(live, tmp_path / "out.aedat4", seconds=1.0, clock=clock)
    ended_us = time.time_ns() // 1000
    dv = pytest.importorskip("dv_processing", reason="needs dv-processing: pip install dv-processing")
    lowest_us, highest_us = dv.io.MonoCameraRecording(str(tmp_path / "out.aedat4")).getTimeRange()
    assert highest_us - lowest_us == BLOB["t"][-1] - BLOB["t"][0]
    assert begun_us <= lowest_us + int(first["t"][-1] - first["t"][0]) <= ended_us


def test_a_camera_in_the_dark_makes_an_empty_recording(tmp_path: Path) -> None:
    recorded = record(
        FakeSource(resolution=VGA, then="silence"), tmp_path / "out.aedat4", seconds=5.0, clock=ticking(0.1)
    )
    assert (recorded.events, recorded.seconds) == (0, 0.0)
    assert read(tmp_path / "out.aedat4").size == 0


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.aedat4"
    out.write_bytes(b"precious")
    camera = source()
    with pytest.raises(SourceError, match="exists already"):
        record(camera, out)
    assert out.read_bytes() == b"precious"
    assert camera.closed.is_set()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(SourceError, match="can't be read for"):
        record(source(), tmp_path / "out.aedat4", seconds=seconds)
    assert not (tmp_path / "out.aedat4").exists()


def test_it_works_outside_the_main_thread_too(tmp_path: Path) -> None:
    results: list[Recorded] = []
    thread = threading.Thread(target=lambda: results.append(record(source("end"), tmp_path / "out.aedat4")))
    thread.start()
    thread.join(PATIENCE_S)
    assert [recorded.events for recorded in results] == [BLOB.size]


def test_what_fails_says_what_is_kept(tmp_path: Path) -> None:
    error = SourceError("the server is back with another size")
    with pytest.raises(SourceError, match=r"another size; 3,000 events until then are in .*out\.aedat4"):
        record(FakeSource(PACKETS[:3], resolution=VGA, then=error), tmp_path / "out.aedat4")
    assert len(read(tmp_path / "out.aedat4")) == 3000
