"""A dv-processing NetworkWriter in another process, started, told to play, and killed by a test."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

WAIT_S = 20.0  # never reached, unless something hangs
ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    """Return a TCP port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Server:
    """dv-processing's server in a process of its own."""

    def __init__(self, port: int, path: Path, compression: str = "LZ4") -> None:
        command = [sys.executable, "-m", "tests.stream_server", str(port), str(path.resolve()), compression]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def play(self, *, paced: bool = False) -> None:
        """Send the file to whoever is or will be connected, as fast as it goes or in its own time."""
        assert self.process.stdin is not None
        self.process.stdin.write("pace\n" if paced else "play\n")
        self.process.stdin.flush()

    def sent(self) -> int:
        """Wait for the end of what is played; return its number of events."""
        return int(self._line())

    def kill(self) -> None:
        """End it at once, as when a cable is pulled."""
        self.process.kill()
        self.process.communicate(timeout=WAIT_S)
