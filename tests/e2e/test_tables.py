"""`livesnn tables` as a person runs it: a cell that is killed, gone on with, and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs livesnn[train]")

from livesnn.paper.page import page
from tests import trees
from tests.waiting import eventually

from .conftest import livesnn


@pytest.mark.slow
def test_a_killed_cell_goes_on_where_it_was_and_is_shown_beside_the_papers_figure(tmp_path: Path) -> None:
    data = trees.mnist(tmp_path / "data")
    where = ("--data", data, "--runs", tmp_path / "runs", "--out", tmp_path / "out")
    cell = ("tables", "table1", "--cell", "cnn:mnist", "--budget", "small", *where)
    process = livesnn(*cell, OMP_NUM_THREADS="1")
    last = tmp_path / "runs" / "table1-cnn-mnist-small-best-0" / "last.ckpt"
    eventually(lambda: last.exists() or process.poll() is not None, 250)
    assert process.poll() is None, process.communicate()[1]
    process.kill()
    process.communicate()
    again = livesnn(*cell, OMP_NUM_THREADS="1")
    output, errors = again.communicate(timeout=100)
    assert again.returncode == 0, errors
    said = json.loads(output)
    kept = json.loads((tmp_path / "out" / "table1-cnn-mnist-small-best.json").read_text())
    assert said["mean"] == kept["mean"] == kept["runs"][0]["accuracy"]
    assert kept["runs"][0]["n"] == 20
    assert kept["runs"][0]["resumed_epochs"] >= 1
    assert len(kept["runs"][0]["curve"]) == kept["epochs"] == 2
    assert kept["macs"] > kept["runs"][0]["synops"] > 0
    text = page("table1", tmp_path / "out", "small", "best")
    assert f"| CNN | 256-256 | {100 * kept['mean']:.2f}† (99) | – (98.89) |" in text
