"""Labels: what is in the table beside a recording, whatever happens, and that training reads it."""

from __future__ import annotations

import os
from dataclasses import astuple
from pathlib import Path

import h5py
import numpy as np
import pytest

from livesnn.__main__ import main
from livesnn.cli.recordings import describe_recording
from livesnn.errors import DataError, SourceError
from livesnn.events.convert import convert
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.labels import Label, LabelWriter, has_labels, keep_labels, labels_file, read_labels
from livesnn.events.packet import EVENTS_DTYPE
from livesnn.events.recording import describe
from livesnn.train.datasets.registry import data_set
from livesnn.untrusted import ENTRIES
from tests.trees import SENSOR, configured, some_events


def test_a_label_holds_until_another_or_none_does(tmp_path: Path) -> None:
    with LabelWriter(tmp_path / "a.aedat4") as labels:
        labels.begin("wave", 1_000_000)
        labels.begin("clap", 2_500_000)
        labels.begin(None, 3_000_001)
        labels.begin("wave", 9_000_000)
        labels.reach(10_000_000)
    assert read_labels(tmp_path / "a.aedat4") == (
        Label("wave", 1.0, 2.5),
        Label("clap", 2.5, 3.000001),
        Label("wave", 9.0, 10.0),
    )
    assert labels.count == 3


def test_what_holds_is_in_the_file_up_to_now(tmp_path: Path) -> None:
    with LabelWriter(tmp_path / "a.aedat4") as labels:
        labels.begin("wave", 500_000)
        for reached_us in (600_000, 9_900_000, 10_000_000, 9_000_000):  # time never goes back
            labels.reach(reached_us)
        assert read_labels(tmp_path / "a.aedat4") == (Label("wave", 0.5, 10.0),)
        assert labels.count == 1


def test_without_a_label_there_is_no_file(tmp_path: Path) -> None:
    with LabelWriter(tmp_path / "a.aedat4") as labels:
        labels.begin(None, 5)
        labels.begin("over at once", 7)
        labels.begin(None, 7)
    assert list(tmp_path.iterdir()) == []
    for place in (tmp_path / "a.aedat4", *map(Path, (".", "/", "nowhere"))):
        assert read_labels(place) == ()


def test_a_label_and_a_file_may_have_commas_and_quotes(tmp_path: Path) -> None:
    recording = tmp_path / 'a, "b".aedat4'
    with LabelWriter(recording) as labels:
        labels.begin('a "wave", slow', 0)
        labels.reach(1_000_000)
    assert read_labels(recording) == (Label('a "wave", slow', 0.0, 1.0),)


def test_labels_of_another_recording_are_not_overwritten(tmp_path: Path) -> None:
    labels_file(tmp_path / "a.aedat4").write_text("somebody's work")
    with pytest.raises(SourceError, match=r"a\.labels\.csv exists already"):
        LabelWriter(tmp_path / "a.aedat4")
    assert labels_file(tmp_path / "a.aedat4").read_text() == "somebody's work"


def record(path: Path, *labels: tuple[str, float, float]) -> None:
    """Write six seconds of events anywhere, and these labels."""
    with Aedat4Writer(path, SENSOR) as writer, LabelWriter(path) as table:
        writer.write(some_events(20_000, 6.0))
        for label, start_s, end_s in labels:
            table.begin(label, round(start_s * 1e6))
            table.begin(None, round(end_s * 1e6))


def test_info_tells_the_labels_and_what_cannot_be_read_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    record(path, ("wave", 1, 2), ("clap", 3, 5.5))
    info = describe(path)
    assert info.labels == (Label("wave", 1.0, 2.0), Label("clap", 3.0, 5.5))
    assert "wave 1.000 to 2.000 s, clap 3.000 to 5.500 s" in describe_recording(info)
    labels_file(path).write_text("file,start,end,label\na.aedat4,soon,later,wave\n")
    damaged = describe(path)
    assert damaged.labels == ()
    assert "a.labels.csv, line 2: give a label, a start" in damaged.warnings[0]


HEADER = "file,start,end,label\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *[
            (f"{HEADER}a.aedat4,0,1,clap\na.aedat4,{line}\n", "csv, line 3: give a label")
            for line in ("nan,1,wave", "0,inf,wave", "2,1,wave", "-1,1,wave", "0,1,", "0")
        ],
        (f"{HEADER}\na.aedat4,2,1,wave\n", "csv, line 3: give a label"),  # as an editor counts
        (f'{HEADER}a.aedat4,0,1,"clap\na.aedat4,1,2,wave\n', "csv: can't be read .* save it as UTF-8"),
        ("", "lacks the column file: write file,start,end,label,session"),
        ("file;start;end;label\n", "lacks the column file: write file,start,end,label,session"),
        ("file,start,end,label,label\na.aedat4,1,2,wave,clap\n", "has the column label twice"),
        (HEADER + "a.aedat4,1,2,wave\n" * (ENTRIES + 1), "10,001 labels are more than 10,000"),
        *[
            (f"{HEADER}{name},1,2,wave\n", f"its lines name '{name}': write a.aedat4 in the column file")
            for name in ("a", "a.AEDAT4", "a.raw")
        ],
    ],
    ids=range(15),
)
def test_a_table_that_is_wrong_is_an_error_that_says_where(tmp_path: Path, text: str, message: str) -> None:
    labels_file(tmp_path / "a.aedat4").write_text(text)
    with pytest.raises(DataError, match=rf"a\.labels\.{message}" if message.startswith("csv") else message):
        read_labels(tmp_path / "a.aedat4")


def test_lines_of_other_recordings_are_not_this_ones_and_a_column_may_have_no_name(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    labels_file(path).write_text("file,start,end,label\nb.aedat4,0,1,clap\na.aedat4,1,2,wave\n")
    assert read_labels(path) == (Label("wave", 1.0, 2.0),)
    for asked_for in ("a.aedat4?stream=events", "a.aedat4?columns=t,x,y,p"):
        assert has_labels(path.with_name(asked_for))
        assert read_labels(path.with_name(asked_for)) == (Label("wave", 1.0, 2.0),)
    labels_file(path).write_text("file,start,end,label,,\na.raw,0,1,clap,,\na.aedat4,1,2,wave,,\n")
    (tmp_path / "a.raw").touch()
    assert read_labels(path) == (Label("wave", 1.0, 2.0),)


def test_labels_of_renamed_files_are_told_instead_of_passed_over(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4", ("wave", 1, 2))
    for name in ("a.aedat4", "a.labels.csv"):
        (tmp_path / name).rename(tmp_path / name.replace("a", "b", 1))
    assert (
        "its lines name 'a.aedat4': write b.aedat4 in the column file" in describe(tmp_path / "b.aedat4").warnings[0]
    )
    assert "its labels are left out" in convert(tmp_path / "b.aedat4", tmp_path / "c.npz").warnings[0]


def test_a_pipe_or_a_link_to_nothing_in_the_place_of_labels_is_told(tmp_path: Path) -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "a.labels.csv")
        with pytest.raises(DataError, match=r"a\.labels\.csv: this is a pipe or device"):
            read_labels(tmp_path / "a.aedat4")
    labels_file(tmp_path / "b.aedat4").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"b\.labels\.csv: a link that points nowhere"):
        read_labels(tmp_path / "b.aedat4")


def test_where_labels_cannot_be_written_no_recording_is(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4", ("wave", 1, 2))
    out = tmp_path / f"{'n' * 247}.npz"  # .labels.csv makes it too long
    with pytest.raises(SourceError, match="can't be written"):
        convert(tmp_path / "a.aedat4", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.aedat4", "a.labels.csv"]


def test_a_folder_of_labelled_recordings_is_trained_on_each_a_session(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        record(tmp_path / f"{name}.aedat4", ("wave", 0, 2), ("clap", 3, 5.5))
    config = configured(dataset="folder", data=tmp_path, validation=0.5)
    parts = data_set("folder").load_parts(config)
    assert parts.training.classes == ("clap", "wave")
    assert (len(parts.training), len(parts.validation)) == (9, 9)  # windows of 0.5 s
    assert np.bincount(parts.training.labels).tolist() == [5, 4]


def test_one_labelled_recording_is_a_table_by_itself(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4", ("wave", 0, 2), ("clap", 3, 5.5))
    config = configured(dataset="folder", data=labels_file(tmp_path / "a.aedat4"))
    parts = data_set("folder").load_parts(config)
    assert np.bincount(parts.training.labels).tolist() == [4, 3]  # windows of 0.5 s; the last of each is kept
    assert np.bincount(parts.validation.labels).tolist() == [1, 1]


def test_a_table_in_a_class_s_folder_is_no_recording(tmp_path: Path) -> None:
    for label in ("wave", "clap"):
        (tmp_path / label).mkdir()
        record(tmp_path / label / "a.aedat4", (label, 1, 2))
    found = [finding.what for finding in data_set("folder").check(tmp_path) if finding.state == "complete"]
    assert found == ["clap: 1 recording of 1 session", "wave: 1 recording of 1 session"]


# Kept with a converted recording


@pytest.mark.parametrize("suffix", [".aedat4", ".npz"])
def test_converting_keeps_the_labels_beside_the_new_file(tmp_path: Path, suffix: str) -> None:
    record(tmp_path / "a.aedat4", ("wave", 1.0, 2.0), ("clap", 3.0, 5.5))
    done = convert(tmp_path / "a.aedat4", tmp_path / f"b{suffix}")
    assert done.labels == 2
    assert read_labels(tmp_path / f"b{suffix}") == (
        Label("wave", 1.0, 2.0, "a.aedat4"),
        Label("clap", 3.0, 5.5, "a.aedat4"),
    )
    assert labels_file(tmp_path / "a.aedat4").exists()


def test_a_file_of_both_recordings_keeps_the_lines_and_columns_of_the_first(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4")
    labels_file(tmp_path / "a.aedat4").write_text(
        "label,file,start,end,session,split\nwave,a.aedat4,1,2,monday,test\nclap,other.raw,1,2,,\n"
    )
    assert convert(tmp_path / "a.aedat4", tmp_path / "a.npz").labels == 1
    assert labels_file(tmp_path / "a.npz").read_text().splitlines() == [
        "label,file,start,end,session,split",
        "wave,a.aedat4,1,2,monday,test",
        "clap,other.raw,1,2,,",
        "wave,a.npz,1.000000,2.000000,monday,",
    ]


def test_labels_that_are_there_already_are_replaced_only_when_asked(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4", ("wave", 1.0, 2.0))
    labels_file(tmp_path / "b.npz").write_text("file,start,end,label\nb.npz,0,1,clap\n")
    with pytest.raises(SourceError, match=r"b\.labels\.csv has labels of b\.npz already.*--overwrite"):
        convert(tmp_path / "a.aedat4", tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()
    assert convert(tmp_path / "a.aedat4", tmp_path / "b.npz", overwrite=True).labels == 1
    assert [label.label for label in read_labels(tmp_path / "b.npz")] == ["wave"]


def test_somebody_elses_file_in_the_labels_place_is_not_touched(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4", ("wave", 1.0, 2.0))
    labels_file(tmp_path / "b.npz").write_text("somebody's work")
    with pytest.raises(DataError, match=r"b\.labels\.csv: its first line lacks the column"):
        convert(tmp_path / "a.aedat4", tmp_path / "b.npz", overwrite=True)
    assert labels_file(tmp_path / "b.npz").read_text() == "somebody's work"


def test_labels_of_a_recording_that_is_replaced_by_one_without_stay_and_it_is_said(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4")
    record(tmp_path / "b.aedat4", ("wave", 1.0, 2.0))
    done = convert(tmp_path / "a.aedat4", tmp_path / "b.aedat4", overwrite=True)
    assert [label.label for label in read_labels(tmp_path / "b.aedat4")] == ["wave"]
    assert "b.labels.csv stays" in done.warnings[0]


def test_labels_of_another_stream_count_from_its_own_first_event(tmp_path: Path) -> None:
    early, late = (np.zeros(1000, EVENTS_DTYPE) for _ in range(2))
    early["t"], late["t"] = np.linspace(0, 6_000_000, 1000), np.linspace(2_000_000, 8_000_000, 1000)
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        for name, events in ("a", early), ("b", late):
            for axis in "txyp":
                file[f"{name}/{axis}"] = events[axis].astype("i8" if axis == "t" else "u2")
            file[f"{name}/t"].attrs["unit"] = "us"
    keep_labels(path, [Label("over", 0.5, 1.5), Label("cut", 1.0, 3.0), Label("whole", 3.0, 4.0)])
    done = convert(path, tmp_path / "b.aedat4", stream="b")
    assert [label[:3] for label in map(astuple, read_labels(tmp_path / "b.aedat4"))] == [
        ("cut", 0.0, 1.0),
        ("whole", 1.0, 2.0),
    ]
    assert done.labels == 2
    assert "labels outside the events are left out: 1" in done.warnings[-1]


@pytest.mark.parametrize(
    ("name", "written"), [("a.aedat4", "./a.aedat4"), ("a.aedat4", "a.aedat4 "), (" a.aedat4", " a.aedat4")]
)
def test_a_line_gives_a_recording_by_its_path_from_the_table(tmp_path: Path, name: str, written: str) -> None:
    path = tmp_path / name
    labels_file(path).write_text(f"file,start,end,label\n{written},1,2,wave\ntakes/{name},2,3,wave\n")
    assert has_labels(path)
    assert read_labels(path) == (Label("wave", 1.0, 2.0),)
    keep_labels(path, [Label("clap", 0.0, 1.0)])
    assert read_labels(path) == (Label("clap", 0.0, 1.0),)
    assert f"takes/{name},2,3,wave" in labels_file(path).read_text()


def test_a_new_recording_does_not_inherit_the_labels_of_an_older_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "a.aedat4")
    old = labels_file(tmp_path / "b.aedat4")
    old.write_text("file,start,end,label\nb.aedat4,0,3,clap\n")
    with pytest.raises(SourceError, match=r"b\.labels\.csv has labels of b\.aedat4 already"):
        convert(tmp_path / "a.aedat4", tmp_path / "b.aedat4")
    assert main(["simulate", str(tmp_path / "b.aedat4"), "--seconds", "0.2"]) == 1
    assert "b.labels.csv exists already" in capsys.readouterr().err
    assert not (tmp_path / "b.aedat4").exists()


def test_labels_that_cannot_be_read_are_left_out_and_those_that_stay_are_told(
    tmp_path: Path,
) -> None:
    record(tmp_path / "a.aedat4")
    labels_file(tmp_path / "a.aedat4").write_text("file,start,end,label\na.aedat4,soon,later,wave\n")
    record(tmp_path / "b.aedat4", ("wave", 1.0, 2.0))
    left_out, stays = convert(tmp_path / "a.aedat4", tmp_path / "b.aedat4", overwrite=True).warnings
    assert "its labels are left out" in left_out
    assert stays.endswith("b.labels.csv stays as it was")
    done = convert(tmp_path / "a.aedat4", tmp_path / "c.npz")
    assert (done.labels, done.events, done.warnings) == (0, 20_000, (left_out,))
    assert not labels_file(tmp_path / "c.npz").exists()


def test_a_table_of_decisions_does_not_replace_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "a.aedat4", ("wave", 1.0, 2.0))
    labels = labels_file(tmp_path / "a.aedat4")
    before = labels.read_bytes()
    assert main(["convert", str(tmp_path / "a.aedat4"), str(labels), "--overwrite"]) == 1
    assert "this is the name of a table of labels: choose another name" in capsys.readouterr().err
    assert labels.read_bytes() == before
