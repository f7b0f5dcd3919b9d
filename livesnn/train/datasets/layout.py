"""A data set's files on disk: finding and counting them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from livesnn.errors import DataError, LivesnnError
from livesnn.sources import describe


class Finding(NamedTuple):
    """One line of `livesnn data check`; ``there`` of ``official`` files where they are counted.

    "unusable" is left out of a training although it isn't damaged: it is too short, or no recording.
    """

    state: Literal["complete", "incomplete", "missing", "unusable", "damaged"]
    what: str
    there: int | None = None
    official: int | None = None


def counted(name: str, there: int, official: int, what: str) -> Finding:
    if there == official:
        return Finding("complete", f"{name}: all {official:,} {what}", there, official)
    text = f"{there:,} of {official:,} {what} are there" if there else f"none of {official:,} {what}"
    return Finding("incomplete" if there else "missing", f"{name}: {text}", there, official)


def damage(read: Callable[..., object], *arguments: object) -> list[Finding]:
    """Return why something can't be read, as a finding; none if it can."""
    try:
        read(*arguments)
    except LivesnnError as error:
        return [Finding("damaged", str(error))]
    return []


def faults(path: Path) -> list[Finding]:
    """Return what is damaged in a recording, as far as it is found when it is opened."""
    try:
        return [Finding("damaged", f"{path}: {line}") for line in describe(path).warnings]
    except LivesnnError as error:
        return [Finding("damaged", str(error))]


def absent(name: str, title: str, data: Path, expected: str, takes: str) -> DataError:
    """Return the error for a data set that isn't in a folder: what was expected there, and where to get it."""
    return DataError(
        f"no {title} in {data}: expected {data}/{expected}. Get {takes.format(data=data)}. "
        f"Then: livesnn data check {name} --data {data}"
    )


def numbered_lines(path: Path, advice: str) -> list[tuple[int, str]]:
    """Return the lines of a text file that aren't empty, with their numbers from 1; raises DataError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"no file {path}: {advice}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read ({error}): {advice}") from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
