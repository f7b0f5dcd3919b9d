"""Law: whatever happens to a file, it is read or refused in one line (long: make fuzz)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.good_files import Good, good_files
from tests.model_structures import model_subjects
from tests.mutations import BUGS, keep, make_case, recording_of, run_case
from tests.structures import Case, Subject, subjects

release = pytest.mark.release
STURDY = ("aedat1", "aedat2", "aedat3", "evt", "dat", "es", "csv")
"""Formats of which most damaged files can still be read."""


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> list[Good]:
    return good_files(tmp_path_factory.mktemp("good"))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("cases", [20, pytest.param(300, marks=release)])
def test_a_damaged_file_of_any_format_is_read_or_refused_in_one_line(
    tmp_path: Path, goods: list[Good], cases: int
) -> None:
    for place, good in enumerate(goods):
        subject, readable = recording_of(good), 0
        for number in range(place, len(goods) * cases, len(goods)):
            outcome = run_case(subject, make_case(subject, 1, number), tmp_path, number)
            assert outcome.result not in BUGS, outcome
            readable += outcome.result.startswith("read")
        assert not good.name.startswith(STURDY) or readable > cases // 3, good.name


def test_every_good_file_is_read_without_damage(goods: list[Good]) -> None:
    assert len({good.name for good in goods}) == len(goods) > 20
    assert all(sum(map(len, good.events)) > 300 for good in goods)


def test_a_case_is_the_same_whenever_it_is_made(goods: list[Good]) -> None:
    subject = recording_of(goods[0])
    one, again = (make_case(subject, 3, 12) for _ in range(2))
    assert one == again
    assert make_case(subject, 3, 13).files != one.files


@pytest.fixture(scope="module")
def structures() -> list[Subject]:
    return [*subjects(), *model_subjects()]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("cases", [5, pytest.param(100, marks=release)])
def test_what_is_damaged_within_its_structure_is_read_or_refused_in_one_line(
    tmp_path: Path, structures: list[Subject], cases: int
) -> None:
    for subject in structures:
        assert run_case(subject, subject.whole(), tmp_path).result.startswith("read"), subject.name
        for number in range(cases):
            outcome = run_case(subject, make_case(subject, 1, number), tmp_path, number)
            assert outcome.result not in BUGS, outcome


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much a case takes")
def test_what_takes_too_much_memory_is_counted_as_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def take(folder: Path) -> tuple[str, str]:
        return "read", str(np.ones(10_000_000)[-1])

    monkeypatch.setattr("tests.mutations.LIMIT_BYTES", 50 << 20)

    greedy = Subject("greedy", lambda random: Case("any", {}), lambda: Case("whole", {}), take)
    assert run_case(greedy, greedy.whole(), tmp_path).result == "over 1 GB"


def test_only_the_files_of_a_case_are_kept(tmp_path: Path) -> None:
    keep(Case("one", {"a": b"1", "b": b"2"}), tmp_path)
    keep(Case("other", {"b": b"3"}), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"b": b"3"}


@release
def test_the_long_run_counts_every_case_once() -> None:
    command = [sys.executable, "-m", "tests.mutations", "--start", "10", "--count", "40", "--formats", "dat", "es"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert [line.split() for line in done.stdout.splitlines()[2:]] == [
        [name, "15", *"0000"] for name in ("dat", "es")
    ]


@release
def test_a_damaged_model_is_made_in_a_moment() -> None:
    card = next(subject for subject in model_subjects() if subject.name == "card")
    begun_s = time.process_time()
    case = make_case(card, 4612, 2696)  # four times fifty layers of up to 2,048 channels
    assert time.process_time() - begun_s < 2
    assert sum(map(len, case.files.values())) < 40_000_000
