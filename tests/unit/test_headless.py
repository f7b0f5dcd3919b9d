"""decide_all: what `livesnn run` says of a recording cut short, and of a live source that is stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from livesnn.cli.streams import describe_row, describe_summary
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.recording import describe
from livesnn.outputs.lines import Row, RunOptions, Summary, decide_all
from tests.fake_source import FakeSource
from tests.served import Server, free_port
from tests.synthetic import CARD, SENSOR, moving_bar, write_model, write_recording

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("model") / "columns"))


def test_what_was_put_in_order_or_left_out_is_in_the_summary_and_what_info_says(model: str, tmp_path: Path) -> None:
    bar = moving_bar(1_000_500)
    bar["x"][[100, 200, 300]] = SENSOR.width
    bar["t"][500] -= 5000
    recording = write_recording(tmp_path / "damaged.npz", bar)
    *_, summary = decide_all(str(recording), RunOptions(model))
    assert isinstance(summary, Summary)
    assert summary.out_of_bounds == 3
    assert summary.out_of_order == 1
    assert summary.events == bar.size - 3
    (stream,) = describe(recording).streams.values()
    assert (stream.n, stream.out_of_order, stream.out_of_bounds) == (bar.size - 3, 1, 3)
    assert "1 sorted by time, 3 outside the sensor ignored" in describe_summary(summary)


def test_seconds_end_a_recording_in_its_own_time(model: str, tmp_path: Path) -> None:
    bar = moving_bar(1_000_500)
    whole = write_recording(tmp_path / "whole.npz", bar)
    half = write_recording(tmp_path / "half.npz", bar[bar["t"] < bar["t"][0] + 500_000])
    *cut_rows, cut = decide_all(str(whole), RunOptions(model, seconds=0.5))
    *half_rows, alone = decide_all(str(half), RunOptions(model))
    assert cut_rows == half_rows
    assert len(cut_rows) == 4  # the fifth window would end with the next event
    assert isinstance(cut, Summary)
    assert isinstance(alone, Summary)
    assert (cut.frames, cut.majority) == (alone.frames, alone.majority)


def test_without_seconds_a_recording_is_read_to_its_end(model: str, tmp_path: Path) -> None:
    bar = moving_bar(1_000_500)
    *rows, summary = decide_all(str(write_recording(tmp_path / "bar.npz", bar)), RunOptions(model))
    assert len(rows) == 10
    assert isinstance(summary, Summary)
    assert (summary.events, summary.dropped) == (bar.size, 0)
    assert (summary.engine, summary.engine_frames) == ("onnx", {"onnx": summary.frames})
    assert summary.engine_switched_at_frame is None
    assert "\n        engine  onnx\n" in describe_summary(summary)
    went_over = replace(summary, engine="spike", engine_frames={"onnx": 12, "spike": 88}, engine_switched_at_frame=12)
    assert "spike (12 on onnx, 88 on spike; switched at frame 12)" in describe_summary(went_over)


def test_what_was_dropped_is_said_in_the_row_and_in_a_warning(model: str, tmp_path: Path) -> None:
    bar = moving_bar(1_000_500)
    *whole, _ = decide_all(str(write_recording(tmp_path / "bar.npz", bar)), RunOptions(model))
    assert all(isinstance(row, Row) for row in whole)
    assert {(row.dropped, row.network_ms, row.total_ms) for row in whole} == {(0, None, None)}  # type: ignore[union-attr]

    def lose(number: int) -> None:
        losing.counters.dropped = 10 * number

    losing = FakeSource(np.array_split(bar, 20), resolution=SENSOR, live=False, after=lose)
    *rows, summary = decide_all(losing, RunOptions(model))
    lost = sum(row.dropped for row in rows if isinstance(row, Row))
    assert isinstance(summary, Summary)
    assert 0 < lost <= summary.dropped == 200
    assert losing.closed.is_set()
    assert describe_row(replace(rows[-1], dropped=1234)).endswith("1,234 events dropped")
    assert any(f"{summary.dropped:,} events were dropped" in line for line in summary.warnings)


@pytest.mark.parametrize("every", ["window", "frame"])
def test_a_reset_at_a_jump_in_time_is_said_in_the_next_row(
    every: Literal["window", "frame"], model: str, tmp_path: Path
) -> None:
    before, after = moving_bar(300_500), moving_bar(300_500)
    after["t"] += 5_000_000
    *rows, _ = decide_all(
        str(write_recording(tmp_path / "jump.npz", np.concatenate([before, after]))), RunOptions(model, every=every)
    )
    said = [row.t for row in rows if isinstance(row, Row) and row.reset]
    assert said == [next(row.t for row in rows if isinstance(row, Row) and row.t > 10_000_000)]


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[str]:
    """Serve half a second of a moving bar to whoever connects, once, and then nothing; return the address."""
    pytest.importorskip("dv_processing", reason="dv-processing is not installed: pip install dv-processing")
    path = tmp_path / "bar.aedat4"
    with Aedat4Writer(path, SENSOR) as writer:
        writer.write(moving_bar(500_500))
    server = Server(port := free_port(), path)
    server.play()
    yield f"tcp://127.0.0.1:{port}"
    server.kill()


def test_ctrl_c_ends_a_live_source_with_the_summary(model: str, stream: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    rows = decide_all(stream, RunOptions(model))
    first = next(rows)
    signal.raise_signal(signal.SIGINT)
    *others, summary = rows
    assert all(isinstance(row, Row) for row in (first, *others))
    assert isinstance(summary, Summary)
    assert summary.windows == 1 + sum(row.silence_s is None for row in others if isinstance(row, Row))
    assert summary.events + summary.dropped <= moving_bar(500_500).size
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_it_at_once(model: str, stream: str) -> None:
    rows = decide_all(stream, RunOptions(model))
    next(rows)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    rows.close()  # type: ignore[attr-defined]


def test_seconds_end_a_live_source(model: str, stream: str) -> None:
    *rows, summary = decide_all(stream, RunOptions(model, seconds=1.0))
    assert rows
    assert all(row.total_ms >= row.network_ms > 0 for row in rows)
    assert isinstance(summary, Summary)
    assert summary.seconds > 1.0


@pytest.mark.parametrize(("trained", "warned"), [(tuple(SENSOR), False), (None, False), ((128, 128), True)], ids=str)
def test_a_sensor_of_another_size_than_the_training_s_is_a_warning(
    trained: tuple[int, int] | None, warned: bool, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "model", replace(CARD, sensor=trained))
    *_, summary = decide_all(
        str(write_recording(tmp_path / "bar.npz", moving_bar(1_000_500))), RunOptions(str(model))
    )
    assert isinstance(summary, Summary)
    assert any("the model was trained with 128×128" in line for line in summary.warnings) == warned
    assert len(summary.warnings) == warned
    assert any("trained with this size: nmnist (--model)" in line for line in summary.warnings) == warned
