"""Each data set in its official layout, of small recordings: what belongs where, what is missing, what is damaged."""

from __future__ import annotations

import errno
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.card import BY_TABLE, InputSpec, ModelCard, SliceRule, Split
from livesnn.errors import DataError
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE
from livesnn.events.slicer import Frame
from livesnn.paths import cache_dir
from livesnn.train.configuration import Configuration
from livesnn.train.datasets import folder, recorded
from livesnn.train.datasets.cifar10_dvs import CLASSES
from livesnn.train.datasets.clips import Clips, Parts, check_parts
from livesnn.train.datasets.folder import find_recordings
from livesnn.train.datasets.nmnist import FIRST_UNSEEN, simulated_digits
from livesnn.train.datasets.recorded import Recording, load_recordings, read_windows, windows_of
from livesnn.train.datasets.registry import data_set, mirrored_labels
from livesnn.train.datasets.request import Name
from tests import trees
from tests.trees import configured

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(recorded, "FEW", 1000)  # to start processes for these small files takes seconds


def card_of(config: Configuration, classes: tuple[str, ...], split: Split | None) -> ModelCard:
    return replace(config.card(classes), split=split)


@pytest.mark.parametrize("name", get_args(Name))
def test_every_data_set_says_what_it_needs_where(name: str, tmp_path: Path) -> None:
    known = data_set(name)
    assert known.PROTOCOLS
    assert known.INPUT.window == 10
    if name == "gestures-sim":
        assert known.check(tmp_path)[0].state == "complete"
        return
    with pytest.raises(DataError, match=str(tmp_path)):
        known.check(tmp_path)
    with pytest.raises(DataError, match=str(tmp_path)):
        known.load_parts(configured(dataset=name, data=tmp_path))  # type: ignore[arg-type]


def test_a_mirror_swaps_right_and_left_and_the_turn_of_an_arm_but_makes_nonsense_of_digits() -> None:
    classes = (
        "right_arm_clockwise",
        "left_arm_counter_clockwise",
        "left_hand_wave",
        "right_hand_wave",
        "other",
    )
    assert mirrored_labels("dvs-gesture", classes) == [1, 0, 3, 2, 4]
    assert mirrored_labels("ucf101", ("Archery", "Surfing")) == [0, 1]
    with pytest.raises(DataError, match=r"leave --augmentation\.mirror out"):
        mirrored_labels("mnist-seq1", ("0",))


@pytest.fixture
def cifar10_dvs(tmp_path: Path) -> Path:
    return trees.cifar10_dvs(tmp_path)


def test_cifar10_dvs_is_split_by_index_or_by_seed_0(cifar10_dvs: Path) -> None:
    config = configured(
        dataset="cifar10-dvs", data=cifar10_dvs, n_events=20, protocol="70/30", validation=0.2, windows=2
    )
    parts = data_set("cifar10-dvs").load_parts(config)
    card = card_of(config, CLASSES, parts.split)
    test = data_set("cifar10-dvs").load_split(cifar10_dvs, "test", card)
    validation = data_set("cifar10-dvs").load_split(cifar10_dvs, "validation", card)
    numbers = {int(name.rpartition("_")[2].partition(".")[0]) for name in test.recordings}
    assert numbers == {700, 999}
    assert len(parts.training) + len(parts.validation) == 2 * 5 * 10
    assert set(validation.recordings) == set(parts.validation.recordings)
    assert not set(validation.recordings) & set(parts.training.recordings)  # type: ignore[attr-defined]
    assert parts.training.take(np.arange(3), 0)[0].shape == (3, 10, 2, 128, 128)


def test_cifar10_dvs_names_missing_and_damaged_recordings(cifar10_dvs: Path) -> None:
    (cifar10_dvs / "cat" / "cifar10_cat_0.aedat").write_bytes(b"#!AER-DAT2.0\r\n# AEChip: DVS128\r\n" + b"\xff" * 13)
    findings = data_set("cifar10-dvs").check(cifar10_dvs)
    assert (
        next(finding.what for finding in findings if finding.state == "incomplete")
        == "airplane: 7 of 1,000 recordings are there"
    )
    assert any("cat" in finding.what for finding in findings if finding.state == "damaged")
    (cifar10_dvs / "dog").rename(cifar10_dvs / "dogs")
    with pytest.raises(DataError, match=r"no recordings of dog in .*: unpack dog\.zip there"):
        data_set("cifar10-dvs").check(cifar10_dvs)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return trees.lab(tmp_path)


def test_a_lab_s_sessions_stay_together(lab: Path) -> None:
    (lab / "nod" / "ann" / "notes.txt").write_text("not a recording")
    config = configured(dataset="folder", data=lab, validation=0.3)
    parts = data_set("folder").load_parts(config)
    assert parts.training.classes == ("nod", "shake")
    assert parts.validation.sensor == (128, 128)
    (left_out,) = parts.validation.skipped
    assert "notes.txt" in left_out
    assert [finding.state for finding in data_set("folder").check(lab)] == ["unusable", "complete", "complete"]
    training = {name.split("/")[1] for name in parts.training.recordings}  # type: ignore[attr-defined]
    validation = {name.split("/")[1] for name in parts.validation.recordings}
    assert len(validation) == 1
    assert len(training) == 2
    assert not training & validation
    assert len(parts.validation) == 2 * 2 * 2  # classes, recordings, windows of 0.5 s


def test_a_table_cuts_recordings_and_says_what_is_for_what(lab: Path) -> None:
    table = lab / "mine.csv"
    rows = ["nod/ann/0.aedat4,0,0.5,still,a,train", "nod/ann/0.aedat4,0.5,1.04,moves,a,train",
            "nod/bob/0.aedat4,0,0.51,still,b,validation", "nod/cem/0.aedat4,0,1.04,moves,c,test"]  # fmt: skip
    table.write_text("\n".join(["file,start,end,label,session,split", *rows]))
    config = configured(dataset="folder", data=table)
    parts = data_set("folder").load_parts(config)
    assert parts.training.classes == ("moves", "still")
    assert parts.training.labels.tolist() == [1, 0]
    assert parts.validation.recordings == ("nod/bob/0.aedat4@0-0.51",)
    assert parts.split is not None
    assert parts.split.protocol == BY_TABLE
    test = data_set("folder").load_split(table, "test", card_of(config, ("moves", "still"), parts.split))
    assert test.labels.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("nod/ann/9.aedat4,0,1,still,a", "line 2: no file"),
        ("nod/ann/0.aedat4,a,1,still,a", "line 2: 'a' to '1' aren't seconds"),
        ("nod/ann/0.aedat4,1,1,still,a", "line 2: 1 to 1 s isn't a span of time"),
        ("nod/ann/0.aedat4,0,1,,a", "line 2: label is missing"),
        ("nod/ann/0.aedat4,0,1,still,a,test", "line 2: it has more fields than the first line"),
    ],
)
def test_a_wrong_row_of_a_table_is_named(lab: Path, row: str, words: str) -> None:
    (lab / "labels.csv").write_text(f"file,start,end,label,session\n{row}\nnod/ann/0.aedat4,0,1,other,b\n")
    with pytest.raises(DataError, match=words):
        data_set("folder").check(lab)


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    return trees.ucf101(tmp_path)


def test_ucf101_trains_on_its_list_and_keeps_whole_groups(ucf: Path) -> None:
    config = configured(dataset="ucf101", data=ucf, validation=0.25)
    parts = data_set("ucf101").load_parts(config)
    assert parts.training.classes == ("Archery", "Surfing")
    groups = parts.training.groups, parts.validation.groups  # type: ignore[attr-defined]
    assert len(set(groups[0])) == 6
    assert len(set(groups[1])) == 2
    assert not set(groups[0]) & set(groups[1])
    test = data_set("ucf101").load_split(ucf, "test", card_of(config, parts.training.classes, parts.split))
    assert {name.rpartition("_")[0][-3:] for name in test.recordings} == {"g01"}
    assert test.frames.shape[1:] == (10, 3, 64, 64)


def test_ucf101_says_which_classes_and_videos_are_missing(ucf: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*Biking: unpack that class, or leave it out of --only"):
        data_set("ucf101").load_parts(configured(dataset="ucf101", data=ucf, only=("Biking",)))
    (ucf / "UCF-101" / "Archery" / "v_Archery_g02_c01.avi").write_bytes(b"RIFF")
    (ucf / "UCF-101" / "Archery" / "v_Archery_g03_c01.avi").unlink()
    found = {(finding.state, finding.what.partition(":")[0]) for finding in data_set("ucf101").check(ucf)}
    assert ("incomplete", "Archery") in found
    assert ("complete", "Surfing") in found
    assert ("missing", "Biking") in found
    assert any(state == "damaged" for state, _ in found)
    skipped = data_set("ucf101").load_parts(configured(dataset="ucf101", data=ucf)).validation.skipped
    assert len(skipped) == 2


@pytest.mark.parametrize(("delta_t_us", "windows"), [(25_000, 4), (100_000, 1)])
def test_a_new_rule_for_a_frame_makes_other_clips(lab: Path, delta_t_us: int, windows: int) -> None:
    parts = data_set("folder").load_parts(Configuration(dataset="folder", data=lab, delta_t_us=delta_t_us))
    assert len(parts.training) + len(parts.validation) == 12 * windows


def test_hmdb51_leaves_unused_clips_out_and_keeps_films_together(tmp_path: Path) -> None:
    data = trees.hmdb51(tmp_path)
    config = configured(dataset="hmdb51", data=data, validation=0.3)
    parts = data_set("hmdb51").load_parts(config)
    assert parts.training.classes == ("golf", "wave")
    films = [{group.partition("/")[2] for group in part.groups} for part in (parts.training, parts.validation)]  # type: ignore[attr-defined]
    assert films[0] | films[1] == {"Alien", "Brazil_2", "Casablanca"}
    test = data_set("hmdb51").load_split(data, "test", card_of(config, parts.training.classes, parts.split))
    assert set(test.groups) == {"golf/Dune", "wave/Dune"}


@pytest.mark.parametrize("use", ["12", "01", "3"])
def test_hmdb51_s_lists_say_0_1_or_2(use: str, tmp_path: Path) -> None:
    data = trees.hmdb51(tmp_path)
    table = data / "testTrainMulti_7030_splits" / "golf_test_split1.txt"
    table.write_text(f"{table.read_text()}another.avi {use}\n")
    with pytest.raises(DataError, match=r"golf_test_split1.txt, line 6: .* unpack the lists again"):
        data_set("hmdb51").load_parts(configured(dataset="hmdb51", data=data))


def test_what_no_sensor_of_n_mnist_s_can_see_is_damage_that_a_check_lists(tmp_path: Path) -> None:
    for part in ("Train", "Test"):
        (tmp_path / part / "0").mkdir(parents=True)
    (tmp_path / "Train" / "0" / "00001.bin").write_bytes(b"\xff" * 5)
    findings = data_set("nmnist").check(tmp_path)
    assert [finding.state for finding in findings if "00001.bin" in finding.what] == ["damaged"]
    assert len(findings) == 21


def test_hmdb51_of_one_film_a_class_is_split_in_time_and_a_class_without_one_left_out(tmp_path: Path) -> None:
    data = trees.hmdb51(tmp_path)
    for video in (data / "hmdb51_org").glob("*/*"):
        if "Alien" not in video.name:
            video.unlink()
    golf, jump = data / "hmdb51_org" / "golf", data / "hmdb51_org" / "jump"
    shutil.copytree(golf, jump)
    for fold in (1, 2, 3):
        lists = data / "testTrainMulti_7030_splits"
        (lists / f"jump_test_split{fold}.txt").write_text(f"{next(jump.iterdir()).name} 2 \n")
    config = configured(dataset="hmdb51", data=data, windows=None)
    parts = data_set("hmdb51").load_parts(config)
    assert parts.training.classes == ("golf", "wave")
    assert any(line.startswith("jump: none of its listed videos") for line in parts.training.skipped)
    assert {*parts.validation.recordings} == {*parts.training.recordings}  # type: ignore[attr-defined]
    card = card_of(config, parts.training.classes, parts.split)
    assert data_set("hmdb51").load_split(data, "validation", card).names == parts.validation.names


def some_clips(labels: list[int], classes: tuple[str, ...] = ("nod", "shake")) -> Clips:
    count = len(labels)
    return Clips(np.zeros((count, 1, 1, 1, 1), np.uint8), np.array(labels, np.int64), ("x",) * count, classes)


def test_a_part_or_a_class_without_clips_is_named_before_the_training() -> None:
    assert check_parts(Parts(some_clips([0, 1]), some_clips([0, 1]))) == ()
    assert check_parts(Parts(some_clips([0, 1]), some_clips([0]))) == ("shake",)
    with pytest.raises(DataError, match="no clip of shake to train on"):
        check_parts(Parts(some_clips([0]), some_clips([0, 1])))
    with pytest.raises(DataError, match="no clips are left for validation"):
        check_parts(Parts(some_clips([0, 1]), some_clips([])))
    with pytest.raises(DataError, match="rename its folder or label"):
        check_parts(Parts(some_clips([0, 1], ("a\nb", "c")), some_clips([0])))


def test_a_linked_session_is_read_and_a_loop_of_links_ends(
    lab: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = len(find_recordings(lab)[0])
    elsewhere = tmp_path_factory.mktemp("other") / "elsewhere"
    (lab / "nod" / "ann").rename(elsewhere)
    (lab / "nod" / "ann").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "loop").symlink_to(lab / "nod", target_is_directory=True)
    assert len(find_recordings(lab)[0]) == before


def test_a_cached_file_of_another_shape_is_made_again(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = configured(dataset="folder", data=lab)
    whole = data_set("folder").load_parts(config).validation
    for file in cache_dir().glob("folder-*.npy"):
        np.save(file, np.zeros((2, 7, 2, 32, 32), np.uint8))
    again = data_set("folder").load_parts(config).validation
    assert np.array_equal(again.frames[:], whole.frames[:])


def test_check_tells_short_recordings_from_damaged_ones_and_reads_the_test_part(lab: Path) -> None:
    shutil.copytree(lab / "nod", lab / "test" / "nod")
    shutil.copytree(lab / "shake", lab / "test" / "shake")
    (lab / "nod" / "ann" / "0.aedat4").unlink()
    with Aedat4Writer(lab / "nod" / "ann" / "0.aedat4", trees.SENSOR) as writer:
        writer.write(trees.some_events(300, 0.2))
    (lab / "test" / "nod" / "ann" / "0.aedat4").write_bytes(b"nothing")
    found = [(finding.state, finding.what) for finding in data_set("folder").check(lab)]
    assert found[0][0] == "unusable"
    assert found[0][1].startswith("nod/ann/0.aedat4: shorter than one window")
    assert found[1:3] == [
        ("complete", "nod: 5 recordings of 3 sessions"), ("complete", "shake: 6 recordings of 3 sessions")
    ]  # fmt: skip
    assert found[3][0] == "damaged"
    assert found[3][1].startswith("test/nod/ann/0.aedat4: ")
    assert found[4][1] == "test/nod: 5 recordings of 3 sessions"


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("wave", r"wave has no recordings: record some, or delete it"),
        ("Test", r"Test: this is no class: recordings for a test belong in .*/test"),
        ("validation", r"validation: this is no class: .* those for validation are drawn, or named in labels\.csv"),
    ],
)
def test_a_folder_that_is_no_class_is_refused(lab: Path, folder: str, says: str) -> None:
    (lab / folder).mkdir()
    with pytest.raises(DataError, match=says):
        data_set("folder").check(lab)


def test_check_names_a_class_of_one_session(lab: Path) -> None:
    for person in [each for each in (lab / "nod").iterdir() if each.name != "ann"]:
        shutil.rmtree(person)
    assert ("incomplete", "nod: only one session: record another, which validation can have") in [
        finding[:2] for finding in data_set("folder").check(lab)
    ]


def test_check_finds_a_bit_that_has_flipped_anywhere_in_a_recording(lab: Path) -> None:
    file = lab / "nod" / "ann" / "0.aedat4"
    octets = bytearray(file.read_bytes())
    octets[len(octets) // 2] ^= 1
    file.write_bytes(octets)
    findings = data_set("folder").check(lab)
    assert findings[0].state == "damaged"
    assert re.match(rf"{file}: the packet at byte [\d,]+ is left out: its LZ4 data is damaged", findings[0].what)


def test_a_folder_that_cannot_be_read_or_has_countless_files_is_said(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(folder: Path) -> object:
        if str(folder).endswith("ann"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return scandir(folder)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        with pytest.raises(DataError, match=r"ann: can't be read \(Permission denied\): check the folder's"):
            data_set("folder").check(lab)
    monkeypatch.setattr(folder, "MOST_FILES", 3)
    with pytest.raises(DataError, match="has more than 3 files: give a folder with nothing but recordings"):
        data_set("folder").check(lab)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "file;start;end;label;session\n",
            "lacks the column file: write file,start,end,label,session",
        ),
        ("file,start,end,label\nnod/ann/0.aedat4,0,1,a\nnod/ann/0.aedat4,0,1,b\n", "is there twice"),
        ("file,start,end,label\nnod/ann/0.aedat4,0,1,a\nnod/../nod/ann/0.aedat4,0,1.0,b\n", "is there twice"),
        (
            "file,start,end,label,session\nnod/ann/0.aedat4,0,9,a,x\nnod/ann/0.aedat4,1,2,a,x\nnod/ann/0.aedat4,3,4,b,y\n",
            r"0.aedat4@0-9 and nod/ann/0.aedat4@3-4 overlap but may be on two sides of the split",
        ),
        (
            "file,start,end,label,split\nnod/ann/0.aedat4,1,2,b,train\nnod/ann/0.aedat4,0,1.5,a,test\n",
            r"0.aedat4@0-1.5 and nod/ann/0.aedat4@1-2 overlap",
        ),
        ("file,start,end,label,Split\nnod/ann/0.aedat4,0,1,a,train\n", "column 'Split' is written 'split'"),
        ('file,start,end,label\nnod/ann/0.aedat4,0,1,"a\n', "can't be read"),
    ],
)
def test_a_table_that_says_nothing_or_two_things_is_refused(lab: Path, text: str, words: str) -> None:
    table = lab / "labels.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=words):
        find_recordings(table)


def label(lab: Path, *recordings: str, rows: tuple[str, ...] = ("0,1,up,", "1,2,down,")) -> None:
    for recording in recordings:
        name = (lab / recording).name
        text = "".join(f"{name},{row}\n" for row in rows)
        (lab / recording).with_suffix(".labels.csv").write_text(f"file,start,end,label,session\n{text}")


def test_labels_beside_recordings_are_found_in_folders_of_sessions(lab: Path) -> None:
    every = [path.relative_to(lab).as_posix() for path in sorted(lab.rglob("*.aedat4"))]
    label(lab, *every)
    (lab / "nod" / "notes.txt").write_text("no recording")
    recordings, classes = find_recordings(lab)
    assert classes == ("down", "up")
    assert {recording.name for recording in recordings} == {
        f"{name}@{stretch}" for name in every for stretch in ("0-1", "1-2")
    }
    assert {recording.group for recording in recordings} == {Path(name).parent.as_posix() for name in every}


def test_folders_with_some_labels_are_neither_of_sessions_nor_of_classes(lab: Path) -> None:
    label(lab, "nod/ann/0.aedat4", rows=())  # nothing was labelled in it
    assert find_recordings(lab)[1] == ("nod", "shake")
    label(lab, "nod/ann/0.aedat4")
    with pytest.raises(DataError, match=r"has no labels, as .*0.aedat4 has: label it, or move it out"):
        find_recordings(lab)


def test_a_table_in_the_folder_itself_is_all_that_counts(lab: Path) -> None:
    (lab / "0.aedat4").write_bytes((lab / "nod" / "ann" / "0.aedat4").read_bytes())
    label(lab, "0.aedat4", "nod/ann/0.aedat4")
    assert {recording.name for recording in find_recordings(lab)[0]} == {"0.aedat4@0-1", "0.aedat4@1-2"}


def test_stretches_may_overlap_within_a_session_and_meet_at_a_moment(lab: Path) -> None:
    table = lab / "labels.csv"
    rows = ("0,2,a,x", "1,3,b,x", "3,4,a,y")
    table.write_text("file,start,end,label,session\n" + "".join(f"nod/ann/0.aedat4,{row}\n" for row in rows))
    recordings, classes = find_recordings(table)
    assert [recording.group for recording in recordings] == ["x", "x", "y"]
    assert classes == ("a", "b")
    shared = ("0,2,a,x,train", "1,3,b,y,")  # both for training: the column decides
    text = "".join(f"nod/ann/0.aedat4,{row}\n" for row in shared)
    table.write_text(f"file,start,end,label,session,split\n{text}nod/ann/0.aedat4,3,4,a,x,validation\n")
    assert len(find_recordings(table)[0]) == 3


def test_what_a_damaged_recording_lost_is_said_with_what_is_left_of_it(lab: Path) -> None:
    whole = lab / "nod" / "ann" / "0.aedat4"
    whole.write_bytes(whole.read_bytes()[:-100])
    parts = data_set("folder").load_parts(configured(dataset="folder", data=lab))
    assert any("nod/ann/0.aedat4: " in line for line in parts.training.warnings)
    assert parts.training.skipped == ()


def test_a_split_that_was_drawn_from_other_recordings_is_refused(cifar10_dvs: Path) -> None:
    config = configured(dataset="cifar10-dvs", data=cifar10_dvs, n_events=20, protocol="70/30", windows=2)
    parts = data_set("cifar10-dvs").load_parts(config)
    card = card_of(config, CLASSES, parts.split)
    (cifar10_dvs / "cat" / "cifar10_cat_0.aedat").unlink()
    with pytest.raises(DataError, match=r"drawn from \d+ recordings, but there are \d+ now.* add --split test"):
        data_set("cifar10-dvs").load_split(cifar10_dvs, "validation", card)
    assert len(data_set("cifar10-dvs").load_split(cifar10_dvs, "test", card))


def test_lists_that_name_nothing_are_refused(ucf: Path) -> None:
    config = configured(dataset="ucf101", data=ucf)
    (ucf / "ucfTrainTestlist" / "trainlist01.txt").write_text("Biking/v_Biking_g02_c01.avi 2\n")
    with pytest.raises(DataError, match="names no video of Archery, Surfing"):
        data_set("ucf101").load_parts(config)
    with pytest.raises(DataError, match="1 of ucf101's classes to use"):
        data_set("ucf101").load_parts(replace(config, only=("Archery",)))


def test_validation_has_the_windows_that_chose_the_epoch(lab: Path) -> None:
    config = configured(dataset="folder", data=lab, windows=1, validation=0.3)
    parts = data_set("folder").load_parts(config)
    card = card_of(config, parts.training.classes, parts.split)
    assert data_set("folder").load_split(lab, "validation", card).names == parts.validation.names


def test_simulated_digits_are_none_of_the_recordings_whichever_these_are(tmp_path: Path) -> None:
    for digit in range(10):
        folder = tmp_path / "Train" / str(digit)
        folder.mkdir(parents=True)
        for number in range(1, 5):
            (folder / f"{1000 + 10 * number + digit:05d}.bin").write_bytes(bytes(50))
    config = Configuration(dataset="nmnist", data=tmp_path, simulated=10)
    with pytest.raises(DataError, match="would repeat the digits"):
        data_set("nmnist").load_parts(config)


def test_other_digits_are_simulated_anew(tmp_path: Path) -> None:
    digits = np.random.default_rng(0).integers(0, 256, (2, FIRST_UNSEEN + 2, 28, 28), np.uint8)
    labels = np.zeros(FIRST_UNSEEN + 2, np.uint8)
    spec, made = data_set("nmnist").INPUT, []
    for images in digits:
        np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
        made.append(simulated_digits(tmp_path, spec, 2).frames[:])
    assert not np.array_equal(*made)


def test_no_window_goes_on_past_a_gap() -> None:
    spec = InputSpec(2, 2, SliceRule(delta_t_us=10_000), window=3)

    def frame(number: int, start: bool = False) -> Frame:
        return Frame(10_000 * number, np.full((2, 2, 2), number, np.uint8), 1, start=start)

    kept = [frame(0, True), *map(frame, range(1, 5)), frame(90, True), *map(frame, range(91, 97))]
    windows = windows_of(kept, spec)
    assert windows[:, :, 0, 0, 0].tolist() == [[0, 1, 2], [90, 91, 92], [93, 94, 95]]


@pytest.mark.parametrize("rule", [SliceRule(delta_t_us=50_000), SliceRule(n_events=100), SliceRule(n_events=200)])
@pytest.mark.parametrize("quiet_s", [[0, 0.01], np.arange(80) / 20])  # a stray event or two, or a few
def test_a_label_s_times_count_from_the_first_event_however_quiet_the_start(
    tmp_path: Path, rule: SliceRule, quiet_s: npt.ArrayLike
) -> None:
    times = np.concatenate([quiet_s, np.arange(8000, 28_000) / 2000])
    events = np.zeros(len(times), EVENTS_DTYPE)
    events["t"] = 5_000_000 + np.rint(times * 1e6)
    events["x"] = 8 * times.astype(int)  # the second
    with Aedat4Writer(tmp_path / "r.aedat4", trees.SENSOR) as writer:
        writer.write(events)
    labelled = Recording(tmp_path / "r.aedat4", 0, "r", "r", (6_000_000, 10_000_000))
    windows = read_windows(labelled, InputSpec(16, 16, rule))
    seen = np.flatnonzero(windows.sum(axis=(0, 1, 2, 3)))
    assert seen.tolist() == [6, 7, 8, 9]


def test_frames_that_would_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "MOST_BYTES", 50_000)
    with Aedat4Writer(tmp_path / "a.aedat4", trees.SENSOR) as writer:
        writer.write(trees.some_events(20_000, 2.0))
    recording = Recording(tmp_path / "a.aedat4", 0, "a", "a")
    assert len(read_windows(recording, InputSpec(16, 16, SliceRule(delta_t_us=100_000))))
    with pytest.raises(DataError, match=r"a\.aedat4: its frames take more than 5e-05 GB: give longer ones"):
        read_windows(recording, InputSpec(16, 16, SliceRule(delta_t_us=1_000)))


def test_what_the_cache_has_is_not_read_again_nor_are_processes_started_for_it(lab: Path) -> None:
    recordings, classes = find_recordings(lab)
    spec = InputSpec(64, 64, SliceRule(delta_t_us=50_000))
    before = load_recordings("lab", recordings, classes, spec)
    # A function without a name goes to no other process.
    again = load_recordings("lab", recordings, classes, spec, read=lambda *_: pytest.fail("was read again"))
    assert again.names == before.names
    np.testing.assert_array_equal(again.frames[:], before.frames[:])


def test_what_a_model_kept_of_a_data_set_stays_validation_when_it_is_trained_on(
    lab: Path, ucf: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cifar = trees.cifar10_dvs(tmp_path_factory.mktemp("cifar"))
    digits = trees.mnist(tmp_path_factory.mktemp("digits"))
    more: dict[str, tuple[Path, dict[str, object]]] = {
        "folder": (lab, {"validation": 0.3}),
        "ucf101": (ucf, {}),
        "cifar10-dvs": (cifar, {"n_events": 20}),
        "mnist-seq2": (digits, {"validation": 0.5}),
    }
    for name, (data, flags) in more.items():
        config = configured(dataset=name, data=data, **flags)  # type: ignore[arg-type]
        begun = data_set(name).load_parts(config)
        before = card_of(config, begun.training.classes, begun.split)
        drawn = []
        for seed in range(1, 5):
            other = replace(config, seed=seed)
            drawn.append(data_set(name).load_parts(other))
            now = data_set(name).load_parts(other, before)
            assert now.split == begun.split
            assert np.array_equal(now.validation.frames[:], begun.validation.frames[:])
        assert any(parts.split != begun.split for parts in drawn)


def test_another_folder_s_sessions_are_drawn_by_seed(lab: Path) -> None:
    config = configured(dataset="folder", data=lab, validation=0.3)
    drawn = data_set("folder").load_parts(config)
    elsewhere = card_of(config, drawn.training.classes, Split(0.5, 3, groups=("dan",)))
    assert data_set("folder").load_parts(config, elsewhere).split == drawn.split


def test_a_model_s_split_of_other_recordings_is_no_reason_to_draw_another(cifar10_dvs: Path) -> None:
    config = configured(dataset="cifar10-dvs", data=cifar10_dvs, n_events=20, windows=2)
    before = card_of(config, CLASSES, Split(drawn_from=9))
    with pytest.raises(DataError, match=r"drawn from 9 recordings, but there are \d+ now.* or leave --init out"):
        data_set("cifar10-dvs").load_parts(config, before)
