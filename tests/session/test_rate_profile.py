"""The event rate over a recording: counted, spread, refined, and left alone where a file is damaged."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from livesnn.bench.throughput import make_events
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import open_recording
from livesnn.session.rate_profile import BINS, ProfileReader, RateProfile, profile
from tests.format_files import MADE_FILES
from tests.waiting import PATIENCE_S

SENSOR = Resolution(34, 34)


def events_at(times_us: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Events:
    events = np.zeros(len(times_us), EVENTS_DTYPE)
    events["t"] = times_us
    return events


def bursts(*, start_us: int = 5_000_000) -> Events:
    """Return ten seconds: 1,000 events in each even second, 10,000 in each odd one, evenly."""
    seconds = [
        np.linspace(second * 1e6, (second + 1) * 1e6, 10_000 if second % 2 else 1_000, endpoint=False)
        for second in range(10)
    ]
    return events_at(np.concatenate(seconds).astype(np.int64) + start_us)


def write_npz(path: Path, events: Events) -> Path:
    np.savez(path, width=34, height=34, **{name: events[name] for name in ("t", "x", "y", "p")})
    return path


def write_aedat4(path: Path, events: Events, *, packet_events: int = 1000) -> Path:
    with Aedat4Writer(path, SENSOR) as writer:
        for first in range(0, events.size, packet_events):
            writer.write(events[first : first + packet_events])
    return path


def without_table(path: Path) -> Path:
    """Copy an .aedat4 file as a killed recorder leaves it: its last tenth is missing."""
    octets = path.read_bytes()
    cut = path.with_name("cut.aedat4")
    cut.write_bytes(octets[: len(octets) * 9 // 10])
    return cut


def counted(events: Events, known: RateProfile) -> list[int]:
    """Return how many events there are in each part of a profile."""
    edges_us = events["t"][0] + known.bin_us * np.arange(len(known.counts) + 1)
    return np.histogram(events["t"], edges_us)[0].tolist()


def by_second(known: RateProfile) -> list[int]:
    starts_s = np.arange(len(known.counts)) * known.bin_us // 1_000_000
    return np.bincount(starts_s, weights=known.counts).astype(int).tolist()


def last_of(path: str | Path) -> RateProfile:
    return list(profile(path, cpu_share=1.0))[-1]


def test_the_stream_that_is_asked_for_is_counted(tmp_path: Path) -> None:
    path, second = tmp_path / "two.h5", bursts(start_us=7_000_000)
    with h5py.File(path, "w") as file:
        for name, events in ("a", events_at(np.arange(10))), ("b", second):
            for axis in "txyp":
                file[f"{name}/{axis}"] = events[axis].astype("i8" if axis == "t" else "u2")
            file[f"{name}/t"].attrs["unit"] = "us"
    known = last_of(f"{path}?stream=b")
    assert known.counts.tolist() == counted(second, known)
    assert last_of(path).counts.sum() == 10


def test_a_file_that_is_read_is_counted_exactly(tmp_path: Path) -> None:
    events = bursts()
    known = last_of(write_npz(tmp_path / "bursts.npz", events))
    assert len(known.counts) <= BINS
    assert known.counts.tolist() == counted(events, known)
    assert known.counts.sum() == events.size


def test_a_file_with_a_table_is_profiled_from_it_at_once_though_its_packets_are_damaged(tmp_path: Path) -> None:
    events = bursts()
    path = write_aedat4(tmp_path / "bursts.aedat4", events)
    octets = bytearray(path.read_bytes())
    middle = len(octets) // 2
    octets[middle : middle + 200] = bytes(200)
    path.write_bytes(octets)
    (known,) = profile(path)
    assert known.counts.sum() == events.size
    expected = [10_000 if second % 2 else 1_000 for second in range(10)]
    assert by_second(known) == pytest.approx(expected, abs=110)  # a packet spans 10 ms


def test_a_file_without_its_table_is_profiled_as_far_as_it_goes(tmp_path: Path) -> None:
    events = bursts()
    known = last_of(without_table(write_aedat4(tmp_path / "bursts.aedat4", events)))
    kept = int(known.counts.sum())
    assert 0.8 * events.size < kept < events.size
    assert known.counts.tolist() == counted(events[:kept], known)


def test_each_refinement_goes_further_and_keeps_what_was_whole(tmp_path: Path) -> None:
    found = list(profile(write_npz(tmp_path / "bursts.npz", bursts()), cpu_share=1.0))
    lengths = [len(known.counts) for known in found]
    assert len(found) > 3
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]
    for known in found:
        assert np.array_equal(known.counts, found[-1].counts[: len(known.counts)])


def test_events_of_one_moment_are_one_bin(tmp_path: Path) -> None:
    moment = events_at(np.full(500, 77_000, np.int64))
    for path in (write_npz(tmp_path / "a.npz", moment), write_aedat4(tmp_path / "a.aedat4", moment)):
        assert last_of(path).counts.tolist() == [500]


@pytest.mark.parametrize("content", [None, b"", b"#!AER-DAT4.0\r\nnothing that follows", b"words"])
def test_a_file_that_cannot_be_read_has_no_profile(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.aedat4"
    if content is not None:
        path.write_bytes(content)
    assert list(profile(path)) == []


def test_once_stopped_it_reads_no_further(tmp_path: Path) -> None:
    events = bursts()
    path = write_npz(tmp_path / "bursts.npz", events)
    stop = threading.Event()
    found = []
    for known in profile(path, stop=stop, cpu_share=1.0):
        found.append(known)
        stop.set()
    assert len(found) == 1
    assert found[0].counts.sum() < events.size
    cut = without_table(write_aedat4(tmp_path / "f.aedat4", events))  # which takes long to open
    assert list(profile(cut, stop=stop)) == []


def test_a_thread_leaves_the_newest_profile_and_ends(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "bursts.npz", bursts())
    whole = last_of(path)
    with ProfileReader(path) as profiling:
        newest = profiling.latest.take()
        while newest is None or len(newest.counts) < len(whole.counts):
            newest = profiling.latest.take() or newest
    assert np.array_equal(newest.counts, whole.counts)
    assert "livesnn-profile" not in [thread.name for thread in threading.enumerate()]


def test_a_large_recording_that_is_played_is_profiled_by_what_it_knows_of_itself(tmp_path: Path) -> None:
    path, header, words = tmp_path / "large.raw", b"% evt 2.0\n% geometry 1280x720\n", 34_000_000
    with path.open("wb") as file:  # all 0 but for a time each second: events of one pixel
        for second in range(8):
            file.seek(len(header) + 4 * (words // 8) * second)
            file.write(np.array(8 << 28 | second * 1_000_000 >> 6, "<u4").tobytes())
        file.seek(0)
        file.write(header)
        file.truncate(len(header) + 4 * words)
    with open_recording(path, at_once=True) as recording, ProfileReader(path, recording) as profiling:
        newest = profiling.latest.take()
        while newest is None or newest.counts.sum() < words - 8:
            newest = profiling.latest.take() or newest
    assert newest.counts.sum() == words - 8
    at_seconds = newest.counts[1_000_000 * np.arange(8) // newest.bin_us]
    assert at_seconds == pytest.approx(words // 8, rel=0.03)


class SlowDisk:
    """A path that nobody can look at until the disk answers."""

    def __init__(self, path: Path) -> None:
        self.answers = threading.Event()
        self._path = path

    def __fspath__(self) -> str:
        self.answers.wait(PATIENCE_S)
        return str(self._path)


def reading() -> bool:
    return "livesnn-profile" in [thread.name for thread in threading.enumerate()]


def test_a_reader_that_hangs_is_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    disk = SlowDisk(tmp_path / "none.npz")
    profiling = ProfileReader(disk)  # type: ignore[arg-type]
    profiling.close(timeout_s=0.05)
    assert reading()
    disk.answers.set()
    profiling.close()
    assert not reading()


def test_real_recordings_have_as_many_events_as_independent_readers_say(data_dir: Path) -> None:
    folder = data_dir / "recordings"
    truth = json.loads((folder / "GROUND_TRUTH.json").read_text())
    known = {name: entry["streams"] for name, entry in truth.items() if name.startswith("aedat4/")}
    assert len(known) >= 5
    for name, streams in known.items():
        found = list(profile(folder / name, cpu_share=1.0))
        assert [known.counts.sum() for known in found[-1:]] == [stream["n"] for stream in streams[:1]], name


class CountedLooks(threading.Event):
    """A stop that is never set: it counts how often one looked, and adds up how long one would have waited for it."""

    looked = 0
    rested_s = 0.0

    def is_set(self) -> bool:
        self.looked += 1
        return False

    def wait(self, timeout: float | None = None) -> bool:
        self.rested_s += timeout or 0.0
        return False


@pytest.mark.parametrize("name", ["evt2", "es"])
def test_a_file_that_is_read_to_be_opened_takes_no_more_than_its_share_then_either(tmp_path: Path, name: str) -> None:
    made = MADE_FILES[name]
    path = tmp_path / f"f{made.suffix}"
    made.write(path, make_events(500_000, made.sensor))
    stop = CountedLooks()
    begun_s = time.thread_time()
    next(profile(path, stop=stop, cpu_share=0.25, work_s=0.0))
    assert stop.rested_s >= 2 * (time.thread_time() - begun_s)  # 3, but for what came since the last rest


@pytest.mark.parametrize("lost", [0.1, 0.001], ids=["never closed", "a damaged table"])
def test_a_file_without_a_table_that_holds_is_looked_through_once(tmp_path: Path, lost: float) -> None:
    path = write_aedat4(tmp_path / "bursts.aedat4", bursts())
    octets = path.read_bytes()
    path.write_bytes(octets[: int(len(octets) * (1 - lost))])
    stop = CountedLooks()
    assert list(profile(path, stop=stop, cpu_share=1.0))
    with open_recording(path) as recording:
        packets = sum(1 for _ in recording)
    assert packets < stop.looked < 2.1 * packets  # once to find them, once to read them
