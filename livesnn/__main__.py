"""The command line: finds the command, and makes one line of its errors. Not here: the commands (cli/)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

Handler = Callable[[int, FrameType | None], object] | int | None  # of a signal


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns 0, or 1 after one line about an error. Bad usage exits with 2."""
    before = signal.signal(signal.SIGINT, _stopped)  # while what follows is imported
    from livesnn.errors import LivesnnError
    from livesnn.report import accept_any_text, discard_output, say

    accept_any_text()
    arguments, debug = _take_debug(list(sys.argv[1:] if arguments is None else arguments))
    name, rest = (arguments[0], arguments[1:]) if arguments else ("gui", [])
    try:
        return _run_command(name, rest, before)
    except LivesnnError as error:
        if debug:
            raise
        say(f"livesnn {name}: {error}")
        return 1
    except KeyboardInterrupt:
        say(f"livesnn {name}: stopped")
        return 130
    except BrokenPipeError:
        discard_output()
        return 0
    except Exception as error:
        if debug:
            raise
        say(
            f"livesnn {name}: unexpected {type(error).__name__}: {error} (run again with --debug and report it)"
        )
        return 1


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without a first or last --debug, "--" being the end; and whether there was one."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags, others = arguments[:end], arguments[end:]
    if flags[:1] == ["--debug"]:
        return flags[1:] + others, True
    if flags[-1:] == ["--debug"]:
        return flags[:-1] + others, True
    return arguments, False


def _stopped(number: int, frame: FrameType | None) -> None:
    """End at once: an import that is interrupted raises whatever it likes."""
    sys.stderr.write("livesnn: stopped\n")
    sys.stderr.flush()
    os._exit(130)


def _run_command(name: str, arguments: list[str], on_interrupt: Handler) -> int:
    """Run the command of that name; bad usage of one exits with 2."""
    import tyro

    from livesnn.cli import COMMANDS
    from livesnn.cli.lab import train

    signal.signal(signal.SIGINT, on_interrupt)
    if name == "--version":
        from livesnn import __version__
        from livesnn.report import write

        write(__version__)
        return 0
    if name not in COMMANDS:
        return _usage(name)
    command = COMMANDS[name]
    return train(arguments) if command is train else tyro.cli(command, args=arguments, prog=f"livesnn {name}")


def _usage(name: str) -> int:
    """Print the commands: to stdout when asked for, else to stderr."""
    from livesnn.cli import COMMANDS
    from livesnn.report import say, write

    asked = name in ("-h", "--help", "help")
    lines = [
        f"  {command:<8} {(function.__doc__ or '').splitlines()[0]}" for command, function in COMMANDS.items()
    ]
    text = "\n".join(
        ["usage: livesnn [COMMAND] [OPTIONS] [--debug]   (without a command: the window)", "", *lines]
    )
    if asked:
        write(text)
        return 0
    hint = f" (to open a file: livesnn gui {name})" if Path(name).exists() else ""
    say(f"livesnn: no command {name!r}{hint}")
    print(f"\n{text}", file=sys.stderr, flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
