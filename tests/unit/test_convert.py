"""Converting recordings: exactly the same events, or nothing under the new name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.__main__ import main
from livesnn.errors import FormatError, LivesnnError, SourceError
from livesnn.events.convert import convert
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.filters import Stretch
from livesnn.events.formats.aedat4_writer import Aedat4Writer, storable
from livesnn.events.formats.npz import LARGE_EVENTS, write_npz
from livesnn.events.labels import Label, keep_labels, read_labels
from livesnn.events.packet import EVENTS_DTYPE, TIME_LIMIT_US, Events, Resolution
from livesnn.events.recording import NOTHING, open_recording
from livesnn.paths import recordings_dir
from livesnn.sources import open_events
from tests.fake_source import joined
from tests.reading import packets_of

SUFFIXES = [".aedat4", ".npz"]
WIDEST = Resolution(1 << 15, 1 << 15)
VGA = Resolution(640, 480)
FOLDERS = [
    "aedat2", "aedat3", "aedat4", "csv", "dat", "es", "evt2", "evt21", "evt3", "hdf5", "malformed", "nmnist",
]  # fmt: skip


def random_stream(seed: int, sensor: Resolution, count: int = 3_000) -> Events:
    """Return events with equal times, duplicates, stretches without any, and the sensor's corners."""
    random = np.random.default_rng(seed)
    start_us = [0, -5_000_000, -3, 1_700_000_000_000_000, 1 - TIME_LIMIT_US, TIME_LIMIT_US - (1 << 42)][seed % 6]
    gaps = random.choice([0, 0, 0, 1, 7, 10_000, 3_600_000_000], count, p=[0.2, 0.2, 0.2, 0.2, 0.19, 0.009, 0.001])
    events = np.zeros(count, EVENTS_DTYPE)
    events["t"] = start_us + np.cumsum(gaps) - gaps[0]
    for axis, most in zip(("x", "y"), sensor, strict=True):
        ends = random.choice([0, most - 1], count)
        events[axis] = np.where(random.random(count) < 0.3, ends, random.integers(0, most, count))
    events["p"] = random.random(count) < 0.4
    again = np.sort(random.integers(0, count, count // 10))
    return np.insert(events, again, events[again])


def write(path: Path, events: Events, sensor: Resolution, camera: str = "DVX µ <7>") -> Path:
    if path.suffix == ".npz":
        columns = {axis: events[axis] for axis in EVENTS_DTYPE.names or ()}
        np.savez(path, **columns, width=sensor.width, height=sensor.height, camera=camera)  # type: ignore[arg-type]
        return path
    with Aedat4Writer(path, sensor, camera) as writer:
        for packet in np.array_split(events, 5):
            writer.write(packet)
    return path


def read(path: Path, stream: str | None = None) -> tuple[Events, Resolution, str]:
    with open_recording(path, stream=stream) as recording:
        events = joined(recording)
        return events, recording.resolution, storable(recording.name)


def assert_same(path: Path, events: Events, sensor: Resolution, camera: str) -> None:
    found, resolution, name = read(path)
    assert np.array_equal(found, events)
    assert (resolution, name) == (sensor, camera)
    with open_recording(path) as recording:
        assert recording.warnings == [NOTHING] * (not events.size)


@pytest.mark.parametrize("before", SUFFIXES)
@pytest.mark.parametrize("seed", range(6))
def test_a_converted_stream_is_the_same_there_and_back(tmp_path: Path, before: str, seed: int) -> None:
    sensor = [WIDEST, VGA, Resolution(1, 1)][seed % 3]
    events = random_stream(seed, sensor)
    path = write(tmp_path / f"a{before}", events, sensor)
    for number, suffix in enumerate([*SUFFIXES, *SUFFIXES]):
        done = convert(path, tmp_path / f"{number}{suffix}")
        assert (done.events, done.duration_us) == (len(events), int(events["t"][-1] - events["t"][0]))
        assert (done.format, done.warnings) == (suffix[1:], ())
        path = done.out
        assert_same(path, events, sensor, "DVX µ <7>")


@pytest.mark.parametrize("after", SUFFIXES)
@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_event_are_converted_too(tmp_path: Path, after: str, count: int) -> None:
    events = random_stream(3, VGA)[:count]
    for before in SUFFIXES:
        done = convert(write(tmp_path / f"a{before}", events, VGA, ""), tmp_path / f"b{before}{after}")
        assert (done.events, done.duration_us) == (count, 0)
        assert_same(done.out, events, VGA, "")


def test_more_events_than_are_held_in_memory_are_the_same(tmp_path: Path) -> None:
    events = np.zeros(LARGE_EVENTS + 1, EVENTS_DTYPE)
    events["t"] = np.arange(events.size) // 3
    events["x"] = np.arange(events.size) % 34
    path = write(tmp_path / "a.npz", events, Resolution(34, 34))
    found, resolution, camera = read(convert(path, tmp_path / "b.npz").out)
    assert np.array_equal(found, events)
    assert (resolution, camera) == (Resolution(34, 34), "DVX µ <7>")


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_sample_recording_is_the_same_in_both_formats(tmp_path: Path, data_dir: Path, folder: str) -> None:
    readable = 0
    for path in sorted((data_dir / "recordings" / folder).iterdir()):
        try:
            with open_recording(path) as recording:
                names = [recording.stream, *recording.other_streams]
        except LivesnnError:  # a picture without events, an empty file
            continue
        readable += 1
        for name in names:
            expected = read(path, name)
            for suffix in SUFFIXES:
                done = convert(path, tmp_path / f"out{suffix}", stream=name, overwrite=True)
                assert done.events == len(expected[0])
                assert_same(done.out, *expected)
    assert readable


@pytest.mark.parametrize("damage", ["aedat4_corrupt_bytes_mid.aedat4", "evt2_trunc_word.raw"])
def test_what_its_reader_says_of_a_recording_is_said_of_the_conversion(
    tmp_path: Path, data_dir: Path, damage: str
) -> None:
    path = data_dir / "recordings" / "malformed" / damage
    with open_recording(path) as recording:
        assert sum(packet.size for packet in packets_of(recording)) > 0
        assert recording.warnings
        assert set(recording.warnings) <= {*convert(path, tmp_path / "out.npz").warnings}


def test_what_is_not_events_and_other_streams_are_said_to_be_left_out(tmp_path: Path, data_dir: Path) -> None:
    folder = data_dir / "recordings" / "aedat4"
    (line,) = convert(folder / "aestream_davis.aedat4", tmp_path / "a.npz").warnings
    assert line == "only events are converted, so these are left out: frames (3), IMU samples (130), triggers (15)"
    stereo = folder / "derived_stereo_two_event_streams.aedat4"
    (line,) = convert(stereo, tmp_path / "b.npz", stream="RIGHT_CAM/events").warnings
    assert line.endswith(f"LEFT_CAM/events is left out: to read it, give {stereo}?stream=LEFT_CAM/events")
    assert read(tmp_path / "b.npz")[2] == "RIGHT_CAM"


def test_a_clock_that_was_set_back_is_kept_by_aedat4_and_told_of_for_npz(tmp_path: Path) -> None:
    events = random_stream(0, VGA, 100)
    with Aedat4Writer(tmp_path / "a.aedat4", VGA) as writer:
        writer.write(events)
        events["t"] -= 20_000
        writer.write(events)
    expected = read(tmp_path / "a.aedat4")
    assert (np.diff(expected[0]["t"]) < 0).any()
    assert_same(convert(tmp_path / "a.aedat4", tmp_path / "b.aedat4").out, *expected)
    told, said = convert(tmp_path / "a.aedat4", tmp_path / "b.npz").warnings
    assert told.startswith("time jumps back, and programs that read .npz may sort")
    assert "time jumps back 1 times" in said
    assert np.array_equal(np.load(tmp_path / "b.npz")["t"], expected[0]["t"])


@pytest.mark.parametrize("camera", [np.arange(3), np.array({}, object), np.array("x" * 5_000), np.array(b"x")])
def test_an_npz_whose_camera_is_not_a_name_is_read_without_one(tmp_path: Path, camera: object) -> None:
    path = write(tmp_path / "a.npz", random_stream(1, VGA, 10), VGA, camera)  # type: ignore[arg-type]
    assert read(path)[1:] == (VGA, "")


# --- what is refused, and what is left then ---


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_exists_is_replaced_only_when_asked_to(tmp_path: Path, suffix: str) -> None:
    events = random_stream(1, VGA)
    path = write(tmp_path / "a.npz", events, VGA)
    out = tmp_path / f"out{suffix}"
    out.write_bytes(b"somebody's work")
    with pytest.raises(SourceError, match="exists already: choose another name, or add --overwrite"):
        convert(path, out)
    assert out.read_bytes() == b"somebody's work"
    assert_same(convert(path, out, overwrite=True).out, events, VGA, "DVX µ <7>")


def test_the_recording_itself_is_never_written_to_by_any_of_its_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", random_stream(1, VGA), VGA)
    (tmp_path / "hard.npz").hardlink_to(path)
    (tmp_path / "soft.npz").symlink_to(path)
    for out in (
        path,
        tmp_path / "hard.npz",
        tmp_path / "soft.npz",
        tmp_path / ".." / tmp_path.name / "a.npz",
    ):
        with pytest.raises(SourceError, match="is the recording itself: choose another name"):
            convert(path, out, overwrite=True)
    assert len(read(path)[0])


def test_a_recording_named_with_its_columns_is_itself_too(tmp_path: Path) -> None:
    text = tmp_path / "text.npz"
    text.write_text("1 2 3 1\n")
    with pytest.raises(SourceError, match="is the recording itself: choose another name"):
        convert(f"{text}?columns=t_us,x,y,p", text, overwrite=True)
    assert text.read_text() == "1 2 3 1\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("out.csv", "doesn't say the format: choose one that ends in .aedat4 or .npz"),
        ("out", "doesn't say the format"),
        ("nowhere/out.npz", "there is no folder .*nowhere: make it first"),
        ("nowhere/out.aedat4", "nowhere/out.aedat4: there is no folder"),
        ("a.npz/out.npz", "there is no folder"),
        ("folder.npz", "a folder: add the name of a file"),
        ("link.npz", "this is a link: give the file that it points to"),
        ("pipe.npz", "a pipe or device, which can't be replaced: choose another name"),
        ("x" * 300 + ".aedat4", "can't be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path, name: str, why: str) -> None:
    path = write(tmp_path / "a.npz", random_stream(1, VGA), VGA)
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "link.npz").symlink_to("other.npz")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.npz")
    elif name == "pipe.npz":
        pytest.skip("this system has no pipes with names")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SourceError, match=why) as raised:
        convert(path, tmp_path / name, overwrite=True)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_no_recording_of_events_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", random_stream(1, VGA), VGA)
    (tmp_path / "text.aedat4").write_bytes(b"hello")
    (tmp_path / "video.avi").write_bytes(b"RIFF\0\0\0\0AVI LIST")
    before = sorted(tmp_path.iterdir())
    for name, stream, kind, why in (
        ("none.npz", None, SourceError, "no such file"),
        ("text.aedat4", None, FormatError, "not a recording of a known format"),
        ("video.avi", None, FormatError, "no video in it can be decoded"),
        ("a.npz", "left", SourceError, "no event stream called 'left'; it has events"),
    ):
        with pytest.raises(kind, match=why):
            convert(tmp_path / name, tmp_path / "out.npz", stream=stream, opener=open_events)
    assert sorted(tmp_path.iterdir()) == before


def test_a_sensor_too_large_to_be_read_again_is_refused_and_no_file_made(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="can't hold a sensor of 40000×10"):
        write_npz(tmp_path / "out.npz", [], Resolution(40_000, 10), "")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_interrupted_conversion_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / "a.npz", random_stream(1, VGA, 100_000), VGA)
    out = tmp_path / f"out{suffix}"
    shares: list[float] = []

    def interrupt(share: float) -> None:
        shares.append(share)
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(path, out, progress=interrupt)
    assert [*tmp_path.iterdir()] == [path]
    out.write_bytes(b"somebody's work")
    with pytest.raises(KeyboardInterrupt):
        convert(path, out, overwrite=True, progress=interrupt)
    assert sorted(tmp_path.iterdir()) == [path, out]
    assert out.read_bytes() == b"somebody's work"
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / "a.npz", random_stream(1, VGA), VGA)
    out = tmp_path / f"out{suffix}"
    with pytest.raises(SourceError, match="exists already"):
        convert(path, out, progress=lambda share: out.touch())
    assert sorted(tmp_path.iterdir()) == [path, out]
    assert out.read_bytes() == b""


FULL = """
import resource, sys
from livesnn.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
sys.exit(main(["convert", *sys.argv[1:]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit on a file's size")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / "a.npz", random_stream(1, VGA, 50_000), VGA)
    out = tmp_path / f"out{suffix}"
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", FULL, str(path), str(out)]
    ended = subprocess.run(command, env=environment, timeout=60, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"livesnn convert: {out}: can't be written (")
    assert ended.stderr.count("\n") == 1
    assert [*tmp_path.iterdir()] == [path]


def test_an_interrupt_while_a_column_is_begun_is_still_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    path = write(tmp_path / "a.npz", random_stream(1, VGA), VGA)
    monkeypatch.setattr(zipfile, "_ZipWriteFile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(path, tmp_path / "out.npz")
    assert [*tmp_path.iterdir()] == [path]


# --- the command ---


def test_the_home_of_a_user_who_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ["info", "~no-such-user/a.npz"],
        ["convert", "~no-such-user/a.npz", str(tmp_path / "b.npz")],
    ):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert "~no-such-user/a.npz: no such file" in said
        assert said.count("\n") == 1


def test_the_command_ends_with_a_line_of_json_and_says_warnings(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    events = random_stream(1, VGA, 50)
    path, out = tmp_path / "a.npz", tmp_path / "out.aedat4"
    np.savez(path, **{axis: events[axis] for axis in "txyp"})  # type: ignore[arg-type]
    assert main(["convert", str(path), str(out)]) == 0
    printed, said = capfd.readouterr()
    found = json.loads(printed.splitlines()[-1])
    warning = "the file doesn't give width and height: 640×480 assumed"
    assert found == {
        "events": 55,
        "duration_us": int(events["t"][-1] - events["t"][0]),
        "format": "aedat4",
        "out": str(out),
        "warnings": [warning],
        "denoise": None,
        "labels": 0,
    }
    assert said == f"livesnn convert: {warning}\n"
    assert main(["convert", str(path), str(out)]) == 1
    assert main(["convert", str(path), str(out), "--overwrite"]) == 0
    assert main(["convert", "camera", str(out)]) == 1
    assert "convert only reads files" in capfd.readouterr().err


@pytest.mark.parametrize("after", SUFFIXES)
def test_without_noise_a_conversion_has_what_the_filters_keep(tmp_path: Path, after: str) -> None:
    events = random_stream(4, Resolution(34, 34))
    path = write(tmp_path / "a.aedat4", events, Resolution(34, 34))
    done = convert(path, tmp_path / f"b{after}", denoise=True)
    with open_recording(path) as recording:
        expected = joined(denoise_packets(recording, DenoiseState(recording.resolution)))
    assert_same(done.out, expected, Resolution(34, 34), "DVX µ <7>")
    assert done.denoise is not None
    assert (done.denoise.events, done.denoise.kept) == (events.size, expected.size)
    assert convert(path, tmp_path / f"c{after}").denoise is None


def test_a_stretch_has_exactly_its_events(
    tmp_path: Path, read_by_dv_processing: Callable[[Path], npt.NDArray[np.void]]
) -> None:
    events = random_stream(3, VGA)
    events["t"] = 1_700_000_000_000_000 + np.arange(events.size) * 1_000 // 3
    source, out = write(tmp_path / "a.npz", events, VGA), tmp_path / "part.aedat4"
    done = convert(source, out, stretch=Stretch(0.25, 0.75))
    since_us = events["t"] - events["t"][0]
    inside = events[(since_us >= 250_000) & (since_us < 750_000)]
    np.testing.assert_array_equal(read(out)[0], inside)
    assert (done.events, done.duration_us) == (inside.size, int(np.ptp(inside["t"])))
    theirs = read_by_dv_processing(out)
    np.testing.assert_array_equal(theirs["timestamp"], inside["t"])
    np.testing.assert_array_equal(theirs["x"], inside["x"])
    np.testing.assert_array_equal(theirs["polarity"] != 0, inside["p"])


@pytest.mark.parametrize("name", ["arm_roll", "digit-3"])
def test_stretches_of_a_shipped_recording_make_the_whole(name: str, tmp_path: Path) -> None:
    source = recordings_dir() / f"{name}.aedat4"
    whole, sensor, camera = read(source)
    parts = []
    for number, stretch in enumerate([Stretch(0, 0.1), Stretch(0.1, 0.234567), Stretch(0.234567)]):
        convert(source, tmp_path / f"{number}.aedat4", stretch=stretch)
        events, *other = read(tmp_path / f"{number}.aedat4")
        assert other == [sensor, camera]
        parts.append(events)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_labels_of_a_stretch_go_with_it(tmp_path: Path) -> None:
    events = np.zeros(1_001, EVENTS_DTYPE)
    events["t"] = 7_000_000 + np.arange(1_001) * 1_000
    source = write(tmp_path / "a.aedat4", events, VGA)
    labels = (Label("wave", 0.1, 0.4), Label("clap", 0.5, 0.7), Label("roll", 0.8, 0.9))
    keep_labels(source, labels)
    done = convert(source, tmp_path / "b.aedat4", stretch=Stretch(0.3, 0.6))
    kept = read_labels(tmp_path / "b.aedat4")
    assert [(label.label, label.start, label.end) for label in kept] == [
        ("wave", 0.0, pytest.approx(0.1)),
        ("clap", pytest.approx(0.2), pytest.approx(0.3)),
    ]
    assert done.labels == 2
    assert "labels outside the events are left out: 1" in done.warnings


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "3", "--to", "2"], "there is nothing from 3 s to 2 s: give 0 or more, and a later end"),
        (["--from", "-1"], "there is nothing from -1 s"),
        (["--from", "nan"], "there is nothing from nan s"),
        (["--from", "900"], "the recording ends at"),
        (["--model", "gestures"], "--model and --speed are for a video or a table"),
    ],
)
def test_a_stretch_that_is_not_there_is_said(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = recordings_dir() / "digit-3.aedat4", tmp_path / "a.aedat4"
    assert main(["convert", str(source), str(out), *arguments]) == 1
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_stretch_without_events_is_said(tmp_path: Path) -> None:
    events = np.zeros(2, EVENTS_DTYPE)
    events["t"] = (0, 10_000_000)
    source = write(tmp_path / "a.npz", events, VGA)
    with pytest.raises(SourceError, match=r"a\.npz: it has no event from 2 s to 3 s: choose another section"):
        convert(source, tmp_path / "b.aedat4", stretch=Stretch(2, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_the_command_writes_a_stretch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = recordings_dir() / "digit-3.aedat4", tmp_path / "part.aedat4"
    assert main(["convert", str(source), str(out), "--from", "0.05", "--to", "0.1"]) == 0
    events, *_ = read(source)
    since_us = events["t"] - events["t"][0]
    inside = events[(since_us >= 50_000) & (since_us < 100_000)]
    np.testing.assert_array_equal(read(out)[0], inside)
    assert json.loads(capsys.readouterr().out)["events"] == inside.size


@pytest.mark.parametrize(("suffix", "count"), [(".mp4", 60), (".csv", 10)])
def test_the_command_writes_a_film_or_a_table(
    suffix: str, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = recordings_dir() / "arm_roll.aedat4", tmp_path / f"part{suffix}"
    speed = [] if suffix != ".mp4" else ["--speed", "0.25"]
    stretch = ["--from", "0.5", "--to", "1"]
    assert main(["convert", str(source), str(out), *stretch, "--model", "gestures", *speed]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written == {"out": str(out), "format": suffix[1:], "count": count, "warnings": []}
    assert out.stat().st_size > 500
    assert main(["convert", str(source), str(out), *stretch]) == 1
    assert f"{out} exists already" in capsys.readouterr().err


def test_the_command_names_every_ending_that_it_can_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["convert", str(write(tmp_path / "a.npz", random_stream(1, VGA), VGA)), str(tmp_path / "out.mkv")]) == 1
    )
    assert "choose one that ends in .aedat4, .npz, .mp4 or .csv" in capsys.readouterr().err
