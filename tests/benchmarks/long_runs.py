"""Whether programs that run for hours stay as they are: `python -m tests.benchmarks.long_runs FOLDER --hours 2`.

The window, serve and record run side by side, each in a process of its own, on simulated cameras. Every few seconds
FOLDER/samples.csv gets a row for each: memory, threads, open files, processor time. Two clients read what serve
sends.

`--disturb` runs them for minutes instead. Meanwhile they are stopped, the clock jumps, the disk fills and is freed,
the network goes and comes back, and a client too.
"""

from __future__ import annotations

import asyncio
import csv
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import numpy as np
import psutil

from livesnn import subprocesses
from livesnn.bench import machine
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.events.recording import describe
from tests.disks import fill, small_disk
from tests.served import free_port

SOURCE = "simulate:gestures"
EVERY_S = 5.0
WARM_UP_S = 600.0
"""Time after which nothing may grow any more: caches are full, every kind of gesture has come."""
PATIENCE_S = 60.0
DISK_BYTES = 30_000_000
"""Of the small disk that fills up."""


class Sample(NamedTuple):
    """What a program used at a moment."""

    program: str
    at_s: float
    rss_mb: float
    threads: int
    files: int
    processor_s: float


def long_runs(folder: Path, seconds: float, every_s: float, *, disturbed: bool) -> dict[str, object]:
    """Run the programs for so long, write their samples, and return what they said at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recorded.aedat4").unlink(missing_ok=True)
    begun_s = time.monotonic()
    with ExitStack() as stack:
        host = stack.enter_context(network()) if disturbed else "127.0.0.1"
        disk = stack.enter_context(small_disk(folder / "disk", DISK_BYTES)) if disturbed else folder
        web, tcp = (host, free_port()), (host, free_port())
        livesnn = [sys.executable, "-m", "livesnn"]
        addresses = "--web", f"{host}:{web[1]}", "--tcp", f"{host}:{tcp[1]}", "--no-auth"
        serve = [*livesnn, "serve", SOURCE, *addresses, "--json", "--control", "--recordings", str(disk)]
        commands = {
            "window": [*livesnn, "gui", SOURCE, "--json"],
            "serve": [*IN_NETWORK, *serve] if disturbed else serve,
            "record": [*livesnn, "record", SOURCE, str(folder / "recorded.aedat4")],
        }
        variables = shifted_clock(folder) if disturbed else {}
        running = {
            name: stack.enter_context(started(command, folder / name, variables))
            for name, command in commands.items()
        }
        readers = [Reader(tcp, sse=False), Reader(web, sse=True)]
        rows = csv.writer(stack.enter_context((folder / "samples.csv").open("w", newline="", buffering=1)))
        rows.writerow(Sample._fields)
        plan = disturbances(folder, disk, running, readers, web) if disturbed else []
        done: list[dict[str, object]] = []
        while (passed_s := time.monotonic() - begun_s) < seconds:
            while plan and plan[0][0] <= passed_s:
                _, name, do = plan.pop(0)
                do()
                done.append({"at_s": round(passed_s), "what": name, "lines": [one.lines for one in readers]})
            time.sleep(min(every_s, seconds - passed_s))
            for name, process in running.items():
                if process.poll() is None:
                    rows.writerow(sample(name, psutil.Process(process.pid), time.monotonic() - begun_s))
        ended_early = [name for name, process in running.items() if process.poll() is not None]
        said: dict[str, object] = {"status": page(web, "/status")}
        for name, process in running.items():
            said[name] = ended(process, folder / name)
        lines = [one.lines for one in readers]
        kept = {path.name: describe(path).warnings for path in sorted(disk.glob("*.aedat4"))}
    told = {"seconds": seconds, "ended_early": ended_early, "lines_tcp_sse": lines, "warnings_of_recordings": kept}
    return told | said | ({"disturbances": done} if disturbed else {})


def disturbances(
    folder: Path,
    disk: Path,
    running: Mapping[str, subprocess.Popen[bytes]],
    readers: Sequence[Reader],
    web: tuple[str, int],
) -> list[tuple[float, str, Callable[[], object]]]:
    """Return when which disturbance comes, in seconds, and what does it."""

    def tell(number: signal.Signals) -> None:
        for process in running.values():
            process.send_signal(number)

    def connect_again() -> None:
        for reader in readers:
            reader.leave()

    clock, filling = folder / "shift", disk / "filling"
    return [
        (60, "all three stopped", lambda: tell(signal.SIGSTOP)),
        (90, "continued", lambda: tell(signal.SIGCONT)),
        (120, "clock an hour ahead", lambda: jump(clock, 3600)),
        (150, "clock two hours back", lambda: jump(clock, -3600)),
        (180, "serve records", lambda: control(web, "record")),
        (200, "disk full", lambda: fill(disk)),
        (240, "disk freed", filling.unlink),
        (250, "serve records again", lambda: control(web, "record")),
        (280, "it ends that", lambda: control(web, "stop")),
        (300, "network gone", lambda: system("ip", "link", "set", HERE, "down")),
        (340, "network back", lambda: system("ip", "link", "set", HERE, "up")),
        (400, "clients leave and come back", connect_again),
        (450, "nothing more", lambda: None),
    ]


NAMESPACE, HERE, THERE = "livesnn-long", "livesnn-here", "livesnn-there"
IN_NETWORK = ["ip", "netns", "exec", NAMESPACE]


@contextmanager
def network() -> Iterator[str]:
    """Make a network of two computers, of which one is `NAMESPACE`; yield its address. It needs root on Linux."""
    system("ip", "netns", "add", NAMESPACE)
    try:
        system("ip", "link", "add", HERE, "type", "veth", "peer", "name", THERE, "netns", NAMESPACE)
        system("ip", "addr", "add", "10.97.13.1/24", "dev", HERE)
        system("ip", "link", "set", HERE, "up")
        system(*IN_NETWORK, "ip", "addr", "add", "10.97.13.2/24", "dev", THERE)
        system(*IN_NETWORK, "ip", "link", "set", THERE, "up")
        yield "10.97.13.2"
    finally:
        system("ip", "netns", "del", NAMESPACE)


SHIFTED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <sys/time.h>

static long shift(void) {
    static const long *seconds;
    if (!seconds) seconds = mmap(0, 8, PROT_READ, MAP_SHARED, open(getenv("SHIFT_FILE"), O_RDONLY), 0);
    return *seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec, now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *to) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    return to ? *to = exact.tv_sec : exact.tv_sec;
}
"""
"""Shifts the calendar clock by SHIFT_FILE's seconds. libfaketime won't do: with it, a wait for Python's lock ends at
once after a jump."""


def shifted_clock(folder: Path) -> dict[str, str]:
    """Return variables by which a program's calendar clock is ahead by FOLDER/shift, an int64, its others aren't."""
    (folder / "shifted.c").write_text(SHIFTED)
    jump(folder / "shift", 0)
    system("cc", "-shared", "-fPIC", "-O1", "-o", str(folder / "shifted.so"), str(folder / "shifted.c"))
    return {"LD_PRELOAD": str(folder / "shifted.so"), "SHIFT_FILE": str(folder / "shift")}


def jump(file: Path, seconds: int) -> None:
    """Set the calendar clock ahead by so many seconds."""
    with file.open("r+b" if file.exists() else "wb", buffering=0) as shift:
        shift.write(seconds.to_bytes(8, sys.byteorder, signed=True))


def system(*command: str) -> None:
    subprocess.run(command, check=True)


def control(web: tuple[str, int], do: str) -> None:
    """Do what a button of serve's page does."""

    async def send() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"http://{web[0]}:{web[1]}/live") as live:
            await live.send_json({"do": do})
            await asyncio.sleep(1)

    asyncio.run(send())


@contextmanager
def started(command: list[str], log: Path, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program whose output goes to LOG.out and LOG.err; kill it at the end."""
    settings = str(log.parent / "settings")
    variables = {"QT_QPA_PLATFORM": "offscreen"} | subprocesses.environment(XDG_CONFIG_HOME=settings, **variables)
    with log.with_suffix(".out").open("wb") as out, log.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def ended(process: subprocess.Popen[bytes], log: Path) -> dict[str, object]:
    """Interrupt a program; return its exit code and the last line of what it said."""
    process.send_signal(signal.SIGINT)
    try:
        code: int | str = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        code = "didn't end"
    said = log.with_suffix(".out").read_text().strip() or log.with_suffix(".err").read_text().strip()
    last = said.splitlines()[-1] if said else ""
    return {"code": code, "said": json.loads(last) if last.startswith("{") else last}


def sample(program: str, process: psutil.Process, at_s: float) -> Sample:
    """Return what a process uses now."""
    with process.oneshot():
        times = process.cpu_times()
        rss_mb = process.memory_info().rss / 1e6
        used = round(times.user + times.system, 2)
        return Sample(program, round(at_s, 1), rss_mb, process.num_threads(), process.num_fds(), used)


class Reader:
    """A client that reads lines from serve, and connects again whenever it can't."""

    def __init__(self, address: tuple[str, int], *, sse: bool) -> None:
        self.lines = 0
        self._address, self._sse = address, sse
        self._connection: socket.socket | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def leave(self) -> None:
        if self._connection is not None:
            self._connection.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        while True:
            try:
                with socket.create_connection(self._address, timeout=15) as self._connection:
                    if self._sse:
                        self._connection.sendall(b"GET /decisions HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    while got := self._connection.recv(65536):
                        self.lines += got.count(b"\n")
            except OSError:
                pass
            time.sleep(1)


def page(web: tuple[str, int], path: str) -> list[str]:
    """Return the lines of a page of serve that say numbers."""
    with urllib.request.urlopen(f"http://{web[0]}:{web[1]}{path}", timeout=30) as answer:
        return [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]


def samples(folder: Path) -> dict[str, np.ndarray]:
    """Return for each program its samples, [N, 5] in the order of `Sample`."""
    by_program: dict[str, list[list[float]]] = {}
    with (folder / "samples.csv").open(newline="") as file:
        for name, *row in list(csv.reader(file))[1:]:
            by_program.setdefault(name, []).append([float(number) for number in row])
    return {name: np.array(rows) for name, rows in by_program.items()}


def summary(folder: Path) -> dict[str, dict[str, object]]:
    """Return for each program how it changed after the warm-up."""
    told = {}
    for name, rows in samples(folder).items():
        at_s, rss_mb, threads, files, processor_s = rows[rows[:, 0] >= min(WARM_UP_S, rows[-1, 0] / 2)].T
        hours = (at_s[-1] - at_s[0]) / 3600
        told[name] = {
            "hours": round(float(rows[-1, 0]) / 3600, 2),
            "rss_mb": [round(float(part.mean()), 1) for part in (rss_mb[:60], rss_mb[-60:])],
            "rss_mb_per_hour": round(float(np.polyfit(at_s / 3600, rss_mb, 1)[0]), 2),
            "threads": [int(threads.min()), int(threads.max())],
            "files": [int(files.min()), int(files.max())],
            "processor_share": round(float((processor_s[-1] - processor_s[0]) / max(hours * 3600, 1)), 3),
        }
    return told


def plot(folder: Path, picture: Path) -> None:
    """Draw memory, threads and open files over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    for name, rows in samples(folder).items():
        for axis, column in zip(axes, rows.T[1:4], strict=True):
            axis.plot(rows[:, 0] / 60, column, label=name, linewidth=1)
    for axis, title in zip(axes, ("memory (RSS, MB)", "threads", "open files"), strict=True):
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower right", ncols=3)
    axes[-1].set_xlabel("minutes")
    figure.savefig(picture, dpi=100)


def main(
    folder: Path,
    /,
    hours: float = 2.0,
    every_s: float = EVERY_S,
    picture: Path | None = None,
    *,
    disturb: bool = False,
) -> None:
    """Run the window, serve and record for hours; write samples, draw them, and print JSON.

    Parameters
    ----------
    folder
        Where the samples, what the programs print, and the recording are written.
    hours
        How long they run. 0: only draw and sum up the samples that are there.
    every_s
        Seconds between samples.
    picture
        Where the plot is written. Default: FOLDER/long_runs.png.
    disturb
        Disturb them meanwhile; give --hours 0.15 or more. It needs root on Linux, and a C compiler.
    """
    said = long_runs(folder, hours * 3600, every_s, disturbed=disturb) if 0 < hours < math.inf else {}
    plot(folder, picture or folder / "long_runs.png")
    write_json({"machine": machine(), "cores": os.cpu_count(), "summary": summary(folder)} | said)


if __name__ == "__main__":
    run_script(main)
