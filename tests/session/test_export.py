"""Films and tables of a recording: what other programs find in them, and what is left where they can't be written."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import livesnn
from livesnn.errors import LivesnnError, SourceError
from livesnn.events.filters import Orientation, Stretch
from livesnn.events.picture import PALETTES, ViewSpec
from livesnn.session.control import Choices
from livesnn.session.decision_table import DecisionLog
from livesnn.session.export import ExportSpec, export
from tests.disks import fill, small_disk
from tests.synthetic import CARD, moving_bar, write_recording

Pictures = npt.NDArray[np.uint8]
SIDE = 952  # of the bar's picture, 34×34, in an .mp4


def pictures_of(film: Path) -> Pictures:
    """Return a film as OpenCV decodes it, RGB [N, H, W, 3]."""
    capture = cv2.VideoCapture(str(film))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(read[1][..., ::-1])
    capture.release()
    return np.array(pictures)


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def apart(one: Pictures, other: Pictures) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def nothing_else_in(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.fixture(scope="module")
def film(model_folder: Path, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a film of all of the bar's second."""
    out = tmp_path_factory.mktemp("films") / "bar.mp4"
    done = export(recording, out, ExportSpec(model_folder))
    assert (done.out, done.format, done.count) == (out, "mp4", 30)
    return out


def test_a_film_has_thirty_pictures_a_second_of_one_size(film: Path) -> None:
    capture = cv2.VideoCapture(str(film))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)) == (30, 30)
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == SIDE
    assert capture.get(cv2.CAP_PROP_FRAME_HEIGHT) > SIDE  # the caption is below
    assert pictures_of(film).shape[1:3] == (capture.get(cv2.CAP_PROP_FRAME_HEIGHT), SIDE)
    capture.release()


def test_a_films_picture_moves_as_the_bar_does(film: Path) -> None:
    brightness = pictures_of(film)[:, 3:SIDE:28].astype(float).sum(axis=(1, 3))  # [N, column]
    places = (brightness * np.arange(SIDE)).sum(axis=1) / brightness.sum(axis=1)
    assert np.corrcoef(places, np.arange(len(places)))[0, 1] > 0.98


def test_a_films_caption_changes_when_the_decision_does(film: Path, model_folder: Path, recording: Path) -> None:
    captions = pictures_of(film)[:, SIDE + 20 : -20, 70:300]
    said: list[str | None] = []  # after each picture's time
    results = list(livesnn.run(recording, model_folder))
    for number in range(1, 31):
        before = [result for result in results if result.t < 5_000_000 + number * 1e6 / 30]
        said.append(before[-1].decision if before and before[-1].window_seen else "nothing yet")
    changes = [apart(captions[n], captions[n - 1]) for n in range(1, 30)]
    other = [said[n] != said[n - 1] for n in range(1, 30)]
    assert sum(other) >= 3  # the bar passes several columns
    assert min(change for change, new in zip(changes, other, strict=True) if new) > 2 * max(
        change for change, new in zip(changes, other, strict=True) if not new
    )


def test_slow_motion_has_more_pictures_of_the_same_time(model_folder: Path, recording: Path, tmp_path: Path) -> None:
    showing = ExportSpec(model_folder, choices=Choices(speed=0.5))
    done = export(recording, tmp_path / "slow.mp4", showing, stretch=Stretch(0.2, 0.6))
    assert done.count == len(pictures_of(tmp_path / "slow.mp4")) == 24


def test_a_film_looks_as_chosen(model_folder: Path, recording: Path, tmp_path: Path) -> None:
    light = Choices(view=ViewSpec(palette="white background"))
    half = Stretch(0.1, 0.2)
    showing = ExportSpec(model_folder, choices=light)
    export(recording, tmp_path / "light.mp4", showing, stretch=half)
    mirrored_choices = replace(showing.choices, mirrored=True)
    export(recording, tmp_path / "mirrored.mp4", replace(showing, choices=mirrored_choices), stretch=half)
    export(
        recording,
        tmp_path / "turned.mp4",
        replace(showing, orientation=Orientation(mirrored=True)),
        stretch=half,
    )
    plain, mirrored, turned = (pictures_of(tmp_path / f"{name}.mp4") for name in ("light", "mirrored", "turned"))
    ground = np.array(PALETTES["white background"].background)
    assert np.abs(plain[0, 20, 20] - ground).max() < 12
    assert apart(mirrored[:, :SIDE], plain[:, :SIDE, ::-1]) < 3 < apart(mirrored[:, :SIDE], plain[:, :SIDE])
    assert apart(turned[:, :SIDE], mirrored[:, :SIDE]) < 3  # what differs is the network's input


def test_a_video_is_filmed_as_the_network_sees_it(video_model: Path, clip: Path, tmp_path: Path) -> None:
    done = export(clip, tmp_path / "clip.mp4", ExportSpec(video_model))
    pictures = pictures_of(tmp_path / "clip.mp4")
    assert done.count == len(pictures) == 36  # 1.2 s
    side = pictures.shape[2]
    brightness = pictures[:, 3:side:28].astype(float).sum(axis=(1, 3))
    places = (brightness * np.arange(side)).sum(axis=1) / brightness.sum(axis=1)
    assert np.corrcoef(places, np.arange(len(places)))[0, 1] > 0.98


@pytest.fixture(scope="module")
def table(model_folder: Path, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the table of all of the bar's second."""
    out = tmp_path_factory.mktemp("tables") / "bar.csv"
    assert export(recording, out, ExportSpec(model_folder)).count == 91
    return out


def test_a_table_has_the_decisions_of_livesnn_run_and_a_live_source_logs_the_same(
    table: Path, model_folder: Path, recording: Path, tmp_path: Path
) -> None:
    log, results = DecisionLog(), list(livesnn.run(recording, model_folder))
    for result in results:
        log.add(result)
    results, rows = [result for result in results if result.window_seen], rows_of(table)
    assert [int(row["t_us"]) for row in rows] == [result.t for result in results]
    assert [row["decision"] or None for row in rows] == [result.decision for result in results]
    numbers = np.genfromtxt(table, delimiter=",", skip_header=1)
    np.testing.assert_allclose(numbers[:, 2], [result.confidence for result in results], atol=1e-6)
    np.testing.assert_allclose(numbers[:, 3:], [result.probabilities for result in results], atol=1e-6)
    assert list(rows[0])[:4] == ["t_us", "decision", "confidence", "probability_0"]
    assert log.write(tmp_path / "log.csv", CARD.classes) == len(log) == 91
    assert (tmp_path / "log.csv").read_text() == table.read_text()
    with pytest.raises(SourceError, match="exists already"):
        log.write(tmp_path / "log.csv", [])


def test_a_stretchs_table_is_that_part_of_the_whole(
    table: Path, model_folder: Path, recording: Path, tmp_path: Path
) -> None:
    export(recording, tmp_path / "part.csv", ExportSpec(model_folder), stretch=Stretch(0.3, 0.6))
    inside = [row for row in rows_of(table) if 5_300_000 <= int(row["t_us"]) < 5_600_000]
    assert rows_of(tmp_path / "part.csv") == inside
    assert len(inside) == 30


def test_a_decision_is_not_shown_through_a_second_without_events(model_folder: Path, tmp_path: Path) -> None:
    bar = moving_bar(400_000)
    late = bar[-1:].copy()
    late["t"] += 2_600_000
    recording = write_recording(tmp_path / "gap.npz", np.concatenate([bar, late]))
    fast = Choices(speed=4.0)  # 0.13 s a picture
    export(recording, tmp_path / "gap.mp4", ExportSpec(model_folder, choices=fast))
    captions = pictures_of(tmp_path / "gap.mp4")[:, SIDE + 20 : -20, 40:600]
    soon, before, after = captions[3], captions[8], captions[14]  # 0.5 s, 1.2 s and 2 s
    assert apart(soon, before) < 2 < apart(before, after)


@pytest.mark.parametrize("suffix", ["mp4", "csv"])
def test_an_existing_file_is_only_replaced_where_that_is_wanted(
    suffix: str, model_folder: Path, recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"kept.{suffix}"
    out.write_text("mine")
    with pytest.raises(SourceError, match="exists already"):
        export(recording, out, ExportSpec(model_folder), stretch=Stretch(0.8))
    assert out.read_text() == "mine"
    export(recording, out, ExportSpec(model_folder), stretch=Stretch(0.8), overwrite=True)
    assert out.read_bytes()[:4] != b"mine"
    assert nothing_else_in(tmp_path, out.name)


@pytest.mark.parametrize("suffix", ["mp4", "csv"])
def test_a_cancelled_export_leaves_nothing(suffix: str, model_folder: Path, recording: Path, tmp_path: Path) -> None:
    class _Cancelled(Exception):  # noqa: N818
        pass

    def cancel(share: float) -> None:
        if share > 0.5:
            raise _Cancelled

    with pytest.raises(_Cancelled):
        export(recording, tmp_path / f"bar.{suffix}", ExportSpec(model_folder), progress=cancel)
    assert nothing_else_in(tmp_path)


@pytest.mark.parametrize("suffix", ["mp4", "csv"])
def test_a_full_disk_is_said_and_leaves_nothing(
    suffix: str, model_folder: Path, recording: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 400_000) as disk:
        fill(disk)
        with pytest.raises(SourceError, match=rf"bar\.{suffix}.*(free some space|the free space)") as raised:
            export(recording, disk / f"bar.{suffix}", ExportSpec(model_folder))
        assert "\n" not in str(raised.value)
        assert ".livesnn-" not in str(raised.value)
        assert nothing_else_in(disk, "filling")


def test_a_disk_that_gets_full_on_the_way_is_said_and_leaves_nothing(
    model_folder: Path, recording: Path, tmp_path: Path
) -> None:
    filled: list[float] = []
    with small_disk(tmp_path / "disk", 3_000_000) as disk:

        def fill_once(share: float) -> None:
            if share > 0.5 and not filled:
                filled.append(share)
                fill(disk)

        slow = ExportSpec(model_folder, choices=Choices(speed=0.2))
        with pytest.raises(SourceError, match=r"bar\.mp4.*(free some space|the free space)"):
            export(recording, disk / "bar.mp4", slow, progress=fill_once)
        assert nothing_else_in(disk, "filling")


@pytest.mark.parametrize("suffix", ["mp4", "csv"])
def test_a_folder_that_cannot_be_written_is_said(suffix: str, model_folder: Path, recording: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("/proc is Linux's")
    with pytest.raises(SourceError, match=rf"^/proc/bar\.{suffix}: can't be written \("):
        export(recording, Path(f"/proc/bar.{suffix}"), ExportSpec(model_folder))


SLOW = Choices(speed=1e-9)


@pytest.mark.parametrize(
    ("name", "source", "words", "how"),
    [
        ("a.avi", "bar", r"choose one that ends in \.mp4 or \.csv", {}),
        ("a.mp4", "camera", "has no past", {}),
        ("a.mp4", "missing.aedat4", "no such file", {}),
        ("missing/a.mp4", "bar", "there is no folder", {}),
        ("a.mp4", "bar", r"the recording ends at 1\.\d+ s, before 7 s", {"stretch": Stretch(7.0)}),
        ("a.csv", "bar", r"there is no decision from 0 s to 0\.1 s", {"stretch": Stretch(0, 0.1)}),
        ("a.mp4", "bar", "would last 278,006 hours", {"choices": SLOW}),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_left(
    name: str, source: str, words: str, how: dict[str, Any], model_folder: Path, recording: Path, tmp_path: Path
) -> None:
    named = {"bar": recording}.get(source, source)
    spec = ExportSpec(model_folder, choices=how.pop("choices", Choices()))
    with pytest.raises(LivesnnError, match=words):
        export(named, tmp_path / name, spec, **how)
    assert nothing_else_in(tmp_path)
