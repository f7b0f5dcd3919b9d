"""`livesnn doctor`: a process for each probe, any of which may crash or hang; and the report for an issue."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import asdict, fields, is_dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

import msgspec

from livesnn import __version__, subprocesses
from livesnn.bench import machine
from livesnn.cli.probes import PROBES, Findings, finding
from livesnn.console import json_line, one_line, say, write, write_json
from livesnn.errors import LivesnnError
from livesnn.json_text import decode_json
from livesnn.paths import log_file
from livesnn.subprocesses import last_line
from livesnn.threads import pool, usable_processors

PROBE = "LIVESNN_DOCTOR_PROBE"
"""Environment variable that names the probe to run, in the processes that doctor starts."""

LIMIT_S = 90.0
"""Limit for each probe."""

_KILLED_S = 2.0  # to wait for a killed process; one that is stuck in a broken USB device may stay


def doctor(*, json: bool = False, report: bool = False) -> int:
    """Check this machine and say how to fix what doesn't work.

    Parameters
    ----------
    json
        Print JSON.
    report
        Write livesnn-report-TIME.zip to the current folder, to attach to an issue. It has the checks, versions,
        settings and the last log, without names or paths.
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
    if report:
        file = write_report(Path.cwd(), total)
        say(f"livesnn doctor: look through {file.name}, then attach it to an issue")
    return 0 if total.ok else 1


def write_report(folder: Path, found: Findings) -> Path:
    """Write a zip with all that helps to explain a fault on this machine, without names and paths of people."""
    from livesnn.app.settings import user_settings

    file = folder / time.strftime("livesnn-report-%Y%m%d-%H%M%S.zip")
    packages = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    variables = ("NUMBA_", "OMP_", "ORT_", "QT_", "PYTHON")
    system = {
        "machine": machine(),
        "packages": dict(sorted(packages.items())),
        "environment": {name: value for name, value in os.environ.items() if name.startswith(variables)},
        "own variables": sorted(name for name in os.environ if name.startswith("LIVESNN_")),  # some are secrets
    }
    parts = {"checks.json": asdict(found), "system.json": system, "settings.json": nameless(user_settings().now)}
    texts = {name: msgspec.json.format(json_line(value)).decode() for name, value in parts.items()}
    for log in (log_file(), log_file().with_suffix(".old.log")):
        if log.is_file():
            texts[log.name] = log.read_text(encoding="utf-8", errors="replace")
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as report:
            for name, text in texts.items():
                report.writestr(name, without_names(text))
    except OSError as error:
        raise LivesnnError(f"{file}: can't be written ({error.strerror}): run it in another folder") from error
    return file


def nameless(value: Any) -> Any:
    """Return settings as plain data, in which only numbers and what is one of several words are left."""
    if is_dataclass(value):
        kinds = get_type_hints(type(value))
        return {
            each.name: part if get_origin(kinds[each.name]) is Literal else nameless(part)
            for each in fields(value)
            for part in [getattr(value, each.name)]
        }
    if isinstance(value, Mapping):
        return [nameless(part) for part in value.values()]
    if isinstance(value, tuple | list | set | frozenset):
        return [nameless(part) for part in value]
    return value if value is None or isinstance(value, int | float) else "…" * bool(value)


_ADDRESS = re.compile(r"""\b\w+://[^\s'"]+""")
_PATH = re.compile(
    r"""(?:~(?=[\\/])|\b[A-Za-z]:[\\/]|(?<![\w<>.~/])/)(?=\S)(?:[^\n":;<>|]*[\\/])?[^\s":;,<>|\\/]*?(\.\w+)?(?=[\s'":;,)<>|]|$)"""
)
_FILE = re.compile(
    r"""[^\s'":,;()<>|\\/]+(\.(?:aedat4?|raw|dat|h5|hdf5|es|bin|npz|csv|txt|bag|db3|mcap|mp4|avi|mkv))\b"""
)


def without_names(text: str) -> str:
    """Return a text without paths but those of Python and livesnn, and without names.

    Names are those of recordings, of the user, of this computer, and of models that were taught here.
    """
    from livesnn.infer.load import own_models

    known = {str(Path(__file__).parents[2]): "<livesnn>", sys.prefix: "<python>", sys.base_prefix: "<python>"}
    for path, instead in sorted(known.items(), key=lambda each: -len(each[0])):
        text = text.replace(path, instead)
    text = text.replace(str(Path.home()), "~")
    text = _FILE.sub(r"<file>\1", _PATH.sub(r"<path>\1", _ADDRESS.sub("<address>", text)))
    people = {getpass.getuser(), Path.home().name, platform.node(), *own_models()}
    if sys.platform != "win32":
        import pwd

        people |= {*pwd.getpwuid(os.getuid()).pw_gecos.replace(",", " ").split()}
    for name in sorted(people - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text, flags=re.IGNORECASE)
    return text


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
    what = f"{name} failed with {_ending(process.returncode)} ({said})"
    return (found or Findings()) + finding(name, "problem", what, how_to_learn_more(name))


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


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
