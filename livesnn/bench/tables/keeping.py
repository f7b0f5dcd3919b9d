"""Keeping what is measured as a JSON file each, of a cell or without. Not here: what is in it."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

import msgspec

from livesnn.errors import DataError
from livesnn.files import replace_file

T = TypeVar("T")


def keep(file: Path, measured: object) -> None:
    """Write a value, whole or not at all; raises DataError where it can't be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, _as_json(measured).encode())
    except OSError as error:
        raise DataError(f"{file} can't be written: {error.strerror or error}: give another --out") from error


def _as_json(measured: object) -> str:
    """Return indented JSON, a row of numbers on one line."""
    text = msgspec.json.format(msgspec.json.encode(measured), indent=1).decode()
    return re.sub(r"\[[\d\s.,eE+-]+\]", lambda row: f"[{' '.join(row[0][1:-1].split())}]", text)


def kept(file: Path, kind: type[T]) -> T | None:
    """Return what `keep` wrote, if anything; raises DataError where it is damaged."""
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{file} is damaged ({error}): put it back (git checkout), or delete it and run what it keeps again"
        ) from error


def check_out(out: Path) -> None:
    """Raise DataError where nothing can be kept, before hours are spent on what would be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=out):
            pass
    except OSError as error:
        raise DataError(f"{out} can't be written: {error.strerror or error}: give another --out") from error
