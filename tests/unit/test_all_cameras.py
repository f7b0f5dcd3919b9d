"""livesnn serve --all: a process for each camera, with places of its own, which is started again when it dies."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest

from livesnn.__main__ import main
from livesnn.cli.all_cameras import CameraProcess, flags_of_each
from livesnn.cli.options import PageFlags, ReceiverFlags
from livesnn.errors import LivesnnError
from livesnn.threads import Worker
from tests.fake_cameras_program import SERIALS
from tests.served import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(500)
WAIT_S = 400.0  # never reached, unless something hangs


def flags(**given: Any) -> dict[str, Any]:
    """Return flags of `serve`."""
    receivers = ReceiverFlags(**given.pop("receivers", {}))
    page = PageFlags(**given.pop("page", {}))
    return {"web": None, "tcp": None, "events": None, "receivers": receivers, "page": page} | given


def two_free_ports() -> int:
    """Return the first of two ports side by side that nobody uses."""
    while True:
        port = free_port()
        with suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
            return port


def test_ports_are_counted_up_and_names_have_the_serial_number() -> None:
    port = two_free_ports()
    receivers = {"mqtt": "mqtt://hall", "ros2": True, "ros2_namespace": "/hall"}
    own = flags_of_each(
        ["00-1", "00-2"],
        flags(web=f"*:{port}", receivers=receivers, page={"control": True, "recordings": Path("films")}),
    )
    assert own["00-2"] == [
        *("--web", f"*:{port + 1}"),
        *("--mqtt", "mqtt://hall/livesnn/00-2"),
        *("--ros2-namespace", "/hall/camera_00_2"),
        *("--recordings", str(Path("films", "00-2"))),
    ]
    assert own["00-1"][:2] == ["--web", f"*:{port}"]
    named = flags_of_each(["A"], flags(receivers={"mqtt": "mqtts://me:pass@hall/north/"}))
    assert named["A"] == ["--mqtt", "mqtts://me:pass@hall/north/A"]


def test_no_serial_number_leads_out_of_the_folder_for_recordings() -> None:
    own = flags_of_each(["../../etc", ".."], flags(osc="9000", page={"control": True, "recordings": Path("films")}))
    folders = [Path(mine[mine.index("--recordings") + 1]) for mine in own.values()]
    assert [folder.parent for folder in folders] == [Path("films")] * 2
    assert ".." not in [folder.name for folder in folders]


def test_osc_goes_to_ports_of_another_computer() -> None:
    own = flags_of_each(["A", "B"], flags(receivers={"osc": "192.0.2.1:9000"}))
    assert own == {"A": ["--osc", "192.0.2.1:9000"], "B": ["--osc", "192.0.2.1:9001"]}


def test_without_a_receiver_each_camera_has_a_page() -> None:
    own = flags_of_each(["A", "B"], flags())
    assert [mine[0] for mine in own.values()] == ["--web", "--web"]


def test_ports_that_would_meet_are_refused() -> None:
    port = two_free_ports()
    with pytest.raises(LivesnnError, match=f"--web needs port {port + 1}, which --tcp uses"):
        flags_of_each(["A", "B"], flags(tcp=str(port + 1), web=str(port)))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["camera:A"], 2, "unexpected 'camera:A'"),
        (["--wbe", "1"], 2, "no flag --wbe: did you mean --web?"),
        ([], 1, "--all found no camera: plug one in"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--all", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_process_that_fails_is_started_again_after_longer_and_longer_pauses() -> None:
    said: list[str] = []
    enough = threading.Event()

    def hear(line: str) -> None:
        said.append(line)
        if len(said) == 6:
            enough.set()

    program = "import sys; print('livesnn serve: no light', file=sys.stderr); sys.exit(3)"
    camera = CameraProcess("A1", [sys.executable, "-c", program], hear, first_s=0.01)
    worker = Worker("test", camera.run).start()
    assert enough.wait(WAIT_S)
    assert worker.close(WAIT_S)
    assert [line.rstrip("\n") for line in said[::2]] == ["livesnn serve A1: no light"] * 3
    assert said[1:6:2] == [
        f"livesnn serve A1: failed with exit code 3: starting again in {pause} s"
        for pause in ("0.01", "0.02", "0.04")
    ]


def test_a_process_that_cannot_be_started_is_said_and_tried_again() -> None:
    said: list[str] = []
    enough = threading.Event()

    def hear(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            enough.set()

    camera = CameraProcess("A1", ["/no/such/program"], hear, first_s=0.01)
    worker = Worker("test", camera.run).start()
    assert enough.wait(WAIT_S)
    assert worker.close(WAIT_S)
    assert said[:2] == [
        f"livesnn serve A1: can't be started (No such file or directory): starting again in {pause} s"
        for pause in ("0.01", "0.02")
    ]


def test_a_process_that_ends_well_is_not_started_again() -> None:
    said: list[str] = []
    CameraProcess("A1", [sys.executable, "-c", ""], said.append).run(threading.Event())
    assert said == []


def test_a_process_that_is_asked_to_end_is_not_started_again() -> None:
    said: list[str] = []
    ready = threading.Event()

    def hear(line: str) -> None:
        said.append(line)
        ready.set()

    program = "import signal, sys; print('ready', file=sys.stderr, flush=True); signal.pause()"
    camera = CameraProcess("A1", [sys.executable, "-c", program], hear)
    worker = Worker("test", camera.run).start()
    assert ready.wait(WAIT_S)
    worker.stop.set()
    camera.send(signal.SIGTERM)
    assert worker.wait(WAIT_S)
    assert said == ["livesnn serve A1: ready\n"]


def test_each_camera_is_served_by_a_process_that_comes_back_when_it_is_killed(model_folder: Path) -> None:
    port = two_free_ports()
    command = [sys.executable, "-m", "tests.fake_cameras_program", "serve", "--all", "--web", str(port)]
    command += ["--model", str(model_folder)]
    supervisor = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert supervisor.stderr is not None
    said: list[str] = []
    reading = Worker("read", lambda stop: said.extend(supervisor.stderr or ())).start()

    def source_at(number: int) -> str | None:
        with (
            suppress(OSError, HTTPException),
            urllib.request.urlopen(f"http://127.0.0.1:{port + number}/status", timeout=5) as page,
        ):
            return str(json.load(page)["source"])
        return None

    def processes() -> dict[str, psutil.Process]:
        found = {}
        for process in psutil.Process(supervisor.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found |= {each: process for each in SERIALS if f"camera:{each}" in process.cmdline()}
        return found

    try:
        for number, serial in enumerate(SERIALS):
            wanted = f"camera:{serial}"
            eventually(lambda: supervisor.poll() is not None or source_at(number) == wanted, WAIT_S)  # noqa: B023
            assert supervisor.poll() is None, said
        before = processes()
        before["B2"].kill()
        eventually(lambda: processes().get("B2", before["B2"]) != before["B2"], WAIT_S)
        eventually(lambda: source_at(1) == "camera:B2", WAIT_S)
        after = processes()
        assert after["A1"] == before["A1"]
        supervisor.kill()
        eventually(lambda: not any(process.is_running() for process in after.values()), WAIT_S)
    finally:
        supervisor.kill()
        supervisor.wait(WAIT_S)
        reading.wait(WAIT_S)
        supervisor.stderr.close()
    assert f"livesnn serve A1: page at http://127.0.0.1:{port}/\n" in said
    assert [line for line in said if line.startswith("livesnn serve B2: killed by signal 9: starting again in ")], (
        said
    )
