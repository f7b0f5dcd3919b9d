"""record: what ends up in the file, from recordings and live sources, and however it ends."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from livesnn.bench.throughput import moving_blob
from livesnn.errors import SourceError
from livesnn.events.cameras.discovery import open_camera
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import Events, EventSource, SourceCounters
from livesnn.events.recorder import Recorded, record
from livesnn.events.recording import open_recording
from livesnn.threads import ENDING
from tests.fake_camera import UNPLUG, VGA, ArrayBatch, FakeCameras, FakeDriver, at

pytestmark = pytest.mark.timeout(60)

PATIENCE_S = 20.0
BLOB = moving_blob(200_000, VGA, seed=4, duration_us=2_000_000)
PACKETS = np.split(BLOB, 200)


class Packets(EventSource):
    """A live source: given packets, then empty ones, or an error, or its end; ``after`` each given one."""

    def __init__(
        self,
        packets: Sequence[Events],
        then: BaseException | str = "silence",
        after: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.resolution = VGA
        self.counters = SourceCounters()
        self.closed = False
        self._packets = packets
        self._then = then
        self._after = after

    def __iter__(self) -> Iterator[Events]:
        for number, packet in enumerate(self._packets, 1):
            self.counters.events += packet.size
            yield packet
            self._after(number)
        if isinstance(self._then, BaseException):
            raise self._then
        while self._then == "silence" and not self.closed:
            yield at()

    def close(self) -> None:
        self.closed = True


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
        packets = [packet for packet in recording if packet.size]
        assert recording.warnings == []  # it has its table: it was finished
    return np.concatenate([at(), *packets])


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
        assert copy.camera == "DVXplorer 1"
        assert copy.resolution == VGA


def test_the_first_seconds_of_a_recording_are_those_of_its_time(original: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy.aedat4"
    recorded = record(open_recording(original), out, seconds=0.5)
    expected = BLOB[BLOB["t"] < BLOB["t"][0] + 500_000]
    np.testing.assert_array_equal(read(out), expected)
    assert recorded.events == expected.size


def test_a_live_source_is_recorded_to_its_end(tmp_path: Path) -> None:
    source = Packets(PACKETS, then="end")
    recorded = record(source, tmp_path / "out.aedat4")
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB)
    assert (recorded.events, recorded.dropped) == (BLOB.size, 0)
    assert source.closed


def test_the_seconds_of_a_live_source_are_those_of_the_clock(tmp_path: Path) -> None:
    source = Packets(PACKETS)
    recorded = record(source, tmp_path / "out.aedat4", seconds=1000.0, clock=ticking(0.5))
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB)
    assert recorded.events == BLOB.size


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
    recorded = record(Packets(PACKETS, after=interrupting(9, how=how)), tmp_path / "out.aedat4")
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB[:10_000])  # that packet is kept as well
    assert (recorded.events, recorded.dropped) == (10_000, 0)
    assert signal.getsignal(how) is before


def test_a_second_ctrl_c_interrupts_and_the_file_is_kept(tmp_path: Path) -> None:
    source = Packets(PACKETS, after=interrupting(9, times=2))
    with pytest.raises(KeyboardInterrupt):
        record(source, tmp_path / "out.aedat4")
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB[:9000])
    assert source.closed


def test_what_a_slow_disk_cannot_take_is_dropped_and_counted(tmp_path: Path) -> None:
    whole = [np.concatenate(PACKETS)] * 100  # takes milliseconds to write, and next to nothing to read
    source = Packets(whole, then="end")
    source.counters.dropped = 7
    recorded = record(source, tmp_path / "out.aedat4", buffer_bytes=1)
    assert recorded.dropped > BLOB.size
    assert recorded.events + recorded.dropped == 100 * BLOB.size + 7
    assert read(tmp_path / "out.aedat4").size == recorded.events


def test_what_came_before_an_error_is_kept(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="back with 4×3 pixels"):
        record(Packets(PACKETS, SourceError("back with 4×3 pixels")), tmp_path / "out.aedat4")
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB)


def test_a_camera_that_is_lost_and_comes_back_is_recorded_on(tmp_path: Path) -> None:
    before, after = np.split(BLOB, 2)
    cameras = FakeCameras([FakeDriver([ArrayBatch.of(before), UNPLUG]), FakeDriver([ArrayBatch.of(after)])])
    told: list[str] = []
    live = open_camera("camera", notify=told.append, cameras=cameras)

    def clock() -> float:  # the time is over when all has come
        return float(live.counters.events == BLOB.size)

    recorded = record(live, tmp_path / "out.aedat4", seconds=1.0, clock=clock)
    np.testing.assert_array_equal(read(tmp_path / "out.aedat4"), BLOB)
    assert recorded.dropped == 0
    assert len(told) == 2
    with open_recording(tmp_path / "out.aedat4") as recording:
        assert recording.camera == "camera DVXplorer DXA00093"


def test_a_camera_in_the_dark_makes_an_empty_recording(tmp_path: Path) -> None:
    recorded = record(Packets([]), tmp_path / "out.aedat4", seconds=5.0, clock=ticking(0.1))
    assert (recorded.events, recorded.seconds) == (0, 0.0)
    assert read(tmp_path / "out.aedat4").size == 0


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.aedat4"
    out.write_bytes(b"precious")
    source = Packets(PACKETS)
    with pytest.raises(SourceError, match="exists already"):
        record(source, out)
    assert out.read_bytes() == b"precious"
    assert source.closed


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(SourceError, match="can't be read for"):
        record(Packets(PACKETS), tmp_path / "out.aedat4", seconds=seconds)
    assert not (tmp_path / "out.aedat4").exists()


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"choose a name that ends in \.aedat4"):
        record(Packets(PACKETS), tmp_path / "out.raw")
    assert list(tmp_path.iterdir()) == []


def test_it_works_outside_the_main_thread_too(tmp_path: Path) -> None:
    results: list[Recorded] = []
    thread = threading.Thread(
        target=lambda: results.append(record(Packets(PACKETS, "end"), tmp_path / "out.aedat4"))
    )
    thread.start()
    thread.join(PATIENCE_S)
    assert [recorded.events for recorded in results] == [BLOB.size]


def test_what_fails_says_what_is_kept(tmp_path: Path) -> None:
    source = Packets(PACKETS[:3], then=SourceError("the server is back with another size"))
    with pytest.raises(SourceError, match=r"another size; 3,000 events until then are in .*out\.aedat4"):
        record(source, tmp_path / "out.aedat4")
    assert len(read(tmp_path / "out.aedat4")) == 3000
