"""Work shared by processes: what comes of one that is killed, of one that fails, and of their parent's end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from livesnn.errors import DataError
from livesnn.train.datasets.cache import in_processes
from tests.waiting import eventually


def test_what_is_made_comes_in_order() -> None:
    assert in_processes(abs, [-3, 2, -1], "counting", at_once=2) == [3, 2, 1]


def test_a_process_that_is_killed_ends_the_work_with_one_line() -> None:
    with pytest.raises(DataError, match=r"reading: one of \d processes was killed, maybe for lack of memory"):
        in_processes(os._exit, [1, 1, 1], "reading")


def test_what_one_raises_ends_the_others() -> None:
    begun_s = time.monotonic()
    with pytest.raises(ValueError, match="must be non-negative"):
        in_processes(time.sleep, [-1, *[600] * 50], "waiting")
    assert time.monotonic() - begun_s < 200


@pytest.mark.skipif(sys.platform != "linux", reason="nothing ends them elsewhere")
def test_they_end_with_a_parent_that_is_killed() -> None:
    code = "import time; from livesnn.train.datasets.cache import in_processes as i; i(time.sleep, [600] * 9, '')"
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        children = eventually(lambda: workers_of(parent.pid), 60)
    finally:
        parent.kill()
        parent.wait()
    assert psutil.wait_procs(children, timeout=60)[1] == []


def workers_of(parent: int) -> list[psutil.Process]:
    """Return the processes that have begun to wait."""
    return [child for child in psutil.Process(parent).children() if "spawn_main" in " ".join(child.cmdline())]
