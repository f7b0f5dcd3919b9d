"""A dv-processing NetworkWriter in another process, started, told to play, and killed by a test.

`python -m tests.served PORT FILE COMPRESSION` is that process. It says "ready", then reads commands, one a line:
"play" waits for a client, sends the whole file, and says how many events that were; "pace" does so in the file's own
time. The end of its input ends it, at once: deleting a writer with a client connected deadlocks.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.waiting import eventually

WAIT_S = 20.0  # never reached, unless something hangs
ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    """Return a TCP port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Server:
    """dv-processing's server in a process of its own."""

    def __init__(self, port: int, path: Path, compression: str = "LZ4") -> None:
        command = [sys.executable, "-m", "tests.served", str(port), str(path.resolve()), compression]
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


def main() -> None:
    import dv_processing as dv

    port, path, compression = sys.argv[1:]
    recording = dv.io.MonoCameraRecording(path)
    stream = dv.io.Stream.EventStream(0, "events", recording.getCameraName(), recording.getEventResolution())
    stream.setCompression(dv.CompressionType.__members__[compression])
    writer = dv.io.NetworkWriter("127.0.0.1", int(port), stream)

    def play(*, paced: bool) -> int:
        eventually(writer.getClientCount, 60)
        recording, sent = dv.io.MonoCameraRecording(path), 0
        begun_s, begun_us = time.perf_counter(), recording.getTimeRange()[0]
        while recording.isRunning():
            if (batch := recording.getNextEventBatch()) is not None:
                due_s = begun_s + (batch.getHighestTime() - begun_us) / 1e6
                if paced and (early_s := due_s - time.perf_counter()) > 0:
                    time.sleep(early_s)  # a recording in its own time: nothing waits for this
                writer.writeEvents(batch)
                sent += len(batch)
                eventually(lambda: writer.getQueuedPacketCount() <= 100, 60)  # it drops what it can't queue
        return sent

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while (command := sys.stdin.readline().strip()) in ("play", "pace"):
        sys.stdout.write(f"{play(paced=command == 'pace')}\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
