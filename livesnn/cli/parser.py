"""What a command takes, read from its signature and docstring, as a parser of argparse: help page and errors."""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import difflib
import inspect
import itertools
import re
import shutil
import sys
import textwrap
from argparse import SUPPRESS
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, Union, get_args, get_origin, get_type_hints

from livesnn.console import say, write

OPTIONS, MORE_OPTIONS = "Options", "More options"
WIDEST, INDENT = 100, 26
LONGEST_LIST = 40  # letters of choices that stand behind a flag; longer ones stand in its description
NO_FLAG, END = "\0", "--\0"  # marks: no command line has this letter
METAVARS = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "NAME"}


class UsageError(Exception):
    """A command line that can't be understood; the message says what is wrong with it."""


class Flag(NamedTuple):
    """In an Annotated type: how an argument is written, where its name and type don't say; older names too."""

    metavar: str = ""
    names: tuple[str, ...] = ()


class Parser(argparse.ArgumentParser):
    """A parser of one command. `given` returns only what a line gives, so defaults stay where they are declared."""

    def __init__(self, prog: str, about: str) -> None:
        super().__init__(
            prog,
            description=about,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, 2, INDENT, _width()),
            argument_default=SUPPRESS,
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
        )
        self.takes_files: list[argparse.Action] = []  # for completion
        self._words, self._flags = [prog], list[str]()
        self._titled = {OPTIONS: self.add_argument_group(OPTIONS)}
        self.add_argument(END, dest=END, action="store_true", help=SUPPRESS)
        self._titled[OPTIONS].add_argument("-h", "--help", action="help", help="Show this page.")

    def add(
        self,
        name: str,
        hint: object,
        default: object,
        text: str,
        title: str,
        *,
        before: str = "",
        dest: str = "",
        required: bool = False,
        positional: bool = False,
    ) -> None:
        """Add an argument. ``before``: what its flag begins with; ``dest``: its name in `given`."""
        marks: list[Any] = []
        while get_origin(hint) is Annotated:
            hint, marks = get_args(hint)[0], [*marks, *get_args(hint)[1:]]
        flag = next((mark for mark in marks if isinstance(mark, Flag)), Flag())
        names = [f"--{before}{each.replace('_', '-')}" for each in flag.names or (name,)]
        dest = dest or name
        if title not in self._titled:
            self._titled[title] = self.add_argument_group(title)
        group = self._titled[title]
        if hint is bool:
            before, last = names[0][: len(before) + 2], names[0][len(before) + 2 :]
            negative = "Turn that off." if default else SUPPRESS
            text = f"{text} (default: on)" if default else text
            for each, switch, about in (
                (names[0], "store_true", text),
                (f"{before}no-{last}", "store_false", negative),
            ):
                group.add_argument(each, dest=dest, action=switch, help=_escaped(about))
                self._flags.append(each)
            return
        how = _how(hint)
        listed = "|".join(map(str, how.get("choices", ())))
        if flag.metavar:
            how["metavar"] = flag.metavar
        elif positional or len(listed) > LONGEST_LIST:
            how["metavar"] = name.upper().replace("_", "-") if positional else "NAME"
        notes = [f"one of {', '.join(how['choices'])}"] if listed and how["metavar"] != listed else []
        if required:
            notes += ["required"] * (not positional)
        elif default not in (None, "", ()) and "default" not in text.lower():
            notes.append(f"default: {_shown(default)}")
        how["help"] = _escaped(text + (f" ({'; '.join(notes)})" if notes else ""))
        if positional:
            if "nargs" in how:
                how |= {"nargs": "*", "default": None}
            elif not required:
                how["nargs"] = "?"
            word = how["metavar"] + " ..." * ("nargs" in how and required)
            self._words.append(word if required else f"[{word}{' ...' * (how['nargs'] == '*')}]")
            action = self.add_argument(dest, **how)
        else:
            self._words += [f"{names[0]} {how['metavar']}"] * required
            action = group.add_argument(names[0], dest=dest, required=required, **how)
            self._flags.append(names[0])
            for older in names[1:]:
                group.add_argument(older, dest=dest, **how | {"help": SUPPRESS})
        if "choices" not in how and how["metavar"] != "NUMBER":
            self.takes_files.append(action)

    def add_fields(
        self, values: object, groups: Mapping[str, Sequence[str]] | None = None, *, before: str = "", dest: str = ""
    ) -> None:
        """Add the fields of a dataclass, with these values as their defaults.

        ``groups``: the fields by their group on the help page, in order, all others being "More options"; None: the
        docstring of the dataclass names their group.
        """
        kind = type(values)
        hints, texts = get_type_hints(kind, include_extras=True), _field_words(kind)
        titles = {name: group for group, names in (groups or {}).items() for name in names}
        usual = MORE_OPTIONS if groups else re.split(r"[.:;]", inspect.getdoc(kind) or MORE_OPTIONS, maxsplit=1)[0]
        for name in dict.fromkeys([*titles, *vars(values)]):
            value, inside = getattr(values, name), f"{dest}{name}"
            if dataclasses.is_dataclass(value):
                self.add_fields(value, before=f"{before}{name}.", dest=f"{inside}.")
            else:
                title, text = titles.get(name, usual), texts.get(name, "")
                self.add(name, hints[name], value, text, title, before=before, dest=inside)

    def given(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return what a line gives by name, that of a dataclass in a dictionary of its own. Raises UsageError.

        Raises SystemExit where the line asked for the help page, which is printed.
        """
        try:
            found, rest = self.parse_known_intermixed_args(_marked(arguments))
        except argparse.ArgumentError as error:
            self.error(f"{error.argument_name or ''} {error.message}".strip())
        for word in rest:
            if word.startswith("-"):
                name = word.partition("=")[0]
                raise UsageError(f"no flag {name}: {hint(name, self._flags, f'{self.prog} --help lists them')}")
            raise UsageError(f"unexpected {word.removeprefix(NO_FLAG)!r}: {self._usage}")
        given: dict[str, Any] = {}
        del found.__dict__[END]
        for name, value in vars(found).items():
            *outer, last = name.split(".")
            inner = given
            for each in outer:
                inner = inner.setdefault(each, {})
            inner[last] = tuple(value) if isinstance(value, list) else value
        return given

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} ({self.prog} --help)")

    @property
    def _usage(self) -> str:
        return " ".join([*self._words, "[OPTIONS]"])

    def format_help(self) -> str:
        self.usage = _escaped(self._usage)
        return super().format_help()

    def print_help(self, file: object = None) -> None:
        write(self.format_help().rstrip())


def command_parser(command: Callable[..., object], prog: str) -> Parser:
    """Return the parser of a command; on its page, the arguments are in the order of the docstring."""
    hints, parameters = get_type_hints(command, include_extras=True), inspect.signature(command).parameters
    about, sections = _docstring(command)
    described = {
        name: (text, MORE_OPTIONS if title == "Other Parameters" else OPTIONS)
        for title, texts in sections.items()
        for name, text in texts.items()
    }
    parser = Parser(prog, about)
    positional = [name for name, each in parameters.items() if each.kind is each.POSITIONAL_ONLY]
    names = dict.fromkeys([*positional, *described, *parameters])
    for name in sorted(names, key=lambda each: described.get(each, ("", ""))[1] == MORE_OPTIONS):
        default = parameters[name].default
        if dataclasses.is_dataclass(default):
            parser.add_fields(default, dest=f"{name}.")
        else:
            required = default is inspect.Parameter.empty
            text, title = described.get(name, ("", OPTIONS))
            usual = None if required else default
            parser.add(name, hints[name], usual, text, title, required=required, positional=name in positional)
    return parser


def call(command: Callable[..., Any], parser: Parser, arguments: Sequence[str]) -> int:
    """Run a command with what a line gives, or print its help page; returns its exit code."""
    try:
        given = parser.given(arguments)
    except SystemExit:  # the page is printed
        return 0
    values = bound(command, given)
    return command(*values.args, **values.kwargs) or 0


def run_script(command: Callable[..., Any]) -> NoReturn:
    """Run a function as a program of its own, with this process's command line."""
    try:
        code = call(command, command_parser(command, sys.argv[0]), sys.argv[1:])
    except UsageError as error:
        say(f"{sys.argv[0]}: {error}")
        code = 2
    sys.exit(code)


def bound(command: Callable[..., object], given: Mapping[str, Any]) -> inspect.BoundArguments:
    signature = inspect.signature(command)
    values: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            values[name] = dict(given)
        elif dataclasses.is_dataclass(default := parameter.default) and not isinstance(default, type):
            values[name] = dataclasses.replace(default, **given.get(name, {}))
        elif name in given:
            values[name] = given[name]
    arguments = inspect.BoundArguments(signature, values)
    arguments.apply_defaults()
    return arguments


def hint(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a suggestion for an unknown name: the closest known one, or what is said where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def _how(kind: Any) -> dict[str, Any]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _how(next(part for part in parts if part is not NoneType))
    if origin is Literal:
        return {"choices": parts, "type": _reader(type(parts[0]), parts), "metavar": "|".join(map(str, parts))}
    if origin is not tuple:
        return {"type": _reader(kind), "metavar": METAVARS.get(kind, "VALUE")}
    if parts[-1] is not ...:
        return _how(parts[0]) | {"nargs": len(parts)}
    if get_origin(parts[0]) is tuple:
        return {"action": _AppendPair, "nargs": 2, "metavar": ("NAME", "NUMBER")}
    return _how(parts[0]) | {"nargs": "+"}


class _AppendPair(argparse.Action):
    """A flag that is given again and again, each time with a name and a number."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        name, number = values
        try:
            pair = (name, float(number))
        except ValueError:
            raise argparse.ArgumentError(self, f"takes a number behind the name, not {number!r}") from None
        setattr(namespace, self.dest, [*getattr(namespace, self.dest, ()), pair])


def _reader(kind: Callable[[str], Any], choices: Sequence[Any] = ()) -> Callable[[str], Any]:
    def read(word: str) -> Any:
        text = word.removeprefix(NO_FLAG)
        try:
            value = kind(text)
        except ValueError:
            whole = "whole " * (kind is int)
            raise argparse.ArgumentTypeError(f"takes a {whole}number, not {text!r}") from None
        if choices and value not in choices:
            names = [*map(str, choices)]
            advice = hint(text, names, f"choose from {', '.join(names)}")
            raise argparse.ArgumentTypeError(f"can't be {text!r}: {advice}")
        return value

    return read


def _marked(arguments: Sequence[str]) -> list[str]:
    """Return a line in which a mark is before what is no flag: a negative number, and all behind "--".

    argparse doesn't tell them apart in all versions. Flags are written with dashes, whatever they were written with.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    words = []
    for word in arguments[:end]:
        name, equals, value = word.partition("=")
        number = re.match(r"-(\d|\.|inf)", word) is not None
        dashed = name.replace("_", "-") + equals + value if name.startswith("--") else word
        words.append(NO_FLAG + word if number else dashed)
    return [*words, END, *(NO_FLAG + word for word in arguments[end + 1 :])]


def _field_words(kind: type) -> dict[str, str]:
    """Return the docstrings below the fields of a dataclass and of those it inherits from."""
    words = {}
    for each in reversed(kind.__mro__):
        with contextlib.suppress(OSError, TypeError):  # made by make_dataclass, or in C
            for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(each)))):
                for one, other in itertools.pairwise(getattr(node, "body", ())):
                    match one, other:
                        case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                            words[name] = " ".join(text.split())
    return words


def _docstring(command: Callable[..., object]) -> tuple[str, dict[str, dict[str, str]]]:
    """Return what stands before a docstring's sections, and what each parameter is, by section."""
    before, *rest = re.split(r"^(.+)\n-{3,}$", inspect.getdoc(command) or "", flags=re.MULTILINE)
    paragraphs = before.replace("``", "").strip("\n").split("\n\n")
    wrapped = [
        each if each.startswith(" ") else textwrap.fill(" ".join(each.split()), _width(), break_on_hyphens=False)
        for each in paragraphs
    ]
    sections = {}
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        entries = re.findall(r"^(\w+)\n((?:[ ]+.+\n?)*)", body.strip("\n"), flags=re.MULTILINE)
        sections[title] = {name: " ".join(text.replace("``", "").split()) for name, text in entries}
    return _escaped("\n\n".join(wrapped)), sections


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _width() -> int:
    return min(shutil.get_terminal_size().columns, WIDEST)
