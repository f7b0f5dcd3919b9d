"""The shipped model of gestures on the shipped clips, and on the real ones: what it is known to decide."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from livesnn.outputs.lines import Row, RunOptions, decide_all
from livesnn.paths import recordings_dir
from livesnn.simulate.motions import GESTURES
from tests.benchmarks.accuracy import bench_transfer

CLIPS = sorted(path for path in recordings_dir().glob("*.aedat4") if path.stem in GESTURES)


def decisions(path: Path) -> list[str | None]:
    return [row.decision for row in decide_all(str(path), RunOptions("gestures")) if isinstance(row, Row)]


def test_clips_of_gestures_are_shipped() -> None:
    assert len(CLIPS) >= 5


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_each_clip_s_gesture_is_named_in_all_windows_but_two_and_no_other(clip: Path) -> None:
    decided = decisions(clip)
    assert len(decided) >= 9
    assert decided.count(clip.stem) >= len(decided) - 2
    assert set(decided) <= {clip.stem, None}


def test_real_people_are_recognised_though_no_training_has_seen_one(data_dir: Path) -> None:
    as_recorded = measured(data_dir)["as recorded"]
    for clip, decided in as_recorded["decided"].items():
        assert max(decided, key=decided.get) == clip[3:]
    assert as_recorded["share"] >= 0.9


def test_real_people_who_are_mirrored_faster_slower_moved_nearer_or_farther_are_recognised(
    data_dir: Path,
) -> None:
    shares = {name: each["share"] for name, each in measured(data_dir).items() if name != "left_out"}
    assert len(shares) == 10
    assert min(shares.values()) >= 0.7, shares


@cache
def measured(data_dir: Path) -> dict[str, Any]:
    return bench_transfer(data_dir / "dvs_gesture", "gestures")
