"""`livesnn bench`: measure this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields, make_dataclass
from difflib import get_close_matches
from itertools import takewhile
from typing import Any

import tyro

from livesnn.bench.measurements import DEFAULT, MEASUREMENTS, MOVED, Measurement, measure
from livesnn.bench.report import machine
from livesnn.console import say, write_json


def bench(arguments: Sequence[str]) -> int:
    """Measure this machine, and print the figures as JSON.

    ``arguments`` are names of `MEASUREMENTS`, or none for `DEFAULT`, and their options.
    """
    figures = {name: measure(options) for name, options in parse(arguments).items()}
    write_json({"machine": machine()} | figures)
    return 0


def parse(arguments: Sequence[str]) -> dict[str, Measurement]:
    """Return the measurements asked for, by name, with their options. Bad usage exits with 2.

    Measurements that are made together share their options.
    """
    names = tuple(takewhile(MEASUREMENTS.__contains__, arguments))
    rest = [argument for argument in arguments[len(names) :] if argument != "--json"]  # always JSON
    if rest and not rest[0].startswith("-"):
        say(f"livesnn bench: {_unknown(rest[0])}")
        sys.exit(2)
    prog, chosen = " ".join(("livesnn bench", *names)), names or DEFAULT
    options: Any = tyro.cli(
        options_of(chosen), args=rest, prog=prog, description=None if names else _overview()
    )
    return {name: _part(options, name) for name in dict.fromkeys(chosen)}


def options_of(names: Sequence[str]) -> type[Any]:
    """Return a dataclass with the options of these measurements."""
    if len(set(names)) == 1:
        return MEASUREMENTS[names[0]]
    parents = tuple(MEASUREMENTS[name] for name in dict.fromkeys(names))
    return make_dataclass("Together", (), bases=parents, frozen=True)


def _part(options: Any, name: str) -> Any:
    """Return those options that a measurement has."""
    kind: Any = MEASUREMENTS[name]
    return kind(**{field.name: getattr(options, field.name) for field in fields(kind)})


def _overview() -> str:
    """Return the measurements and what they are, a line each."""
    width = max(map(len, MEASUREMENTS))
    lines = (
        f"  {name:<{width}}  {(kind.__doc__ or '').splitlines()[0]}" for name, kind in MEASUREMENTS.items()
    )
    return "\n".join(
        [
            "Measure this machine, and print the figures as JSON.",
            "",
            f"Give the names of measurements first, or none for {', '.join(DEFAULT)}.",
            "`livesnn bench NAME --help` shows the options of one. The measurements:",
            "",
            *lines,
        ]
    )


def _unknown(name: str) -> str:
    if name in MOVED:
        return f"{name} is now in the repository: python tests/benchmarks/{MOVED[name]}"
    near = get_close_matches(name, MEASUREMENTS, 1)
    hint = f": did you mean {near[0]}?" if near else f": give one of {', '.join(MEASUREMENTS)}"
    return f"no measurement {name!r}{hint}"
