"""A live source that falls silent has no decision, and every output says so; a recording never is silent."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import livesnn
from livesnn.cli.streams import describe_row
from livesnn.events.cameras.network import Address
from livesnn.events.packet import NO_EVENTS, Packet
from livesnn.infer.decide import STALE_S, Decider, silence
from livesnn.infer.load import read_card
from livesnn.infer.reason import Reason
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row, RunOptions, decide_all
from livesnn.outputs.loop import OutputLoop
from livesnn.outputs.tcp import TcpOutput
from livesnn.progress import no_notice
from tests.fake_source import FakeSource, cut
from tests.synthetic import moving_bar
from tests.waiting import PATIENCE_S, HeldClock

pytestmark = pytest.mark.timeout(60)
ALWAYS = Decider(threshold=0.0)
BAR_US = 400_000


def bar() -> list[Packet]:
    return [Packet(events) for events in cut(moving_bar(BAR_US, start_us=0), BAR_US)]


def quiet_scene(go_on: threading.Event) -> Iterator[Packet]:
    """Yield a bar and, once it may go on, time that goes by without events, as a camera in a quiet scene does."""
    yield from bar()
    assert go_on.wait(PATIENCE_S)
    for t_us in range(BAR_US, BAR_US + 1_000_000, 10_000):
        yield Packet(NO_EVENTS, now_us=t_us)


def rows_of(
    source: FakeSource, model: Path, *, decider: Decider = ALWAYS, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Row]:
    rows = decide_all(source, RunOptions(str(model), "onnx", decider=decider), now_s=clock)
    return (row for row in rows if isinstance(row, Row))


def before_and_after_silence(
    source: FakeSource, model: Path, then: Callable[[], object] = lambda: None, decider: Decider = ALWAYS
) -> tuple[list[Row], Iterator[Row]]:
    """Return the rows of the bar, and those that follow after 2.5 s without an event."""
    clock, count = HeldClock(), sum(1 for _ in rows_of(FakeSource(bar(), live=False), model))
    rows = rows_of(source, model, decider=decider, clock=clock)
    before = [next(rows) for _ in range(count)]
    clock.now_s += 2.5
    then()
    return before, rows


def test_a_second_after_its_last_events_a_live_source_is_silent_and_a_recording_never() -> None:
    assert silence(10.0, 10.0 + STALE_S, live=True) is None
    silent = silence(10.0, 12.5, live=True)
    assert silent is not None
    assert silent.seconds == 2.5
    assert silence(10.0, 100.0, live=False) is None


def test_when_a_publisher_is_gone_its_last_decision_is_taken_back_once(model_folder: Path) -> None:
    source = FakeSource(bar(), then="silence")
    before, after = before_and_after_silence(source, model_folder)
    last = next(after)
    source.close()
    assert all(row.decision is not None and row.silence_s is None for row in before)
    assert (last.t, last.window) == (before[-1].t, before[-1].window)
    assert (last.decision, last.confidence, last.reason, last.silence_s) == (None, 0.0, Reason.NO_EVENTS, 2.5)
    assert describe_row(last).endswith("no events for 2 s")
    assert list(after) == []


def test_a_silence_is_told_where_nothing_was_decided_before_it(model_folder: Path) -> None:
    undecided = Decider(threshold=1.0)
    with FakeSource(bar(), then="silence") as source:
        before, after = before_and_after_silence(source, model_folder, decider=undecided)
        last = next(after)
    assert {row.decision for row in before} == {None}
    assert (last.decision, last.reason) == (None, Reason.NO_EVENTS)


def test_in_a_quiet_scene_frames_go_on_and_name_nothing(model_folder: Path) -> None:
    go_on = threading.Event()
    _, after = before_and_after_silence(FakeSource(quiet_scene(go_on)), model_folder, go_on.set)
    silent = list(after)
    assert len(silent) > 3
    assert {(row.decision, row.reason) for row in silent} == {(None, Reason.NO_EVENTS)}


def test_python_gets_no_decision_on_a_quiet_scene_either(model_folder: Path) -> None:
    go_on = threading.Event()
    threading.Timer(STALE_S + 0.1, go_on.set).start()
    *_, last = livesnn.run(FakeSource(quiet_scene(go_on)), model_folder, engine="onnx", decider=ALWAYS)
    assert (last.decision, last.reason) == (None, Reason.NO_EVENTS)


def test_a_recording_with_a_silence_keeps_its_decisions(model_folder: Path) -> None:
    go_on = threading.Event()
    go_on.set()
    rows = list(rows_of(FakeSource(quiet_scene(go_on), live=False), model_folder))
    assert {row.silence_s for row in rows} == {None}
    assert None not in {row.decision for row in rows}


def test_a_program_that_is_connected_hears_of_the_silence(model_folder: Path) -> None:
    with OutputLoop(no_notice) as loop, FakeSource(bar(), then="silence") as source:
        decisions = DecisionFeeds(loop, "fake", read_card(model_folder))
        output = TcpOutput(loop, Address("127.0.0.1", 0), decisions.programs, b"{}\n")
        with socket.create_connection(output.address, timeout=20.0) as connected:
            lines = connected.makefile()
            assert lines.readline() == "{}\n"
            before, after = before_and_after_silence(source, model_folder)
            for row in (*before, next(after)):
                decisions.tell(row)
                heard = json.loads(lines.readline())
                while "quiet" in heard:
                    heard = json.loads(lines.readline())
    assert (heard["decision"], heard["reason"]) == (None, "no_events")
