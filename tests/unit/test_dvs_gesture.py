"""DVS-Gesture as a data set: the archive and the copies; persons apart, the official test users never trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import Split
from livesnn.errors import DataError
from livesnn.simulate.motions import GESTURES
from livesnn.train.config import TrainConfig
from livesnn.train.datasets import data_set
from tests import trees


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("layout", ["archive", "npy"])
def test_persons_stay_together_and_every_gesture_has_its_label(layout: str, tmp_path: Path) -> None:
    data = trees.dvs_gesture(tmp_path) if layout == "archive" else trees.dvs_gesture_copies(tmp_path)
    config = TrainConfig(dataset="dvs-gesture", data=data, protocol=layout, validation=0.3)
    parts = data_set("dvs-gesture").load_parts(config)
    people = [set(part.groups) for part in (parts.training, parts.validation)]  # type: ignore[attr-defined]
    assert [len(some) for some in people] == [2, 1]
    assert not people[0] & people[1]
    card = replace(config.card(GESTURES), split=parts.split)
    test = data_set("dvs-gesture").load_split(data, "test", card)
    assert set(test.groups) == {"user24"}
    for clips in (parts.training, parts.validation, test):
        busiest = clips.take(np.arange(len(clips)), 0).sum(axis=(1, 2, 3)).argmax(axis=1)
        assert np.array_equal(busiest, (10 * clips.labels + 4) // 2)
        assert len(clips) % (2 * len(GESTURES)) == 0


def test_what_is_missing_of_the_archive_is_said(tmp_path: Path) -> None:
    archive = trees.dvs_gesture(tmp_path)
    (archive / "DvsGesture" / "user02_led.aedat").unlink()
    damaged = archive / "DvsGesture" / "user03_led.aedat"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    findings = data_set("dvs-gesture").check(archive)
    assert [finding.state for finding in findings] == ["complete", "missing", "damaged", "complete"]
    assert findings[0].what == "train: user01_led.aedat, 11 gestures"
    with pytest.raises(DataError, match=r"user02_led\.aedat"):
        data_set("dvs-gesture").load_parts(TrainConfig(dataset="dvs-gesture", data=archive).completed())


def test_a_model_of_other_data_is_measured_on_the_test_users_alone(tmp_path: Path) -> None:
    archive = trees.dvs_gesture(tmp_path)
    card = replace(TrainConfig(dataset="gestures-sim").card(GESTURES), split=None)
    assert len(data_set("dvs-gesture").load_split(archive, "test", card)) == 2 * len(GESTURES)
    with pytest.raises(DataError, match="add --split test"):
        data_set("dvs-gesture").load_split(archive, "validation", replace(card, split=Split()))
