"""The web page, and JSON for programs: `GET /decisions` (server-sent events) and `/status`.

The page itself is in page/: plain HTML, CSS and JavaScript. Decisions and pictures reach it by a WebSocket.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import socket
import ssl
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from livesnn.console import json_line
from livesnn.errors import LivesnnError, SourceError, reason_of
from livesnn.events.cameras.network import Address
from livesnn.events.picture import Picture
from livesnn.files import refuse_pipe
from livesnn.json_text import decode_json
from livesnn.outputs.decisions import KEPT_BYTES, DecisionFeeds
from livesnn.outputs.loop import STUCK_S, Message, OutputLoop, Receiver, Seldom, keep_little, listening_socket
from livesnn.outputs.served_source import PICTURES_PER_S, ServedSource
from livesnn.session.verdict import CLASSES_ON_DARK, CLASSES_ON_LIGHT
from livesnn.threads import pool

MOST_CONNECTIONS = 200
HANDSHAKE_S = 10.0  # for the encryption of a connection

KEPT_ALIVE_S = 15.0
PING_S = 10.0  # Between two questions whether a page is still there. It has half of that to answer.

LONGEST_MESSAGE = 1000  # Octets of what a page sends.

STATUS_S = 1.0
LONGEST_LINE = 200  # of the log, in letters: it may repeat what somebody has sent
PICTURES_ON_THEIR_WAY = 2
JPEG_QUALITY = 90

_PAGE = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "livesnn",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def why_refused(host: str, origin: str | None, scheme: str, given: str | None, token: str | None) -> str:
    """Return what a request with these headers is told instead of an answer; "": it may be answered.

    ``given`` is its token, and ``token`` the right one. Without one, a page of another server could reach this one by
    a name of its own that leads here, so the host must be an address or this machine's name.
    """
    if origin is not None and origin != f"{scheme}://{host}":
        return "this page belongs to another server"
    if token is None:
        return "" if is_own_host(host) else "open it by its address"
    if given is None or not hmac.compare_digest(given.encode(errors="replace"), token.encode()):
        return "the token is missing or wrong: open the address that livesnn serve has printed"
    return ""


def is_own_host(host: str) -> bool:
    """Return whether a Host header is an IP address, localhost or the name of this machine."""
    name = host.rpartition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    own = socket.gethostname().lower()
    if name.lower() in ("localhost", own, f"{own}.local"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def load_tls(cert: Path, key: Path) -> ssl.SSLContext:
    """Return what encrypts connections. Raises SourceError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        for path in (cert, key):
            refuse_pipe(path)
        context.load_cert_chain(cert, key, _no_pass_phrase)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise SourceError(
            f"{cert}, {key}: can't be used for TLS ({reason_of(error)}): give a certificate and its key as PEM files"
        ) from error
    return context


def _no_pass_phrase() -> str:  # else OpenSSL asks for it on the terminal, and waits
    raise ValueError("the key needs a pass phrase: openssl pkey removes it")


class _Shared:
    """A picture on its way to all pages, encoded once."""

    def __init__(self, number: int, picture: Picture) -> None:
        self.number = number
        self._picture = picture
        self._jpeg: asyncio.Future[bytes] | None = None

    async def encoded(self) -> bytes:
        """Return its number, uint32 little-endian, and a JPEG."""
        if self._jpeg is None:
            self._jpeg = asyncio.get_running_loop().run_in_executor(pool("page-pictures", 1), self._encode)
        return self.number.to_bytes(4, "little") + await asyncio.shield(self._jpeg)

    def _encode(self) -> bytes:
        import cv2

        # All of the colour: at half its resolution, single pixels of ON and OFF would be grey.
        sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
        done, octets = cv2.imencode(
            ".jpg", self._picture.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *sampling]
        )
        assert done
        return octets.tobytes()


class _Viewer:
    """A page that is open, and the pictures on their way to it: a slow connection gets fewer."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.sent = 0  # number of the last picture sent
        self.on_their_way: set[int] = set()


@dataclass(frozen=True)
class PageRequest:
    """What a page sends: the number of the picture that it shows, or what a person wants."""

    shown: int | None = None
    do: Literal["reset", "record", "stop"] | None = None


class Door(socket.socket):
    """A listening socket that hangs up on whoever comes while so many are connected, encrypted yet or not."""

    def __init__(self, listening: socket.socket, on_refusal: Callable[[], None]) -> None:
        super().__init__(listening.family, listening.type, listening.proto, listening.detach())
        self._on_refusal = on_refusal
        self._connected: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        connected, address = super().accept()
        if sum(each.fileno() >= 0 for each in self._connected) >= MOST_CONNECTIONS:
            connected.close()
            self._on_refusal()
            raise ConnectionAbortedError  # asyncio takes the next one
        self._connected.add(connected)
        return connected, address


class WebOutput:
    """Serves the page and JSON; waits for nobody. Raises SourceError where it can't listen at the address.

    At port 0 it listens at any that is free. Everybody who connects must give the ``token``, as ``?token=`` or as a
    bearer's. ``control`` lets the page record and reset.
    """

    def __init__(
        self,
        loop: OutputLoop,
        address: Address,
        decisions: DecisionFeeds,
        source: ServedSource,
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        control: bool = False,
    ) -> None:
        self._listening: socket.socket | None = listening_socket(address)
        self.port: int = self._listening.getsockname()[1]
        self._address = Address(address.host, self.port)
        self.name = f"page at {address.host}:{self.port}"
        self._loop, self._say = loop, loop.say
        self._decisions, self._source = decisions, source
        self._token, self._tls, self._control = token, tls, control
        self._begun_s = time.monotonic()
        self._page = {
            path: (Path(__file__).with_name("page") / name).read_bytes() for path, (name, _) in _PAGE.items()
        }
        self._viewers: list[_Viewer] = []
        self._picture: _Shared | None = None
        self._view = source.view(lambda: loop.call(self._share_picture))
        loop.start(self)

    async def run(self, ready: Callable[[], None]) -> None:
        """Answer requests, and tell pages once a second how it goes."""
        app = web.Application(middlewares=[self._guard], client_max_size=LONGEST_MESSAGE)
        app.on_response_prepare.append(_add_headers)
        for path in _PAGE:
            app.router.add_get(path, self._get_page)
        app.router.add_get("/live", self._attend_page, allow_head=False)
        app.router.add_get("/decisions", self._get_decisions, allow_head=False)
        app.router.add_get("/status", self._get_status)
        runner = web.AppRunner(
            app, access_log=None, logger=_log(self._say), keepalive_timeout=KEPT_ALIVE_S, shutdown_timeout=0.1
        )
        await runner.setup()
        assert runner.server is not None
        listening, self._listening = self._listening or listening_socket(self._address), None
        patience_s = None if self._tls is None else HANDSHAKE_S
        try:
            server = await asyncio.get_running_loop().create_server(
                runner.server, sock=Door(listening, self._refuse), ssl=self._tls, ssl_handshake_timeout=patience_s
            )
            try:
                ready()
                while True:
                    await asyncio.sleep(STATUS_S)
                    self._decisions.page.put(Message(json_line({"status": self._status()})))
            finally:
                server.close()
        finally:
            await runner.cleanup()

    def _refuse(self) -> None:
        self._say("full", f"{self.name}: more than {MOST_CONNECTIONS} connections: one was refused")

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in ("/page.js", "/style.css"):  # they are no secret
            return await handler(request)
        host = request.headers.get("Host", "")  # aiohttp's own would ask a name server, and wait, without one
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        token = given if scheme.lower() == "bearer" else request.query.get("token")
        if why := why_refused(host, request.headers.get("Origin"), request.scheme, token, self._token):
            self._say("refused", f"{self.name}: {request.remote} was refused: {why}")
            return web.Response(status=403, text=f"{why}\n")
        return await handler(request)

    # The page

    async def _get_page(self, request: web.Request) -> web.Response:
        _, kind = _PAGE[request.path]
        return web.Response(body=self._page[request.path], content_type=kind, charset="utf-8")

    async def _attend_page(self, request: web.Request) -> web.StreamResponse:
        page = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=LONGEST_MESSAGE, compress=False)
        if not page.can_prepare(request):
            return web.Response(status=400, text="this address is for the page's WebSocket\n")
        await page.prepare(request)
        keep_little(request.transport, None)
        with self._decisions.page.join(str(request.remote)) as receiver:
            viewer = _Viewer(receiver)
            self._viewers.append(viewer)
            self._view.watched = True
            telling = asyncio.create_task(self._tell(page, viewer, request))
            try:
                async for message in page:
                    if message.type is not WSMsgType.TEXT or not self._heed(message.data, viewer):
                        self._say("garbage", f"{receiver.name} sent what a page doesn't send: disconnected")
                        await page.close(code=WSCloseCode.POLICY_VIOLATION)
                if page.close_code == WSCloseCode.MESSAGE_TOO_BIG:
                    self._say("garbage", f"{receiver.name} sent too much at once: disconnected")
            finally:
                telling.cancel()
                self._viewers.remove(viewer)
                self._view.watched = bool(self._viewers)
        return page

    async def _tell(self, page: web.WebSocketResponse, viewer: _Viewer, request: web.Request) -> None:
        """Send a page what it shows: the newest row and picture, and every other line, `PICTURES_PER_S` at most."""
        receiver = viewer.receiver
        colours = {"colours_on_dark": CLASSES_ON_DARK, "colours_on_light": CLASSES_ON_LIGHT}
        greeting = self._decisions.greeting | colours | {"control": self._control}
        with self._letting_go(receiver, request):
            await self._send(page, json_line({"hello": greeting, "status": self._status()}))
            while not receiver.ended:
                await receiver.woken()
                messages = receiver.take_all()
                newest = next((each for each in reversed(messages) if each.row is not None), None)
                for message in messages:
                    if message.row is None or message is newest:
                        await self._send(page, message.octets)
                picture = self._picture
                takes_picture = len(viewer.on_their_way) < PICTURES_ON_THEIR_WAY
                if picture is not None and picture.number != viewer.sent and takes_picture:
                    octets = await picture.encoded()
                    viewer.sent = picture.number
                    viewer.on_their_way.add(picture.number)
                    async with asyncio.timeout(STUCK_S):
                        await page.send_bytes(octets)
                await asyncio.sleep(1 / PICTURES_PER_S)
            await page.close(code=WSCloseCode.GOING_AWAY, message=b"livesnn has ended")

    @contextmanager
    def _letting_go(self, receiver: Receiver, request: web.Request) -> Iterator[None]:
        """Disconnect who takes nothing; who has hung up is gone."""
        try:
            yield
        except TimeoutError:
            self._say("stuck", f"{receiver.name} took nothing for {STUCK_S:g} s: disconnected")
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass

    async def _send(self, page: web.WebSocketResponse, line: bytes) -> None:
        async with asyncio.timeout(STUCK_S):
            await page.send_str(line.decode().rstrip("\n"))

    def _heed(self, text: str, viewer: _Viewer) -> bool:
        """Do what a page asks for; return whether that can be understood and is allowed."""
        try:
            request = decode_json(text, PageRequest)
        except msgspec.MsgspecError:
            return False
        if request.shown in viewer.on_their_way:
            viewer.on_their_way.remove(request.shown)
            viewer.receiver.wake()
        if request.do is None:
            return True
        if not self._control:
            return False
        source = self._source
        try:
            {"reset": source.reset, "record": source.record, "stop": source.stop_recording}[request.do]()
        except LivesnnError as error:
            self._decisions.notice(str(error))
        return True

    def _share_picture(self) -> None:
        """Take the newest picture for all pages."""
        picture = self._view.take()
        if picture is not None and self._viewers:
            number = 1 if self._picture is None else self._picture.number + 1
            self._picture = _Shared(number, picture)
            for viewer in self._viewers:
                viewer.receiver.wake()

    # For programs

    async def _get_decisions(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        await response.prepare(request)
        keep_little(request.transport, KEPT_BYTES)
        with self._decisions.programs.join(str(request.remote)) as receiver, self._letting_go(receiver, request):
            message: Message | None = Message(json_line(self._decisions.greeting))
            while message is not None:
                async with asyncio.timeout(STUCK_S):
                    await response.write(b"data: " + message.octets + b"\n")
                message = await receiver.next()
            await response.write_eof()
        return response

    async def _get_status(self, request: web.Request) -> web.Response:
        return web.Response(body=json_line(self._status()), content_type="application/json")

    def _status(self) -> dict[str, object]:
        decisions = self._decisions
        return {
            "source": decisions.greeting["source"],
            "model": decisions.greeting["model"],
            "seconds": time.monotonic() - self._begun_s,
            "now": decisions.last,
            "decisions": {label or "": count for label, count in decisions.counts.copy().items()},
            "events": self._source.events,
            "dropped": decisions.dropped,
            "latency_ms": decisions.latency_ms(),
            "outputs": {feed.kind: feed.counts() for feed in self._loop.feeds},
            "recording": self._source.recording(),
        }


async def _add_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _log(say: Seldom) -> logging.Logger:
    """Return a logger for aiohttp that says a line about what isn't HTTP, or goes wrong."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            line = record.getMessage() + (f": {error}" if error else "")
            say("http", f"page: {line[:LONGEST_LINE]}")

    logger = logging.Logger("livesnn.page", logging.DEBUG)  # what isn't HTTP is logged at this level
    logger.addHandler(Teller())
    return logger
