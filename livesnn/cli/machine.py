"""The commands doctor, which runs probes in processes of their own, and prepare. Not here: the probes."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import msgspec
import tyro

from livesnn import __version__
from livesnn import subprocesses as itself
from livesnn.cli.findings import Check, Findings
from livesnn.cli.probes import PROBES
from livesnn.console import one_line, say, write, write_json

PROBE = "LIVESNN_DOCTOR_PROBE"
"""Environment variable of the processes that doctor starts: the probe to run."""

LIMIT_S = 90.0
"""For all probes but the last together, and for the last, which is timed and so runs alone."""

_KILLED_S = 2.0  # for a killed process to be gone; one that waits for a broken USB device may stay


@dataclass(frozen=True)
class Diagnosis:
    """What `livesnn doctor --json` prints."""

    ok: bool
    checks: tuple[Check, ...]
    models: dict[str, dict[str, str]]
    versions: dict[str, str]


def doctor(*, json: bool = False) -> int:
    """Say what works on this machine, and what to do about what doesn't.

    Parameters
    ----------
    json
        As JSON.
    """
    if probe := os.environ.get(PROBE):
        write_json(PROBES[probe]())
        return 0
    total = Findings()
    for found in _examine():
        total += found
        if not json and found.checks:
            write("\n".join(map(_describe, found.checks)))
    if json:
        write_json(Diagnosis(total.ok, total.checks, total.models, total.versions))
    else:
        states = [check.state for check in total.checks]
        say(f"livesnn doctor: problems: {states.count('problem')}, warnings: {states.count('warning')}")
    return 0 if total.ok else 1


def prepare(model: tyro.conf.Positional[str] = "gestures", /) -> int:
    """Compile the spike-driven engine for a model, once, so that no start has to: 15 s.

    Parameters
    ----------
    model
        Name of a shipped model, or a model folder.
    """
    from livesnn.infer.model import model_folder
    from livesnn.infer.spike_engine import SpikeModel

    if hasattr(os, "nice"):
        os.nice(5)  # whatever runs on ONNX Runtime meanwhile goes first
    SpikeModel.load(model_folder(model))
    say(f"livesnn prepare: the spike-driven engine is compiled for {model}")
    return 0


def _describe(check: Check) -> str:
    return one_line(f"{check.state}: {check.what}" + f": {check.do}" * bool(check.do))


def _examine() -> Iterator[Findings]:
    """Yield what the probes find, in order."""
    versions = {"livesnn": __version__, "python": platform.python_version(), "platform": platform.platform()}
    what = f"livesnn {__version__} on Python {versions['python']}, {versions['platform']}"
    yield Findings((Check("livesnn", "ok", what),), versions=versions)
    *together, last = PROBES
    yield from run_all({name: partial(_start, name) for name in together}, LIMIT_S)
    yield from run_all({last: partial(_start, last)}, LIMIT_S)


def run_all(starts: dict[str, Callable[[], subprocess.Popen[str]]], limit_s: float) -> Iterator[Findings]:
    """Start a process for each name, and yield what each prints, or a problem: that it failed, crashed, or hung."""
    deadline_s = time.monotonic() + limit_s
    running = {name: start() for name, start in starts.items()}
    try:
        for name, process in running.items():
            yield _collect(name, process, deadline_s)
    finally:
        for process in running.values():
            _kill(process)


def _start(name: str) -> subprocess.Popen[str]:
    """Start this program again, for one probe."""
    return start(itself.command("doctor"), **{PROBE: name})


def start(command: list[str], **extra: str) -> subprocess.Popen[str]:
    """Start a command in a session of its own, so that it can be killed with all that it has started.

    ``extra``: environment variables of it alone.
    """
    return subprocess.Popen(
        command,
        env=itself.environment(**extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def _collect(name: str, process: subprocess.Popen[str], deadline_s: float) -> Findings:
    """Return what the process prints in its last line, with a problem unless it ends well and in time."""
    try:
        out, err = process.communicate(timeout=max(0.1, deadline_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return Findings((Check(name, "problem", f"{name} gives no answer in time", _again(name)),))
    found = _decode(out)
    if found is not None and process.returncode == 0:
        return found
    said = one_line((err.strip().splitlines() or ["it said nothing"])[-1])[:300]
    said = said.removeprefix("livesnn doctor: ").removesuffix(" (run again with --debug and report it)")
    what = f"{name} {_ending(process.returncode)} ({said})"
    return (found or Findings()) + Findings((Check(name, "problem", what, _again(name)),))


def _decode(out: str) -> Findings | None:
    try:
        return msgspec.json.decode((out.strip().splitlines() or [""])[-1], type=Findings)
    except msgspec.DecodeError:
        return None


def _ending(code: int) -> str:
    try:
        return f"crashed with {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
    except ValueError:
        return f"crashed with signal {-code}"


def _again(name: str) -> str:
    return f"mend the other problems first; if it stays, {PROBE}={shlex.quote(name)} livesnn doctor --debug says more"


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process that still runs, with what it has started."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_KILLED_S)
