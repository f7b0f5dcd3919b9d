"""`livesnn bench decode`: every library decodes the same file."""

from __future__ import annotations

import json

import pytest

from livesnn.bench.throughput import bench_decode


def test_the_libraries_agree_on_the_events_and_each_has_its_rates() -> None:
    pytest.importorskip("dv_processing", reason="dv-processing is not installed: pip install dv-processing")
    found = json.loads(json.dumps(bench_decode(3, events=100_000)))
    measured = found["files"][found["ratio_file"]]
    assert measured["events"] == 100_000
    for rates in measured["mev_per_s"].values():
        assert 0 < rates["min"] <= rates["median"] <= rates["max"]
        assert rates["n"] == 3
    assert found["ratio"]["vs_dv_processing"] > 0
