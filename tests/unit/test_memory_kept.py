"""A training's process keeps what it frees."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from livesnn.subprocesses import keep_freed_memory
def faults():
    torch.empty(1 << 26, dtype=torch.uint8).fill_(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.empty(1 << 26, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
given_back = faults()
keep_freed_memory()
print(given_back, faults())
"""


LIBRARY, VERSION = platform.libc_ver()


@pytest.mark.slow
@pytest.mark.skipif(LIBRARY != "glibc", reason="only glibc can be told to keep what is freed")
@pytest.mark.skipif(VERSION.split(".")[:2] == ["2", "36"], reason="glibc 2.36 keeps two blocks in five")
def test_freed_memory_is_not_taken_from_the_kernel_again() -> None:
    """Five blocks of 64 MB one after the other: 16,384 pages each unless the first one's are kept."""
    given_back, kept = map(int, subprocess.check_output([sys.executable, "-c", FAULTS]).split())
    assert kept < given_back / 10
