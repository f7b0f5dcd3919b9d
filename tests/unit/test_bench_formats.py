"""tests/benchmarks/format_peers.py: who reads otherwise than was written is named, and not timed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from livesnn.bench.throughput import Columns
from livesnn.events.packet import Resolution
from tests.benchmarks import format_peers
from tests.benchmarks.format_peers import Library, Sums, agree, bench_formats
from tests.format_files import MADE_FILES
from tests.reading import read

pytestmark = pytest.mark.release

COUNT = 3_000


def test_a_mirrored_reading_agrees_and_one_with_other_times_does_not() -> None:
    written = Sums(10, 4, 100, 900, 45, 12)
    sensor = Resolution(10, 5)
    assert agree(Sums(10, 4, 100, 900, 10 * 9 - 45, 10 * 4 - 12), written, sensor)
    assert not agree(Sums(10, 4, 100, 901, 45, 12), written, sensor)


def test_every_format_is_read_as_it_was_written_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_peers, "PEERS", {})
    found = bench_formats(2, events=COUNT)
    assert set(found) == {"unit", "versions", *MADE_FILES}
    assert all(found[name]["mev_per_s"]["livesnn"]["n"] == 2 for name in MADE_FILES)


def _all_but_one(path: Path) -> Iterator[Columns]:
    events = read(path)[1:]
    yield events["t"], events["x"], events["y"], events["p"]


def _fail(path: Path) -> Iterator[Columns]:
    raise ValueError("it can't\nbe read")


def test_who_reads_wrongly_or_not_at_all_is_named_and_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = {
        "hasty": Library("numpy", _all_but_one, ("dat",)),
        "broken": Library("numpy", _fail, ("dat",)),
    }
    monkeypatch.setattr(format_peers, "LibraryProcess", InThisProcess)
    found = format_peers.measure_format("dat", tmp_path, 2, COUNT, libraries)
    assert set(found["wrong"]) >= {"hasty", "broken"}
    assert found["wrong"]["broken"] == "ValueError: it can't be read"
    assert found["mev_per_s"]["livesnn"]["n"] == 2
    assert not {"hasty", "broken"} & set(found["mev_per_s"])


def test_a_library_whose_process_is_gone_is_no_end_of_the_measurement() -> None:
    with format_peers.LibraryProcess() as process:
        for _ in range(2):
            assert "BrokenProcessPool" in str(process.ask(os._exit, 1))  # type: ignore[arg-type]


class InThisProcess(format_peers.LibraryProcess):
    """As a worker, without a process, which would not know this test's libraries."""

    def __init__(self) -> None:
        super(format_peers.LibraryProcess, self).__init__()
        self.pool = ThreadPoolExecutor(1)
        self.callback(self.pool.shutdown)
