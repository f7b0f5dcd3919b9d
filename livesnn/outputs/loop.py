"""The one asyncio loop that outputs run in, in a thread of its own, and the bounded queues that it is fed by."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from livesnn.errors import LivesnnError, SourceError, reason_of
from livesnn.events.cameras.network import Address, keep_alive
from livesnn.events.packet import Closing
from livesnn.outputs.lines import Row
from livesnn.progress import Notify
from livesnn.threads import BoundedQueue, Worker

FLUSH_S = 0.5  # What waits for receivers when the loop is closed has so long to be sent.
STUCK_S = 10.0  # After so long a receiver that takes nothing is let go, because it takes up a place.
RETRY_S = 2.0  # Between two attempts of an output that has failed.
SELDOM_S = 10.0  # Least time between two lines about the same kind of trouble.
LAST_PORT = 65_535


class Message(NamedTuple):
    """What a receiver is told: octets, whole lines of JSON or a packet of events; and the row, of a decision."""

    octets: bytes
    row: Row | None = None


class Receiver(BoundedQueue[Message]):
    """One that is told: a connection, or a whole output. Anybody puts; the loop's coroutines wait and take.

    At most ``most_bytes`` of messages wait for it, though one is always let in. Then the oldest are dropped, and
    ``missed`` returns what it gets in place of that many. ``name``, such as "tcp 127.0.0.1:50312", is for the log.
    What is put from another thread is known once `wake` is called.
    """

    def __init__(self, name: str, *, most_bytes: int, missed: Callable[[int], bytes] | None = None) -> None:
        super().__init__(policy="drop_oldest", max_bytes=most_bytes, size=lambda message: len(message.octets))
        self.name = name
        self._missed = missed
        self._reported = 0  # dropped messages that it knows of
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Let `next` and `woken` look again; in the loop."""
        self._wake.set()

    async def next(self) -> Message | None:
        """Wait for the next message, or for what tells that some are missing before it; None: there will be none."""
        while not self.wait(0.0):
            await self.woken()
        if self._missed is not None and (missed := self.dropped - self._reported):
            self._reported += missed
            return Message(self._missed(missed))
        return self.take()

    async def woken(self) -> None:
        """Wait until something may be there, for `take_all`, or `wake` is called."""
        if not self.wait(0.0):
            await self._wake.wait()
        self._wake.clear()

    def take_all(self) -> list[Message]:
        """Return what waits."""
        taken = []
        while self.wait(0.0) and (message := self.take()) is not None:
            taken.append(message)
        return taken


class Feed:
    """Tells the same to everyone who has joined; ``kind`` ("tcp") is for counters and the log.

    ``most_bytes`` and ``missed`` are each `Receiver`'s. Without ``drops``, one that would miss something is let go.
    """

    def __init__(
        self,
        loop: OutputLoop,
        kind: str,
        *,
        most_bytes: int,
        missed: Callable[[int], bytes] | None = None,
        drops: bool = True,
    ) -> None:
        self.kind = kind
        self._loop = loop
        self._most_bytes, self._missed, self._drops = most_bytes, missed, drops
        self._lock = threading.Lock()  # guards what follows
        self._receivers: list[Receiver] = []
        self._before: Counter[str] = Counter()  # of those who have left
        self._ended = False
        loop.feeds.append(self)

    @property
    def receivers(self) -> int:
        return len(self._receivers)

    def counts(self) -> dict[str, int]:
        """Return how many receivers there are, and the messages they took and missed, with those who have left."""
        with self._lock:
            return {
                "receivers": len(self._receivers),
                "sent": self._before["sent"] + sum(each.taken for each in self._receivers),
                "missed": self._before["missed"] + sum(each.dropped for each in self._receivers),
            }

    def put(self, message: Message) -> None:
        """Leave a message for everyone who has joined, from any thread; never waits.

        Raises SourceError when the loop has failed, and nothing is sent any more.
        """
        with self._lock:
            receivers = list(self._receivers)
        for receiver in receivers:
            if self._drops or receiver.has_room(message):
                receiver.put(message)
            else:
                receiver.end()
        self._loop.call(self._wake)

    @contextlib.contextmanager
    def join(self, name: str = "") -> Iterator[Receiver]:
        """Yield a new receiver, which gets what is put until the end; in the loop."""
        receiver = Receiver(f"{self.kind} {name}".strip(), most_bytes=self._most_bytes, missed=self._missed)
        with self._lock:
            self._receivers.append(receiver)
            if self._ended:
                receiver.end()
        try:
            yield receiver
        finally:
            with self._lock:
                self._receivers.remove(receiver)
                self._before.update(sent=receiver.taken, missed=receiver.dropped)

    def let_go(self) -> None:
        """Let everyone leave once they have taken what waits; from any thread."""
        with self._lock:
            receivers = list(self._receivers)
        for receiver in receivers:
            receiver.end()
        self._loop.call(self._wake)

    def _wake(self) -> None:
        for receiver in self._receivers:  # which nothing but the loop's thread changes
            receiver.wake()

    def end(self) -> None:
        """Let everyone leave, those who come later at once."""
        with self._lock:
            self._ended = True
        self.let_go()


class Output(Protocol):
    """A way out, one small module each: it takes from a `Receiver`, or lets receivers connect.

    ``name`` is for the log.
    """

    name: str

    async def run(self, ready: Callable[[], None]) -> None:
        """Send until the feed ends, or it is cancelled; call ``ready`` each time that it works.

        What it raises is said, and it is run again. A LivesnnError before the first ``ready`` is final.
        """


class OutputLoop(Closing):
    """Runs outputs in one thread, for as long as it is open. What fails is said, tried again, and holds nobody up.

    ``notify`` gets one line for a person, from any thread.
    """

    def __init__(self, notify: Notify, *, retry_s: float = RETRY_S) -> None:
        self.feeds: list[Feed] = []
        self.say = Seldom(notify)
        self._retry_s = retry_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker = Worker("outputs", self._run, on_error=lambda error: self._running.set()).start()
        self._running.wait()

    def start(self, output: Output) -> None:
        """Run an output; return once it works. Raises LivesnnError where it never will."""
        started: Future[None] = Future()

        def begin() -> None:
            task = asyncio.ensure_future(self._keep(output, started))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self.call(begin)
        started.result()

    def call(self, do: Callable[[], object]) -> None:
        """Call a function soon, in the loop; from any thread. Raises SourceError when the loop has failed."""
        if (error := self._worker.error) is not None:
            raise SourceError(f"nothing is sent any more ({error}): start livesnn again") from error
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(do)

    def close(self) -> None:
        """Send what waits, for half a second at most, and end every output. Safe to call twice."""
        with contextlib.suppress(SourceError):
            self.call(self._closing.set)
        self._worker.close(FLUSH_S + 2.0)

    def _run(self, stop: threading.Event) -> None:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what fails comes to _say_failure
        # On Windows too, where asyncio's default can't wait for other libraries' sockets, such as MQTT's.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._say_failure)
        self._running.set()
        await self._closing.wait()
        for feed in self.feeds:
            feed.end()
        ends_s = time.monotonic() + FLUSH_S
        while any(feed.receivers for feed in self.feeds) and time.monotonic() < ends_s:
            await asyncio.sleep(0.005)

    def _say_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        raised = context.get("exception")
        reason = f"{type(raised).__name__}: {raised}" if raised else context.get("message")
        self.say("output", f"an output failed: {reason}")

    async def _keep(self, output: Output, started: Future[None]) -> None:
        """Run an output again and again; say once that it has failed, and once that it works again."""
        failing = False

        def ready() -> None:
            nonlocal failing
            if failing:
                self.say.at_once(f"{output.name}: it works again")
            failing = False
            if not started.done():
                started.set_result(None)

        while True:
            try:
                await output.run(ready)
                return
            except LivesnnError as raised:
                if not started.done():
                    started.set_exception(raised)
                    return
                error = str(raised)
            except OSError as raised:
                error = reason_of(raised)
            except Exception as raised:
                error = f"{type(raised).__name__}: {raised}"
            if not failing:
                self.say.at_once(f"{output.name}: {error}: livesnn tries again every {self._retry_s:g} s")
            failing = True
            if not started.done():
                started.set_result(None)
            await asyncio.sleep(self._retry_s)


class Seldom:
    """Says lines about trouble, at most one of each kind in `SELDOM_S`; from any thread."""

    def __init__(self, notify: Notify, clock: Callable[[], float] = time.monotonic) -> None:
        self.at_once = notify
        self._clock = clock
        self._lock = threading.Lock()
        self._said_s: dict[str, float] = {}

    def __call__(self, kind: str, line: str) -> None:
        now_s = self._clock()
        with self._lock:
            if now_s - self._said_s.get(kind, -SELDOM_S) < SELDOM_S:
                return
            self._said_s[kind] = now_s
        self.at_once(line)


def listening_socket(address: Address) -> socket.socket:
    """Return a socket that listens; port 0: any that is free. Raises SourceError where that can't be."""
    if not address.host or not 0 <= address.port <= LAST_PORT:
        raise SourceError(f"{address}: can't listen there: give a host, and a port from 1 to {LAST_PORT}")
    try:
        family, _, _, _, where = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        return socket.create_server(where, family=family)
    except (OSError, ValueError) as error:  # ValueError: a host name that can't be one
        reason, _, _ = reason_of(error).partition(" (while")
        raise SourceError(
            f"{address}: can't listen there ({reason}): give another port, and a host of this machine"
        ) from error


def keep_little(transport: asyncio.BaseTransport | None, buffer_bytes: int | None) -> None:
    """Let a connection send at once, and the system hold at most so much for it (None: as it likes).

    What else waits does so in the receiver's queue, where the oldest is dropped.
    """
    connected: socket.socket | None = None if transport is None else transport.get_extra_info("socket")
    if connected is None:  # it is gone
        return
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if buffer_bytes is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    keep_alive(connected)
