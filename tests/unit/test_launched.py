"""Processes of one training: none is left when the one that started it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.waiting import eventually

CHILD = """
import time
from livesnn.subprocesses import end_with_launcher
end_with_launcher()
print("ready", flush=True)
time.sleep(600)
"""
LAUNCHER = f"""
import os, subprocess, sys, time
from livesnn.subprocesses import end_with_launcher
end_with_launcher()
rank = os.environ | {{"LOCAL_RANK": "1"}}
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, env=rank)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def runs(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_a_process_of_a_training_ends_with_the_one_that_started_it() -> None:
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE)
    assert launcher.stdout is not None
    with launcher.stdout as said:
        child = int(said.readline())
    assert runs(child)
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    eventually(lambda: not runs(child), 10)
