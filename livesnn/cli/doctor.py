"""`livesnn doctor`: a process for each probe, any of which may crash or hang."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import asdict
from functools import partial

import msgspec

from livesnn import __version__, subprocesses
from livesnn.cli.probes import PROBES, Findings, finding
from livesnn.console import one_line, say, write, write_json
from livesnn.json_text import decode_json
from livesnn.subprocesses import last_line
from livesnn.threads import pool, usable_processors

PROBE = "LIVESNN_DOCTOR_PROBE"
"""Environment variable that names the probe to run, in the processes that doctor starts."""

LIMIT_S = 90.0
"""Limit for each probe."""

_KILLED_S = 2.0  # to wait for a killed process; one that is stuck in a broken USB device may stay


def doctor(*, json: bool = False) -> int:
    """Check this machine and say how to fix what doesn't work.

    Parameters
    ----------
    json
        Print JSON.
    """
    if probe := os.environ.get(PROBE):
        write_json(PROBES[probe]())
        return 0
    found: dict[str, Findings] = {}
    for name, part in _examine():
        found[name] = part
        if not json and part.checks:
            described = (f"{check.state}: {check.what}" + f": {check.do}" * bool(check.do) for check in part.checks)
            write("\n".join(map(one_line, described)))
    total = sum((found[name] for name in ("livesnn", *PROBES)), Findings())
    if json:
        write_json({"ok": total.ok} | asdict(total))
    else:
        states = [check.state for check in total.checks]
        say(f"livesnn doctor: problems: {states.count('problem')}, warnings: {states.count('warning')}")
    return 0 if total.ok else 1


def _examine() -> Iterator[tuple[str, Findings]]:
    versions = {"livesnn": __version__, "python": platform.python_version(), "platform": platform.platform()}
    what = f"livesnn {__version__} on Python {versions['python']}, {versions['platform']}"
    yield "livesnn", finding("livesnn", "ok", what, **versions)
    *together, last = PROBES
    yield from run_all({name: partial(_start, name) for name in together}, LIMIT_S)
    yield from run_all({last: partial(_start, last)}, LIMIT_S)  # by itself, since it is timed


def run_all(starts: dict[str, Callable[[], subprocess.Popen[str]]], limit_s: float) -> Iterator[tuple[str, Findings]]:
    """Start a process for each name, and yield what each prints as soon as it ends, or that it failed or hangs.

    As many run at once as there are processors.
    """
    running: list[subprocess.Popen[str]] = []

    def run(name: str) -> tuple[str, Findings]:
        running.append(process := starts[name]())
        return name, _collect(name, process, limit_s)

    found = [pool("probe", usable_processors()).submit(run, name) for name in starts]
    try:
        for future in as_completed(found):
            yield future.result()
    finally:
        for future in found:
            future.cancel()
        for process in running:
            _kill(process)


def _start(name: str) -> subprocess.Popen[str]:
    return subprocesses.start(subprocesses.command("doctor"), subprocesses.environment(**{PROBE: name}))


def _collect(name: str, process: subprocess.Popen[str], limit_s: float) -> Findings:
    """Return what the process prints in its last line, and a problem unless it ends well and in time."""
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        return finding(name, "problem", f"{name} doesn't answer in time", how_to_learn_more(name))
    found = None
    with contextlib.suppress(msgspec.DecodeError):
        found = decode_json(last_line(out), Findings)
    if found is not None and process.returncode == 0:
        return found
    said = one_line(last_line(err, "it printed nothing"))[:300]
    said = said.removeprefix("livesnn doctor: ").removesuffix(" (run again with --debug and report it)")
    code = process.returncode
    ending = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    what = f"{name} failed with {ending} ({said})"
    return (found or Findings()) + finding(name, "problem", what, how_to_learn_more(name))


def how_to_learn_more(name: str) -> str:
    command = f"{PROBE}={shlex.quote(name)} livesnn doctor --debug"
    return f"fix the other problems first; if this one stays, {command} says more"


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_KILLED_S)
