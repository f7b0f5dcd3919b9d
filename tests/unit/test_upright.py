"""A source that is turned on the command line: what is decided and recorded is as of an upright one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livesnn.__main__ import main
from livesnn.card import InputSpec, SliceRule
from livesnn.errors import SourceError
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import Events, Resolution
from livesnn.events.recording import open_recording
from livesnn.infer.run import FrameStream
from livesnn.outputs.lines import Row, RunOptions, Summary, decide_all
from livesnn.sources import open_source
from livesnn.video.frame_source import FrameSource
from tests.fake_source import joined
from tests.synthetic import CARD, moving_bar, write_model, write_recording

GREY = InputSpec(28, 28, SliceRule(delta_t_us=100_000), kind="video", channels=1, count_max=255)
pytestmark = pytest.mark.timeout(60)

WIDE = Resolution(48, 34)
HUNG = Orientation(3, mirrored=True)
"""Hangs so that `HUNG` makes it upright."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("model") / "columns", replace(CARD, sensor=None)))


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """Return what the turned camera gives: 48×34, a bar in its left part."""
    return write_recording(tmp_path / "seen.npz", moving_bar(1_000_500), WIDE)


@pytest.fixture
def upright(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "upright.npz", orient(moving_bar(1_000_500), WIDE, HUNG), Resolution(34, 48))


def read(path: Path) -> Events:
    with open_recording(path) as recording:
        return joined(recording)


@pytest.mark.parametrize("denoise", [False, True])
def test_what_is_decided_on_a_turned_source_is_what_is_decided_on_an_upright_one(
    model: str, seen: Path, upright: Path, denoise: bool
) -> None:
    *turned, summary = decide_all(str(seen), RunOptions(model, orientation=HUNG, denoise=denoise))
    *expected, _ = decide_all(str(upright), RunOptions(model, denoise=denoise))
    *raw, _ = decide_all(str(seen), RunOptions(model, denoise=denoise))
    assert turned == expected != raw
    assert all(isinstance(row, Row) for row in turned)
    assert isinstance(summary, Summary)
    assert summary.events == moving_bar(1_000_500).size
    assert (summary.denoise is not None) == denoise


def test_the_flags_turn_clockwise_after_they_mirror(seen: Path, upright: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.aedat4"
    assert main(["record", str(seen), str(out), "--rotate", "270", "--mirror"]) == 0
    np.testing.assert_array_equal(read(out), read(upright))
    with open_recording(out) as recording:
        assert recording.resolution == (34, 48)


def test_run_takes_the_flags(model: str, seen: Path, upright: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: Callable[[], list[str]] = lambda: capsys.readouterr().out.splitlines()[:-1]  # noqa: E731
    assert main(["run", str(seen), "--model", model, "--json", "--rotate", "270", "--mirror"]) == 0
    turned = rows()
    assert main(["run", str(upright), "--model", model, "--json"]) == 0
    assert turned == rows() != []


@pytest.mark.parametrize(("command", "degrees"), [("run", "45"), ("record", "-90"), ("gui", "360")])
def test_another_angle_is_one_line(
    command: str, degrees: str, seen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(seen), *([str(tmp_path / "out.aedat4")] if command == "record" else [])]
    assert main([command, *files, "--rotate", degrees]) == 1
    assert capsys.readouterr().err == (
        f"livesnn {command}: --rotate can't be {degrees}: give 0, 90, 180 or 270 degrees\n"
    )
    assert not (tmp_path / "out.aedat4").exists()


def test_a_video_cannot_be_turned() -> None:
    video = open_source("simulate:digits")
    assert isinstance(video, FrameSource)
    with pytest.raises(SourceError, match="a video can't be rotated"):
        FrameStream(video, GREY, orientation=HUNG)
    with FrameStream(open_source("simulate:digits"), GREY) as stream:
        assert next(iter(stream)).t == 0
