"""The commands, by group: where each is, and the first sentence of its help. None is imported before it is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from livesnn.cli.parser import Parser


class Command(NamedTuple):
    """Where a command's function is, and the first sentence of its docstring.

    ``makes_parser``: a function of the same module that returns its parser for a line, where its signature doesn't
    say what it takes.
    """

    module: str
    function: str
    summary: str
    makes_parser: str = ""

    def load(self) -> Callable[..., int]:
        return getattr(import_module(f"livesnn.cli.{self.module}"), self.function)

    def parser(self, name: str, line: Sequence[str] = ()) -> Parser:
        from livesnn.cli.parser import command_parser

        if not self.makes_parser:
            return command_parser(self.load(), f"livesnn {name}")
        make: Any = getattr(import_module(f"livesnn.cli.{self.module}"), self.makes_parser)
        return make(line)


GROUPS: dict[str, dict[str, Command]] = {
    "See and decide": {
        "gui": Command("streams", "gui", "Open the window."),
        "run": Command("streams", "run", "Print decisions about a camera, a stream or a recording."),
        "serve": Command("serving", "serve", "Show decisions on a web page, and send them to other programs."),
    },
    "Recordings": {
        "record": Command("streams", "record", "Record a camera or a stream to an .aedat4 file."),
        "info": Command("recordings", "info", "Show what a recording holds."),
        "convert": Command(
            "recordings", "convert", "Convert a recording to another format, a video or a table of decisions."
        ),
        "simulate": Command("recordings", "simulate", "Simulate a recording of gestures, a digit or a picture."),
    },
    "Your own models": {
        "teach": Command("teaching", "teach", "Teach a model a gesture of your own from a few seconds of it."),
        "train": Command("models", "train", "Train a model on a data set.", "training_parser"),
        "eval": Command("models", "evaluate", "Measure a model on a data set."),
        "data": Command("models", "data", "Download or check a data set."),
        "export": Command("models", "export", "Export a model to one file for other programs and chips."),
    },
    "This machine": {
        "devices": Command("machine", "devices", "List the cameras that are plugged in."),
        "doctor": Command("doctor", "doctor", "Check this machine and say how to fix what doesn't work."),
        "prepare": Command("machine", "prepare", "Compile the spike-driven engine for a model."),
    },
    "Measure": {
        "bench": Command("machine", "bench", "Measure how fast livesnn runs on this machine."),
        "tables": Command(
            "machine", "tables", "Run the paper's experiments, or show their results beside the paper's."
        ),
    },
}
COMMANDS = {name: command for commands in GROUPS.values() for name, command in commands.items()}


def first_page() -> str:
    """Return the help page of the whole program: the commands by group, and what each does."""
    lines = ["usage: livesnn [COMMAND] [OPTIONS]", ""]
    lines += [
        "Recognise what an event camera sees, live, with a spiking network.",
        "Without a command the window opens.",
    ]
    for group, commands in GROUPS.items():
        lines += ["", group, *(f"  {name:<10}{command.summary}" for name, command in commands.items())]
    lines += ["", "livesnn COMMAND --help describes a command. livesnn --version prints the version."]
    lines += ["livesnn --print-completion bash|zsh|fish prints a script that completes commands in a shell."]
    return "\n".join([*lines, "Add --debug at the end of a command to see the traceback of an error."])


def completion_script(shell: str) -> str:
    """Return a script that completes commands, flags, choices and files. Raises UsageError for an unknown shell."""
    import argparse

    import shtab

    from livesnn.cli.parser import UsageError

    if shell not in shtab.SUPPORTED_SHELLS:
        raise UsageError(f"--print-completion can't be {shell!r}: choose from {', '.join(shtab.SUPPORTED_SHELLS)}")
    whole = argparse.ArgumentParser("livesnn")
    whole.add_argument("--version", action="store_true", help="Print the version.")
    whole.add_argument("--print-completion", choices=shtab.SUPPORTED_SHELLS, help="Print this script.")
    commands = whole.add_subparsers()
    for name, command in COMMANDS.items():
        parser = command.parser(name)
        for action in parser.takes_files:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        commands.add_parser(name, help=command.summary, parents=[parser], add_help=False)
    return str(shtab.complete(whole, shell))
