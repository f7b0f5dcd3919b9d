"""What is told while a recording is read to open it, and how the opening is ended."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from livesnn.bench.throughput import make_events
from livesnn.console import share_done, write_json
from livesnn.events.convert import convert
from livesnn.events.recording import describe, open_recording
from tests.format_files import MADE_FILES

READ_WHOLE = ("evt2", "evt21", "evt3", "dat", "aedat2", "aedat3", "es", "csv", "aedat4 (LZ4)")
"""Of the first five, 8 MB are read before anything is told."""


class Enough(Exception):  # noqa: N818 (nothing is wrong)
    """Nobody waits any more."""


def open_files(path: Path) -> int:
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(link) and os.readlink(link) == str(path) for link in links)


@pytest.fixture(scope="module", params=READ_WHOLE)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file that must be read to open it: .aedat4 since it was never closed, csv for the sensor's size."""
    made = MADE_FILES[request.param]
    path = tmp_path_factory.mktemp("made") / f"file{made.suffix}"
    count = {"aedat2": 3_000_000, "dat": 3_000_000, "csv": 150_000}.get(request.param, 300_000)
    made.write(path, make_events(6_000_000 if request.param.startswith("evt") else count, made.sensor))
    if request.param.startswith("aedat4"):
        os.truncate(path, path.stat().st_size * 3 // 4)
    return path


def test_the_share_that_has_been_read_grows_to_the_end(file: Path) -> None:
    shares: list[float] = []
    open_recording(file, progress=shares.append).close()
    assert len(shares) >= 3
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.5 < shares[-1] <= 1


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc for open files")
def test_what_is_raised_on_the_way_ends_the_opening_and_closes_the_file(file: Path) -> None:
    turns = itertools.count()

    def end_the_third_time(_: float) -> None:
        if next(turns) == 2:
            raise Enough

    with pytest.raises(Enough):
        open_recording(file, progress=end_the_third_time)
    assert next(turns) == 3
    assert open_files(file) == 0


@pytest.mark.parametrize("file", ["evt3", "aedat4 (LZ4)"], indirect=True)
def test_info_and_convert_tell_what_they_have_read(file: Path, tmp_path: Path) -> None:
    described: list[float] = []
    converted: list[float] = []
    describe(file, described.append)
    convert(file, tmp_path / "out.npz", progress=converted.append)
    for shares in (described, converted):
        assert 0 <= min(shares) < 0.5 < max(shares) <= 1


def test_what_is_done_soon_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with share_done("reading", after_s=1.0, clock=iter([5.0, 5.9]).__next__) as progress:
        progress(0.1)
        progress(0.9)
    assert capfd.readouterr().err == ""


def test_what_takes_long_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    clock = iter([5.0, 6.5])
    with share_done("reading f.raw", after_s=1.0, clock=clock.__next__) as progress:
        for share in (0.1, 0.2, 0.3):
            progress(share)
    assert capfd.readouterr().err == "reading f.raw\n"


def test_a_name_that_is_not_utf_8_is_said_with_marks(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"file": "\udcff.npz", "warnings": ["\udcff is short"], "t": (1, None)})
    assert json.loads(capsys.readouterr().out) == {
        "file": "?.npz",
        "warnings": ["? is short"],
        "t": [1, None],
    }
