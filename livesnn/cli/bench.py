"""`livesnn bench`: measure this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, make_dataclass, replace
from difflib import get_close_matches
from functools import partial
from itertools import takewhile
from typing import Any

import tyro

from livesnn.bench.measurements import DEFAULT, MEASUREMENTS, MOVED, measure
from livesnn.bench.report import machine
from livesnn.cli.usage import OPTIONS, Argument, UsageError, arguments_of, plain_refusal
from livesnn.console import write_json


def bench(arguments: Sequence[str]) -> int:
    """Measure how fast livesnn runs on this machine.

    It prints the figures as JSON. `livesnn bench NAME --help` shows the options of one measurement:

      decode     .aedat4 to NumPy, compared with other libraries
      slicer     events to frames
      step       one step of a model on each engine
      latency    from an event to its decision
      startup    from the start to the first picture
      simulate   how much faster than real time people are simulated
      denoise    what the noise filter drops and keeps
      formats    every format to NumPy, on one core
      sustained  the most events a second that the window takes
      sensors    accuracy on sensors of other sizes
      transfer   accuracy on changed clips of real people
      people     accuracy and false decisions on real people
      teach      accuracy on movements taught by simulated people
    """
    figures = {name: measure(options) for name, options in parse(arguments).items()}
    write_json({"machine": machine()} | figures)
    return 0


def bench_arguments(line: Sequence[str]) -> list[Argument]:
    """Return what the command takes: names, and the options of the measurements that a line names."""
    names = _names(line)
    flags = [replace(flag, group=OPTIONS) for flag in arguments_of(options_of(names or DEFAULT))]
    if len(names) == 1:
        return flags
    usual = f"Measurements to make. Default: {', '.join(DEFAULT)}."
    return [Argument("NAME", usual, OPTIONS, "NAME", (str,), many=True, choices=tuple(MEASUREMENTS)), *flags]


def bench_subject(line: Sequence[str]) -> tuple[str, Callable[..., object]]:
    """Return what a help page is about: the measurement that the line names, or the command."""
    names = _names(line)
    return (
        (f"livesnn bench {names[0]}", MEASUREMENTS[names[0]]) if len(names) == 1 else ("livesnn bench", bench)
    )


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the measurements asked for, by name, with their options; raises UsageError.

    Measurements that are made together share their options.
    """
    names = _names(arguments)
    rest = [argument for argument in arguments[len(names) :] if argument != "--json"]  # always JSON
    if rest and not rest[0].startswith("-"):
        raise UsageError(_unknown(rest[0]))
    prog, chosen = " ".join(("livesnn bench", *names)), names or DEFAULT
    with plain_refusal(rest, prog, partial(bench_arguments, arguments)):
        options: Any = tyro.cli(options_of(chosen), args=rest, prog=prog)
    return {name: _part(options, name) for name in dict.fromkeys(chosen)}


def _names(line: Sequence[str]) -> tuple[str, ...]:
    return tuple(takewhile(MEASUREMENTS.__contains__, line))


def options_of(names: Sequence[str]) -> type[Any]:
    """Return a dataclass with the options of these measurements."""
    if len(set(names)) == 1:
        return MEASUREMENTS[names[0]]
    parents = tuple(MEASUREMENTS[name] for name in dict.fromkeys(names))
    return make_dataclass("Together", (), bases=parents, frozen=True)


def _part(options: Any, name: str) -> Any:
    """Return those options that a measurement has."""
    kind = MEASUREMENTS[name]
    return kind(**{field.name: getattr(options, field.name) for field in fields(kind)})


def _unknown(name: str) -> str:
    if name in MOVED:
        return f"{name} is a script in the repository: run python tests/benchmarks/{MOVED[name]}"
    near = get_close_matches(name, MEASUREMENTS, 1)
    hint = f"did you mean {near[0]}?" if near else f"give one of {', '.join(MEASUREMENTS)}"
    return f"no measurement {name!r}: {hint}"
