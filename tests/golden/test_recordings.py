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

from livesnn.cli.recordings import describe_recording
from livesnn.errors import FormatError, SourceError
from livesnn.events.recording import Recording, describe, open_recording
from livesnn.sources import open_source
from tests.fake_source import joined
from tests.reading import packets_of

BESIDE_THE_TRUTH = {"aedat3/dvs128_polarity_plus_special.aedat": {"triggers": 6}}
"""What GROUND_TRUTH.json doesn't tell of a file's special events: counted by walking its packets by hand."""

SHIFT_US = {"hdf5/ecf_refcodec_gen4_first300k.hdf5": 11_194_368}
"""How much later GROUND_TRUTH.json has the times than the file, whose chunks begin with their first time, 5,856 µs in
the first one: the truth's are those of the recording that it was made from, evt21/scalar.raw."""

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
        name: _as_in_file(known, SHIFT_US.get(name, 0)) | BESIDE_THE_TRUTH.get(name, {})
        for name, known in truth.items()
    }


def _as_in_file(known: dict[str, Any], shift_us: int) -> dict[str, Any]:
    times = [{key: s[key] - shift_us for key in ("t0", "t1") if key in s} for s in known["streams"]]
    return known | {"streams": [s | shifted for s, shifted in zip(known["streams"], times, strict=True)]}


def test_every_recording_is_described_as_the_independent_readers_do(
    recordings: Path, ground_truth: dict[str, Any]
) -> None:
    assert len(ground_truth) >= 20
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
        "labels", "warnings",
    }  # fmt: skip
    assert (found["format"], found["camera"]) == ("aedat4", "DAVIS346_00000104")
    assert found["resolution"] == [346, 260]
    assert found["duration_us"] == 1633953691105949 - 1633953690975950
    assert found["streams"]["events"]["type"] == "events"
    assert found["warnings"] == []


@pytest.mark.parametrize("name", ["RIGHT_CAM/events", "RIGHT_CAM"])
def test_two_cameras_in_one_file_are_two_streams_to_choose_from(recordings: Path, name: str) -> None:
    path = recordings / "aedat4/derived_stereo_two_event_streams.aedat4"
    assert list(describe(path).streams) == ["LEFT_CAM/events", "RIGHT_CAM/events"]
    for right in (open_recording(path, stream=name), open_source(f"{path}?stream={name}")):
        assert isinstance(right, Recording)
        assert right.name == "RIGHT_CAM"
        assert joined(right).size == WHOLE_TONIC_SAMPLE
        right.close()
    with pytest.raises(SourceError, match=r"called 'UP'; it has LEFT_CAM/events, RIGHT_CAM/events: choose one"):
        open_source(f"{path}?stream=UP")


def test_info_says_which_size_is_assumed(recordings: Path) -> None:
    text = describe_recording(describe(recordings / "dat/tonic_sample_ncars.dat"))
    assert "unknown size (78×42 is assumed, which holds all events)" in text


@pytest.mark.parametrize("name", AEDAT4_FILES)
def test_dv_processing_reads_the_same_events(
    recordings: Path, name: str, read_by_dv_processing: Callable[[Path], npt.NDArray[np.void]]
) -> None:
    theirs = read_by_dv_processing(recordings / name)
    recording = open_recording(recordings / name)
    ours = joined(recording)
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
            assert sum(packet.size for packet in packets_of(recording)) == len(table["t"])
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
        events = joined(recording)
        size = recording.resolution
        assert recording.name.startswith(truth["model"])
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
        before = joined(recording)
    with open_recording(recordings / "aedat3/dvs128_polarity_plus_special.aedat") as recording:
        assert (recording.name, recording.resolution) == ("DVS128", (128, 128))
        assert np.array_equal(joined(recording), before)
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
        whole_events = joined(whole)
    with open_recording(recordings / "malformed/aedat2_trunc_event.aedat") as cut:
        events = joined(cut)
        assert any("the last 5 bytes aren't a whole event" in warning for warning in cut.warnings)
    assert events.size == 12_473
    assert np.array_equal(events, whole_events[: events.size])


@pytest.mark.parametrize(
    ("name", "size", "camera"),
    [
        ("evt2/faery_evt2.raw", (640, 480), "Prophesee Gen3 00000157"),
        ("evt21/scalar.raw", (1280, 720), "Prophesee Gen4.2 00000000"),
        ("evt21/vectorised_little.raw", (1280, 720), "Prophesee"),
        ("evt3/expelliarmus_evt3_sample.raw", (1280, 720), "Prophesee Gen4 00000307"),
        ("evt3/from_rosbag_codecs_hd_triggers.raw", (1280, 720), ""),
        ("dat/tonic_sample_ncars.dat", None, ""),
    ],
)
def test_prophesee_recordings_are_whole_in_order_and_say_what_recorded_them(
    recordings: Path, name: str, size: tuple[int, int] | None, camera: str
) -> None:
    found = describe(recordings / name)
    assert (found.format, found.resolution, found.camera) == (name.split("/")[0], size, camera)
    assert found.warnings == []


def test_both_orders_of_evt21_hold_the_first_events_of_the_same_recording(recordings: Path) -> None:
    read = []
    for name in ("scalar", "vectorised_little"):
        with open_recording(recordings / f"evt21/{name}.raw") as recording:
            read.append(joined(recording))
    assert (read[0].size, np.count_nonzero(read[0]["p"])) == (200_000, 95_965)
    assert np.array_equal(np.sort(read[0]), np.sort(read[1]))


@pytest.mark.parametrize(
    ("name", "whole", "events", "stated"),
    [
        ("evt2_trunc_word.raw", "evt2/faery_evt2.raw", 49_772, "the last 1 bytes aren't a whole word"),
        (
            "evt3_odd_trailing_byte.raw",
            "evt3/expelliarmus_evt3_sample.raw",
            106_910,
            "the last 1 bytes aren't",
        ),
        (
            "dat_truncated_event.dat",
            "dat/tonic_sample_ncars.dat",
            989,
            "",
        ),  # between two events: nothing tells
    ],
)
def test_a_prophesee_file_that_is_cut_short_is_the_beginning_of_the_whole_one(
    recordings: Path, name: str, whole: str, events: int, stated: str
) -> None:
    with open_recording(recordings / whole) as recording:
        whole_events = joined(recording)
    with open_recording(recordings / "malformed" / name) as cut:
        found = joined(cut)
        assert [stated in warning for warning in cut.warnings if "size" not in warning] == [True] * bool(stated)
    assert found.size == events
    assert np.array_equal(found, whole_events[:events])


def test_a_recording_that_starts_in_the_middle_of_a_stream_begins_with_its_first_time(
    recordings: Path,
) -> None:
    with open_recording(recordings / "evt3/expelliarmus_evt3_sample.raw") as recording:
        whole_events = joined(recording)
    with open_recording(recordings / "malformed/evt3_starts_midstream.raw") as recording:
        events = joined(recording)
        assert any("1,136 bytes before the first time are left out" in line for line in recording.warnings)
    (places,) = np.nonzero(whole_events == events[0])
    assert any(np.array_equal(whole_events[place : place + events.size], events) for place in places)


@pytest.mark.timeout(20)
def test_a_recording_whose_header_names_another_version_is_an_error_of_one_line(recordings: Path) -> None:
    with pytest.raises(FormatError, match=r"header says EVT 2\.0, but the words") as raised:
        describe(recordings / "malformed/evt3_wrong_header_says_evt2.raw")
    assert "\n" not in str(raised.value)


@pytest.mark.timeout(20)
def test_an_empty_file_is_an_error_of_one_line(recordings: Path) -> None:
    with pytest.raises(FormatError, match="is empty") as raised:
        describe(recordings / "malformed/aedat4_empty.aedat4")
    assert "\n" not in str(raised.value)


@pytest.mark.timeout(20)
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
        whole_events = joined(whole)
    with open_recording(recordings / "malformed/aedat4_truncated_midpacket_table_pos_dangling.aedat4") as cut:
        events = joined(cut)
        assert cut.t_end == events["t"][-1]
    assert np.array_equal(events, whole_events[: events.size])


PROPHESEE_FILES = (
    "evt2/faery_evt2.raw",
    "evt3/from_rosbag_codecs_hd_triggers.raw",
    "dat/tonic_sample_ncars.dat",
)


@pytest.mark.parametrize("name", [*AEDAT4_FILES, "malformed/aedat4_no_table_clean_end.aedat4", *PROPHESEE_FILES])
def test_seeking_gives_the_events_from_that_time_on(recordings: Path, name: str) -> None:
    recording = open_recording(recordings / name)
    events = joined(recording)
    assert (recording.t_start, recording.t_end) == (events["t"][0], events["t"][-1])
    for share in (0.0, 0.31, 0.5, 0.99, 1.0):
        sought = recording.t_start + int(share * recording.duration_us)
        recording.seek(sought)
        assert np.array_equal(joined(recording), events[events["t"] >= sought])
    recording.close()


def test_ecf_holds_the_events_of_the_recording_that_it_was_made_from(recordings: Path) -> None:
    name = "hdf5/ecf_refcodec_gen4_first300k.hdf5"
    with open_recording(recordings / "evt21/scalar.raw") as recording:
        original = joined(recording)
    with open_recording(recordings / name) as recording:
        assert (recording.resolution, recording.warnings) == ((1280, 720), [])
        events = joined(recording)
        recording.seek(500_000)
        assert np.array_equal(joined(recording), events[events["t"] >= 500_000])
    assert events.size == 300_000
    events["t"] += SHIFT_US[name]
    assert np.array_equal(events[: original.size], original)


def test_an_hdf5_file_with_seconds_is_told_by_their_fractions(recordings: Path) -> None:
    with open_recording(recordings / "hdf5/evl_event.hdf5") as recording:
        events = joined(recording)
        assert "the file doesn't give the unit of its times: s assumed (fractions)" in recording.warnings
    assert events.size == 17
    assert events["t"].tolist()[:4] == [0, 780, 1706, 1724]


def test_an_event_stream_is_upright_and_one_of_generic_events_is_refused(recordings: Path) -> None:
    with open_recording(recordings / "es/dvs.es") as recording:
        assert (recording.resolution, recording.warnings) == ((320, 240), [])
        assert next(packets_of(recording))[0].tolist() == (
            0,
            0,
            0,
            True,
        )  # y is 239 in the file, from the bottom
    with pytest.raises(FormatError, match="it has generic events, no DVS events: give a DVS or ATIS recording"):
        open_recording(recordings / "es/generic.es")


def test_aestreams_table_is_told_without_a_header(recordings: Path) -> None:
    rows = np.loadtxt(recordings / "csv/aestream_sample.csv", delimiter=",", dtype=int)
    with open_recording(recordings / "csv/aestream_sample.csv") as recording:
        events = joined(recording)
        assert "the file doesn't name its columns: t,x,y,p assumed" in recording.warnings
    assert np.array_equal(rows, np.stack([events[axis].astype(int) for axis in "txyp"], axis=1))
