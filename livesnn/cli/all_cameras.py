"""`livesnn serve --all`: a process for each camera, named by its serial number, started again when it dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from livesnn import subprocesses
from livesnn.console import say
from livesnn.errors import LivesnnError, SourceError
from livesnn.files import expanded
from livesnn.signals import ending_sets
from livesnn.threads import Worker

ALL = "--all"
SUPERVISOR = "LIVESNN_SUPERVISOR"  # Environment variable with the process that has started this one.

FIRST_S, LONGEST_S = 1.0, 60.0
"""Between a camera's process and the next one. It doubles each time, until one has run for the longest time."""

ENDING_S = 5.0  # A process has so long to end when it is asked to.

_LOOK_S = 0.2


def end_with_supervisor() -> None:
    """End this process when the one that has started it for a camera is killed; only on Linux."""
    if supervisor := os.environ.pop(SUPERVISOR, ""):
        subprocesses.end_with(int(supervisor))


def serve_all(arguments: Sequence[str]) -> int:
    """Serve each event camera that is plugged in, until Ctrl-C. Raises LivesnnError, or UsageError."""
    from livesnn.cli.parser import call, command_parser
    from livesnn.cli.serving import serve

    rest = [each for each in arguments if each != ALL]

    @wraps(serve)
    def serve_each(source: str, /, **flags: Any) -> int:
        return _serve_each(rest, flags)

    return call(serve_each, command_parser(serve, "livesnn serve"), ["camera", *rest])


def _serve_each(rest: Sequence[str], flags: dict[str, Any]) -> int:
    from livesnn.events.cameras.discovery import discover

    serials = sorted(device.serial for device in discover())
    if not serials:
        raise SourceError(f"{ALL} found no camera: plug one in, and check with livesnn devices")
    commands = {}
    for serial, own in flags_of_each(serials, flags).items():
        commands[serial] = subprocesses.command("serve", f"camera:{serial}", *rest, *own)
    # Raise LivesnnError where each process would.
    from livesnn.infer.decide import Decider
    from livesnn.infer.load import read_card

    flags["page"].check()
    flags["receivers"].starts()
    _ = flags["receivers"].ros2_node, flags["mounting"].upright, flags["mounting"].sensor
    decider = Decider().merge(flags["decisions"].given)
    if flags["model"] is not None:
        decider.check(read_card(flags["model"]))
    for serial in serials if flags["page"].control else ():
        _folder_of(serial, flags["page"].recordings).mkdir(parents=True, exist_ok=True)
    cameras = [CameraProcess(serial, command, say) for serial, command in commands.items()]
    workers = [Worker(f"camera-{camera.serial}", camera.run).start() for camera in cameras]
    stop = threading.Event()
    try:
        with ending_sets(stop):
            while any(worker.running for worker in workers) and not stop.wait(_LOOK_S):
                pass
    finally:
        for worker, camera in zip(workers, cameras, strict=True):
            worker.stop.set()
            camera.send(signal.SIGTERM)
        for worker, camera in zip(workers, cameras, strict=True):
            if not worker.wait(ENDING_S):
                camera.send(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
                worker.wait(ENDING_S)
    return 0


def flags_of_each(serials: Iterable[str], flags: dict[str, Any]) -> dict[str, list[str]]:
    """Return the flags that each camera's process has of its own: ports counted up, names with the serial number.

    ``flags`` are those of `serve`. Raises LivesnnError where a place can't be, or two cameras would have the same.
    """
    from livesnn.cli.options import place_of
    from livesnn.cli.serving import PAGE_PORT
    from livesnn.outputs.loop import listening_socket

    receivers = flags["receivers"]
    places = {name: flags[name] for name in ("web", "tcp", "events")} | {"osc": receivers.osc}
    if not any(places.values()) and receivers.mqtt is None and not receivers.ros2:
        places["web"] = str(PAGE_PORT)
    taken: dict[int, str] = {}
    own: dict[str, list[str]] = {}
    for number, serial in enumerate(serials):
        mine = own[serial] = []
        for name, place in places.items():
            first = place_of(f"--{name}", place)
            if place is None or first is None:
                continue
            port = first.port + number if first.port else 0  # 0: any that is free
            if name != "osc":  # to which livesnn sends
                listening_socket(first).close()  # before a process is started in vain
                if (other := taken.setdefault(port, name)) != name and port:
                    raise LivesnnError(f"--{name} needs port {port}, which --{other} uses: give ports further apart")
            mine += [f"--{name}", f"{place.rpartition(':')[0] or first.host}:{port}"]
        if receivers.mqtt is not None:
            topic = "" if urlsplit(receivers.mqtt).path.strip("/") else "/livesnn"
            mine += ["--mqtt", f"{receivers.mqtt.rstrip('/')}{topic}/{quote(serial, safe='')}"]
        if receivers.ros2:
            name = re.sub(r"\W", "_", serial, flags=re.ASCII)  # as ROS takes names, which begin with a letter
            mine += ["--ros2-namespace", f"{receivers.ros2_namespace.rstrip('/')}/camera_{name}"]
        if flags["page"].control:
            mine += ["--recordings", str(_folder_of(serial, flags["page"].recordings))]
    return own


def _folder_of(serial: str, recordings: Path) -> Path:
    """Return a camera's folder in this one, whatever the camera says that its serial number is."""
    return expanded(recordings) / (re.sub(r"[^\w.-]", "_", serial).lstrip(".") or "_")


class CameraProcess:
    """A process for one camera, started again whenever it dies; ``first_s`` is between the first and the second.

    ``say`` gets each line that the process writes to stderr, with the serial number in front.
    """

    def __init__(
        self, serial: str, command: list[str], say: Callable[[str], None], *, first_s: float = FIRST_S
    ) -> None:
        self.serial = serial
        self._command, self._first_s = command, first_s
        self._say = say
        self._process: subprocess.Popen[str] | None = None

    def run(self, stop: threading.Event) -> None:
        """Run processes until one ends well, or ``stop`` is set."""
        wait_s = self._first_s
        while not stop.is_set():
            begun_s = time.monotonic()
            try:
                code = self._run_one(stop)
            except OSError as error:  # such as no memory, or too many processes
                how = f"can't be started ({error.strerror})"
            else:
                if stop.is_set() or code == 0:
                    return
                how = f"killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
            if time.monotonic() - begun_s > LONGEST_S:
                wait_s = self._first_s
            self._tell(f"{how}: starting again in {wait_s:g} s")
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_S)

    def _run_one(self, stop: threading.Event) -> int:
        variables = subprocesses.environment(**{SUPERVISOR: str(os.getpid())})
        # In its own session, as Ctrl-C is for the supervisor, which then asks it to end.
        with subprocesses.start(self._command, variables, stdout=None) as process:
            self._process = process
            if stop.is_set():
                process.terminate()
            assert process.stderr is not None
            for line in process.stderr:
                self._tell(line.removeprefix("livesnn serve: "))
        return process.returncode

    def _tell(self, line: str) -> None:
        self._say(f"livesnn serve {self.serial}: {line}")

    def send(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
