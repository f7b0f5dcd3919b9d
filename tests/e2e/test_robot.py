"""What goes to robots: the scripts act on what livesnn decides, and it publishes what it decides and sees."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livesnn.paths import models_dir, recordings_dir

from .conftest import RunHere, livesnn

SCRIPTS = Path(__file__).resolve().parents[2] / "packaging" / "robot"
CLIP = recordings_dir() / "arm_roll.aedat4"


def said(*command: str | Path) -> list[str]:
    """Return the lines of a command that ends well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def finished(run_here: RunHere) -> Callable[..., str]:
    """Return a function that returns the output of a command of livesnn that ends well."""

    def finish(*arguments: str | Path) -> str:
        ended = run_here(*arguments)
        assert ended.code == 0, ended.errors
        return ended.output

    return finish


@pytest.mark.parametrize(
    ("model", "clip", "sensor"),
    [
        ("gestures", CLIP, "128x128"),
        ("gestures", None, "346x260"),  # the sides are cut off
        ("nmnist", recordings_dir() / "digit-3.aedat4", "34x34"),
    ],
)
def test_the_graph_alone_decides_as_livesnn_does(
    tmp_path: Path, model: str, clip: Path | None, sensor: str, finished: Callable[..., str]
) -> None:
    recording, events = clip or tmp_path / "wide.aedat4", tmp_path / "events.npz"
    if clip is None:
        finished("simulate", recording, "--scene", "arm_roll", "--sensor", sensor, "--seconds", "4.9")
    finished("convert", recording, events)
    graph = models_dir() / model / "model.onnx"
    alone = said(sys.executable, SCRIPTS / "step_onnx.py", graph, events)
    flags = ("--model", model, "--engine", "onnx", "--threshold", "0", "--leak", "0", "--json")
    *rows, _ = finished("run", recording, *flags).splitlines()
    assert len(alone) == len(rows) >= 9
    for line, row in zip(alone, map(json.loads, rows), strict=True):
        _, _, decision, confidence = line.split()
        assert decision == row["decision"]
        assert float(confidence) == pytest.approx(row["confidence"], abs=2e-3)


def test_a_light_that_flickers_on_all_of_the_picture_changes_no_decision(
    tmp_path: Path, finished: Callable[..., str]
) -> None:
    steady, lit = tmp_path / "steady.npz", tmp_path / "lit.npz"
    finished("convert", CLIP, steady, "--to", "1.6")
    with np.load(steady) as file:
        events = {name: file[name] for name in "txyp"}
        width, height = int(file["width"]), int(file["height"])
    flashes = np.arange(events["t"][0], events["t"][-1], 10_000)  # one of each polarity a pixel in each
    times, polarities, y, x = (each.ravel() for each in np.meshgrid(flashes, (0, 1), range(height), range(width)))
    flicker = {"t": times, "x": x, "y": y, "p": polarities.astype(bool)}
    both = {name: np.concatenate([events[name], flicker[name].astype(events[name].dtype)]) for name in "txyp"}
    order = np.argsort(both["t"], kind="stable")
    np.savez(lit, width=width, height=height, **{name: each[order] for name, each in both.items()})
    alone = sys.executable, SCRIPTS / "step_onnx.py", models_dir() / "gestures" / "model.onnx"
    assert said(*alone, lit) == said(*alone, steady)
    *rows, summary = map(json.loads, finished("run", lit, "--json").splitlines())
    *expected, before = map(json.loads, finished("run", steady, "--json").splitlines())
    assert [row["rates"] for row in rows] == [row["rates"] for row in expected]
    assert summary["summary"]["light_flicker_per_pixel"] == pytest.approx(
        40, abs=0.5
    )  # 4 pixels, 5 flashes, 2 polarities
    assert "a flickering light" in " ".join(summary["summary"]["warnings"])
    assert (before["summary"]["light_flicker_per_pixel"], before["summary"]["warnings"]) == (0, [])


def followed(*lines: object, script: str = "follow.py") -> tuple[int, list[str]]:
    """Return how a script ends after these lines, of JSON but for texts, and what it tells, without times."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    done = subprocess.run([sys.executable, SCRIPTS / script], input=text, capture_output=True, text=True, timeout=30)
    return done.returncode, [line.rpartition(" ")[2] for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def row() -> dict[str, object]:
    """Return a line of a frame in which somebody rolls the arms."""
    output, errors = livesnn("run", CLIP, "--json", "--seconds", "0.7").communicate(timeout=100)
    assert output, errors
    first: dict[str, object] = json.loads(output.splitlines()[0])
    assert first["decision"] == "arm_roll"
    return first


def test_a_robot_is_told_of_what_stands_for_four_frames_and_to_stop_at_once(row: dict[str, object]) -> None:
    other = row | {"decision": "hand_clapping"}
    assert followed(*[row] * 3) == (0, ["stop"])
    assert followed(*[row] * 4) == (0, ["arm_roll", "stop"])
    assert followed(*[row] * 4, other, *[row] * 3) == (0, ["arm_roll", "stop", "stop"])
    assert followed(*[row] * 4, *[other] * 4)[1] == ["arm_roll", "stop", "hand_clapping", "stop"]


def test_a_robot_stops_when_a_line_is_none_and_doubts_ten_frames_after_a_loss(row: dict[str, object]) -> None:
    lines = [*[row] * 4, row | {"dropped": 5}, *[row] * 9, *[row] * 4]
    assert followed(*lines, "no line") == (1, ["arm_roll", "stop", "arm_roll", "stop"])
    assert followed(*lines[:-1]) == (0, ["arm_roll", "stop", "stop"])


def test_a_robot_doubts_what_follows_a_line_without_a_decision(row: dict[str, object]) -> None:
    for line in ({"notice": "lost"}, {"missed": 2}, {"quiet": True}):
        assert followed(*[row] * 4, line, *[row] * 12) == (0, ["arm_roll", "stop", "stop"])
        assert followed(*[row] * 4, line, *[row] * 13) == (0, ["arm_roll", "stop", "arm_roll", "stop"])


def test_a_robot_does_not_act_on_what_is_late(row: dict[str, object]) -> None:
    assert followed(*[row | {"total_ms": 900.0}] * 20) == (0, ["stop"])


def test_a_robot_drives_after_a_second_of_a_circle_and_stops_at_the_first_wave(
    row: dict[str, object],
) -> None:
    circle, wave = row | {"decision": "left_arm_clockwise"}, row | {"decision": "right_hand_wave"}
    nothing = row | {"decision": None}
    assert followed(*[circle] * 19, nothing, *[circle] * 19, script="drive.py") == (0, ["stop"])
    lines = [*[circle] * 20, *[nothing] * 50, wave, *[circle] * 19]
    assert followed(*lines[:-20], script="drive.py") == (0, ["drive", "stop"])
    assert followed(*lines, script="drive.py") == (0, ["drive", "stop", "stop"])
    assert followed(*lines, circle, script="drive.py") == (0, ["drive", "stop", "drive", "stop"])


def test_a_robot_that_drives_stops_when_it_may_have_missed_a_wave(row: dict[str, object]) -> None:
    circle = row | {"decision": "left_arm_clockwise"}
    for doubt in ({"quiet": True}, {"notice": "lost"}, circle | {"dropped": 5}, circle | {"total_ms": 900.0}):
        assert followed(*[circle] * 20, doubt, *[circle] * 19, script="drive.py") == (
            0,
            ["drive", "stop", "stop"],
        )


def address_said(process: subprocess.Popen[str], what: str) -> str:
    """Return where livesnn serve listens, by its stderr."""
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith(f"livesnn serve: {what} at tcp://127.0.0.1:"), line
    return line.split("tcp://")[1].strip()


def served(*octets: bytes, pause_s: float = 0.0) -> tuple[int, list[str], str]:
    """Return how follow.py ends that is sent these octets over TCP, pauses between; what it tells, and its error."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = "{}:{}".format(*listening.getsockname())
        command = [sys.executable, str(SCRIPTS / "follow.py"), address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follow:
            connected, _ = listening.accept()
            with connected, contextlib.suppress(OSError):
                for some in octets:
                    connected.sendall(some)
                    if pause_s and follow.poll() is None:
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            follow.wait(pause_s)
            output, errors = follow.communicate(timeout=30)
    return follow.returncode, [line.rpartition(" ")[2] for line in output.splitlines()], errors


def test_a_robot_stops_where_what_comes_is_no_line_or_none_comes(row: dict[str, object]) -> None:
    lines = 5 * (json.dumps(row).encode() + b"\n")
    code, told, errors = served(lines)
    assert (code, told) == (1, ["arm_roll", "stop"])
    assert "livesnn hung up" in errors
    code, told, errors = served(lines, *[b" "] * 20, pause_s=0.5)  # a trickle is no line
    assert (code, told) == (1, ["arm_roll", "stop"])
    assert "timed out" in errors
    assert "what came is no line" in served(b"x" * 1_000_000)[2]
    for octets in (b"\xff\n", b"half a\n", b"5\n", b'{"decision": 3}\n'):
        code, told, errors = served(octets)
        assert (code, told) == (1, ["stop"])
        assert errors.startswith("follow.py: a line is none of livesnn's (")
        assert errors.count("\n") == 1


def test_a_robot_without_decisions_is_told_why() -> None:
    for address, code in (("127.0.0.1:1", 1), ("nosuch.invalid:1", 1), ("localhost", 2), ("localhost:x", 2)):
        done = subprocess.run(
            [sys.executable, SCRIPTS / "follow.py", address], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == code
        assert "livesnn serve" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be asked to end there")
def test_a_robot_is_told_to_stop_when_its_program_is_ended(row: dict[str, object]) -> None:
    with subprocess.Popen(
        [sys.executable, SCRIPTS / "follow.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as follow:
        assert follow.stdin is not None
        assert follow.stdout is not None
        follow.stdin.write(4 * (json.dumps(row) + "\n"))
        follow.stdin.flush()
        assert "arm_roll" in follow.stdout.readline()
        follow.terminate()
        assert follow.stdout.read() == "stop\n"


def test_a_robot_follows_what_is_published_and_is_told_to_stop_at_the_end() -> None:
    process = livesnn("serve", CLIP, "--tcp", "0", "--json")
    address = address_said(process, "decisions")
    told = said(sys.executable, SCRIPTS / "follow.py", address)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert told[0].endswith(": arm_roll")
    assert told[-1] == "stop"
    assert json.loads(output)["summary"]["majority"] == "arm_roll"


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be interrupted from outside there")
def test_what_is_published_is_decided_on_elsewhere_until_the_first_interrupt(
    finished: Callable[..., str],
) -> None:
    process = livesnn("serve", "simulate:gestures", "--events", "0", "--json")
    address = address_said(process, "events")
    try:
        *rows, last = finished("run", f"tcp://{address}", "--json", "--seconds", "5").splitlines()
        assert rows
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=100)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, errors
    assert json.loads(output)["summary"]["events"] >= json.loads(last)["summary"]["events"] > 0


def test_pages_programs_and_an_action_are_served_together_and_told_of_the_end(tmp_path: Path) -> None:
    told = tmp_path / "told"
    write = 'import os, sys; open(sys.argv[1], "a").write(os.environ["LIVESNN_DECISION"])'
    action = shlex.join([sys.executable, "-c", write, str(told)])
    places = ("--web", "0.0.0.0:0", "--tcp", "0", "--events", "0", "--only", "changes")
    with livesnn("serve", CLIP, *places, "--on-decision", action, "--json") as process:
        assert process.stderr is not None
        events, decisions, page, plain = (process.stderr.readline().strip() for _ in range(4))
        assert events.startswith("livesnn serve: events at tcp://127.0.0.1:")
        assert plain.startswith("livesnn serve: the page isn't encrypted")
        port, token = re.fullmatch(r"livesnn serve: page at http://[^/]+:(\d+)/\?token=(\S+)", page).groups()  # type: ignore[union-attr]
        with socket.create_connection(("127.0.0.1", int(decisions.rpartition(":")[2])), 100) as connected:
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=100)
            status = f"http://127.0.0.1:{port}/status?token={token}"
            with urllib.request.urlopen(status, timeout=100) as answer:
                assert json.load(answer)["model"] == "gestures"
            lines = [json.loads(line) for line in connected.makefile()]
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert json.loads(output)["summary"] == lines[-1]["summary"]
    changes = [line["decision"] for line in lines if "decision" in line]
    assert "arm_roll" in changes
    assert len(changes) < lines[-1]["summary"]["frames"] / 2
    assert told.read_text() == "arm_roll"


def test_when_the_camera_process_is_killed_page_and_programs_are_told() -> None:
    camera = livesnn("serve", "simulate:gestures", "--events", "0", "--json")
    source = f"tcp://{address_said(camera, 'events')}"
    with livesnn("serve", source, "--tcp", "0", "--web", "0") as process:
        try:
            assert process.stderr is not None
            port, url = (process.stderr.readline().rpartition(" ")[2].strip() for _ in range(2))
            with socket.create_connection(("127.0.0.1", int(port.rpartition(":")[2])), 100) as connected:
                lines = (json.loads(line) for line in connected.makefile())
                assert any(line.get("decision") for line in lines)
                camera.kill()
                assert any("the server is lost" in line.get("notice", "") for line in lines)
                assert any(line.get("quiet") or line.get("decision", "") is None for line in lines)
            with urllib.request.urlopen(f"{url}status", timeout=100) as answer:
                now = json.load(answer)["now"]
            assert now is None or now["decision"] is None
        finally:
            process.kill()
            camera.communicate()
