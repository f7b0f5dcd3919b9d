"""OSC to real servers: what they get of a decision, and what is said when nobody listens."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from livesnn.errors import SourceError
from livesnn.events.cameras.network import Address
from livesnn.infer.load import read_card
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row
from livesnn.outputs.loop import OutputLoop
from tests.waiting import eventually

pytest.importorskip("pythonosc", reason="needs python-osc: pip install 'livesnn[osc]'")

from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer

from livesnn.outputs.osc import OscOutput, part_of_address

pytestmark = pytest.mark.timeout(60)
CARD = read_card("gestures")
INDEX = CARD.classes.index("arm_roll")
ARM_ROLL = Row(1, 0, "arm_roll", 0.75, {}, {"arm_roll": 0.75, "other": 0.25}, False, 0, 0.1, 2.0)

Heard = list[tuple[str, tuple[Any, ...]]]


@contextmanager
def server(port: int = 0) -> Iterator[tuple[int, Heard]]:
    """Yield the port of python-osc's server, and a list that fills with addresses and their values."""
    heard: Heard = []
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, *values: heard.append((address, values)))
    with BlockingOSCUDPServer(("127.0.0.1", port), dispatcher) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_address[1], heard
        finally:
            listening.shutdown()
            thread.join()


@contextmanager
def telling(port: int, said: list[str] | None = None, **options: Any) -> Iterator[DecisionFeeds]:
    with OutputLoop([].append if said is None else said.append) as loop:
        decisions = DecisionFeeds(loop, "camera", CARD, **options)
        OscOutput(loop, Address("127.0.0.1", port), decisions)
        yield decisions


def values(heard: Heard, address: str) -> list[tuple[Any, ...]]:
    return [each for name, each in list(heard) if name == f"/livesnn/{address}"]


def test_a_server_gets_the_decision_as_a_word_and_as_numbers() -> None:
    with server() as (port, heard), telling(port, quiet_s=3600) as decisions:
        decisions.tell(ARM_ROLL)
        eventually(lambda: values(heard, f"probability/{CARD.classes[-1]}"))
        assert values(heard, "decision") == [("arm_roll", 0.75)]
        assert values(heard, "index") == [(INDEX,)]
        assert values(heard, "classes") == [tuple(CARD.classes)]
        likely = [values(heard, f"probability/{name}") for name in CARD.classes]
        assert likely == [[(ARM_ROLL.probabilities.get(name, 0.0),)] for name in CARD.classes]


def test_when_nothing_comes_there_is_no_decision_any_more_and_it_is_repeated() -> None:
    with server() as (port, heard), telling(port, quiet_s=0.2) as decisions:
        decisions.tell(ARM_ROLL)
        eventually(lambda: (INDEX,) in (told := values(heard, "index")) and told[-2:] == [(-1,), (-1,)])
        assert values(heard, "decision")[-1] == ("", 0.0)
        assert values(heard, "probability/arm_roll")[-1] == (0.0,)


def test_a_notice_is_no_decision() -> None:
    with server() as (port, heard), telling(port, quiet_s=3600) as decisions:
        decisions.tell(ARM_ROLL)
        decisions.notice("camera: lost")
        decisions.tell(replace(ARM_ROLL, decision=None))
        eventually(lambda: len(values(heard, "index")) >= 2)
        assert values(heard, "index") == [(INDEX,), (-1,)]


def test_at_the_end_there_is_no_decision() -> None:
    with server() as (port, heard):
        with telling(port, quiet_s=3600) as decisions:
            decisions.tell(ARM_ROLL)
            decisions.fail(KeyboardInterrupt())
        eventually(lambda: values(heard, "index") == [(INDEX,), (-1,)])


def test_who_comes_back_is_sent_to_again_and_that_nobody_listens_is_said_once() -> None:
    said: list[str] = []
    with server() as (port, _):
        pass
    with telling(port, said, quiet_s=0.05):
        eventually(lambda: said)
        with server(port) as (_, heard):
            eventually(lambda: heard)
    (refused,) = said
    assert refused.startswith(f"decisions to osc://127.0.0.1:{port}: ")
    assert refused.endswith("livesnn goes on sending, for whoever comes")


@pytest.mark.parametrize("name", ["a b", "#*,/?[]{}", "größe", "", 'say "hi"', "two\nlines"])
def test_any_name_of_a_class_makes_an_address(name: str) -> None:
    assert set(part_of_address(name)) <= set("abcdefghijklmnopqrstuvwxyz_")
    assert part_of_address(name)


def test_a_port_that_cannot_be_is_an_error() -> None:
    with OutputLoop(print) as loop:
        decisions = DecisionFeeds(loop, "camera", CARD)
        with pytest.raises(SourceError, match="--osc"):
            OscOutput(loop, Address("127.0.0.1", 65_536), decisions)


@pytest.mark.skipif(shutil.which("oscdump") is None, reason="needs liblo's oscdump: make counterparts")
def test_liblo_reads_the_same() -> None:
    with server() as (port, _):
        pass
    process = subprocess.Popen(["oscdump", "-L", str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        with telling(port, quiet_s=0.1) as decisions:
            decisions.tell(ARM_ROLL)
            lines = (line.split(" ", 1)[1].strip() for line in process.stdout)  # behind the time
            while next(lines) != '/livesnn/decision sf "arm_roll" 0.750000':
                decisions.tell(ARM_ROLL)  # it may have started only now
            assert next(lines) == f"/livesnn/index i {INDEX}"
    finally:
        process.kill()
        process.communicate()
