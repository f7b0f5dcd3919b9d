"""ROS 2: what another process receives by subscribing, and what is published when nothing comes or livesnn ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from livesnn.errors import SourceError
from livesnn.events.cameras.network import Address
from livesnn.events.filters import Orientation
from livesnn.events.packet import Packet
from livesnn.infer.decide import Decider
from livesnn.infer.load import read_card
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row
from livesnn.outputs.loop import OutputLoop
from livesnn.outputs.tcp import TcpOutput
from tests.fake_source import SMALL, FakeSource
from tests.served import free_port
from tests.synthetic import moving_bar
from tests.waiting import eventually

pytest.importorskip("rclpy", reason="needs ROS 2: make test-ros")

from livesnn.outputs.ros2 import Ros2Output
from livesnn.outputs.served_source import ServedSource

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:module 'sre_.*' is deprecated:DeprecationWarning"),  # lark's
]
WAIT_S = 60.0  # DDS takes seconds to find others on a busy machine
OK, ERROR, STALE = 0, 2, 3  # of DiagnosticStatus
ROOT = Path(__file__).resolve().parents[2]


def row(**changes: Any) -> Row:
    return replace(Row(1, 0, "other", 0.75, {"other": 1.0}, {"other": 0.75}, False, 0, 0.1, 2.0), **changes)


def served(folder: Path, notify: Callable[[str], None]) -> ServedSource:
    return ServedSource(FakeSource(resolution=SMALL), Orientation(), folder, notify)


class Subscriber:
    """A process that subscribes, and what it has received."""

    def __init__(self, namespace: str) -> None:
        command = [sys.executable, "-m", "tests.ros_subscriber", namespace]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self._received: list[tuple[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()
        eventually(lambda: self.received("ready"), WAIT_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            topic, value = json.loads(line)
            self._received.append((topic, value))

    def received(self, topic: str) -> list[Any]:
        """Return what has come by a topic until now."""
        return [value for name, value in list(self._received) if name == topic]

    def ask(self, what: str, value: object = None) -> Any:
        """Ask livesnn's node for something, as tests/ros_subscriber.py says; return what it answers."""
        before = len(self.received(what))
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, value]) + "\n")
        self._process.stdin.flush()
        return eventually(lambda: self.received(what)[before:], WAIT_S, 0.05)[0]

    def stall(self) -> None:
        """Let it take nothing any more."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """Yield a namespace of this run of tests, and keep what they say on this computer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_DOMAIN_ID", str(os.getpid() % 100))
        yield f"/run{os.getpid()}"


@pytest.fixture(scope="module")
def subscriber(namespace: str) -> Iterator[Subscriber]:
    started = Subscriber(namespace)
    yield started
    started.kill()


def test_another_process_receives_decisions_pictures_and_diagnostics(
    namespace: str, subscriber: Subscriber, tmp_path: Path
) -> None:
    said: list[str] = []
    with OutputLoop(said.append) as loop:
        decisions = DecisionFeeds(loop, "camera", read_card("gestures"), quiet_s=0.5)
        source = served(tmp_path, said.append)
        Ros2Output(loop, decisions, source, namespace)

        # Nothing is sent to whom ROS hasn't found yet.
        def tell_of(decision: str | None) -> list[Any]:
            decisions.tell(row(decision=decision))
            return subscriber.received("decision")

        eventually(lambda: "other" in tell_of("other"), WAIT_S, 0.05)
        eventually(lambda: tell_of("größe\n")[-1] == "größe\n", WAIT_S, 0.05)
        assert 0.75 in subscriber.received("confidence")
        lines = map(json.loads, subscriber.received("lines"))
        assert {"other", "größe\n"} <= {line.get("decision") for line in lines}

        def picture() -> list[Any]:
            decisions.tell(row())
            source.see_packet(Packet(moving_bar(20_000), time.perf_counter()))
            return subscriber.received("picture")

        width, height, encoding, step, checksum = eventually(picture, WAIT_S, 0.05)[-1]
        assert (width, height, encoding, step) == (SMALL.width, SMALL.height, "rgb8", 3 * SMALL.width)
        assert checksum != zlib.crc32(bytes(3 * SMALL.width * SMALL.height))
        eventually(lambda: subscriber.received("decision")[-1] == "", WAIT_S)  # half a second without a row
        name, _, values = eventually(
            lambda: [each for each in subscriber.received("diagnostics") if each[1] == STALE], WAIT_S
        )[-1]
        assert name == f"{namespace}/livesnn"
        assert values["model"] == "gestures"
    ended = eventually(lambda: [each for each in subscriber.received("diagnostics") if each[1] == ERROR], WAIT_S)
    assert ended[-1][0] == name
    assert not said


class Node(NamedTuple):
    """An output that another process can ask, what it tells and shows, and what is said."""

    output: Ros2Output
    decisions: DecisionFeeds
    source: ServedSource
    said: list[str]


@pytest.fixture
def node(namespace: str, subscriber: Subscriber, tmp_path: Path) -> Iterator[Node]:
    said: list[str] = []
    source = served(tmp_path, said.append)
    with OutputLoop(said.append) as loop:
        decisions = DecisionFeeds(loop, "camera", read_card("gestures"))
        output = Ros2Output(loop, decisions, source, namespace, Decider(threshold=0.8))
        yield Node(output, decisions, source, said)
    source.close()


def test_parameters_change_when_there_is_a_decision(node: Node, subscriber: Subscriber) -> None:
    output = node.output
    names = ["source", "model", "threshold", "keep", "allow"]
    assert subscriber.ask("get", names) == ["camera", "gestures", 0.8, None, None]
    changes = {
        "threshold": 0.9,
        "keep": 0.5,
        "class_threshold": ["other 0.95"],
        "allow": ["other", "arm_roll"],
    }
    assert subscriber.ask("set", changes) == [True, ""]
    assert output.decider == Decider(0.9, 0.5, thresholds={"other": 0.95}, allow=("other", "arm_roll"))
    assert subscriber.ask("set", {"allow": []}) == [True, ""]
    assert output.decider.allow == ()
    assert subscriber.ask("get", names) == ["camera", "gestures", 0.9, 0.5, []]


def test_parameters_that_cannot_be_are_refused_in_words(node: Node, subscriber: Subscriber) -> None:
    output = node.output
    for changes, reason in (
        ({"model": "nmnist"}, "model can't change while livesnn runs: start the node again"),
        ({"threshold": 7.0}, "give a probability from 0 to 1"),
        ({"threshold": "high"}, "give numbers"),
        ({"deny": ["no such class"]}, "has no class 'no such class': give one of"),
        ({"class_threshold": ["other"]}, "give numbers"),
        ({"allow": "other"}, "lists of names in allow and deny"),
    ):
        done, said = subscriber.ask("set", changes)
        assert not done
        assert reason in said
    assert output.decider == Decider(threshold=0.8)


def test_services_reset_the_state_and_record(node: Node, subscriber: Subscriber, tmp_path: Path) -> None:
    source = node.source
    assert not source.take_reset()
    assert subscriber.ask("reset")[0]
    assert source.take_reset()
    assert subscriber.ask("record", True) == [True, ""]
    source.see_packet(Packet(moving_bar(20_000), time.perf_counter()))
    done, why = subscriber.ask("record", True)
    assert not done
    assert "is being recorded: stop it first" in why
    assert subscriber.ask("record", False) == [True, ""]
    eventually(lambda: node.said, WAIT_S)  # told by the diagnostics of the next second
    (recording,) = tmp_path.glob("livesnn-*.aedat4")
    assert str(recording) in node.said[0]


def test_probabilities_are_a_classification_where_vision_msgs_is_installed(
    node: Node, subscriber: Subscriber
) -> None:
    pytest.importorskip("vision_msgs", reason="needs its ROS package: make test-ros")

    likely = {"other": 0.75, "größe": 0.25}

    def is_classified() -> bool:
        node.decisions.tell(row(probabilities=likely))
        return likely in subscriber.received("classification")

    eventually(is_classified, WAIT_S, 0.05)
    eventually(lambda: subscriber.received("classification")[-1] == {}, WAIT_S)  # a second without a row


def test_a_lost_camera_is_an_error_in_the_diagnostics_and_the_node_goes_on(
    namespace: str, subscriber: Subscriber, tmp_path: Path
) -> None:
    camera = FakeSource(resolution=SMALL)
    with OutputLoop(print) as loop, ServedSource(camera, Orientation(), tmp_path, print) as source:
        decisions = DecisionFeeds(loop, "camera", read_card("gestures"))
        Ros2Output(loop, decisions, source, namespace)
        camera.lost = "camera: it is unplugged. livesnn waits and goes on when it is back"

        def level(said: str) -> list[int]:
            decisions.tell(row())
            return [each[1] for each in subscriber.received("diagnostics") if said in each[2][""]]

        assert set(eventually(lambda: level("it is unplugged"), WAIT_S, 0.05)) == {ERROR}
        camera.lost = ""
        seen = len(level("decides"))
        assert eventually(lambda: level("decides")[seen:], WAIT_S, 0.05)[0] == OK


def test_a_subscriber_that_stalls_or_is_killed_delays_nobody_else(namespace: str, tmp_path: Path) -> None:
    said: list[str] = []
    with OutputLoop(said.append) as loop:
        decisions = DecisionFeeds(loop, "camera", read_card("gestures"), quiet_s=3600)
        Ros2Output(loop, decisions, served(tmp_path, said.append), namespace)
        output = TcpOutput(loop, Address("127.0.0.1", 0), decisions.programs, b"hello\n")
        stalls = Subscriber(namespace)
        eventually(lambda: [decisions.tell(row()), stalls.received("decision")][1], WAIT_S, 0.05)
        with socket.create_connection(output.address, timeout=WAIT_S) as program:
            lines = program.makefile()
            assert lines.readline() == "hello\n"

            def told(t: int) -> bool:
                decisions.tell(row(t=t))
                return bool(json.loads(lines.readline())["t"] == t)

            stalls.stall()
            assert all(told(t) for t in range(1000))
            stalls.kill()
            assert all(told(t) for t in range(1000))
        assert not said


def test_a_namespace_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    with OutputLoop(print) as loop:
        decisions = DecisionFeeds(loop, "camera", read_card("gestures"))
        with pytest.raises(SourceError, match="--ros2-namespace"):
            Ros2Output(loop, decisions, served(tmp_path, print), "/no space")


@pytest.mark.slow
def test_when_the_discovery_server_is_killed_decisions_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast DDS keeps to a server for as long as the process lives, so this one needs none."""
    bins = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    if (program := shutil.which("fast-discovery-server", path=bins)) is None:
        pytest.skip("needs Fast DDS's discovery server, which the wheels have")
    port = str(free_port())
    monkeypatch.setenv("ROS_DISCOVERY_SERVER", f"127.0.0.1:{port}")
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    find = [program, "42", "-i", "0", "-l", "127.0.0.1", "-p", port]  # 42: it isn't a daemon
    serve = [sys.executable, "-m", "livesnn", "serve", "simulate:gestures", "--engine", "onnx"]
    serve += ["--ros2", "--ros2-namespace", "/found"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(find, **silent) as server, subprocess.Popen(serve, **silent) as process:
        finds = Subscriber("/found")
        try:
            eventually(lambda: len(finds.received("decision")) > 10, WAIT_S)
            server.kill()
            server.wait()
            before = len(finds.received("decision"))
            eventually(lambda: len(finds.received("decision")) > before + 1, 2.0)
        finally:
            for each in (server, process, finds):
                each.kill()


@pytest.mark.slow
def test_the_ros_package_serves_the_source_that_is_its_parameter(
    namespace: str, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'packaging' / 'ros2'}:{os.environ.get('PYTHONPATH', '')}")
    given = ("-p", "source:=simulate:gestures", "-p", "threshold:=0.6", "-r", f"__ns:={namespace}")
    command = [sys.executable, "-c", "import livesnn_node; livesnn_node.main()", "--ros-args", *given]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        assert subscriber.ask("get", ["source", "model", "threshold"]) == [
            "simulate:gestures",
            "gestures",
            0.6,
        ]
        seen, decided = len(subscriber.received("picture")), len(subscriber.received("decision"))
        eventually(lambda: len(set(map(tuple, subscriber.received("picture")[seen:]))) > 10, WAIT_S)
        eventually(lambda: any(subscriber.received("decision")[decided:]), WAIT_S)
        assert subscriber.ask("set", {"threshold": 1.0, "allow": ["other"]}) == [True, ""]
        decided = len(subscriber.received("decision"))
        eventually(lambda: len(subscriber.received("decision")) > decided + 20, WAIT_S)
        assert set(subscriber.received("decision")[-10:]) <= {"", "other"}
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_robot_is_told_to_drive_and_to_stop_when_livesnn_is_gone(
    namespace: str, subscriber: Subscriber, tmp_path: Path
) -> None:
    script = ROOT / "packaging" / "robot" / "drive_ros2.py"
    given = ("--ros-args", "-r", f"__ns:={namespace}", "-p", "speed:=0.5")
    with subprocess.Popen([sys.executable, script, *given], stderr=subprocess.DEVNULL) as robot:
        try:
            eventually(lambda: subscriber.received("cmd_vel"), WAIT_S)
            assert set(subscriber.received("cmd_vel")) == {0.0}
            with OutputLoop(print) as loop:
                decisions = DecisionFeeds(loop, "camera", read_card("gestures"))
                Ros2Output(loop, decisions, served(tmp_path, print), namespace)

                def speed_after(decision: str) -> float:
                    decisions.tell(row(decision=decision))
                    return float(subscriber.received("cmd_vel")[-1])

                eventually(lambda: speed_after("left_arm_clockwise") == 0.5, WAIT_S, 0.05)
                eventually(lambda: speed_after("left_hand_wave") == 0.0, WAIT_S, 0.05)
                eventually(lambda: speed_after("left_arm_clockwise") == 0.5, WAIT_S, 0.05)
            eventually(lambda: subscriber.received("cmd_vel")[-1] == 0.0, WAIT_S)
        finally:
            robot.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("-p", "threshold:=7"), "the decision threshold is 7.0: give a probability from 0 to 1"),
        (("-p", "source:=no.aedat4"), "no.aedat4"),
        (("-p", "threshold=0.5"), "--ros-args can't be read"),
    ],
)
def test_what_ros_cannot_give_is_an_error_of_one_line(given: tuple[str, ...], message: str) -> None:
    command = [sys.executable, "-m", "livesnn", "serve", "simulate:gestures", "--ros2", "--ros-args", *given]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 1
    *before, line = ended.stderr.splitlines()
    assert message in line
    assert all("[rcl]" in each for each in before)  # ROS says so, too
