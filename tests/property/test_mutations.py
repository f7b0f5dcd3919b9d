"""Law: whatever happens to a recording, it is read or refused in one line (long: python -m tests.mutations)."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.good_files import Good, good_files
from tests.mutations import BUGS, make_case, run_all, run_case

CASES = 15


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> list[Good]:
    return good_files(tmp_path_factory.mktemp("good"))


@pytest.mark.timeout(120)
def test_a_damaged_file_of_any_format_is_read_or_refused_in_one_line(
    tmp_path: Path, goods: list[Good]
) -> None:
    for place, good in enumerate(goods):
        for number in range(place, len(goods) * CASES, len(goods)):
            outcome = run_case(good, make_case(good, 1, number), tmp_path, number)
            assert outcome.result not in BUGS, outcome


def test_every_good_file_is_read_without_damage(goods: list[Good]) -> None:
    assert len({good.name for good in goods}) == len(goods) > 20
    assert all(sum(map(len, good.events)) > 300 for good in goods)


def test_a_case_is_the_same_whenever_it_is_made(goods: list[Good]) -> None:
    one, again = (make_case(goods[0], 3, 12) for _ in range(2))
    assert one == again
    assert make_case(goods[0], 3, 13).octets != one.octets


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_long_run_counts_every_case_once() -> None:
    arguments = argparse.Namespace(count=30, start=10, seed=0, workers=2, formats=["dat", "es"])
    found = run_all(arguments)
    assert found["cases"] == 30
    assert {name: count.total() for name, count in found["formats"].items()} == {"dat": 15, "es": 15}
    assert found["bugs"] == []
