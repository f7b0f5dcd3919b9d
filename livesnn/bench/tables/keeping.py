"""What is measured without cells, as a JSON file each. Not here: cells (record.py)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from livesnn.errors import DataError
from livesnn.files import replace_file

T = TypeVar("T")


def keep(file: Path, measured: object) -> None:
    """Write a value, whole or not at all; raises DataError where it can't be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, msgspec.json.format(msgspec.json.encode(measured), indent=1))
    except OSError as error:
        raise DataError(f"{file} can't be written: {error.strerror or error}: give another --out") from error


def kept(file: Path, kind: type[T]) -> T | None:
    """Return what `keep` wrote, if anything; raises DataError where it is damaged."""
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{file} is damaged ({error}): delete it and measure again") from error
