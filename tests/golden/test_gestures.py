"""The shipped model of gestures on the shipped clips, and on the real ones: what it is known to decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from livesnn.infer.headless import Row, decide_all
from livesnn.paths import recordings_dir
from livesnn.simulate.motions import GESTURES

CLIPS = sorted(path for path in recordings_dir().glob("*.aedat4") if path.stem in GESTURES)


def decisions(path: Path) -> list[str | None]:
    return [row.decision for row in decide_all(str(path), "gestures") if isinstance(row, Row)]


def test_clips_of_gestures_are_shipped() -> None:
    assert len(CLIPS) >= 5


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_nine_of_ten_windows_of_each_clip_are_right(clip: Path) -> None:
    decided = decisions(clip)
    assert len(decided) >= 9
    assert decided.count(clip.stem) >= 0.9 * len(decided)


@pytest.mark.parametrize("number", [2, 8])
def test_real_people_are_recognised_by_majority_where_they_have_been(data_dir: Path, number: int) -> None:
    label = GESTURES[number - 1]
    decided = decisions(data_dir / "dvs_gesture" / f"{number:02d}_{label}.npz")
    assert decided.count(label) > len(decided) / 2
