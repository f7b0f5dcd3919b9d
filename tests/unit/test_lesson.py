"""A lesson: how it is recorded and read, how movement is measured, and how its copies differ."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from livesnn.errors import DataError, SourceError
from livesnn.events.packet import NO_EVENTS, Packet
from livesnn.events.slicer import Frame
from livesnn.simulate.sources import SimulatedPerson
from livesnn.teach.correct import AT_REST, NOISE
from livesnn.teach.lesson import (
    MOVES,
    RESTING,
    at_tempo,
    moved,
    movement,
    new_recording,
    read_takes,
    record_lesson,
    takes_of,
)
from tests.fake_source import FakeSource
from tests.lessons import CARD, LEFT, RIGHT, SIDE, clip, write_recording


@pytest.mark.parametrize("side", [64, 34, 100])
def test_movement_tells_noise_hot_pixels_and_all_from_what_moves(side: int) -> None:
    random = np.random.default_rng(0)
    noise = random.poisson(0.03, (29, 2, side, side)).astype(np.uint8)
    hot = noise.copy()
    hot[:, :, [3, 30], [5, 33]] = 200
    moving, far = noise.copy(), np.zeros_like(noise)
    moving[:, :, 20:30, 10:30] += random.poisson(0.5, (29, 2, 10, 20)).astype(np.uint8)
    far[:, :, 10:13, 10:13] = 2  # and no noise
    assert movement(noise, 10) == pytest.approx([1, 1], abs=0.6)
    assert movement(hot, 10).max() < NOISE < AT_REST / 2 < movement(moving, 10).min()
    assert movement(far, 10).min() > AT_REST
    assert movement(np.zeros_like(noise), 10).tolist() == [0, 0]
    assert movement(noise[:9], 10).tolist() == []
    assert len(movement(noise[:, :, :5, :3], 10)) == 2


def test_frames_before_a_gap_dont_belong_to_the_part_after_it() -> None:
    data = clip(LEFT)
    starts, parts = {2, 5}, [None, None, None, 0, 0, 0, None, 1, 2]
    stream = ((part, Frame(n, data[n], 0, start=n in starts)) for n, part in enumerate(parts))
    takes = takes_of(stream)
    assert [len(take.clip) for take in takes] == [2, 1, 1, 1]
    for take, before in zip(takes, (data[2:3], data[2:3], data[6:7], data[6:7]), strict=True):
        np.testing.assert_array_equal(take.before, before)


def test_a_live_lesson_is_recorded_with_the_rest_before_it(tmp_path: Path) -> None:
    told: list[str] = []
    path, packets = tmp_path / "flap.aedat4", count()
    record_lesson(
        SimulatedPerson(0, gestures=("flap",), paced=False),
        path,
        "flap",
        seconds=0.5,
        ready_s=1.5,
        tell=told.append,
        clock=lambda: 0.01 * next(packets),
    )
    assert told == [
        "stand still: begin in 1.5 s",
        "perform the gesture now, again and again for 0.5 s",
        "you can stop now",
    ]
    (take,) = read_takes(str(path), CARD.input, label="flap")
    assert len(take.clip) == pytest.approx(50, abs=2)  # frames of 10 ms
    assert len(take.before) == RESTING


def test_a_live_lesson_begins_while_nothing_moves(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "flap.aedat4"
    record_lesson(FakeSource(then="silence"), path, "flap", seconds=0.1, ready_s=0.1, tell=told.append)
    assert told[1:] == ["perform the gesture now, again and again for 0.1 s", "you can stop now"]
    assert path.exists()


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (FakeSource([Packet(NO_EVENTS, epoch=0), Packet(NO_EVENTS, epoch=1)], then="silence"), "lost before flap"),
        (FakeSource(then=SourceError("unplugged")), "unplugged"),
        (FakeSource([Packet(NO_EVENTS)]), "ended before flap"),
        (FakeSource(then=KeyboardInterrupt()), None),
    ],
)
def test_a_lesson_that_is_cut_short_leaves_no_recording(
    tmp_path: Path, source: FakeSource, error: str | None
) -> None:
    with pytest.raises(KeyboardInterrupt if error is None else SourceError, match=error):
        record_lesson(source, tmp_path / "flap.aedat4", "flap", seconds=10)
    assert not list(tmp_path.iterdir())
    assert source.closed.is_set()


def test_a_lesson_needs_a_disk_and_leaves_another_recording_of_its_name(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "flap.aedat4", clip(LEFT))
    before = path.read_bytes()
    for where, error in ((path, "exists already"), (tmp_path / "nowhere" / "a.aedat4", "nowhere")):
        with pytest.raises(SourceError, match=error):
            record_lesson(FakeSource(then="silence"), where, "flap", seconds=0.1, ready_s=0.1)
    assert path.read_bytes() == before


def test_recordings_of_one_second_have_different_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path))
    names = set()
    for _ in range(3):
        (path := new_recording("flap")).touch()
        names.add(path.name)
    assert len(names) == 3


def test_copies_are_moved_and_keep_their_counts_on_the_whole() -> None:
    shown = np.zeros((200, 2, SIDE, SIDE), np.uint8)
    shown[:, :, 6:10, 6:10] = 3
    for (right, down, size), copy in zip(MOVES, moved(shown), strict=True):
        weight = copy.sum((0, 1)) / copy.sum()
        assert weight.sum(0) @ np.arange(SIDE) - 7.5 == pytest.approx(right * SIDE, abs=0.6)
        assert weight.sum(1) @ np.arange(SIDE) - 7.5 == pytest.approx(down * SIDE, abs=0.6)
        assert copy.sum() == pytest.approx(shown.sum() * size**2, rel=0.2)


def test_a_clip_at_another_tempo_keeps_its_events_and_lasts_as_long_as_that_takes() -> None:
    shown = clip(RIGHT, frames=40)
    slow, fast = at_tempo(shown, 0.7), at_tempo(shown, 1.4)
    assert (len(slow), len(fast)) == (57, 28)
    for other in (slow, fast):
        assert other.sum() == pytest.approx(shown.sum(), rel=0.03)
        assert not other[..., : SIDE // 2].any()  # where the clip has nothing either
    assert np.array_equal(at_tempo(shown, 1.0), shown)


SHOWN = np.minimum(np.concatenate([clip(LEFT), clip(RIGHT), clip(LEFT)]), 1)
TABLE = "file,start,end,label,session\na.aedat4,1.2,2.4,right,\na.aedat4,3.0,3.1,right,\n"


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Write 3.6 s of which labels say where "right" is shown."""
    path = write_recording(
        tmp_path / "a.aedat4", np.minimum(np.concatenate([clip(LEFT), clip(RIGHT), clip(LEFT)]), 1)
    )
    (tmp_path / "a.labels.csv").write_text(TABLE)
    return path


def test_of_a_labelled_recording_only_what_the_label_holds_is_learned(labelled: Path) -> None:
    first, second = read_takes(str(labelled), CARD.input, label="right", seconds=0.1)
    np.testing.assert_array_equal(first.clip[1:], SHOWN[121:240])  # the first frame holds the file's first event
    np.testing.assert_array_equal(first.before, SHOWN[120 - RESTING : 120])
    assert len(second.clip) == 10
    assert len(read_takes(f"{labelled}?stream=events", CARD.input, label="right", seconds=0.1)) == 2
    outside = read_takes(str(labelled), CARD.input, unless="right")
    np.testing.assert_array_equal(
        np.concatenate([take.clip for take in outside])[1:],
        SHOWN[[*range(1, 120), *range(240, 300), *range(310, 360)]],
    )
    labelled.with_suffix(".labels.csv").write_text(f"{TABLE}a.aedat4,0.0,1.1,another,\n")
    first, _ = read_takes(str(labelled), CARD.input, label="right")
    np.testing.assert_array_equal(first.before, SHOWN[110:120])  # who performs something else isn't resting


@pytest.mark.parametrize(
    ("table", "label", "error"),
    [
        (TABLE, "left", "has labels, but none is left: name the gesture as one of right"),
        (TABLE.splitlines()[0] + "\na.aedat4,9.2,9.4,right,\n", "right", "no label right is as long as a window"),
    ],
)
def test_labels_that_hold_nothing_are_named(labelled: Path, table: str, label: str, error: str) -> None:
    labelled.with_suffix(".labels.csv").write_text(table)
    with pytest.raises(DataError, match=error):
        read_takes(str(labelled), CARD.input, label=label)


def test_a_recording_without_labels_is_read_up_to_the_end_and_its_damage_told(labelled: Path) -> None:
    told: list[str] = []
    labelled.write_bytes(labelled.read_bytes()[:-20])
    labelled.with_suffix(".labels.csv").unlink()
    (whole,) = read_takes(str(labelled), CARD.input, label="left", seconds=2.0, tell=told.append)
    assert len(whole.clip) == 199  # the last one isn't finished at 2 s
    read_takes(str(labelled), CARD.input, tell=told.append)
    assert "a.aedat4: " in told[0]
