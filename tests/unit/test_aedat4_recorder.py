"""Recorder: what ends up in the file, what is counted as lost, and how an error ends it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livesnn.bench.throughput import moving_blob
from livesnn.errors import SourceError
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.labels import Label, read_labels
from livesnn.events.packet import Events, Packet
from livesnn.events.recorder import Recorder
from livesnn.events.recording import describe, open_recording
from livesnn.threads import Policy
from tests.disks import fill, real_disk, small_disk, standing_still
from tests.fake_camera import VGA
from tests.fake_source import at, joined
from tests.waiting import PATIENCE_S, HeldClock, eventually

pytestmark = pytest.mark.timeout(60)

BLOB = moving_blob(400_000, VGA, seed=4, duration_us=4_000_000)
PACKETS = np.split(BLOB, 400)


def read(path: Path) -> Events:
    with open_recording(path) as recording:
        events = joined(recording)
        said = [line for line in recording.warnings if "time jumps back" not in line]
        assert said == []  # it has its table: it was finished
    return events


def later(events: Events, seconds: int) -> Events:
    moved = events.copy()
    moved["t"] += 4_000_000 * seconds
    return moved


def put_until(recorder: Recorder, condition: Callable[[], object]) -> None:
    """Go on recording, as a camera does."""

    def come() -> object:
        recorder.put(Packet(PACKETS[0]))
        return condition()

    eventually(come, every_s=0.01)


def test_what_is_put_until_it_is_stopped_is_in_the_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "DVXplorer 1")
    for events in PACKETS[:300]:
        recorder.put(Packet(events))
    recorder.stop()
    for events in PACKETS[300:]:
        recorder.put(Packet(events))
    assert recorder.close(PATIENCE_S)
    np.testing.assert_array_equal(read(recorder.path), np.concatenate(PACKETS[:300]))
    assert (recorder.recorded.events, recorder.recorded.dropped, recorder.error) == (300_000, 0, None)
    assert recorder.file_bytes == recorder.path.stat().st_size
    with open_recording(recorder.path) as recording:
        assert (recording.name, recording.resolution) == ("DVXplorer 1", VGA)


def test_what_a_slow_disk_cannot_take_is_dropped_and_counted(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "camera", buffer_bytes=1)  # a packet at most waits
    for number in range(20):
        whole = BLOB.copy()  # takes milliseconds to write, and next to nothing to put
        whole["t"] += 4_000_000 * number
        recorder.put(Packet(whole))
    assert recorder.close(PATIENCE_S)
    recorded = recorder.recorded
    assert recorded.dropped > 0
    assert recorded.events + recorded.dropped == 20 * BLOB.size
    assert read(recorder.path).size == recorded.events


@pytest.mark.skipif(sys.platform == "win32", reason="this system keeps a folder whose file is open")
def test_a_folder_that_goes_away_ends_it_with_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    recorder = Recorder(folder / "a.aedat4", VGA, "camera")
    put_until(recorder, lambda: recorder.file_bytes)
    shutil.rmtree(folder)
    put_until(recorder, lambda: recorder.finished)
    assert isinstance(recorder.error, SourceError)
    assert "the file has gone" in str(recorder.error)
    assert "\n" not in str(recorder.error)


FULL = """
import resource, sys
from pathlib import Path
from livesnn.bench.throughput import moving_blob
from livesnn.errors import SourceError
from livesnn.events.packet import Packet, Resolution
from livesnn.events.recorder import Recorder
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
sensor = Resolution(640, 480)
blob = moving_blob(100_000, sensor, seed=1, duration_us=1_000_000)
recorder = Recorder(Path(sys.argv[1]), sensor, "camera")
for number in range(20):
    later = blob.copy()
    later["t"] += 1_000_000 * number
    recorder.put(Packet(later))
finished = recorder.close(20.0)
known = isinstance(recorder.error, SourceError) and "can't be written" in str(recorder.error)
sys.exit(7 if finished and known else repr(recorder.error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit on a file's size")
def test_a_full_disk_ends_it_and_leaves_what_had_reached_it(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    path = tmp_path / "a.aedat4"
    ended = subprocess.run([sys.executable, "-c", FULL, str(path)], env=environment, timeout=60, check=False)
    assert ended.returncode == 7
    with open_recording(path) as recording:
        assert 10_000 < joined(recording).size < 2_000_000


def test_what_comes_alone_is_in_the_file_soon(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "camera")
    recorder.put(Packet(at(1_000)))  # and nothing more comes, by which the writer would see that time goes on
    eventually(lambda: recorder.file_bytes and describe(recorder.path).streams["events"].n)
    assert recorder.close(PATIENCE_S)


def test_a_full_disk_ends_it_cleanly_and_says_how_much_is_left(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1_000_000) as disk:
        recorder = Recorder(disk / "a.aedat4", VGA, "camera")
        put_until(recorder, lambda: recorder.finished)
        assert re.search(
            r"a\.aedat4: only 0\.\d MB left on its disk, which is too little for this file: free",
            str(recorder.error),
        )
        events = read(recorder.path)  # it has its table
        assert events.size == recorder.recorded.events
        assert shutil.disk_usage(disk).free > 0
        fill(disk)  # the table has left more than a page where it is packed small
        again = Recorder(disk / "b.aedat4", VGA, "camera")
        assert again.close(PATIENCE_S)
        assert "left on its disk" in str(again.error)
        assert not again.path.exists()


def test_a_disk_that_another_program_fills_leaves_whole_packets_alone(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_000_000) as disk:
        writer = Aedat4Writer(disk / "a.aedat4", VGA)
        with pytest.raises(SourceError, match="No space left on device"):
            writer.write(np.concatenate([later(BLOB, number) for number in range(5)]))
        with contextlib.suppress(SourceError):  # there may be room for the table
            writer.close()
        with open_recording(writer.path) as recording:
            events = joined(recording)
            assert not any("lost" in warning for warning in recording.warnings)
        assert events.size == writer.written > 100_000


def test_a_disk_that_stands_still_makes_nobody_wait_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    with real_disk(tmp_path / "disk") as disk:
        recorder = Recorder(disk / "a.aedat4", VGA, "camera", buffer_bytes=1_000_000)
        put = 0
        with standing_still(disk):
            while not recorder.dropped:
                recorder.put(Packet(later(BLOB, put)))
                put += 1
            assert not recorder.finished
        assert recorder.close(PATIENCE_S)
        assert recorder.error is None
        assert read(recorder.path).size == recorder.recorded.events
        assert recorder.recorded.events + recorder.recorded.dropped == put * BLOB.size


def test_labels_are_where_the_events_were_when_they_were_said(tmp_path: Path) -> None:
    clock = HeldClock()
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "camera", clock=clock)
    for clock.now_s, what in (
        (10.0, at(5_000_000)),
        (11.0, at(6_000_000)),
        (11.5, "wave"),
        (12.0, at(7_000_000)),
        (14.0, "clap"),  # nothing has moved for two seconds
        (15.0, None),
        (16.0, at(11_000_000)),
        (17.0, "wave"),
        (19.0, at(14_000_000)),
    ):
        recorder.put(Packet(what)) if isinstance(what, np.ndarray) else recorder.label(what)
    clock.now_s = 20.0
    assert recorder.close(PATIENCE_S)
    assert read_labels(recorder.path) == (
        Label("wave", 1.5, 4.0),
        Label("clap", 4.0, 5.0),
        Label("wave", 7.0, 10.0),
    )
    assert recorder.recorded.labels == 3


def recorded_at(path: Path, *puts: tuple[float, Events], policy: Policy = "drop_oldest") -> Recorder:
    """Return the closed recorder of packets put at these times."""
    clock = HeldClock()
    recorder = Recorder(path, VGA, "camera", policy=policy, clock=clock)
    for clock.now_s, events in puts:
        recorder.put(Packet(events))
    assert recorder.close(PATIENCE_S)
    assert recorder.error is None
    return recorder


def test_times_go_on_by_the_clock_where_a_source_comes_back_counting_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    recorder = recorded_at(path, (10.0, at(100_000, 150_000)), (12.5, at(0, 40_000)), (12.6, at(60_000)))
    assert read(path)["t"].tolist() == [100_000, 150_000, 2_650_000, 2_690_000, 2_710_000]
    assert recorder.recorded.seconds == pytest.approx(2.61)


@pytest.mark.parametrize("ahead_s", [1e7, 60.0, 4.0])
def test_times_go_on_by_the_clock_where_another_epoch_counts_from_elsewhere(tmp_path: Path, ahead_s: float) -> None:
    clock = HeldClock()
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "camera", clock=clock)
    begins_us = 2_650_000 + round(ahead_s * 1e6)  # where the clock says, and so much later
    for clock.now_s, events, epoch in (
        (10.0, at(100_000, 150_000), 0),
        (12.5, at(begins_us), 1),
        (12.6, at(begins_us + 100_000), 1),
        (
            7300.0,
            at(begins_us + 7_300_000_000 - 12_500_000),
            2,
        ),  # it was away for two hours and has counted on
    ):
        recorder.put(Packet(events, epoch=epoch))
    assert recorder.close(PATIENCE_S)
    moved_us = round(ahead_s * 1e6) if ahead_s < 5 else 0
    expected = [100_000, 150_000, 2_650_000, 2_750_000, 7_290_150_000]
    assert read(recorder.path)["t"].tolist() == expected[:2] + [t_us + moved_us for t_us in expected[2:]]


def test_a_packet_that_says_when_it_arrived_arrived_then(tmp_path: Path) -> None:
    clock = HeldClock()
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "camera", clock=clock)
    recorder.put(Packet(at(100_000), 10.0))
    recorder.put(Packet(at(0), 12.5))  # counts from another zero
    clock.now_s = 99.0
    recorder.put(Packet(at(60_000), 12.6))
    assert recorder.close(PATIENCE_S)
    assert read(recorder.path)["t"].tolist() == [100_000, 2_600_000, 2_660_000]


def test_a_recordings_own_times_stay_even_where_they_jump_back(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    recorded_at(path, (10.0, at(900_000)), (12.5, at(100_000)), policy="block")
    assert read(path)["t"].tolist() == [900_000, 100_000]


def test_nobody_waits_for_a_file_that_failed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.raw", VGA, "camera", policy="block", buffer_bytes=1)
    for events in PACKETS:
        recorder.put(Packet(events))
    assert recorder.close(PATIENCE_S)
    assert "choose a name that ends in .aedat4" in str(recorder.error)


def test_a_camera_without_a_name_is_livesnn(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "")
    assert recorder.close(PATIENCE_S)
    with open_recording(recorder.path) as recording:
        assert recording.name == "livesnn"


class WatchedDisk:
    """Notes what is synced, and may be slow: `fsync` waits until ``go_on`` is set."""

    def __init__(self) -> None:
        self.synced: list[tuple[str, int]] = []  # the file, and its size then
        self.go_on = threading.Event()
        self.waiting = False
        self._fsync = os.fsync

    def fsync(self, file: int) -> None:
        self.waiting = True
        self.go_on.wait(PATIENCE_S)
        size = os.fstat(file).st_size
        self._fsync(file)
        self.synced.append((Path(os.readlink(f"/proc/self/fd/{file}")).name, size))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> WatchedDisk:
    if sys.platform != "linux":
        pytest.skip("which file is synced can only be seen on Linux")
    watched = WatchedDisk()
    monkeypatch.setattr(os, "fsync", watched.fsync)
    return watched


def test_what_is_recorded_is_synced_to_the_disk_meanwhile_and_at_the_end(tmp_path: Path, disk: WatchedDisk) -> None:
    disk.go_on.set()
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "camera")
    recorder.label("wave")
    put_until(recorder, lambda: {"a.aedat4", "a.labels.csv"} <= {name for name, _ in disk.synced})
    assert not recorder.finished
    assert recorder.close(PATIENCE_S)
    sizes = dict(disk.synced)
    assert sizes["a.aedat4"] == recorder.file_bytes
    assert sizes["a.labels.csv"] == (tmp_path / "a.labels.csv").stat().st_size


def test_recording_goes_on_while_the_disk_is_slow_to_sync(tmp_path: Path, disk: WatchedDisk) -> None:
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "camera")
    put_until(recorder, lambda: disk.waiting)
    size = recorder.file_bytes
    put_until(recorder, lambda: recorder.file_bytes > size)
    disk.go_on.set()
    assert recorder.close(PATIENCE_S)
    assert recorder.recorded.dropped == 0


def test_a_disk_that_fails_to_sync_ends_the_recording_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    recorder = Recorder(tmp_path / "a.aedat4", VGA, "camera")
    put_until(recorder, lambda: recorder.finished)
    assert re.search(r"a\.aedat4: can't be written \(Input/output error\): check the folder", str(recorder.error))
