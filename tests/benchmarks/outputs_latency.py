"""How late decisions reach receivers: python tests/benchmarks/outputs_latency.py.

20 decisions a second go to 50 receivers by TCP, SSE, WebSocket and MQTT, and to one by OSC, which has one address.
TCP and SSE are measured again with five more receivers that take nothing. Both processes read the same monotonic clock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import numpy as np
from pythonosc.osc_bundle import OscBundle

from livesnn.bench import machine
from livesnn.console import say, write_json
from livesnn.events.cameras.network import Address
from livesnn.events.filters import Orientation
from livesnn.infer.model import read_card
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row
from livesnn.outputs.loop import OutputLoop
from livesnn.outputs.mqtt import MqttOutput, parse_broker
from livesnn.outputs.osc import OscOutput
from livesnn.outputs.served_source import ServedSource
from livesnn.outputs.tcp import TcpOutput
from livesnn.outputs.web import WebOutput
from tests.fake_source import FakeSource
from tests.served import free_port

RATE_HZ = 20.0
STALLED = 5
CARD = read_card("gestures")
REQUEST = b"GET /decisions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

Note = Callable[[int], None]


def now_us() -> int:
    return time.perf_counter_ns() // 1000


async def _lines(port: int, note: Note, request: bytes = b"") -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    while line := await reader.readline():
        if b'"t":' in line:
            note(json.loads(line.removeprefix(b"data: "))["t"])


async def _web_socket(port: int, note: Note) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/live") as live,
    ):
        async for message in live:
            if message.type is aiohttp.WSMsgType.TEXT and "t" in (line := json.loads(message.data)):
                note(line["t"])


async def _mqtt(port: int, note: Note) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe("livesnn/lines")
        async for message in client.messages:
            if "t" in (line := json.loads(bytes(message.payload))):
                note(line["t"])


class _Osc(asyncio.DatagramProtocol):
    """Notes the number of each decision, which stands for its confidence; a bundle without a decision has 0."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def datagram_received(self, data: bytes, addr: object) -> None:
        for message in OscBundle(data):
            if message.address == "/livesnn/decision" and message.params[1]:
                self._note(round(message.params[1]))


async def _osc(port: int, note: Note) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Osc(note), local_addr=("127.0.0.1", port)
    )
    await asyncio.Event().wait()


RECEIVERS: dict[str, Callable[[int, Note], Coroutine[Any, Any, None]]] = {
    "tcp": _lines,
    "sse": lambda port, note: _lines(port, note, REQUEST),
    "websocket": _web_socket,
    "mqtt": _mqtt,
    "osc": _osc,
}


def receive(kind: str, port: int, receivers: int, seconds: float) -> None:
    """Print when each receiver got each decision, and the decision's own time: [[t, now], …], µs."""
    got: list[tuple[int, int]] = []

    async def run() -> None:
        each = [RECEIVERS[kind](port, lambda t: got.append((t, now_us()))) for _ in range(receivers)]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*each), seconds)

    asyncio.run(run())
    write_json(got)


def measure(kind: str, seconds: float, receivers: int, stalled: int) -> dict[str, float]:
    """Return p50 and p99 of the latency in ms, the share of decisions that came, and the growth of this process."""
    port, folder = free_port(), Path(tempfile.mkdtemp())
    broker = None
    if kind == "mqtt":
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
        assert program is not None, "needs mosquitto: make counterparts"
        broker = subprocess.Popen(
            [program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(1.0)
    with contextlib.ExitStack() as opened, OutputLoop(say) as loop:
        decisions = DecisionFeeds(loop, "made", CARD)
        if kind == "tcp":
            TcpOutput(loop, Address("127.0.0.1", port), decisions.programs, b"{}\n")
        elif kind == "mqtt":
            MqttOutput(loop, parse_broker(f"mqtt://127.0.0.1:{port}"), decisions)
        elif kind == "osc":
            OscOutput(loop, Address("127.0.0.1", port), decisions)
        else:
            source = ServedSource(FakeSource(), Orientation(), folder, say)
            opened.callback(source.close)
            WebOutput(loop, Address("127.0.0.1", port), decisions, source)
        count = 1 if kind == "osc" else receivers
        arguments = [kind, str(port), str(count), str(seconds + 4)]
        child = subprocess.Popen([sys.executable, __file__, "--receive", *arguments], stdout=subprocess.PIPE)
        time.sleep(3.0)
        for _ in range(stalled if kind in ("tcp", "sse") else 0):
            never_read = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            never_read.sendall(REQUEST if kind == "sse" else b"")
        began, told, before_kb = time.perf_counter(), [], _resident_kb()
        for number in range(round(seconds * RATE_HZ)):
            time.sleep(max(began + number / RATE_HZ - time.perf_counter(), 0.0))
            told.append(now_us())
            probabilities = dict.fromkeys(CARD.classes, 1 / len(CARD.classes))
            sure = number + 1.0 if kind == "osc" else 0.9
            gesture = CARD.classes[number % 2]
            decisions.tell(Row(told[-1], 0, gesture, sure, probabilities, probabilities, False, 0, 0.1, 2.0))
        grown_kb = _resident_kb() - before_kb
        got = json.loads(child.communicate()[0])
    if broker is not None:
        broker.kill()
        broker.wait()
    if kind == "osc":
        got = [(told[number - 1], at) for number, at in got]
    late_ms = np.array([at - t for t, at in got if t >= told[0]]) / 1e3
    p50, p99 = np.percentile(late_ms, (50, 99)).tolist()
    share = late_ms.size / (len(told) * count)
    return {
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
        "arrived": round(share, 4),
        "grown_mb": round(grown_kb / 1e3, 1),
    }


def _resident_kb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Print a row for each output, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--receivers", type=int, default=50)
    parser.add_argument("--outputs", nargs="+", choices=sorted(RECEIVERS), default=list(RECEIVERS))
    parser.add_argument("--receive", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        kind, port, receivers, seconds = arguments.receive
        receive(kind, int(port), int(receivers), float(seconds))
        return
    rows = {}
    for kind in arguments.outputs:
        for stalled in (0, STALLED) if kind in ("tcp", "sse") else (0,):
            name = f"{kind}, {stalled} stalled" if stalled else kind
            rows[name] = measure(kind, arguments.seconds, arguments.receivers, stalled)
            say(f"{name}: {rows[name]}")
    write_json({"machine": machine(), "rate_hz": RATE_HZ, "receivers": arguments.receivers, "latency": rows})


if __name__ == "__main__":
    main()
