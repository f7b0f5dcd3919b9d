"""Streams over TCP: those of dv-processing's own server, and servers that stop, send garbage, or hang up."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import InputSpec, SliceRule
from livesnn.errors import SourceError
from livesnn.events.cameras.network import DELIVERED_US, Address, StreamConnection, open_stream, parse_address
from livesnn.events.cameras.reconnecting import SourceLost
from livesnn.events.formats.aedat4_layout import MAGIC, PACKET_HEADER, Compression, build_events, build_header
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import open_recording
from livesnn.events.slicer import frames
from livesnn.progress import no_notice
from livesnn.sources import open_source
from tests.served import WAIT_S, Server, free_port

pytestmark = pytest.mark.timeout(60)

SENSOR = Resolution(64, 48)
RULE = SliceRule(n_events=500)


def make_events(count: int, *, start_us: int = 10**15) -> Events:
    random = np.random.default_rng(5)
    events = np.zeros(count, EVENTS_DTYPE)
    events["t"] = start_us + np.sort(random.integers(0, 10 * count, count))
    events["x"], events["y"] = random.integers(0, 48, (2, count))
    events["p"] = random.random(count) < 0.5
    return events


def header_octets(resolution: Resolution = SENSOR) -> bytes:
    return build_header(Compression.NONE, resolution, "made")[0][len(MAGIC) :]


def packet_octets(events: Events, stream: int = 0) -> bytes:
    content = build_events(events)
    return PACKET_HEADER.pack(stream, len(content)) + content


class Script:
    """A server in a thread: sends each client what is next on its list, and keeps it connected or hangs up."""

    def __init__(self, *scenes: tuple[bytes, bool]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listening.getsockname()[1])
        self._scenes = scenes
        self._clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for octets, stays in self._scenes:
            client, _ = self._listening.accept()
            client.sendall(octets)
            if stays:
                self._clients.append(client)
            else:
                client.close()

    def send(self, octets: bytes) -> None:
        self._thread.join(WAIT_S)
        self._clients[-1].sendall(octets)

    def close(self) -> None:
        self._thread.join(WAIT_S)
        for client in [*self._clients, self._listening]:
            client.close()
        assert not self._thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[..., Script]]:
    scripts: list[Script] = []

    def start(*scenes: tuple[bytes, bool]) -> Script:
        scripts.append(Script(*scenes))
        return scripts[-1]

    yield start
    for script in scripts:
        script.close()


@pytest.fixture
def connect(serve: Callable[..., Script]) -> Iterator[Callable[..., StreamConnection]]:
    """Yield what connects to a server that sends its header and some octets, and then stays or hangs up."""
    connections: list[StreamConnection] = []

    def to(octets: bytes, *, stays: bool = True, stall_s: float = WAIT_S) -> StreamConnection:
        address = serve((header_octets() + octets, stays)).address
        connections.append(StreamConnection(address, stall_s=stall_s))
        return connections[-1]

    yield to
    for connection in connections:
        connection.close()
        connection.close()


# --- addresses ---


def test_an_address_is_a_host_and_a_port() -> None:
    assert parse_address("tcp://localhost:7777") == ("localhost", 7777)
    assert parse_address("tcp://[::1]:7777") == ("::1", 7777)
    assert str(parse_address("tcp://[::1]:7777")) == "tcp://[::1]:7777"


@pytest.mark.parametrize(
    "uri",
    [
        "tcp://localhost", "tcp://localhost:", "tcp://localhost:0", "tcp://localhost:70000", "tcp://localhost:a",
        "tcp://:7777", "tcp://", "tcp://[::1:7777", "tcp://h:1/path", "tcp://h:1?a", "tcp://u@h:1", "tcp://a b:1",
        "tcp://a\nb:1", "udp://h:1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_an_error_of_one_line(uri: str) -> None:
    with pytest.raises(SourceError, match="give tcp://HOST:PORT") as raised:
        open_stream(uri, notify=no_notice)
    assert "\n" not in str(raised.value)


def test_where_nobody_listens_the_line_says_what_where_and_what_to_do() -> None:
    address = Address("127.0.0.1", free_port())
    with pytest.raises(SourceError, match=f"^{address}: can't connect .*start the server.*host and port$"):
        open_source(str(address))


def test_a_topic_of_ros_needs_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with pytest.raises(SourceError, match=r"ros2:/events needs ROS 2, and rclpy is missing: source its setup\.bash"):
        open_source("ros2:/events")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 80])
def test_a_host_that_is_not_found_is_an_error_of_one_line(host: str) -> None:
    with pytest.raises(SourceError, match="check host and port") as raised:
        open_stream(f"tcp://{host}:7777", notify=no_notice)
    assert "\n" not in str(raised.value)


# --- packets ---


def read(connection: StreamConnection, timeout_s: float = WAIT_S) -> Events:
    """Return the next packet's events."""
    return connection.read(timeout_s)[0]


def test_packets_come_one_by_one_and_none_when_there_is_none(
    connect: Callable[..., StreamConnection],
) -> None:
    events = make_events(1_000)
    connection = connect(packet_octets(events[:600]) + packet_octets(events[600:]))
    assert connection.resolution == SENSOR
    received = [read(connection), read(connection)]
    assert read(connection, 0.01).size == 0
    assert np.array_equal(received[0], events[:600])
    assert np.array_equal(received[1], events[600:])
    assert connection.counters.events == 1_000


def test_a_packet_in_pieces_is_read_whole_once_all_of_it_is_there(serve: Callable[..., Script]) -> None:
    events = make_events(300)
    octets = packet_octets(events)
    script = serve((header_octets(), True))
    connection = StreamConnection(script.address)
    for first in range(0, len(octets), 999):
        assert read(connection, 0.001).size == 0
        script.send(octets[first : first + 999])
    assert np.array_equal(read(connection), events)
    connection.close()


def test_time_goes_on_in_silence_and_not_while_something_comes(
    connect: Callable[..., StreamConnection],
) -> None:
    events = make_events(50)
    newest_us = int(events["t"][-1])
    connection = connect(packet_octets(events))
    before_s = time.monotonic()
    came, now_us = connection.read(WAIT_S)
    assert (came.size, now_us) == (50, None)
    while (now_us or 0) <= newest_us:
        came, now_us = connection.read(0.02)
        assert came.size == 0
        assert time.monotonic() - before_s < WAIT_S
    assert now_us is not None
    assert newest_us < now_us <= newest_us + (time.monotonic() - before_s) * 1e6 - DELIVERED_US


def test_disorder_and_events_outside_are_put_right_and_counted_over_packets(
    connect: Callable[..., StreamConnection],
) -> None:
    events = make_events(100)
    late, outside = events[:1].copy(), events[-1:].copy()
    late["t"] = events["t"][-1] - 5
    outside["x"] = 64
    connection = connect(packet_octets(events) + packet_octets(np.concatenate([late, outside])))
    assert np.array_equal(read(connection), events)
    assert read(connection)["t"].tolist() == [events["t"][-1]]
    found = connection.counters
    assert (found.events, found.out_of_order, found.out_of_bounds) == (101, 1, 1)


# --- servers that fail ---


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"\xff" * 100, "doesn't start with a header"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "doesn't start with a header"),
        (b"#!AER-DAT3.1\r\n" + bytes(100), "older AEDAT"),
        (MAGIC + header_octets(), "sends a file"),
        (header_octets().replace(b"IOHE", b"IOHF"), "doesn't start with a header"),
        (header_octets().replace(b"outInfo", b"outXnfo"), "describes no streams"),
        (header_octets().replace(b"EVTS", b"FRME"), r"has no events, only 'FRME'"),
        (header_octets().replace(b"sizeX", b"sizeZ"), "doesn't give the sensor's size"),
        (b"", "closed the connection before it sent a header"),
        (header_octets()[:50], "closed the connection before it sent a header"),
    ],
)
def test_what_is_not_a_stream_of_events_is_refused_in_one_line(
    serve: Callable[..., Script], octets: bytes, message: str
) -> None:
    script = serve((octets, False))
    with pytest.raises(SourceError, match=message) as raised:
        open_stream(str(script.address), notify=no_notice)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("octets", "what"),
    [(b"", "nothing"), (b"\x00", "nothing"), (header_octets()[:50], "only a part of its header")],
)
def test_a_server_that_connects_and_says_nothing_more_is_given_up(
    serve: Callable[..., Script], octets: bytes, what: str
) -> None:
    with pytest.raises(SourceError, match=rf"\(it sent {what} within 0.2 s"):
        StreamConnection(serve((octets, True)).address, connect_s=0.2)


@pytest.mark.parametrize("octets", [b"", packet_octets(make_events(50))[:3], packet_octets(make_events(50))[:99]])
def test_a_server_that_hangs_up_is_lost_also_within_a_packet(
    connect: Callable[..., StreamConnection], octets: bytes
) -> None:
    connection = connect(octets, stays=False)
    for _ in range(2):  # for good
        with pytest.raises(SourceLost, match="the server is lost"):
            connection.read(WAIT_S)


@pytest.mark.parametrize("length", [3, 8, 99])
def test_a_server_that_stops_within_a_packet_is_lost_but_not_one_that_is_silent_between_packets(
    connect: Callable[..., StreamConnection], length: int
) -> None:
    silent = connect(b"", stall_s=0.05)
    stopped = connect(packet_octets(make_events(50))[:length], stall_s=0.05)
    assert read(silent, 0.2).size == 0
    with pytest.raises(SourceLost, match="in the middle of a packet"):
        stopped.read(0.2)


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"\x99" * 100, "isn't a packet"),
        (packet_octets(make_events(5), stream=3), "isn't a packet"),
        (PACKET_HEADER.pack(0, -1), "isn't a packet"),
        (PACKET_HEADER.pack(0, 1 << 30), "isn't a packet"),
        (packet_octets(make_events(50)).replace(b"EVTS", b"IMUS"), "damaged packet"),
        (packet_octets(make_events(50, start_us=1 << 62)), "times are damaged"),
        (PACKET_HEADER.pack(0, 40) + bytes(40), "damaged packet"),
    ],
)
def test_garbage_is_a_lost_server_in_one_line(
    connect: Callable[..., StreamConnection], octets: bytes, message: str
) -> None:
    connection = connect(octets + packet_octets(make_events(9)))
    with pytest.raises(SourceLost, match=message) as raised:
        connection.read(WAIT_S)
    assert "\n" not in str(raised.value)
    with pytest.raises(SourceLost):  # for good
        connection.read(WAIT_S)


# --- dv-processing's own server ---


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    pytest.importorskip("dv_processing", reason="dv-processing is not installed: pip install dv-processing")
    servers: list[Server] = []

    def start(port: int, path: Path, compression: str = "LZ4") -> Server:
        servers.append(Server(port, path, compression))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture
def made_file(tmp_path: Path) -> Path:
    path = tmp_path / "made.aedat4"
    with Aedat4Writer(path, SENSOR) as writer:
        writer.write(make_events(20_000))
    return path


def spec(resolution: Resolution) -> InputSpec:
    return InputSpec(width=resolution.width, height=resolution.height, slice=RULE)


@pytest.mark.parametrize(
    "compression", ["LZ4", "ZSTD", *(pytest.param(name, marks=pytest.mark.release) for name in ("NONE", "LZ4_HIGH"))]
)
def test_a_stream_gives_the_same_frames_as_the_file_that_is_played(
    start_server: Callable[..., Server], made_file: Path, compression: str
) -> None:
    with open_recording(made_file) as recording:
        resolution = recording.resolution
        expected = list(frames(recording, spec(resolution)))
        total = recording.counters.events
    port = free_port()
    server = start_server(port, made_file, compression)
    with open_source(f"tcp://127.0.0.1:{port}") as source:
        assert source.resolution == resolution
        server.play()
        found = list(islice(frames(source, spec(resolution)), len(expected)))
        assert server.sent() == total
    assert [(frame.t, frame.n_events, frame.start) for frame in found] == [
        (frame.t, frame.n_events, frame.start) for frame in expected
    ]
    assert all(np.array_equal(one.data, other.data) for one, other in zip(found, expected, strict=True))


def test_a_killed_server_that_comes_back_on_its_port_is_one_line_each_and_the_frames_start_anew(
    start_server: Callable[..., Server], made_file: Path
) -> None:
    port, lines = free_port(), []
    server = start_server(port, made_file)

    def notify(line: str) -> None:
        lines.append(line)
        if len(lines) == 1:
            start_server(port, made_file).play()

    source = open_source(f"tcp://127.0.0.1:{port}", notify=notify)
    stream = frames(source, spec(SENSOR))
    server.play()
    before = list(islice(stream, 10))
    server.sent()
    deadline = time.monotonic() + WAIT_S
    server.kill()
    after = list(islice(stream, 40))  # what was under way, then 20,000 events from the start
    source.close()
    assert time.monotonic() < deadline
    assert len(lines) == 2
    assert [*before, *after][-1].epoch == 1
    starts = [index for index, frame in enumerate([*before, *after]) if frame.start]
    assert starts[0] == 0
    assert len(starts) == 2
    assert np.array_equal([*before, *after][starts[1]].data, before[0].data)
