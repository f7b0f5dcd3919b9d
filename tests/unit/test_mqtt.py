"""MQTT by a real broker: what subscribers get, and what they see when the broker or livesnn is gone."""

from __future__ import annotations

import gc
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from livesnn.errors import SourceError
from livesnn.events.cameras.network import Address
from livesnn.infer.load import read_card
from livesnn.outputs.decisions import DecisionFeeds
from livesnn.outputs.lines import Row
from livesnn.outputs.loop import OutputLoop
from livesnn.outputs.tcp import TcpOutput
from tests.counterparts import find
from tests.served import free_port
from tests.waiting import PATIENCE_S, eventually

pytest.importorskip("aiomqtt", reason="needs aiomqtt: pip install 'livesnn[mqtt]'")

import aiomqtt

from livesnn.outputs import mqtt
from livesnn.outputs.mqtt import ANSWER_S, KEPT_ALIVE_S, Broker, MqttOutput, parse_broker

MOSQUITTO, SUBSCRIBER = find("mosquitto"), find("mosquitto_sub")

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not (MOSQUITTO and SUBSCRIBER), reason="needs mosquitto: make counterparts"),
]
RETRY_S = 0.2


def row(**changes: Any) -> Row:
    return replace(Row(1, 0, "other", 0.9, {"other": 1.0}, {"other": 0.9}, False, 0, 0.1, 2.0), **changes)


class Mosquitto:
    """A broker in a process of its own, and everything that its subscribers have heard."""

    def __init__(self, port: int, *arguments: str | Path) -> None:
        self.port = port
        assert MOSQUITTO is not None
        self._command = [MOSQUITTO, *map(str, arguments or ("-p", port))]
        self._processes: list[subprocess.Popen[str]] = []
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        )
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def subscribe(self, *options: str | Path) -> list[tuple[str, int, bool, str]]:
        """Return a list that fills with topic, QoS, whether it was retained, and payload."""
        assert SUBSCRIBER is not None
        command = [SUBSCRIBER, "-p", str(self.port), "-q", "1", "-t", "livesnn/#", "-F", "%t %q %r %p"]
        command += map(str, options)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._processes.append(process)
        heard: list[tuple[str, int, bool, str]] = []

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                topic, qos, retained, payload = line.rstrip("\n").split(" ", 3)
                heard.append((topic, int(qos), retained == "1", payload))

        threading.Thread(target=read, daemon=True).start()
        return heard

    def close(self) -> None:
        """End it and the subscribers."""
        for process in (*self._processes, self.process):
            process.kill()
            process.communicate()


@pytest.fixture(autouse=True)
def _a_broker_has_time_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "ANSWER_S", PATIENCE_S)


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with closing(Mosquitto(free_port())) as mosquitto:
        yield mosquitto


class Telling:
    """Decisions that go to a broker, and what was said about it."""

    def __init__(self, port: int, **options: Any) -> None:
        self.said: list[str] = []
        self.loop = OutputLoop(self.said.append, retry_s=RETRY_S)
        self.decisions = DecisionFeeds(self.loop, "camera", read_card("gestures"), **options)
        MqttOutput(self.loop, Broker("127.0.0.1", port), self.decisions)


@pytest.fixture
def tell_by() -> Iterator[Callable[..., Telling]]:
    """Yield what lets decisions go to the broker at a port."""
    with ExitStack() as stack:

        def tell(port: int, **options: Any) -> Telling:
            telling = Telling(port, **options)
            stack.callback(telling.loop.close)
            return telling

        yield tell


def payloads(heard: list[tuple[str, int, bool, str]], topic: str) -> list[str]:
    return [payload for name, _, _, payload in list(heard) if name == f"livesnn/{topic}"]


def test_a_subscriber_hears_each_change_surely_and_every_line(
    broker: Mosquitto, tell_by: Callable[..., Telling]
) -> None:
    telling = tell_by(broker.port, quiet_s=3600)
    heard = broker.subscribe()
    eventually(lambda: heard)
    for decision in ("other", "other", "arm_roll", None):
        telling.decisions.tell(row(decision=decision))
    eventually(lambda: len(payloads(heard, "lines")) == 4)
    assert [json.loads(line)["decision"] for line in payloads(heard, "lines")] == [
        "other",
        "other",
        "arm_roll",
        None,
    ]
    changes = [(qos, retained, payload) for topic, qos, retained, payload in heard if topic == "livesnn/decision"]
    assert changes == [(1, False, "other"), (1, False, "arm_roll"), (1, False, "")]


def test_who_comes_later_is_told_whether_livesnn_is_there(broker: Mosquitto, tell_by: Callable[..., Telling]) -> None:
    telling = tell_by(broker.port)
    first = broker.subscribe()
    eventually(lambda: ("livesnn/status", 1, True, "online") in first)
    telling.loop.close()
    eventually(lambda: ("livesnn/status", 1, False, "offline") in first)
    later = broker.subscribe()
    eventually(lambda: ("livesnn/status", 1, True, "offline") in later)


def test_when_nothing_comes_the_decision_is_taken_back(broker: Mosquitto, tell_by: Callable[..., Telling]) -> None:
    telling = tell_by(broker.port, quiet_s=0.3)
    heard = broker.subscribe()
    eventually(lambda: heard)
    telling.decisions.tell(row())
    eventually(lambda: payloads(heard, "decision")[-2:] == ["other", ""])
    eventually(lambda: '{"quiet":true}' in payloads(heard, "lines"))


def test_a_broker_that_is_killed_and_comes_back_is_said_once_and_told_anew(
    broker: Mosquitto, tell_by: Callable[..., Telling]
) -> None:
    telling = tell_by(broker.port, quiet_s=0.1)
    broker.process.kill()
    # The telling may fail before the loss is noticed: that is no refusal.
    assert "refuses" not in eventually(lambda: [telling.decisions.tell(row()), telling.said][1], every_s=0.05)[0]
    broker.process.communicate()
    old = row(decision="arm_roll")
    telling.decisions.tell(old)  # nobody is told of it later
    assert eventually(lambda: telling.decisions.programs.receivers == 0)
    broker.start()
    heard = broker.subscribe()
    eventually(lambda: len(telling.said) == 2)
    eventually(lambda: "online" in payloads(heard, "status"))
    telling.decisions.tell(row())
    eventually(lambda: "other" in payloads(heard, "decision"))
    assert payloads(heard, "status")[-1] == "online"
    assert "arm_roll" not in payloads(heard, "decision")
    failed, works = telling.said
    assert failed.startswith(f"decisions to mqtt://127.0.0.1:{broker.port}: ")
    assert "Err" not in failed
    assert failed.endswith(f"livesnn tries again every {RETRY_S:g} s")
    assert works == f"decisions to mqtt://127.0.0.1:{broker.port}: it works again"


def test_a_broker_that_stalls_delays_nobody_else(
    broker: Mosquitto, tell_by: Callable[..., Telling], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "ANSWER_S", ANSWER_S)
    telling = tell_by(broker.port, quiet_s=3600)
    output = TcpOutput(telling.loop, Address("127.0.0.1", 0), telling.decisions.programs, b"hello\n")
    with socket.create_connection(output.address, timeout=20.0) as program:
        lines = program.makefile()
        assert lines.readline() == "hello\n"
        broker.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(2000):
                telling.decisions.tell(row(t=number, decision=f"class {number}"))
                assert json.loads(lines.readline())["t"] == number
            eventually(lambda: "livesnn tries again" in "".join(telling.said))
        finally:
            broker.process.send_signal(signal.SIGCONT)
        eventually(lambda: "it works again" in telling.said[-1])


def settings_with_password(folder: Path, port: int, *more: str) -> Path:
    """Return a file of settings of a broker that knows the user robot, whose password is right."""
    passwords, settings = folder / "passwords", folder / "mosquitto.conf"
    subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "robot", "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    folder.chmod(0o755)
    lines = (f"listener {port} 127.0.0.1", "allow_anonymous false", f"password_file {passwords}", "user root")
    settings.write_text("\n".join((*lines, *more, "")))
    return settings


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Return the files of an authority's certificate, and of one of 127.0.0.1 and its key."""
    folder.mkdir()
    authority, key, certificate = (folder / name for name in ("ca.pem", "key.pem", "cert.pem"))

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", "req", "-nodes", *arguments], check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-x509", "-days", "2")
    openssl(*new, "-subj", "/CN=authority", "-keyout", folder / "ca.key", "-out", authority)
    signed = ("-CA", authority, "-CAkey", folder / "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
    openssl(*new, *signed, "-subj", "/CN=broker", "-keyout", key, "-out", certificate)
    return authority, certificate, key


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_by_tls_a_subscriber_hears_livesnn_if_it_trusts_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    authority, certificate, key = make_certificates(tmp_path / "own")
    stranger, _, _ = make_certificates(tmp_path / "strange")
    settings = settings_with_password(tmp_path, port, f"certfile {certificate}", f"keyfile {key}")
    monkeypatch.setenv("LIVESNN_MQTT_USER", "robot")
    monkeypatch.setenv("LIVESNN_MQTT_PASSWORD", "right")
    url = f"mqtts://127.0.0.1:{port}"
    with closing(Mosquitto(port, "-c", settings)) as broker, OutputLoop(print) as loop:
        decisions = DecisionFeeds(loop, "camera", read_card("gestures"), quiet_s=3600)
        other_host = url.replace("127.0.0.1", "localhost")
        for untrusted, ca in ((url, None), (url, stranger), (other_host, authority)):
            with pytest.raises(SourceError, match=r"isn't trusted .* as --mqtt-ca FILE"):
                MqttOutput(loop, parse_broker(untrusted, ca), decisions)
        gc.collect()
        MqttOutput(loop, parse_broker(url, authority), decisions)
        heard = broker.subscribe("--cafile", authority, "-u", "robot", "-P", "right", "-h", "127.0.0.1")
        eventually(lambda: "online" in payloads(heard, "status"))
        decisions.tell(row())
        eventually(lambda: payloads(heard, "decision") == ["other"])


def test_certificates_that_cannot_be_used_are_an_error(tmp_path: Path) -> None:
    for ca, message in ((tmp_path / "none.pem", "No such file"), (Path(__file__), "can't be used")):
        with pytest.raises(SourceError, match=message):
            parse_broker("mqtts://broker", ca)
    with pytest.raises(SourceError, match="write mqtts:// instead of mqtt://"):
        parse_broker("mqtt://broker", tmp_path / "ca.pem")


def test_a_wrong_password_is_an_error_that_does_not_say_it(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_with_password(tmp_path, port)
    with closing(Mosquitto(port, "-c", settings)), OutputLoop(print) as loop:
        decisions = DecisionFeeds(loop, "camera", read_card("gestures"))
        MqttOutput(loop, parse_broker(f"mqtt://robot:right@127.0.0.1:{port}"), decisions)
        with pytest.raises(SourceError, match="refuses the user") as raised:
            MqttOutput(loop, parse_broker(f"mqtt://robot:secret@127.0.0.1:{port}"), decisions)
    assert "secret" not in str(raised.value)


def test_a_connection_that_is_lost_at_once_is_not_a_wrong_password(
    broker: Mosquitto, tell_by: Callable[..., Telling], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(*_: object, **__: object) -> None:
        raise aiomqtt.MqttCodeError(4, "Could not publish message")  # of MQTT, 4 is a wrong password

    with monkeypatch.context() as lost:
        lost.setattr(aiomqtt.Client, "publish", lose)
        telling = tell_by(broker.port)
    eventually(lambda: "it works again" in telling.said[-1])
    assert "The client is not currently connected" in telling.said[0]


@pytest.mark.slow
def test_subscribers_hear_from_the_broker_that_livesnn_was_killed(broker: Mosquitto) -> None:
    heard = broker.subscribe()
    serve = ["serve", "simulate:gestures", "--mqtt", f"mqtt://127.0.0.1:{broker.port}"]
    process = subprocess.Popen([sys.executable, "-m", "livesnn", *serve], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: payloads(heard, "lines"), 60.0)
        assert payloads(heard, "status") == ["online"]
    finally:
        process.kill()
        process.wait()
    eventually(lambda: payloads(heard, "status") == ["online", "offline"], KEPT_ALIVE_S)


def test_a_broker_is_given_as_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_MQTT_PASSWORD", "from outside")
    assert parse_broker("mqtt://broker") == Broker("broker", 1883)
    assert parse_broker("mqtts://me:p%40ss@[::1]:99/hall/east/") == Broker("::1", 99, "hall/east", "me", "p@ss", True)
    assert parse_broker("mqtt://me@broker").password == "from outside"
    assert "p@ss" not in repr(parse_broker("mqtt://me:p%40ss@broker"))


@pytest.mark.parametrize(
    "url",
    [
        "broker",
        "http://broker",
        "mqtt://",
        "mqtt://broker:99999",
        "mqtt://broker/a/#",
        "mqtt://broker/a%0Ab",
        "mqtt://broker/$SYS",
        "mqtt://broker/\udcff",
    ],
)
def test_what_is_no_broker_is_refused(url: str) -> None:
    with pytest.raises(SourceError, match="--mqtt"):
        parse_broker(url)
