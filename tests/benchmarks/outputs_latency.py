"""How late decisions reach receivers: python tests/benchmarks/outputs_latency.py.

20 decisions a second go to 50 receivers by TCP, SSE, WebSocket, MQTT and ROS 2, and to one by OSC, which has one
address. The receivers of ROS 2 are nodes in ten processes. TCP, SSE and ROS 2 are measured again with five more
receivers that take nothing. All processes read one monotonic clock.

ROS 2 is left out where rclpy is missing: pip install 'livesnn[ros2]'.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import numpy as np
import psutil
from pythonosc.osc_bundle import OscBundle

from livesnn.bench import machine
from livesnn.console import say, write, write_json
from livesnn.events.cameras.network import Address
from livesnn.events.filters import Orientation
from livesnn.infer.load import read_card
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row
from livesnn.outputs.loop import OutputLoop
from livesnn.outputs.mqtt import MqttOutput, parse_broker
from livesnn.outputs.osc import OscOutput
from livesnn.outputs.served_source import ServedSource
from livesnn.outputs.tcp import TcpOutput
from livesnn.outputs.web import WebOutput
from tests.counterparts import find
from tests.fake_source import FakeSource
from tests.served import free_port

RATE_HZ = 20.0
STALLED = 5
CAN_STALL = ("tcp", "sse", "ros2")
ROS2_PROCESSES = 10
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
    async with aiohttp.ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/live") as live:
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
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Osc(note), local_addr=("127.0.0.1", port))
    await asyncio.Event().wait()


def _ros2_nodes(
    count: int, found: multiprocessing.SimpleQueue[int], results: multiprocessing.SimpleQueue[Any], ended: Any
) -> None:
    """Subscribe with so many nodes of one process, each of which says once that it has been found."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from std_msgs.msg import String

    rclpy.init()
    executor = SingleThreadedExecutor()
    got: list[tuple[int, int]] = []
    known = set()

    def note(message: Any, number: int) -> None:
        got.append((json.loads(message.data).get("t", 0), now_us()))
        if number not in known:
            known.add(number)
            found.put(os.getpid())

    for number in range(count):
        node = rclpy.create_node(f"receiver_{os.getpid()}_{number}", start_parameter_services=False)
        node.create_subscription(String, "/bench/livesnn/lines", partial(note, number=number), 10)
        executor.add_node(node)
    while not ended.is_set():
        executor.spin_once(timeout_sec=0.1)
    results.put(got)


def receive_ros2(receivers: int, stalled: int) -> None:
    """Print a line once all are found and some are stalled; and at the end of stdin what `receive` prints."""
    fork = multiprocessing.get_context("fork")  # before there is a thread
    found, results, ended = fork.SimpleQueue(), fork.SimpleQueue(), fork.Event()
    counts = [receivers * (i + 1) // ROS2_PROCESSES - receivers * i // ROS2_PROCESSES for i in range(ROS2_PROCESSES)]
    processes = [
        fork.Process(target=_ros2_nodes, args=(count, found, results, ended))
        for count in [*filter(None, counts), *[1] * stalled]
    ]
    for process in processes:
        process.start()
    for _ in range(receivers + stalled):
        found.get()
    reading, never_reading = processes[: len(processes) - stalled], processes[len(processes) - stalled :]
    for process in never_reading:
        os.kill(process.pid or 0, signal.SIGSTOP)
    write("ready")
    sys.stdin.read()
    ended.set()
    got = [each for _ in reading for each in results.get()]
    for process in never_reading:
        process.kill()
    write_json(got)


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


def row(t: int, number: int, sure: float) -> Row:
    """Return what is decided at a time, in µs."""
    probabilities = dict.fromkeys(CARD.classes, 1 / len(CARD.classes))
    gesture = CARD.classes[number % 2]
    return Row(t, 0, gesture, sure, probabilities, probabilities, False, 0, 0.1, 2.0)


def measure(kind: str, seconds: float, receivers: int, stalled: int) -> dict[str, float]:
    """Return p50 and p99 of the latency in ms, the share of decisions that came, and the growth of this process."""
    port, folder = free_port(), Path(tempfile.mkdtemp())
    broker, process = None, psutil.Process()
    if kind == "mqtt":
        program = find("mosquitto")
        assert program is not None, "needs mosquitto: make counterparts"
        broker = subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
            if kind == "ros2":
                from livesnn.outputs.ros2 import Ros2Output

                Ros2Output(loop, decisions, source, "/bench")
            else:
                WebOutput(loop, Address("127.0.0.1", port), decisions, source)
        count = 1 if kind == "osc" else receivers
        arguments = [kind, str(port), str(count), str(seconds + 4), str(stalled)]
        child = subprocess.Popen(
            [sys.executable, __file__, "--receive", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        if kind == "ros2":  # ROS needs seconds to find receivers, and sends nothing to others
            while not select.select([child.stdout], [], [], 1 / RATE_HZ)[0]:
                decisions.tell(row(0, 0, 0.9))
            assert child.stdout.readline() == b"ready\n"
        else:
            time.sleep(3.0)
        for _ in range(0 if kind == "ros2" else stalled):
            never_read = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            never_read.sendall(REQUEST if kind == "sse" else b"")
        began, told, before_bytes = time.perf_counter(), [], process.memory_info().rss
        for number in range(round(seconds * RATE_HZ)):
            time.sleep(max(began + number / RATE_HZ - time.perf_counter(), 0.0))
            told.append(now_us())
            decisions.tell(row(told[-1], number, number + 1.0 if kind == "osc" else 0.9))
        time.sleep(1.0)
        grown_mb = (process.memory_info().rss - before_bytes) / 1e6
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
        "grown_mb": round(grown_mb, 1),
    }


def main() -> None:
    """Print a row for each output, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--receivers", type=int, default=50)
    kinds = [*RECEIVERS, *(["ros2"] if importlib.util.find_spec("rclpy") else [])]
    parser.add_argument("--outputs", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--receive", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        kind, port, receivers, seconds, stalled = arguments.receive
        if kind == "ros2":
            receive_ros2(int(receivers), int(stalled))
        else:
            receive(kind, int(port), int(receivers), float(seconds))
        return
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100))
    rows = {}
    for kind in arguments.outputs:
        for stalled in (0, STALLED) if kind in CAN_STALL else (0,):
            name = f"{kind}, {stalled} stalled" if stalled else kind
            rows[name] = measure(kind, arguments.seconds, arguments.receivers, stalled)
            say(f"{name}: {rows[name]}")
    write_json({"machine": machine(), "rate_hz": RATE_HZ, "receivers": arguments.receivers, "latency": rows})


if __name__ == "__main__":
    main()
