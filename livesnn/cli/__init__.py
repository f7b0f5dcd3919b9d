"""The commands, by group: where each is, and the first sentence of its help. None is imported before it is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from livesnn.cli.usage import Argument


class Command(NamedTuple):
    """Where a command's function is, and the first sentence of its docstring.

    ``arguments``: a function of the same module that returns what the command takes, where its signature doesn't say;
    it is given the command line.
    """

    module: str
    function: str
    summary: str
    arguments: str = ""

    def load(self) -> Callable[..., int]:
        return getattr(import_module(f"livesnn.cli.{self.module}"), self.function)

    def takes(self, line: Sequence[str] = ()) -> list[Argument]:
        """Return what the command takes, in the order of its help page; ``line`` is what follows its name."""
        from livesnn.cli.usage import arguments_of

        if self.arguments:
            return getattr(import_module(f"livesnn.cli.{self.module}"), self.arguments)(line)
        return arguments_of(self.load())


GROUPS: dict[str, dict[str, Command]] = {
    "See and decide": {
        "gui": Command("streams", "gui", "Open the window."),
        "run": Command("streams", "run", "Print decisions about a camera, a stream or a recording."),
        "serve": Command("serving", "serve", "Show decisions on a web page, and send them to other programs."),
        "publish": Command("serving", "publish", "Send decisions, events or both to other programs over TCP."),
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
        "teach": Command("recordings", "teach", "Teach a model a gesture of your own from a few seconds of it."),
        "train": Command("models", "train", "Train a model on a data set.", "training_arguments"),
        "eval": Command("models", "evaluate", "Measure a model on a data set, or compare two."),
        "data": Command("models", "data", "Download or check a data set."),
        "export": Command("models", "export", "Export a model to one file for other programs and chips."),
    },
    "This machine": {
        "devices": Command("machine", "devices", "List the cameras that are plugged in."),
        "doctor": Command("machine", "doctor", "Check this machine and say how to fix what doesn't work."),
        "prepare": Command("machine", "prepare", "Compile the spike-driven engine for a model."),
        "completion": Command("completion", "completion", "Print a script that completes commands in your shell."),
    },
    "Measure": {
        "bench": Command("machine", "bench", "Measure how fast livesnn runs on this machine."),
        "tables": Command(
            "machine", "tables", "Run the paper's experiments, or show their results beside the paper's."
        ),
    },
}
COMMANDS = {name: command for commands in GROUPS.values() for name, command in commands.items()}
