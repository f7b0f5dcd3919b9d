"""The command line: finds the command (cli/), runs it, and turns each error into one line and an exit code.

Little is imported before `start` handles signals: until then, a Ctrl-C ends in a traceback of Python's.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__" and __spec__ is not None and not sys.flags.safe_path and sys.path[0] != _ROOT:
    del sys.path[0]  # `python -m` puts the current folder first, where a hdf5plugin.py may be anybody's

import signal  # noqa: E402

if TYPE_CHECKING:
    from types import FrameType

TRAINING = (
    "torch", "torchvision", "lightning", "onnxscript", "tensorboard", "matplotlib", "pooch", "filelock", "scipy",
)  # fmt: skip
"""The modules that livesnn[train] brings (pyproject.toml)."""


LONG = ("gui", "run", "serve", "record", "teach", "train")
"""The commands that keep a log."""


def start() -> None:
    """Run one command and end the process; from here on another Ctrl-C changes nothing.

    A thread that hasn't ended in its time may hold a lock that the interpreter's end waits for, as h5py's: then the
    process ends without.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped)
    _fill_closed()
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "gui")
    if command in LONG:
        from livesnn.console import keep_log

        keep_log(command)
    code = main()
    import contextlib
    import threading

    from livesnn.signals import ENDING

    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    if any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.flush()
        os._exit(code)
    sys.exit(code)


def _fill_closed() -> None:
    """Let standard streams that the shell has closed lead nowhere: the next file would get their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns 0, 1 after one line about an error, or 2 after one about bad usage.

    A signal that cuts the command short gives 128 and its number: 130 for Ctrl-C, 143 for SIGTERM.
    """
    from livesnn.signals import usual_handlers

    before = usual_handlers()
    for number in before:  # while what follows is imported
        signal.signal(number, _stopped)
    _came[:] = [signal.SIGINT]
    try:
        return _main(arguments)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_came: list[int] = []
"""Signals that have interrupted the command, behind the one that is assumed where none has."""


def _main(arguments: list[str] | None) -> int:
    import traceback

    from livesnn.console import accept_any_text, discard_output, log
    from livesnn.errors import LivesnnError, StoppedError
    from livesnn.paths import keep_compiled

    accept_any_text()
    keep_compiled()
    arguments, debug = _take_debug(list(sys.argv[1:] if arguments is None else arguments))
    if "--ros2" in arguments and "--ros-args" in arguments:  # outputs/ros2.py gives ROS what follows
        arguments = arguments[: arguments.index("--ros-args")]
    name, rest = (arguments[0], arguments[1:]) if arguments else ("gui", [])
    try:
        os.getcwd()
    except OSError:
        return _fail("livesnn: the current folder is gone: cd to another one", 1)
    try:
        return _run_command(name, rest)
    except LivesnnError as error:
        if debug:
            raise
        return _fail(f"livesnn {name}: {error}", 128 + _came[-1] if isinstance(error, StoppedError) else 1)
    except KeyboardInterrupt as error:
        return _fail(f"livesnn {name}: stopped" + f"; {error}" * bool(str(error)), 128 + _came[-1])
    except BrokenPipeError:
        discard_output()
        return 0
    except Exception as error:
        if debug:
            raise
        if len(_came) > 1:  # a callback from C can't pass a KeyboardInterrupt on, and what called it fails instead
            return _fail(f"livesnn {name}: stopped", 128 + _came[-1])
        log(traceback.format_exc())
        return _fail(f"livesnn {name}: {_in_words(error)}", 1)


def _in_words(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and (name := (error.name or "").partition(".")[0]) in TRAINING:
        return f"this needs {name}: pip install 'livesnn[train]'"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}: check that it exists, its permissions and the free space"
    return f"unexpected {type(error).__name__}: {error} (run again with --debug and report it)"


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without a first or last --debug, and whether there was one."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for place in (0, end - 1):
        if arguments[place:end][:1] == ["--debug"]:
            return arguments[:place] + arguments[place + 1 :], True
    return arguments, False


def _stopped(number: int, frame: FrameType | None) -> None:
    """End at once: an import that is interrupted raises whatever it likes, and so does Qt while it starts."""
    signal.signal(number, signal.SIG_DFL)  # for a second one, where nobody reads what follows
    os.write(2, b"livesnn: stopped\n")
    os._exit(128 + number)


def _fail(line: str, code: int) -> int:
    """Say why the command ends, and return its exit code. Meanwhile a signal ends the process: nobody may read."""
    from livesnn.console import say
    from livesnn.signals import usual_handlers

    for number in usual_handlers():
        signal.signal(number, lambda number, frame: os._exit(128 + number))
    say(line)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    _came.append(number)
    raise KeyboardInterrupt


def _run_command(name: str, arguments: list[str]) -> int:
    from livesnn.cli.commands import COMMANDS, completion_script, first_page
    from livesnn.console import write
    from livesnn.signals import usual_handlers

    if name in ("-h", "--help", "help"):
        write(first_page())
        return 0
    if name == "--version":
        from livesnn import __version__

        write(__version__)
        return 0
    from livesnn.cli.parser import UsageError, call, hint

    if name not in (*COMMANDS, "--print-completion"):
        there = f"to open the file, run livesnn gui {name}"
        if not os.path.exists(name):
            there = hint(name, COMMANDS, "livesnn --help lists them")
        return _fail(f"livesnn: no command {name!r}: {there}", 2)
    if name != "gui":  # the window takes over when it is there
        for number in usual_handlers():
            signal.signal(number, _interrupt)
    try:
        if name == "--print-completion":
            write(completion_script("".join(arguments)))
            return 0
        command = COMMANDS[name]
        return call(command.load(), command.parser(name, arguments), arguments)
    except UsageError as error:
        return _fail(f"livesnn {name}: {error}", 2)


if __name__ == "__main__":
    start()
