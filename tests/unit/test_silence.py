"""A live source that falls silent has no decision, and every output says so; a recording never is silent."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import livesnn
from livesnn.cli.streams import describe_row
from livesnn.events.cameras.network import Address
from livesnn.events.packet import NO_EVENTS, Packet
from livesnn.infer.decide import STALE_S, Decider, Reason, silence
from livesnn.infer.model import read_card
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row, RunOptions, decide_all
from livesnn.outputs.loop import OutputLoop
from livesnn.outputs.tcp import TcpOutput
from livesnn.progress import no_notice
from tests.fake_source import FakeSource, cut
from tests.synthetic import moving_bar
from tests.waiting import in_real_time

pytestmark = pytest.mark.timeout(60)
ALWAYS = Decider(threshold=0.0)
BAR_US = 400_000


def bar() -> list[Packet]:
    return [Packet(events) for events in cut(moving_bar(BAR_US, start_us=0), BAR_US)]


def quiet_scene() -> Iterator[Packet]:
    """Yield a bar, then time that goes by without events, as a camera in a quiet scene does."""
    yield from bar()
    pace = threading.Event()
    for t_us in range(BAR_US, BAR_US + 2_000_000, 10_000):
        pace.wait(0.01)
        yield Packet(NO_EVENTS, now_us=t_us)


def rows_of(source: FakeSource, model: Path, seconds: float | None = 1.5, decider: Decider = ALWAYS) -> list[Row]:
    return [
        row
        for row in decide_all(source, RunOptions(str(model), "onnx", decider=decider, seconds=seconds))
        if isinstance(row, Row)
    ]


def test_a_second_after_its_last_events_a_live_source_is_silent_and_a_recording_never() -> None:
    assert silence(10.0, 10.0 + STALE_S, live=True) is None
    silent = silence(10.0, 12.5, live=True)
    assert silent is not None
    assert silent.seconds == 2.5
    assert silence(10.0, 100.0, live=False) is None


@in_real_time
def test_when_a_publisher_is_gone_its_last_decision_is_taken_back_once(model_folder: Path) -> None:
    *before, last = rows_of(FakeSource(bar(), then="silence"), model_folder)
    assert all(row.decision is not None and row.silence_s is None for row in before)
    assert (last.t, last.window) == (before[-1].t, before[-1].window)
    assert (last.decision, last.confidence, last.reason) == (None, 0.0, Reason.NO_EVENTS)
    assert last.silence_s is not None
    assert STALE_S < last.silence_s < 1.5
    assert describe_row(last).endswith("no events for 1 s")


@in_real_time
def test_a_silence_is_told_where_nothing_was_decided_before_it(model_folder: Path) -> None:
    *before, last = rows_of(FakeSource(bar(), then="silence"), model_folder, decider=Decider(threshold=1.0))
    assert {row.decision for row in before} == {None}
    assert (last.decision, last.reason) == (None, Reason.NO_EVENTS)


def test_in_a_quiet_scene_frames_go_on_and_name_nothing(model_folder: Path) -> None:
    rows = rows_of(FakeSource(quiet_scene(), then="end"), model_folder, seconds=None)
    silent = [row for row in rows if row.silence_s is not None]
    assert len(silent) > 3
    assert {row.decision for row in silent} == {None}
    assert {row.reason for row in silent} == {Reason.NO_EVENTS}
    assert rows[-1] in silent


def test_python_gets_no_decision_on_a_quiet_scene_either(model_folder: Path) -> None:
    *_, last = livesnn.run(FakeSource(quiet_scene(), then="end"), model_folder, engine="onnx", decider=ALWAYS)
    assert (last.decision, last.reason) == (None, Reason.NO_EVENTS)


def test_a_recording_with_a_silence_keeps_its_decisions(model_folder: Path) -> None:
    rows = rows_of(FakeSource(quiet_scene(), live=False), model_folder, seconds=None)
    assert {row.silence_s for row in rows} == {None}
    assert None not in {row.decision for row in rows}


@in_real_time
def test_a_program_that_is_connected_hears_of_the_silence(model_folder: Path) -> None:
    with OutputLoop(no_notice) as loop:
        decisions = DecisionFeeds(loop, "fake", read_card(model_folder))
        output = TcpOutput(loop, Address("127.0.0.1", 0), decisions.programs, b"{}\n")
        with socket.create_connection(output.address, timeout=20.0) as connected:
            lines = connected.makefile()
            assert lines.readline() == "{}\n"
            for row in rows_of(FakeSource(bar(), then="silence"), model_folder):
                decisions.tell(row)
                heard = json.loads(lines.readline())
                while "quiet" in heard:
                    heard = json.loads(lines.readline())
    assert (heard["decision"], heard["reason"]) == (None, "no_events")
