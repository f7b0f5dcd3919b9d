"""A recording played over TCP by dv-processing, in its own time, decided as the file itself is."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livesnn.bench.throughput import moving_blob
from livesnn.card import SliceRule
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import Resolution
from tests.served import Server, free_port
from tests.synthetic import CARD, write_model

from .conftest import livesnn

SENSOR = Resolution(346, 260)
EVENTS_PER_S, SECONDS = 500_000, 2
PER_FRAME = 4_000


@pytest.fixture
def start_server() -> Iterator[Callable[[int, Path], Server]]:
    pytest.importorskip("dv_processing", reason="dv-processing is not installed: pip install dv-processing")
    servers: list[Server] = []

    def start(port: int, path: Path) -> Server:
        servers.append(Server(port, path))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two seconds of 0.5 Mev/s, in packets of 20 ms."""
    count = EVENTS_PER_S * SECONDS
    events = moving_blob(count, SENSOR, seed=3, duration_us=SECONDS * 1_000_000)
    path = tmp_path / "fast.aedat4"
    with Aedat4Writer(path, SENSOR) as writer:
        for packet in np.array_split(events, count // 10_000):
            writer.write(packet)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be interrupted from outside there")
def test_a_stream_is_decided_as_its_file_and_nothing_is_dropped(
    start_server: Callable[[int, Path], Server], recording: Path, tmp_path: Path
) -> None:
    card = replace(CARD, input=replace(CARD.input, slice=SliceRule(n_events=PER_FRAME)))
    model = write_model(tmp_path / "model", card)
    flags = ("--model", model, "--json", "--every", "frame")
    file, errors = livesnn("run", recording, *flags).communicate(timeout=60)
    assert errors.strip() == ""
    *expected, from_file = map(json.loads, file.splitlines())
    assert len(expected) > 200
    port = free_port()
    server = start_server(port, recording)
    with livesnn("run", f"tcp://127.0.0.1:{port}", "--seconds", "30", *flags) as process:
        server.play(paced=True)
        assert process.stdout is not None
        rows: list[dict] = []
        for row in map(json.loads, process.stdout):
            rows.append(row)
            if row.get("t") == expected[-1]["t"]:
                process.send_signal(signal.SIGINT)
    assert server.sent() == EVENTS_PER_S * SECONDS
    from_stream = rows.pop()
    assert {row["t"] for row in rows} == {row["t"] for row in expected}
    assert all(row["total_ms"] >= row["network_ms"] > 0 for row in rows)
    unknown = {"network_ms": None, "total_ms": None}  # of a file
    at = {row["t"]: row for row in expected}
    # On a machine that stands still for a second, nothing is decided until events come again.
    decided = [row | unknown for row in rows if row["silence_s"] is None]
    assert len(decided) > len(expected) / 2
    assert decided == [at[row["t"]] for row in decided]
    summary = from_stream["summary"]
    assert summary["events"] == from_file["summary"]["events"] == EVENTS_PER_S * SECONDS
    assert summary["dropped"] == 0
