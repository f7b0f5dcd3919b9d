"""Real recordings against GROUND_TRUTH.json, damaged ones against the damage that was done to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from livesnn.errors import FormatError
from livesnn.events.describe import describe
from livesnn.events.recording import open_recording

READ_SO_FAR = ("aedat4", "aedat3", "aedat2", "nmnist")
BESIDE_THE_TRUTH = {"aedat3/dvs128_polarity_plus_special.aedat": {"triggers": 6}}
"""What GROUND_TRUTH.json doesn't tell of a file's special events: counted by walking its packets by hand."""

AEDAT4_FILES = (
    "aedat4/aestream_davis.aedat4",
    "aedat4/derived_stereo_two_event_streams.aedat4",
    "aedat4/derived_tonic_sample_ZSTD.aedat4",
    "aedat4/evl_sample.aedat4",
    "aedat4/tonic_sample.aedat4",
)
WHOLE_TONIC_SAMPLE = 111_954  # events: the damaged files are made from it


@pytest.fixture(scope="session")
def recordings(data_dir: Path) -> Path:
    return data_dir / "recordings"


@pytest.fixture(scope="session")
def ground_truth(recordings: Path) -> dict[str, Any]:
    truth = json.loads((recordings / "GROUND_TRUTH.json").read_text())
    return {
        name: known | BESIDE_THE_TRUTH.get(name, {})
        for name, known in truth.items()
        if name.split("/")[0] in READ_SO_FAR
    }


def test_every_recording_is_described_as_the_independent_readers_do(
    recordings: Path, ground_truth: dict[str, Any]
) -> None:
    assert len(ground_truth) >= 12
    for name, known in ground_truth.items():
        found = msgspec.to_builtins(describe(recordings / name))
        streams = list(found["streams"].values())
        assert [{key: s[key] for key in k} for s, k in zip(streams, known["streams"], strict=True)] == known[
            "streams"
        ], name
        counts = {
            "frames": known.get("frame", 0),
            "imu": known.get("imus", known.get("imu_words", 0) // 7),
            "triggers": known.get("triggers", 0),
        }
        assert {key: found[key] for key in counts} == counts, name


def test_a_description_has_the_fields_that_outside_checks_rely_on(recordings: Path) -> None:
    found = json.loads(msgspec.json.encode(describe(recordings / "aedat4/aestream_davis.aedat4")))
    assert set(found) == {
        "format", "camera", "resolution", "duration_us", "streams", "orientation", "frames", "imu", "triggers",
        "warnings",
    }  # fmt: skip
    assert (found["format"], found["camera"]) == ("aedat4", "DAVIS346_00000104")
    assert found["resolution"] == [346, 260]
    assert found["duration_us"] == 1633953691105949 - 1633953690975950
    assert found["streams"]["events"]["type"] == "events"
    assert found["warnings"] == []


def test_two_cameras_in_one_file_are_two_streams_to_choose_from(recordings: Path) -> None:
    path = recordings / "aedat4/derived_stereo_two_event_streams.aedat4"
    assert list(describe(path).streams) == ["LEFT_CAM/events", "RIGHT_CAM/events"]
    right = open_recording(path, stream="RIGHT_CAM/events")
    assert right.camera == "RIGHT_CAM"
    assert sum(packet.size for packet in right) == WHOLE_TONIC_SAMPLE
    right.close()


@pytest.mark.parametrize("name", AEDAT4_FILES)
def test_dv_processing_reads_the_same_events(
    recordings: Path, name: str, read_by_dv_processing: Callable[[Path], npt.NDArray[np.void]]
) -> None:
    theirs = read_by_dv_processing(recordings / name)
    recording = open_recording(recordings / name)
    ours = np.concatenate(list(recording))
    recording.close()
    for axis, their_axis in zip("txyp", ("timestamp", "x", "y", "polarity"), strict=True):
        assert np.array_equal(ours[axis], theirs[their_axis].astype(ours[axis].dtype)), axis


def test_nmnist_training_recordings_fit_their_sensor_and_run_for_three_saccades(data_dir: Path) -> None:
    paths = sorted((data_dir / "nmnist" / "Train").glob("*/*.bin"))[::100]
    assert len(paths) >= 10
    for path in paths:
        recording = open_recording(path)
        assert recording.resolution == (34, 34)
        assert 250_000 < recording.duration_us < 350_000
        assert recording.warnings == []


def test_dvs_gesture_tables_open_on_the_sensor_they_come_from(data_dir: Path) -> None:
    paths = sorted((data_dir / "dvs_gesture").glob("*.npz"))
    assert paths
    for path in paths:
        recording = open_recording(path)
        assert recording.resolution == (128, 128)
        with np.load(path) as table:
            assert sum(packet.size for packet in recording) == len(table["t"])
        assert any("128×128 assumed" in warning for warning in recording.warnings)


@pytest.mark.parametrize(
    ("name", "mirrored"),
    [
        ("Mibblez_foam90", (False, True)),
        ("PyAedatTools_IMU_rotDisk", (True, True)),
        ("colleenpamchen_DVS128-2017-03-21-short", (False, True)),
        ("jaer_MovingDarkBox", (False, True)),
    ],
)
def test_aedat2_recordings_are_those_of_the_independent_readers_put_upright(
    recordings: Path, name: str, mirrored: tuple[bool, bool]
) -> None:
    truth = json.loads((recordings / "GROUND_TRUTH.json").read_text())[f"aedat2/{name}.aedat"]
    (known,) = truth["streams"]
    with open_recording(recordings / f"aedat2/{name}.aedat") as recording:
        events = np.concatenate(list(recording))
        size = recording.resolution
        assert recording.camera.startswith(truth["model"])
        assert (recording.t_start, recording.t_end) == (known["t0"], known["t1"])
        assert recording.counters.out_of_order == recording.counters.out_of_bounds == 0
    assert (events.size, np.count_nonzero(events["p"])) == (known["n"], known["on"])
    for axis, length, backwards in zip("xy", size, mirrored, strict=True):
        as_in_file = length - 1 - events[axis].astype(int) if backwards else events[axis].astype(int)
        found = {
            f"sum{axis}": as_in_file.sum(),
            f"{axis}min": as_in_file.min(),
            f"{axis}max": as_in_file.max(),
        }
        assert found == {key: known[key] for key in found}
    described = describe(recordings / f"aedat2/{name}.aedat")
    assert (described.imu, described.frames) == (truth.get("imu_words", 0) // 7, truth.get("aps_words", 0))


def test_an_aedat3_recording_is_the_aedat2_recording_that_it_was_made_from_put_upright(
    recordings: Path,
) -> None:
    with open_recording(recordings / "aedat2/colleenpamchen_DVS128-2017-03-21-short.aedat") as recording:
        before = np.concatenate(list(recording))
    with open_recording(recordings / "aedat3/dvs128_polarity_plus_special.aedat") as recording:
        assert (recording.camera, recording.resolution) == ("DVS128", (128, 128))
        assert np.array_equal(np.concatenate(list(recording)), before)
        assert recording.warnings == []


def test_dvs128_objects_are_half_a_minute_each_on_a_dvs128(data_dir: Path) -> None:
    paths = sorted((data_dir / "dvs128_objects").glob("*.aedat"))
    assert len(paths) == 7
    for path in paths:
        found = describe(path)
        assert (found.format, found.camera, found.resolution) == ("aedat2", "DVS128", (128, 128))
        assert 30_000_000 < found.duration_us < 40_000_000
        assert found.warnings == []


def test_an_aedat2_file_that_is_cut_short_is_the_beginning_of_the_whole_one(recordings: Path) -> None:
    with open_recording(recordings / "aedat2/jaer_MovingDarkBox.aedat") as whole:
        all_events = np.concatenate(list(whole))
    with open_recording(recordings / "malformed/aedat2_trunc_event.aedat") as cut:
        events = np.concatenate(list(cut))
        assert any("the last 5 bytes aren't a whole event" in warning for warning in cut.warnings)
    assert events.size == 12_473
    assert np.array_equal(events, all_events[: events.size])


@pytest.mark.timeout(2)
def test_an_empty_file_is_an_error_of_one_line(recordings: Path) -> None:
    with pytest.raises(FormatError, match="is empty") as raised:
        describe(recordings / "malformed/aedat4_empty.aedat4")
    assert "\n" not in str(raised.value)


@pytest.mark.timeout(2)
@pytest.mark.parametrize(
    ("name", "events", "imu", "stated"),
    [
        ("aedat4_corrupt_bytes_mid", WHOLE_TONIC_SAMPLE - 2_900, 475, "2,900 events or samples lost"),
        ("aedat4_header_only", 0, 0, "table is missing"),
        ("aedat4_no_table_clean_end", WHOLE_TONIC_SAMPLE, 475, "table is missing"),
        ("aedat4_packet_size_huge", WHOLE_TONIC_SAMPLE - 1_283, 475, "10,888 bytes lost"),
        ("aedat4_truncated_midpacket_table_pos_dangling", 59_065, 226, "5,910 bytes lost"),
        ("aedat4_zero_tail", WHOLE_TONIC_SAMPLE, 475, "4,096 bytes lost"),
    ],
)
def test_a_damaged_file_gives_what_is_whole_and_says_what_is_lost(
    recordings: Path, name: str, events: int, imu: int, stated: str
) -> None:
    found = describe(recordings / "malformed" / f"{name}.aedat4")
    assert found.streams["events"].n == events
    assert found.imu == imu
    assert any(stated in warning for warning in found.warnings)
    assert all("\n" not in warning for warning in found.warnings)


def test_what_is_left_of_a_truncated_file_is_the_beginning_of_the_whole_one(recordings: Path) -> None:
    with open_recording(recordings / "aedat4/tonic_sample.aedat4") as whole:
        all_events = np.concatenate(list(whole))
    with open_recording(recordings / "malformed/aedat4_truncated_midpacket_table_pos_dangling.aedat4") as cut:
        events = np.concatenate(list(cut))
        assert cut.t_end == events["t"][-1]
    assert np.array_equal(events, all_events[: events.size])


@pytest.mark.parametrize("name", [*AEDAT4_FILES, "malformed/aedat4_no_table_clean_end.aedat4"])
def test_seeking_gives_the_events_from_that_time_on(recordings: Path, name: str) -> None:
    recording = open_recording(recordings / name)
    events = np.concatenate(list(recording))
    assert (recording.t_start, recording.t_end) == (events["t"][0], events["t"][-1])
    for share in (0.0, 0.31, 0.5, 0.99, 1.0):
        sought = recording.t_start + int(share * recording.duration_us)
        recording.seek(sought)
        assert np.array_equal(np.concatenate(list(recording)), events[events["t"] >= sought])
    recording.close()
