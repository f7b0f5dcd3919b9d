"""A recording played over TCP by dv-processing, in its own time, decided as the file itself is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
EVENTS_PER_S, SECONDS = 500_000, 3
PER_FRAME = 5_000


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
    """Three seconds of 0.5 Mev/s, in packets of 20 ms."""
    count = EVENTS_PER_S * SECONDS
    events = moving_blob(count, SENSOR, seed=3, duration_us=SECONDS * 1_000_000)
    path = tmp_path / "fast.aedat4"
    with Aedat4Writer(path, SENSOR) as writer:
        for packet in np.array_split(events, count // 10_000):
            writer.write(packet)
    return path


def rows_of(output: str) -> tuple[list[dict], dict]:
    *rows, last = [json.loads(line) for line in output.splitlines()]
    return rows, last["summary"]


def test_a_stream_is_decided_as_its_file_and_nothing_is_dropped(
    start_server: Callable[[int, Path], Server], recording: Path, tmp_path: Path
) -> None:
    card = replace(CARD, input=replace(CARD.input, slice=SliceRule(n_events=PER_FRAME)))
    model = write_model(tmp_path / "model", card)
    flags = ("--model", model, "--json", "--every", "frame")
    file, errors = livesnn("run", recording, *flags).communicate(timeout=60)
    assert errors.strip() == ""
    port = free_port()
    server = start_server(port, recording)
    process = livesnn("run", f"tcp://127.0.0.1:{port}", "--seconds", str(SECONDS + 4), *flags)
    with ThreadPoolExecutor(1) as reader:  # a pipe that nobody reads would hold the command up
        output = reader.submit(process.communicate, timeout=60)
        server.play(paced=True)
        assert server.sent() == EVENTS_PER_S * SECONDS
        found, from_stream = rows_of(output.result()[0])
    expected, from_file = rows_of(file)
    assert len(expected) > 200
    found = [row for row in found if row["silence_s"] is None]
    assert all(row["total_ms"] >= row["network_ms"] > 0 for row in found)
    unknown = {"network_ms": None, "total_ms": None}  # of a file
    assert [row | unknown for row in found] == expected
    assert from_stream["events"] == from_file["events"] == EVENTS_PER_S * SECONDS
    assert from_stream["dropped"] == 0
