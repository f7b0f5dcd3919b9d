"""`livesnn bench decode`: every library decodes the same file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from livesnn.bench.decode import FORMAT, bench_decode
from livesnn.bench.format_files import MADE_FILES, make_events


def test_the_libraries_agree_on_the_events_and_each_has_its_rates(tmp_path: Path) -> None:
    pytest.importorskip("dv_processing", reason="dv-processing is not installed: pip install dv-processing")
    path = tmp_path / "f.aedat4"
    made = MADE_FILES[FORMAT]
    made.write(path, make_events(20_000, made.sensor))
    found = json.loads(json.dumps(bench_decode([path], 3, large_events=100_000)))
    assert found["files"]["f.aedat4"]["events"] == 20_000
    for measured in found["files"].values():
        for rates in measured["mev_per_s"].values():
            assert 0 < rates["min"] <= rates["median"] <= rates["max"]
            assert rates["n"] == 3
    assert found["ratio"]["vs_dv_processing"] > 0
