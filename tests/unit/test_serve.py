"""The web page and its neighbours: who is let in, what they get, and that nobody holds up anybody else."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from livesnn.__main__ import main
from livesnn.card import ModelCard
from livesnn.cli.options import TOKEN, PageFlags
from livesnn.errors import LivesnnError, SourceError
from livesnn.events.cameras.network import Address
from livesnn.events.filters import Orientation
from livesnn.events.packet import Packet
from livesnn.events.recording import open_recording
from livesnn.infer.load import read_card
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row
from livesnn.outputs.loop import SELDOM_S, Feed, Message, OutputLoop, Seldom
from livesnn.outputs.served_source import ServedSource
from livesnn.outputs.web import (
    LONGEST_MESSAGE,
    MOST_CONNECTIONS,
    PICTURES_ON_THEIR_WAY,
    WebOutput,
    load_tls,
    why_refused,
)
from livesnn.progress import no_notice
from livesnn.sources import Source
from tests.fake_source import SMALL, FakeSource
from tests.synthetic import moving_bar
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(60)
WAIT_S = 20.0  # never reached, unless something hangs


def row(**changes: Any) -> Row:
    return replace(Row(1, 0, "other", 0.9, {"other": 1.0}, {"other": 0.9}, False, 0, 0.1, 2.0), **changes)


class Page:
    """A page that is served to tests, and what was said about it."""

    def __init__(
        self,
        loop: OutputLoop,
        source: Source,
        card: ModelCard,
        folder: Path,
        said: list[str],
        quiet_s: float = 3600,
        **options: Any,
    ) -> None:
        self.said = said
        self.decisions = DecisionFeeds(loop, "made", card, quiet_s=quiet_s)
        self.source = ServedSource(source, Orientation(), folder, self.notify)
        output = WebOutput(loop, Address("127.0.0.1", 0), self.decisions, self.source, **options)
        self.port = output.port
        self.url = f"http://127.0.0.1:{output.port}"

    def notify(self, line: str) -> None:
        self.said.append(line)
        self.decisions.notice(line)

    def see_events(self) -> None:
        """Let a packet of events come."""
        self.source.see_packet(Packet(moving_bar(20_000), time.perf_counter()))

    def ask(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Return status, headers and content of the answer to GET."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)) as connection:
            connection.putrequest("GET", path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()


@pytest.fixture
def serve_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Page]]:
    """Yield what serves a page, with the options of `WebOutput`."""
    opened: list[tuple[OutputLoop, Page]] = []
    monkeypatch.setattr("livesnn.outputs.loop.SELDOM_S", 3600.0)  # each kind of trouble is said once

    def serve(source: Source | None = None, card: ModelCard | None = None, **options: Any) -> Page:
        said: list[str] = []
        loop = OutputLoop(said.append)
        page = Page(loop, source or FakeSource(), card or read_card("gestures"), tmp_path, said, **options)
        opened.append((loop, page))
        return page

    yield serve
    for loop, page in opened:
        page.source.close()
        loop.close()


@asynccontextmanager
async def live(page: Page, **headers: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{page.url}/live", headers=headers) as connected,
    ):
        yield connected


async def lines_of(connected: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Any]:
    """Yield lines of JSON, and pictures as octets."""
    async for message in connected:
        yield json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else message.data


async def first_with(connected: aiohttp.ClientWebSocketResponse, name: str) -> Any:
    async for line in lines_of(connected):
        if isinstance(line, dict) and name in line:
            return line[name]
    raise AssertionError(f"no {name}")


def run(coroutine: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT_S):
            await coroutine

    asyncio.run(bounded())


# --- who is let in ---


def test_the_page_comes_with_its_files_and_nothing_from_elsewhere(serve_page: Callable[..., Page]) -> None:
    page = serve_page()
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/style.css", "text/css")):
        status, headers, text = page.ask(path)
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert not re.search(r"(src|href)=[\"']?https?:|url\(|@import", text)


def test_no_other_file_can_be_had(serve_page: Callable[..., Page]) -> None:
    page = serve_page()
    for path in ("/../web.py", "/..%2fweb.py", "/%2e%2e/web.py", "//etc/passwd", "/page/index.html", "/\\..\\a"):
        assert page.ask(path)[0] == 404, path


def test_who_has_no_token_or_a_wrong_one_gets_nothing_and_one_line_is_said(
    serve_page: Callable[..., Page],
) -> None:
    page = serve_page(token="right")
    for path in ("/", "/status", "/decisions", "/live", "/nothing"):
        for given in ("", "?token=wrong", "?token=", "?token=%C3%A4", "?token=right%0d%0aSet-Cookie:%20a=b"):
            status, headers, text = page.ask(path + given)
            assert status == 403
            assert "Set-Cookie" not in headers
            assert "right" not in text
        for wrong in ("Bearer wrong", "Bearer \xff\xfe", "Basic right", "Bearer", "right"):
            assert page.ask(path, Authorization=wrong)[0] == 403
    assert len(page.said) == 1
    assert "127.0.0.1 was refused: the token is missing or wrong" in page.said[0]
    assert page.ask("/status?token=right")[0] == page.ask("/status", Authorization="Bearer right")[0] == 200
    assert page.ask("/?token=right")[0] == 200


def test_a_page_of_another_server_is_refused_here(serve_page: Callable[..., Page]) -> None:
    page = serve_page(control=True)
    for origin in (
        "http://evil.example",
        "null",
        "https://127.0.0.1",
        f"{page.url}.evil.example",
        page.url + "0",
    ):
        assert page.ask("/status", Origin=origin)[0] == 403

        async def connect(origin: str = origin) -> None:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                async with live(page, Origin=origin):
                    pass

        run(connect())
    assert page.ask("/status", Origin=page.url)[0] == 200
    assert page.ask("/status", Host="evil.example")[0] == 403


@pytest.mark.parametrize(
    "host", ["localhost:80", "127.0.0.1", "[::1]:7788", "192.168.1.5:7788", socket.gethostname()]
)
def test_without_a_token_a_host_is_an_address_or_this_machine(host: str) -> None:
    assert why_refused(host, f"http://{host}", "http", None, None) == ""


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "", "[x]"])
def test_any_other_name_may_lead_here_from_elsewhere_and_needs_the_token(host: str) -> None:
    assert why_refused(host, None, "http", "t", "t") == ""
    assert why_refused(host, None, "http", None, None) == "open it by its address"


def test_what_is_no_http_is_refused_with_one_line(serve_page: Callable[..., Page]) -> None:
    page = serve_page()
    for octets in (
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\x00c\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n",
    ):
        with socket.create_connection(("127.0.0.1", page.port), timeout=WAIT_S) as connected:
            try:
                connected.sendall(octets)
                connected.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda each=connected: each.recv(1 << 16), b""))
            except ConnectionError:  # it has hung up in the middle
                answer = b""
        assert not answer or answer.startswith(b"HTTP/1.0 400")
    assert page.ask("/status")[0] == 200
    assert len(page.said) <= 1


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Return the files of a certificate and its key."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("makes a certificate with openssl")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    subprocess.run([openssl, *made, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def test_a_connection_is_encrypted_with_a_certificate(
    serve_page: Callable[..., Page], certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, key = certificate
    page = serve_page(tls=load_tls(cert, key))

    async def ask() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"https://127.0.0.1:{page.port}/status", ssl=False) as answer,
        ):
            assert answer.status == 200

    run(ask())
    with pytest.raises(SourceError, match="give a certificate and its key as PEM files"):
        load_tls(key, cert)
    with pytest.raises(SourceError, match=r"no\.pem"):
        load_tls(tmp_path / "no.pem", key)
    closed = tmp_path / "closed.pem"
    locked = ("rsa", "-aes128", "-passout", "pass:secret", "-in", key, "-out", closed)
    subprocess.run(["openssl", *locked], check=True, capture_output=True)
    with pytest.raises(SourceError, match="needs a pass phrase"):
        load_tls(cert, closed)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.pem")
        with pytest.raises(SourceError, match="this is a pipe, not a file"):
            load_tls(cert, tmp_path / "pipe.pem")


@pytest.mark.parametrize("token", [16 * " ", "sixteen letters\n", "größer als sechzehn", 16 * "\udcff"])
def test_a_token_that_no_program_could_send_is_refused(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, token)
    with pytest.raises(SourceError, match="LIVESNN_TOKEN can't be sent as it is"):
        PageFlags.token()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--web", "70000"), "--web can't be '70000': give a port from 1 to 65535"),
        (("--tcp", "localhost:"), "--tcp can't be 'localhost:'"),
        (("--tcp", "192.0.2.1:0"), "a host of this machine"),
        (("--web", "http://localhost:7788"), "--web can't be 'http://localhost:7788'"),
        (("--web", "::1"), "write an IPv6 address in brackets"),
        (("--tcp", "7780", "--control"), "are for the page: add --web, or leave them out"),
        (("--recordings", __file__), "is a file: give a folder"),
        (("--events", "0", "--model", "nmnist"), "--events only sends events: add --web, --tcp, --mqtt"),
        (("--events", "0", "--threshold", "0.7"), "--events only sends events: add --web, --tcp, --mqtt"),
        (("--seconds", "0"), "give more than 0"),
        (("--on-decision", "no-such-program"), "there is no program 'no-such-program'"),
        (("--cert", __file__), "--cert and --key belong together"),
    ],
)
def test_flags_that_cannot_be_are_refused_before_the_source_is_opened(
    flags: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "no-such-recording.raw", *flags]) == 1
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("flag", ["--web", "--tcp", "--events"])
def test_a_port_in_use_is_said_before_the_source_is_opened(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "no-such-recording.raw", flag, str(taken.getsockname()[1])]) == 1
    assert "can't listen there (Address already in use)" in capsys.readouterr().err


def test_one_port_for_two_outputs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "no-such-recording.raw", "--tcp", "*:7001", "--events", "0.0.0.0:7001"]) == 1
    assert "0.0.0.0:7001: can't listen there" in capsys.readouterr().err


# --- what they get ---


def test_programs_read_decisions_as_server_sent_events(serve_page: Callable[..., Page]) -> None:
    page = serve_page()

    async def read() -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{page.url}/decisions") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            first = await answer.content.readuntil(b"\n\n")
            assert json.loads(first.removeprefix(b"data: "))["model"] == "gestures"
            for label in ("other", None, 'odd\n"name'):
                page.decisions.tell(row(decision=label))
                event = await answer.content.readuntil(b"\n\n")
                assert json.loads(event.removeprefix(b"data: "))["decision"] == label

    run(read())
    eventually(lambda: page.decisions.programs.receivers == 0 or page.decisions.notice("?"))


def test_status_says_what_was_counted(serve_page: Callable[..., Page]) -> None:
    page = serve_page()
    page.see_events()
    for label in ("other", "other", None):
        page.decisions.tell(row(decision=label, dropped=2, total_ms=4.0))
    status = json.loads(page.ask("/status")[2])
    assert (status["model"], status["dropped"], status["decisions"]) == ("gestures", 6, {"other": 2, "": 1})
    assert status["events"] > 0
    assert status["latency_ms"] == {"p50": 4.0, "p95": 4.0, "p99": 4.0}


def test_a_page_sees_decisions_pictures_and_how_it_goes(serve_page: Callable[..., Page]) -> None:
    page = serve_page()

    async def look() -> None:
        async with live(page) as connected:
            hello = await first_with(connected, "hello")
            assert hello["classes"] == list(read_card("gestures").classes)
            assert hello["control"] is False
            page.decisions.tell(row(decision="other"))
            assert await first_with(connected, "decision") == "other"
            page.see_events()
            async for line in lines_of(connected):
                if isinstance(line, bytes):
                    assert line[4:7] == b"\xff\xd8\xff"  # a JPEG
                    break
            assert (await first_with(connected, "status"))["events"] > 0

    run(look())


def test_a_page_gets_no_more_pictures_than_it_shows(serve_page: Callable[..., Page]) -> None:
    page = serve_page()

    async def look() -> None:
        async with live(page) as connected:
            await first_with(connected, "hello")
            numbers: list[int] = []
            async for line in lines_of(connected):  # a status each second, too
                if isinstance(line, bytes):
                    numbers.append(int.from_bytes(line[:4], "little"))
                await asyncio.sleep(1 / 30)
                page.see_events()
                if isinstance(line, dict) and "status" in line and len(numbers) >= PICTURES_ON_THEIR_WAY:
                    break
            assert len(numbers) == PICTURES_ON_THEIR_WAY
            await connected.send_json({"shown": numbers[0]})
            async for line in lines_of(connected):
                if isinstance(line, bytes):
                    break
                page.see_events()

    run(look())


def test_when_nothing_comes_programs_and_pages_hear_so(serve_page: Callable[..., Page]) -> None:
    page = serve_page(quiet_s=0.2)

    async def hear() -> None:
        async with (
            live(page) as connected,
            aiohttp.ClientSession() as session,
            session.get(f"{page.url}/decisions") as answer,
        ):
            await answer.content.readuntil(b"\n\n")  # both have joined
            await first_with(connected, "hello")
            page.decisions.tell(row())
            for told in (b'"decision"', b'"quiet"'):
                while told not in await answer.content.readuntil(b"\n\n"):
                    pass
            await first_with(connected, "decision")
            await first_with(connected, "quiet")
            assert page.decisions.last is None

    run(hear())


# --- control ---


def test_a_page_that_may_records_and_resets(serve_page: Callable[..., Page], tmp_path: Path) -> None:
    page = serve_page(control=True)

    async def control() -> None:
        async with live(page) as connected:
            assert (await first_with(connected, "hello"))["control"] is True
            await connected.send_json({"do": "reset"})
            await connected.send_json({"do": "record"})
            recording = None
            while recording is None:
                recording = (await first_with(connected, "status"))["recording"]
            assert recording["path"].endswith(".aedat4")
            page.see_events()
            await connected.send_json({"do": "record"})
            assert "is being recorded" in await first_with(connected, "notice")
            await connected.send_json({"do": "stop"})
            assert "events in" in await first_with(connected, "notice")

    run(control())
    assert (page.source.take_reset(), page.source.take_reset()) == (True, False)
    (written,) = tmp_path.glob("*.aedat4")
    with open_recording(written) as recording:
        assert sum(packet.events.size for packet in recording) > 0


def test_what_is_no_live_camera_is_not_recorded(serve_page: Callable[..., Page]) -> None:
    with pytest.raises(SourceError, match="only live events"):
        serve_page(FakeSource(live=False)).source.record()


def test_a_page_that_sends_anything_else_is_disconnected_and_no_other(serve_page: Callable[..., Page]) -> None:
    page = serve_page()
    not_allowed, too_long, too_deep = '{"do": "reset"}', "x" * (LONGEST_MESSAGE + 1), "[" * LONGEST_MESSAGE
    wrong = (not_allowed, '{"do": "format"}', "garbage", "5", '{"shown": "one"}', b"\x00\x01", too_long, too_deep)

    async def attack() -> None:
        async with live(page) as good:
            await first_with(good, "hello")
            for sent in wrong:
                async with live(page) as bad:
                    await first_with(bad, "hello")
                    await (bad.send_bytes(sent) if isinstance(sent, bytes) else bad.send_str(sent))
                    async for _line in lines_of(bad):
                        pass
                    assert bad.close_code in (1008, 1009)
            page.decisions.tell(row(decision="other"))
            assert await first_with(good, "decision") == "other"

    run(attack())
    assert len(page.said) == 1
    assert not page.source.take_reset()


# --- nobody holds up anybody else ---


def test_who_never_reads_delays_nobody_and_its_loss_is_counted(serve_page: Callable[..., Page]) -> None:
    page = serve_page()
    stalled = []
    for _ in range(5):
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000)
        connected.connect(("127.0.0.1", page.port))
        connected.sendall(b"GET /decisions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        stalled.append(connected)
    eventually(lambda: page.decisions.programs.receivers == 5)

    async def read() -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{page.url}/decisions") as answer:
            await answer.content.readuntil(b"\n\n")
            for t in range(1_000):
                page.decisions.tell(row(t=t, rates={"x" * 2_000: 0.0}))
                event = json.loads((await answer.content.readuntil(b"\n\n")).removeprefix(b"data: "))
                assert event["t"] == t

    run(read())
    assert page.decisions.programs.counts()["missed"] > 5 * 500
    for connected in stalled:
        connected.close()


def test_of_many_connections_so_many_are_let_in_and_it_goes_on(serve_page: Callable[..., Page]) -> None:
    page = serve_page()
    connected = []
    try:
        for _ in range(MOST_CONNECTIONS + 50):
            connected.append(socket.create_connection(("127.0.0.1", page.port), timeout=WAIT_S))
        eventually(lambda: page.said)
        eventually(lambda: sum(map(_hung_up, connected)) >= 50)
    finally:
        for each in connected:
            each.close()
    eventually(lambda: _answers(page))
    refusals = [line for line in page.said if "refused" in line]
    assert refusals == [f"page at 127.0.0.1:{page.port}: more than {MOST_CONNECTIONS} connections: one was refused"]


def test_connections_that_never_get_encrypted_count_too(
    serve_page: Callable[..., Page], certificate: tuple[Path, Path]
) -> None:
    page = serve_page(tls=load_tls(*certificate))
    connected = []
    try:
        for _ in range(MOST_CONNECTIONS + 20):
            connected.append(socket.create_connection(("127.0.0.1", page.port), timeout=WAIT_S))
        eventually(lambda: sum(map(_hung_up, connected)) >= 20)
    finally:
        for each in connected:
            each.close()
    assert f"more than {MOST_CONNECTIONS} connections" in page.said[0]


def _hung_up(connected: socket.socket) -> bool:
    connected.settimeout(0.001)
    try:
        return connected.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def _answers(page: Page) -> bool:
    try:
        return page.ask("/status")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


class Unreliable:
    """An output that fails as often as it is told to."""

    name = "unreliable"

    def __init__(self, feed: Feed, failures: int, error: Exception) -> None:
        self.feed, self.failures, self.error = feed, failures, error
        self.got: list[bytes] = []
        self.works = threading.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        if self.failures:
            self.failures -= 1
            raise self.error
        ready()
        with self.feed.join() as receiver:
            self.works.set()
            while (message := await receiver.next()) is not None:
                self.got.append(message.octets)


def test_an_output_that_fails_is_said_once_and_run_again_until_it_works() -> None:
    said: list[str] = []
    with OutputLoop(said.append, retry_s=0.01) as loop:
        feed = Feed(loop, "made", most_bytes=1000)
        output = Unreliable(feed, 3, OSError("the broker is gone"))
        loop.start(output)
        assert output.works.wait(WAIT_S)
        feed.put(Message(b"one"))
        eventually(lambda: output.got == [b"one"])
    assert said == [
        "unreliable: the broker is gone: livesnn tries again every 0.01 s",
        "unreliable: it works again",
    ]


def test_an_output_that_can_never_work_is_an_error_at_the_start() -> None:
    with OutputLoop(no_notice) as loop, pytest.raises(LivesnnError, match="no such address"):
        loop.start(Unreliable(Feed(loop, "made", most_bytes=1000), 1, LivesnnError("no such address")))


def test_of_the_same_trouble_a_line_is_said_seldom() -> None:
    said: list[str] = []
    now_s = [0.0]
    say = Seldom(said.append, clock=lambda: now_s[0])
    for _ in range(5):
        say("refused", "wrong token")
    say("silent", "closed")
    now_s[0] = SELDOM_S
    say("refused", "again")
    assert said == ["wrong token", "closed", "again"]


def test_the_picture_of_a_page_is_of_the_upright_sensor(tmp_path: Path) -> None:
    served = ServedSource(FakeSource(resolution=SMALL._replace(width=50)), Orientation(1), tmp_path, no_notice)
    view = served.view(lambda: None)
    view.watched = True
    served.see_packet(Packet(moving_bar(20_000), time.perf_counter()))
    picture = view.take()
    assert picture is not None
    assert picture.rgb.shape == (50, SMALL.height, 3)
    assert np.any(picture.rgb != picture.rgb[0, 0])
