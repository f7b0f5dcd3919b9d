"""Disks for tests: a small one, and one that stands still. Both need root on Linux, and are skipped elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def _run(*command: str | Path) -> None:
    """Run a system's program, or skip the test where that can't be."""
    if sys.platform != "linux":
        pytest.skip("mounting a disk for a test is done on Linux alone")
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"there is no {command[0]} here")
    if done.returncode:
        pytest.skip(f"no disk can be made here (it needs root): {command[0]}: {done.stderr.strip()}")


@contextmanager
def small_disk(at: Path, size_bytes: int) -> Iterator[Path]:
    """Yield the folder of a disk of this size, in memory."""
    at.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", at)
    try:
        yield at
    finally:
        _run("umount", at)


def fill(disk: Path) -> None:
    """Leave no room on it."""
    with suppress(OSError), (disk / "filling").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@contextmanager
def real_disk(at: Path) -> Iterator[Path]:
    """Yield the folder of a disk with a file system of its own, which `standing_still` can hold."""
    at.mkdir()
    image = at.with_name(f"{at.name}.img")
    with image.open("wb") as file:
        file.truncate(40_000_000)
    _run("mkfs.ext4", "-q", image)
    _run("mount", "-o", "loop", image, at)
    try:
        yield at
    finally:
        _run("umount", at)


@contextmanager
def standing_still(disk: Path) -> Iterator[None]:
    """Let every write to the disk wait, as for a disk that has to wake up, or a network that is away."""
    _run("fsfreeze", "--freeze", disk)
    try:
        yield
    finally:
        _run("fsfreeze", "--unfreeze", disk)
