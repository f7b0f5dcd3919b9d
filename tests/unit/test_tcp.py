"""What other programs get by TCP: lines of decisions, events; who reads slowly, hangs up, or comes twice."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from livesnn.__main__ import main
from livesnn.errors import SourceError
from livesnn.events.cameras.network import Address, StreamConnection
from livesnn.events.cameras.reconnecting import SourceLost
from livesnn.events.denoise import DenoiseState
from livesnn.events.filters import Orientation, orient
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import Packet, Resolution
from livesnn.events.pipeline import open_pipeline
from livesnn.infer.load import read_card
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row
from livesnn.outputs.loop import Feed, Message, OutputLoop, listening_socket
from livesnn.outputs.tcp import MOST_LISTENERS, EventOutput, TcpOutput
from livesnn.progress import Notify, no_notice
from tests.fake_source import FakeSource
from tests.unit.test_network import make_events
from tests.waiting import eventually

HERE = Address("127.0.0.1", 0)
SENSOR = Resolution(64, 48)
WAIT_S = 20.0  # never reached, unless something hangs

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def listen() -> Iterator[Callable[[Address], socket.socket]]:
    """Yield what connects to a server."""
    connected: list[socket.socket] = []

    def to(address: Address) -> socket.socket:
        connected.append(socket.create_connection(address, timeout=WAIT_S))
        return connected[-1]

    yield to
    for each in connected:
        each.close()


class Server(NamedTuple):
    """A feed, and where programs connect to it."""

    feed: Feed
    address: Address

    def send(self, octets: bytes) -> None:
        self.feed.put(Message(octets))


@contextmanager
def serving(
    greeting: bytes,
    *,
    most_bytes: int = 1000,
    missed: Callable[[int], bytes] | None = None,
    drops: bool = True,
    notify: Notify = no_notice,
    **options: Any,
) -> Iterator[Server]:
    with OutputLoop(notify) as loop:
        feed = Feed(loop, "test", most_bytes=most_bytes, missed=missed, drops=drops)
        yield Server(feed, TcpOutput(loop, HERE, feed, greeting, **options).address)


def all_from(connected: socket.socket) -> bytes:
    """Return what comes until the other side has no more to say."""
    return b"".join(iter(lambda: connected.recv(1 << 16), b""))


def test_everyone_gets_the_greeting_and_all_that_is_sent_from_then_on(
    listen: Callable[[Address], socket.socket],
) -> None:
    with serving(b"hello ") as server:
        first = listen(server.address)
        eventually(lambda: server.feed.receivers == 1)
        server.send(b"one ")
        second = listen(server.address)
        eventually(lambda: server.feed.receivers == 2)
        server.send(b"two")
    assert all_from(first) == b"hello one two"
    assert all_from(second) == b"hello two"


def with_little_room(address: Address) -> socket.socket:
    """Connect so that the system keeps little of what isn't read."""
    connected = socket.socket()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
    connected.settimeout(WAIT_S)
    connected.connect(address)
    return connected


def read_to(connected: socket.socket, end: bytes) -> bytes:
    read = b""
    while not read.endswith(end):
        read += connected.recv(1 << 16)
    return read


def test_who_reads_too_slowly_misses_the_oldest_whole_messages_and_is_told(
    listen: Callable[[Address], socket.socket],
) -> None:
    filler = b"x" * 996 + b"\n"
    with serving(
        b"hello\n",
        most_bytes=10_000,
        missed=lambda number: b"missed %d\n" % number,
        buffer_bytes=10_000,
        stuck_s=60.0,
    ) as server:
        slow, quick = with_little_room(server.address), listen(server.address)
        eventually(lambda: server.feed.receivers == 2)
        for number in range(1000):  # nobody waits for the slow one
            server.send(b"%3d" % number + filler)
            read_to(quick, b"%3d" % number + filler)
        read = read_to(slow, b"999" + filler)
        slow.close()
    hello, *lines = read.decode().splitlines()
    assert hello == "hello"
    expected = 0
    for line in lines:
        if line.startswith("missed"):
            expected += int(line.split()[1])  # just where they are missing
        else:
            assert int(line[:3]) == expected
            expected += 1
    assert expected == 1000
    assert sum(line.startswith("missed") for line in lines) >= 1


def test_who_must_not_miss_anything_is_let_go_instead() -> None:
    message = b"x" * 1000
    with serving(b"", most_bytes=10_000, drops=False, buffer_bytes=10_000, stuck_s=60.0) as server:
        slow = with_little_room(server.address)
        eventually(lambda: server.feed.receivers == 1)
        for _ in range(1000):
            server.send(message)
        got = all_from(slow)
        slow.close()
        eventually(lambda: server.feed.receivers == 0)
    assert 0 < len(got) < 1000 * len(message)
    assert len(got) % len(message) == 0


def test_who_never_reads_does_not_keep_others_out() -> None:
    said: list[str] = []
    with serving(b"x" * 1_000_000, most_bytes=10, notify=said.append, buffer_bytes=10_000, stuck_s=0.3) as server:
        never = with_little_room(server.address)
        eventually(lambda: said and server.feed.receivers == 0)
        never.close()
    assert said[0].endswith("took nothing for 0.3 s: disconnected")


def test_who_hangs_up_is_forgotten_and_who_only_stops_talking_is_not(
    listen: Callable[[Address], socket.socket],
) -> None:
    with serving(b"") as server:
        gone, silent = listen(server.address), listen(server.address)
        silent.sendall(b"whatever")
        silent.shutdown(socket.SHUT_WR)
        eventually(lambda: server.feed.receivers == 2)
        gone.close()

        def forgotten() -> bool:
            server.send(b".")
            return server.feed.receivers == 1

        eventually(forgotten)
        server.send(b"end")
    assert all_from(silent).endswith(b"end")


def test_it_can_be_closed_twice_and_by_another_thread(listen: Callable[[Address], socket.socket]) -> None:
    loop = OutputLoop(no_notice)
    feed = Feed(loop, "test", most_bytes=1000)
    output = TcpOutput(loop, Address("localhost", 0), feed, b"hello")
    connected = listen(output.address)
    assert connected.recv(5) == b"hello"
    closing = threading.Thread(target=loop.close)
    closing.start()
    feed.let_go()
    closing.join(WAIT_S)
    loop.close()
    assert connected.recv(1) == b""


def test_more_than_so_many_are_not_let_in(listen: Callable[[Address], socket.socket]) -> None:
    with serving(b"hello") as server:
        inside = [listen(server.address) for _ in range(MOST_LISTENERS)]
        eventually(lambda: server.feed.receivers == MOST_LISTENERS)
        assert all_from(listen(server.address)) == b""
        assert inside[-1].recv(5) == b"hello"


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "", "\ud800"])
def test_where_it_cannot_listen_is_an_error_of_one_line(host: str) -> None:
    with pytest.raises(SourceError, match=r"can't listen there.* give .*host") as raised:
        listening_socket(Address(host, 1))
    assert "\n" not in str(raised.value)


def test_a_port_that_is_taken_or_cannot_be_is_an_error() -> None:
    taken = r"can't listen there \([^()]*\): give another port"
    with serving(b"") as server, pytest.raises(SourceError, match=taken):
        listening_socket(server.address)
    for port in (-1, 70_000):
        with pytest.raises(SourceError, match="can't listen"):
            listening_socket(Address("127.0.0.1", port))


# --- decisions ---


def row(**changes: Any) -> Row:
    return replace(Row(1, 0, "other", 0.9, {"other": 1.0}, {"other": 0.9}, False, 0, 0.1, 2.0), **changes)


@contextmanager
def telling(**options: Any) -> Iterator[tuple[DecisionFeeds, Address]]:
    """Yield what tells programs of the decisions of `gestures`, and where they connect to."""
    with OutputLoop(no_notice) as loop:
        decisions = DecisionFeeds(loop, "camera", read_card("gestures"), **options)
        greeting = json.dumps(decisions.greeting).encode() + b"\n"
        yield decisions, TcpOutput(loop, HERE, decisions.programs, greeting).address


def test_decisions_are_lines_of_json_behind_what_the_model_is(
    listen: Callable[[Address], socket.socket],
) -> None:
    with telling() as (decisions, address):
        connected = listen(address)
        first = connected.makefile("rb").readline()
        decisions.tell(row(t=50_000))
        decisions.notice("lost")
        decisions.fail(SourceError("gone \ud800"))
    lines = [json.loads(line) for line in (first + all_from(connected)).splitlines()]
    lines = [line for line in lines if line != {"quiet": True}]
    assert lines[0] == {
        "source": "camera",
        "model": "gestures",
        "classes": list(read_card("gestures").classes),
        "frame_us": 50_000,
        "window": 10,
    }
    assert (lines[1]["t"], lines[1]["decision"], lines[1]["total_ms"]) == (50_000, "other", 2.0)
    assert lines[2:] == [{"notice": "lost"}, {"error": "gone ?"}]


def test_who_stops_it_is_told_in_words(listen: Callable[[Address], socket.socket]) -> None:
    with telling() as (decisions, address):
        connected = listen(address)
        connected.makefile("rb").readline()
        decisions.fail(KeyboardInterrupt())
    assert b'{"error":"stopped"}' in all_from(connected)


def test_where_nothing_is_told_for_long_everyone_hears_so(listen: Callable[[Address], socket.socket]) -> None:
    with telling(quiet_s=0.05) as (_, address):
        lines = listen(address).makefile()
        lines.readline()
        assert [json.loads(lines.readline()) for _ in range(2)] == 2 * [{"quiet": True}]


def test_nothing_is_told_behind_the_last_line(listen: Callable[[Address], socket.socket]) -> None:
    with telling(only_changes=True, quiet_s=0.01) as (decisions, address):
        connected = listen(address)
        lines = connected.makefile()
        lines.readline()
        decisions.tell(row(t=1))
        decisions.tell(row(t=2))
        decisions.fail(SourceError("gone"))
        assert any("error" in json.loads(line) for line in lines)
        connected.settimeout(0.3)
        with pytest.raises(TimeoutError):
            lines.readline()


def test_only_changes_are_told_with_what_was_lost_and_reset_since(
    listen: Callable[[Address], socket.socket],
) -> None:
    with telling(only_changes=True, quiet_s=3600) as (decisions, address):
        lines = listen(address).makefile()
        lines.readline()
        told = [
            row(t=1),
            row(t=2, dropped=5),
            row(t=3, reset=True),
            row(t=4, decision="arm_roll", dropped=2),
            row(t=5, decision="arm_roll"),
            row(t=6, decision=None),
        ]
        for each in told:
            decisions.tell(each)
        heard = [json.loads(lines.readline()) for _ in range(3)]
    assert [(each["t"], each["decision"]) for each in heard] == [(1, "other"), (4, "arm_roll"), (6, None)]
    assert [(each["dropped"], each["reset"]) for each in heard] == [(0, False), (7, True), (0, False)]


def test_a_decision_that_stays_is_told_again_so_that_programs_know_that_it_does(
    listen: Callable[[Address], socket.socket],
) -> None:
    with telling(only_changes=True, quiet_s=0.2) as (decisions, address):
        lines = map(json.loads, listen(address).makefile())
        next(lines)
        decisions.tell(row(t=1))
        decisions.tell(row(t=2))
        rows = (line for line in lines if "t" in line)
        assert [next(rows)["t"], next(rows)["t"]] == [1, 2]
        assert next(lines) == {"quiet": True}


@pytest.mark.parametrize("flag", ["--events", "--tcp"])
def test_a_recording_without_events_is_not_served(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Aedat4Writer(tmp_path / "empty.aedat4", SENSOR).close()
    assert main(["serve", str(tmp_path / "empty.aedat4"), flag, "*:0"]) == 1
    assert "empty.aedat4: the recording has no events: give another one" in capsys.readouterr().err


# --- events ---


@contextmanager
def serving_events(resolution: Resolution) -> Iterator[EventOutput]:
    with OutputLoop(no_notice) as loop:
        yield EventOutput(loop, HERE, resolution, "made")


def test_a_listener_gets_every_event_and_the_sensor() -> None:
    events = make_events(30_000)
    with serving_events(SENSOR) as server:
        listener = StreamConnection(server.address)
        eventually(lambda: server.feed.receivers == 1)
        for part in (events[:5], events[5:5], events[5:]):
            server.send_packet(Packet(part))
        got = [listener.read(WAIT_S)[0] for _ in range(2)]
        listener.close()
    assert listener.resolution == SENSOR
    assert np.array_equal(np.concatenate(got), events)


def test_where_another_epoch_begins_everyone_is_let_go() -> None:
    one, other = make_events(10), make_events(10, start_us=10**15 + 1_000)
    with serving_events(SENSOR) as server:
        listener = StreamConnection(server.address)
        eventually(lambda: server.feed.receivers == 1)
        for packet in (Packet(one, epoch=3), Packet(other, epoch=3), Packet(other[:0], epoch=4)):
            server.send_packet(packet)
        got = [listener.read(WAIT_S)[0] for _ in range(2)]
        assert np.array_equal(np.concatenate(got), np.concatenate([one, other]))
        with pytest.raises(SourceLost, match="hung up"):  # although the server is still there
            listener.read(WAIT_S)
        eventually(lambda: server.feed.receivers == 0)


def test_what_is_served_of_a_turned_source_is_upright_and_has_its_noise() -> None:
    events, hung = make_events(2_000), Orientation(1, mirrored=True)
    source = FakeSource(np.array_split(events, 3), resolution=SENSOR, live=False)
    upright = hung.resolution(SENSOR)
    with serving_events(upright) as server:
        listener = StreamConnection(server.address)
        eventually(lambda: server.feed.receivers == 1)
        noise = DenoiseState(upright)
        with open_pipeline(source, orientation=hung, record=server.send_packet, noise=noise, policy=None) as pipeline:
            list(pipeline)
        got = [listener.read(WAIT_S)[0] for _ in range(3)]
        listener.close()
    assert listener.resolution == upright
    assert np.array_equal(np.concatenate(got), orient(events, SENSOR, hung))
    assert noise.counts.dropped > 0


READER = """
import sys, time, dv_processing as dv
reader, count, deadline = dv.io.NetworkReader("127.0.0.1", int(sys.argv[1])), 0, time.monotonic() + 20
print(reader.getEventResolution(), flush=True)
while count < int(sys.argv[2]) and time.monotonic() < deadline:
    if (batch := reader.getNextEventBatch()) is not None:
        count += len(batch)
        last = batch.getHighestTime()
print(count, last, flush=True)
"""


def test_dv_processing_reads_what_is_served() -> None:
    pytest.importorskip("dv_processing", reason="dv-processing has no wheel for this platform")
    events = make_events(20_000)
    with serving_events(SENSOR) as server:
        command = [sys.executable, "-c", READER, str(server.address.port), "20000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            try:
                eventually(lambda: server.feed.receivers == 1)
                for part in np.array_split(events, 7):
                    server.send_packet(Packet(part))
                output, _ = reader.communicate(timeout=WAIT_S)
            finally:
                reader.kill()
    resolution, last = output.splitlines()
    assert resolution == "(64, 48)"
    assert last.split() == ["20000", str(events["t"][-1])]
