"""Text to stdout, messages to stderr, and how much of something long is done."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from livesnn.errors import LivesnnError
from livesnn.paths import log_file
from livesnn.progress import Progress, no_progress


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def sentences(clauses: Iterable[str]) -> str:
    """Return clauses as sentences, one a line."""
    return "\n".join(f"{capitalised(clause)}." for clause in clauses)


def one_line(text: str) -> str:
    """Return the text as one line that a terminal can show: blanks collapsed, control characters escaped."""
    collapsed = " ".join(text.split())
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in collapsed)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def accept_any_text() -> None:
    """Let stdout and stderr show "?" for what they can't encode, such as "µ" and "–", rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def write(text: str) -> None:
    """Write to stdout; raises LivesnnError if it can't be written, BrokenPipeError if its reader is gone."""
    if sys.stdout is None:
        raise LivesnnError("can't write the output (stdout is closed)")
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise LivesnnError(f"can't write the output ({error.strerror})") from error


def write_json(value: object) -> None:
    """Write a value of plain data or dataclasses as one line of JSON to stdout; raises as `write` does."""
    write(json_line(value).decode().rstrip())


def json_line(value: object) -> bytes:
    """Return a value of plain data or dataclasses as one line of JSON, with its end.

    "?" stands for what UTF-8 can't say, as in names of files that aren't.
    """
    try:
        octets = msgspec.json.encode(value)
    except UnicodeEncodeError:
        octets = msgspec.json.encode(_all_sayable(msgspec.to_builtins(value)))
    return octets + b"\n"


def sayable(text: str) -> str:
    """Return the text with "?" for what UTF-8 can't say."""
    return text.encode(errors="replace").decode()


def _all_sayable(value: object) -> object:
    if isinstance(value, str):
        return sayable(value)
    if isinstance(value, dict):
        return {_all_sayable(key): _all_sayable(each) for key, each in value.items()}
    return [*map(_all_sayable, value)] if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def share_done(doing: str, *, after_s: float, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """Yield a function that shows how much is done: a line on stderr and below it, on a terminal, a bar.

    Nothing is shown in ``after_s`` after the first report.
    """
    begun_s: float | None = None
    show: Progress | None = None

    def tell(share: float) -> None:
        nonlocal begun_s, show
        if show is None:
            now_s = clock()
            begun_s = now_s if begun_s is None else begun_s
            if now_s - begun_s < after_s:
                return
            show = shown.enter_context(_bar(doing))
        show(share)

    with contextlib.ExitStack() as shown:
        yield tell


@contextlib.contextmanager
def _bar(doing: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    say(doing)
    if not console.is_terminal:
        yield no_progress
        return
    with Bars(console=console, transient=True) as bars:
        bar = bars.add_task("", total=1.0)
        yield lambda share: bars.update(bar, completed=share)


def discard_output() -> None:
    """Send stdout nowhere from now on, and what is buffered too: Python would fail on it at exit."""
    if sys.stdout is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def say(message: str) -> None:
    """Write one line to stderr, if that can be written."""
    log(one_line(message))
    if sys.stderr is None:  # closed by the shell
        return
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{one_line(message)}\n")  # at once: two threads may say something
        sys.stderr.flush()


LOG_BYTES = 1 << 20  # then a new log begins, and the last one is kept beside it
_log: io.TextIOWrapper | None = None


def keep_log(command: str) -> None:
    """From now on, keep what is said in a file too, and where this process crashes, if it does."""
    global _log
    file = log_file()
    with contextlib.suppress(OSError):  # there is no place for it: everything else works
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and not file.is_file():  # opening a pipe would wait for ever
            return
        if file.is_file() and file.stat().st_size > LOG_BYTES:
            file.replace(file.with_suffix(".old.log"))
        private = functools.partial(os.open, mode=0o600)  # an address of the web page has its token
        _log = open(file, "a", encoding="utf-8", errors="replace", opener=private)  # noqa: SIM115
        faulthandler.enable(_log)
        log(f"livesnn {command}, process {os.getpid()}")


def log(text: str) -> None:
    """Write a text to the log, if one is kept, with the time before it."""
    if _log is not None:
        with contextlib.suppress(OSError, ValueError):
            _log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
            _log.flush()


def on_terminal() -> bool:
    """Whether messages go to a terminal, and not to a file or a log."""
    return sys.stderr is not None and sys.stderr.isatty()
