"""What a command takes, read from its signature and docstring: help pages, parsing, and what is wrong with a line."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import difflib
import inspect
import io
import itertools
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from livesnn.cli import Command

OPTIONS, MORE_OPTIONS = "Options", "More options"
HELP = ("-h", "--help")
_WIDEST = 100
_INDENT = 26
_LONGEST_LIST = 40
_METAVARS = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "NAME"}


class UsageError(Exception):
    """A command line that can't be understood; the message says what is wrong with it."""


@dataclass(frozen=True)
class Argument:
    """One thing that a command takes.

    ``name``: "--model", or "SOURCE" where it has no flag. ``kinds``: the type of each value, none for a switch.
    ``many``: there may be any number of values.
    """

    name: str
    help: str
    group: str
    metavar: str
    kinds: tuple[type, ...]
    many: bool = False
    choices: tuple[str, ...] = ()
    default: object = None
    required: bool = False

    @property
    def is_flag(self) -> bool:
        return self.name.startswith("--")

    @property
    def negative(self) -> str:
        """Return the flag that turns a switch off; "" of what isn't one."""
        if self.kinds:
            return ""
        before, dot, last = self.name[2:].rpartition(".")
        return f"--{before}{dot}no-{last}"


def arguments_of(command: Callable[..., object]) -> list[Argument]:
    """Return what a command takes, in the order of its docstring; behind that, the flags of its dataclasses."""
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters
    _, _, sections = _words(command)
    described = {
        name: (text, MORE_OPTIONS if title == "Other Parameters" else OPTIONS)
        for title, texts in sections.items()
        for name, text in texts.items()
    }
    takes: list[Argument] = []
    for name in dict.fromkeys([*described, *parameters]):
        parameter = parameters[name]
        if dataclasses.is_dataclass(parameter.default):
            takes += flags_of(parameter.default)
            continue
        text, group = described.get(name, ("", OPTIONS))
        required, positional = parameter.default is parameter.empty, parameter.kind is parameter.POSITIONAL_ONLY
        default = None if required else parameter.default
        takes.append(_argument(hints[name], name, text, group, default, required=required, positional=positional))
    return takes


def flags_of(values: object, groups: Mapping[str, Sequence[str]] | None = None, before: str = "") -> list[Argument]:
    """Return the flags of a dataclass, with these values as their defaults.

    ``groups``: the fields by their group on the help page, in order, all others being "More options"; None: the
    docstring of the dataclass names their group. ``before``: what the names begin with.
    """
    kind = type(values)
    hints, texts = get_type_hints(kind, include_extras=True), _field_words(kind)
    of = {name: group for group, names in (groups or {}).items() for name in names}
    title = MORE_OPTIONS if groups else re.split(r"[.:;]", inspect.getdoc(kind) or MORE_OPTIONS, maxsplit=1)[0]
    takes: list[Argument] = []
    for name in dict.fromkeys([*of, *vars(values)]):
        default = getattr(values, name)
        if dataclasses.is_dataclass(default):
            takes += flags_of(default, before=f"{before}{name}.")
        else:
            text, group = texts.get(name, ""), of.get(name, title)
            takes.append(_argument(hints[name], name, text, group, default, before=before))
    return takes


def _argument(
    hint: object,
    name: str,
    text: str,
    group: str,
    default: object,
    *,
    required: bool = False,
    positional: bool = False,
    before: str = "",
) -> Argument:
    """Return the argument of one parameter or field."""
    marks: list[Any] = []
    while get_origin(hint) is Annotated:
        marks, hint = [*get_args(hint)[1:], *marks], get_args(hint)[0]
    named = next((mark.name for mark in marks if getattr(mark, "name", None) is not None), name)
    kinds, many, choices = _values(hint)
    asked = next((mark.metavar for mark in marks if getattr(mark, "metavar", None)), "")
    dashed = named.replace("_", "-")
    usual = dashed.upper() if positional else " ".join(_METAVARS.get(kind, "VALUE") for kind in kinds)
    listed = "|".join(choices)
    metavar = asked or (listed if choices and not positional and len(listed) < _LONGEST_LIST else usual)
    return Argument(
        metavar if positional else f"--{before}{dashed}",
        text,
        group,
        metavar,
        kinds,
        many,
        choices,
        default,
        required,
    )


def _values(hint: object) -> tuple[tuple[type, ...], bool, tuple[str, ...]]:
    """Return the types of a hint's values, whether there may be any number of them, and the choices."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (hint,) = (part for part in parts if part is not NoneType)
        return _values(hint)
    if origin is Literal:
        return (type(parts[0]),), False, tuple(map(str, parts))
    if origin is tuple and parts[-1] is ...:
        kinds, _, choices = _values(parts[0])
        return kinds, len(kinds) == 1, choices  # pairs are given one a flag
    if origin is tuple:
        return parts, False, ()
    return ((), False, ()) if hint is bool else ((hint,), False, ())  # type: ignore[return-value]


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


def _words(command: Callable[..., object]) -> tuple[str, str, dict[str, dict[str, str]]]:
    """Return a docstring's first sentence, what follows, and what each parameter is, by section."""
    before, *rest = re.split(r"^(.+)\n-{3,}$", inspect.getdoc(command) or "", flags=re.MULTILINE)
    summary, _, more = before.replace("``", "").partition("\n\n")
    sections = {}
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        entries = re.findall(r"^(\w+)\n((?:[ ]+.+\n?)*)", body.strip("\n"), flags=re.MULTILINE)
        sections[title] = {name: " ".join(text.replace("``", "").split()) for name, text in entries}
    return " ".join(summary.split()), more.strip(), sections


def first_page(groups: Mapping[str, Mapping[str, Command]]) -> str:
    """Return the help page of the whole program: the commands by group, and what each does."""
    what = "Recognise what an event camera sees, live, with a spiking network. Without a command the window opens."
    lines = ["usage: livesnn [COMMAND] [OPTIONS]", "", *_wrapped(what)]
    for group, commands in groups.items():
        lines += ["", group]
        for name, command in commands.items():
            lines += _entry(name, command.summary, 14)
    more = "livesnn COMMAND --help describes a command. livesnn --version prints the version."
    debug = "Add --debug at the end of a command to see the traceback of an error."
    return "\n".join([*lines, "", *_wrapped(more), *_wrapped(debug)])


def page(prog: str, command: Callable[..., object], takes: Sequence[Argument]) -> str:
    summary, more, _ = _words(command)
    lines = [f"usage: {usage_line(prog, takes)}", "", *_wrapped(summary)]
    for paragraph in more.split("\n\n") if more else []:
        as_it_is = paragraph.startswith(" ")
        lines += ["", *(paragraph.splitlines() if as_it_is else _wrapped(" ".join(paragraph.split())))]
    positional, flags = ([each for each in takes if each.is_flag is flag] for flag in (False, True))
    lines += [""] * bool(positional)
    for each in positional:
        lines += _entry(each.metavar, _described(each))
    groups = dict.fromkeys(each.group for each in flags)
    for group in sorted(groups, key=MORE_OPTIONS.__eq__):  # as they come, but this one last
        lines += ["", group]
        for each in flags:
            lines += _entry(_invocation(each), _described(each)) if each.group == group else []
    return "\n".join(lines)


def usage_line(prog: str, takes: Iterable[Argument]) -> str:
    words = [prog]
    for each in takes:
        if each.is_flag:
            words += [f"{each.name} {each.metavar}"] * each.required
        else:
            word = each.metavar + " ..." * each.many
            words.append(word if each.required else f"[{word}]")
    return " ".join([*words, "[OPTIONS]"] if any(each.is_flag for each in takes) else words)


def _invocation(argument: Argument) -> str:
    if argument.kinds:
        return f"{argument.name} {argument.metavar}" + " ..." * argument.many
    return f"{argument.name}, {argument.negative}" if argument.default is True else argument.name


def _described(argument: Argument) -> str:
    notes = []
    if argument.choices and "|" not in argument.metavar:
        notes.append(f"one of {', '.join(argument.choices)}")
    default = argument.default
    if argument.required:
        notes += ["required"] * argument.is_flag
    elif default is not False and default not in (None, "", ()):
        notes += [f"default: {_shown(default)}"] * ("default" not in argument.help.lower())
    return argument.help + (f" ({'; '.join(notes)})" if notes else "")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST)


def _wrapped(text: str, indent: str = "") -> list[str]:
    width = max(_width() - len(indent), 20)
    return [indent + line for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)]


def _entry(left: str, text: str, indent: int = _INDENT) -> list[str]:
    """Return a name and its description in two columns; below each other where the name is long."""
    indent = min(indent, _width() // 2)
    right = _wrapped(text, " " * indent)
    if len(left) + 4 > indent or not right:
        return [f"  {left}", *right]
    return [f"  {left}".ljust(indent) + right[0].lstrip(), *right[1:]]


def call(
    command: Callable[..., int], arguments: Sequence[str], prog: str, takes: Callable[[], Sequence[Argument]]
) -> int:
    """Run a command, or print its help page if the line asks for it.

    Raises UsageError. ``takes`` returns what the command takes, and is called only if that is needed.

    A command whose only parameter is ``arguments`` parses them itself, with `plain_refusal`.
    """
    if any(each in HELP for each in arguments[: _end_of_flags(arguments)]):
        from livesnn.console import write

        write(page(prog, command, takes()))
        return 0
    if [*inspect.signature(command).parameters] == ["arguments"]:
        return command(list(arguments))
    import tyro

    @wraps(command)
    def bound(*values: object, **named: object) -> Callable[[], int]:
        return partial(command, *values, **named)

    with plain_refusal(arguments, prog, takes):
        run = tyro.cli(bound, args=arguments, prog=prog, config=(tyro.conf.OmitArgPrefixes,))
    return run()


@contextlib.contextmanager
def plain_refusal(arguments: Sequence[str], prog: str, takes: Callable[[], Sequence[Argument]]) -> Iterator[None]:
    """Turn tyro's message about a line that it refuses into a UsageError of one line; parameters as of `call`.

    tyro takes a flag for any number of values without one, which is refused here too.
    """
    nowhere = io.TextIOWrapper(io.BytesIO(), "utf-8")  # where the shell has closed stdout: tyro asks for its encoding
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(sys.stdout or nowhere):
        try:
            yield
        except SystemExit as ended:
            if not ended.code:
                raise
            why = refusal(arguments, prog, takes()) or re.sub(r"[╭╮╰╯│─]+", " ", said.getvalue())
            raise UsageError(why) from None
    bare = _without_values(arguments)
    flags = [token for token in arguments[: _end_of_flags(arguments)] if _is_flag(token)]
    valued = dict(token.split("=", 1) for token in flags if "=" in token)
    for each in takes() if bare or valued else ():
        if each.many and each.name in bare:
            raise UsageError(_wrong(each, ()))
        if not each.kinds and each.name in valued:  # tyro takes the value for one more SOURCE
            raise UsageError(_wrong(each, (valued[each.name],)))


def _without_values(arguments: Sequence[str]) -> set[str]:
    """Return the flags behind which no value stands, switches among them."""
    flags = [*arguments[: _end_of_flags(arguments)], "--"]
    pairs = itertools.pairwise(flags)
    return {one.replace("_", "-") for one, other in pairs if _is_flag(one) and _is_flag(other)}


def _end_of_flags(arguments: Sequence[str]) -> int:
    return arguments.index("--") if "--" in arguments else len(arguments)


def refusal(arguments: Sequence[str], prog: str, takes: Sequence[Argument]) -> str:
    """Return what is wrong with a command line, in one line; "" if nothing is found."""
    flags = {each.name: each for each in takes if each.is_flag}
    negatives = {each.negative for each in flags.values() if each.negative}
    given, words = set(), []
    rest = list(arguments)
    while rest:
        token = rest.pop(0)
        if token == "--":
            words += rest
            break
        if not _is_flag(token):
            words.append(token)
            continue
        name, equals, value = token.partition("=")
        name = name if name in flags else name.replace("_", "-")
        if name in negatives:
            continue
        if name not in flags:
            return f"no flag {name}: {hint(name, [*flags, *negatives], f'{prog} --help lists them')}"
        given.add(name)
        values = [value] if equals else []
        most = 0 if equals else len(rest) if flags[name].many else len(flags[name].kinds)
        while rest and len(values) < most and not _is_flag(rest[0]):
            values.append(rest.pop(0))
        if why := _wrong(flags[name], values):
            return why
    positional = [each for each in takes if not each.is_flag]
    for each in positional:
        values, words = (words, []) if each.many else (words[:1], words[1:])
        if values and (why := _wrong(each, values)):
            return why
        if each.required and not values:
            return f"{each.metavar} is missing: {usage_line(prog, takes)}"
    if words:
        return f"unexpected {words[0]!r}: {usage_line(prog, takes)}"
    for each in flags.values():
        if each.required and each.name not in given:
            return f"{each.name} is missing: {usage_line(prog, takes)}"
    return ""


def hint(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a suggestion for an unknown name: the closest known one, or what is said where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise


def _is_flag(token: str) -> bool:
    return token.startswith("-") and re.match(r"-(\d|\.|inf|$)", token) is None


def _wrong(argument: Argument, values: Sequence[str]) -> str:
    """Return what is wrong with an argument's values; "" if nothing is."""
    name = argument.name
    if len(values) < (1 if argument.many else len(argument.kinds)):
        return f"{name} needs {'a value' if len(argument.kinds) == 1 else 'more values'}: {name} {argument.metavar}"
    if not argument.kinds and values:
        return f"{name} takes no value: leave {values[0]!r} out"
    for value, kind in zip(values, argument.kinds * (len(values) if argument.many else 1), strict=False):
        if argument.choices and value not in argument.choices:
            otherwise = f"choose from {', '.join(argument.choices)}"
            return f"{name} can't be {value!r}: {hint(value, argument.choices, otherwise)}"
        if kind in (int, float) and not _is_number(value, kind) and value != "None":
            return f"{name} takes a {'whole ' * (kind is int)}number, not {value!r}"
    return ""


def _is_number(text: str, kind: Callable[[str], object]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
