"""Clips in memory and on disk, splits by group, and the cache that survives what happens to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import Split
from livesnn.errors import DataError
from livesnn.train.datasets.cache import cache_file, made_in_parts
from livesnn.train.datasets.clips import Clips, OnDisk, Stack
from livesnn.train.datasets.split import draw_split, split_by_group, validation_groups


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, 2, 1, 3, 3)).astype(np.uint8)


def test_a_stack_is_its_arrays_one_behind_the_other(tmp_path: Path) -> None:
    first, second = frames(3, 1), frames(4, 2)
    np.save(tmp_path / "second.npy", second)
    stack = Stack([first, OnDisk(tmp_path / "second.npy")])
    whole = np.concatenate([first, second])
    assert stack.shape == whole.shape
    assert np.array_equal(stack[:], whole)
    assert np.array_equal(stack[np.array([6, 0, 6, 2])], whole[[6, 0, 6, 2]])
    assert np.array_equal(stack.subset(np.array([5, 1]))[:], whole[[5, 1]])
    assert np.array_equal(np.stack(list(stack)), whole)


def test_clips_keep_recordings_and_groups_with_their_frames() -> None:
    clips = Clips(frames(4), np.arange(4), tuple("abcd"), tuple("wxyz"), tuple("rrss"), tuple("ggHH"))
    some = clips.subset(np.array([3, 1]))
    assert (some.names, some.recordings, some.groups) == (("d", "b"), ("s", "r"), ("H", "g"))
    assert some.labels.tolist() == [3, 1]


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_on_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = [f"user{n:02d}" for n in rng.integers(0, 12, 300)]
    labels = rng.integers(0, 11, 300)
    clips = Clips(
        np.zeros((300, 1, 1, 1, 1), np.uint8), labels, tuple(map(str, range(300))), (), groups=tuple(people)
    )
    train, validation = split_by_group(clips, Split(0.2, seed))
    assert sorted([*train.names, *validation.names]) == sorted(clips.names)
    assert not {*train.groups} & {*validation.groups}
    assert len({*validation.groups}) == 2


def test_what_was_kept_stays_kept_when_recordings_come_and_go() -> None:
    clips = Clips(
        np.zeros((5, 1, 1, 1, 1), np.uint8), np.zeros(5, np.int64), tuple("vwxyz"), (), groups=tuple("abcde")
    )
    split = draw_split(clips, Split(0.3, 1))
    assert len(split.groups) == 2
    fewer = clips.subset(np.array([i for i in range(5) if clips.groups[i] != split.groups[0]]))
    assert split_by_group(fewer, split)[1].groups == split.groups[1:]
    assert draw_split(clips, split) == split


def test_groups_of_one_class_each_leave_some_of_every_class() -> None:
    groups = [f"{label}/g{group:02d}" for label in range(3) for group in range(10) for _ in range(4)]
    labels = np.repeat(np.arange(3), 40)
    kept = np.isin(groups, validation_groups(groups, labels, 0.2, 1))
    assert np.bincount(labels[kept]).tolist() == [8, 8, 8]


@pytest.mark.parametrize("groups", [["me"] * 10, ["nod/me"] * 6 + ["shake/me"] * 4])
def test_where_no_class_has_two_groups_the_last_clips_of_each_are_kept(groups: list[str]) -> None:
    labels = np.array([0] * 6 + [1] * 4)
    clips = Clips(np.zeros((10, 1, 1, 1, 1), np.uint8), labels, tuple("0123456789"), (), groups=tuple(groups))
    split = draw_split(clips, Split(0.3, 1))
    train, validation = split_by_group(clips, split)
    assert validation.names == ("4", "5", "9")
    assert train.names == ("0", "1", "2", "3", "6", "7", "8")
    assert split.clips == validation.names
    fewer = clips.subset(np.array([0, 1, 2, 3, 4, 6, 7, 9]))
    assert split_by_group(fewer, split)[1].names == ("4", "9")
    alone = clips.subset(np.array([0, 6]))
    assert len(split_by_group(alone, Split(0.3, 1))[1]) == 0


def test_each_class_keeps_a_group_to_train_on_or_its_last_clips_are_kept() -> None:
    groups = ["s1", "s1", "s1", "s2", "s2", "s3", "s3", "s3"]  # one class in s3 alone, one in all but s3
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    names = tuple("01234567")
    clips = Clips(np.zeros((8, 1, 1, 1, 1), np.uint8), labels, names, (), groups=tuple(groups))
    for seed in range(5):
        split = draw_split(clips, Split(0.3, seed))
        assert split.groups in (("s1",), ("s2",))
        assert split.clips == ("7",)
        train, validation = split_by_group(clips, split)
        assert {*train.labels.tolist()} == {*validation.labels.tolist()} == {0, 1}


@pytest.mark.parametrize("seed", range(5))
def test_a_session_that_alone_has_a_class_is_not_kept(seed: int) -> None:
    groups, labels = ["s1", "s1", "s2", "s2", "s3"], np.array([0, 1, 0, 2, 1])
    assert "s2" not in validation_groups(groups, labels, 0.5, seed)


def test_what_was_kept_and_is_not_there_is_said() -> None:
    clips = Clips(
        np.zeros((4, 1, 1, 1, 1), np.uint8), np.array([0, 0, 1, 1]), tuple("abcd"), (), groups=tuple("ssss")
    )
    _, validation = split_by_group(clips, Split(clips=("b", "gone")))
    assert validation.names == ("b",)
    assert validation.skipped == ("gone: it was kept for validation, but is missing",)


def cached() -> np.ndarray:
    return made_in_parts("some", [2], lambda _: "settings", frames, "making some")[:]


@pytest.mark.parametrize("damage", [lambda octets: octets[:50], lambda octets: octets.replace(b")", b"(", 1)])
def test_a_damaged_file_of_the_cache_is_made_again(
    damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path))
    made = cached()
    file = cache_file("some", "settings")
    file.write_bytes(damage(file.read_bytes()))
    assert np.array_equal(cached(), made)
    assert np.array_equal(np.load(file), made)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="LIVESNN_CACHE"):
        cached()


def session_clips(*sessions: tuple[str, tuple[int, ...]]) -> Clips:
    """Return two clips of each class in each session, of the classes nod, shake and wave."""
    each = [(session, label, part) for session, labels in sessions for label in labels for part in range(2)]
    names = tuple(f"{session}/{label}/{part}" for session, label, part in each)
    return Clips(
        np.zeros((len(each), 1, 1, 1, 1), np.uint8), np.array([label for _, label, _ in each]), names,
        ("nod", "shake", "wave"), groups=tuple(session for session, _, _ in each),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_what_a_model_was_trained_on_is_not_kept_when_it_is_trained_on(seed: int) -> None:
    monday = [(f"monday{n}", (0, 1)) for n in range(3)]
    split = draw_split(session_clips(*monday), Split(0.3, 0))
    tuesday = session_clips(*monday, *[(f"tuesday{n}", (0, 1, 2)) for n in range(3)])
    drawn = draw_split(tuesday, replace(split, seed=seed), ("nod", "shake"))
    assert drawn.groups == split.groups
    assert drawn.clips == tuple(f"tuesday{n}/2/1" for n in range(3))  # a class that it doesn't know
    alone = session_clips(*monday, *[(f"wave{n}", (2,)) for n in range(3)])
    (kept,) = {*draw_split(alone, replace(split, seed=seed), ("nod", "shake")).groups} - {*split.groups}
    assert kept.startswith("wave")
