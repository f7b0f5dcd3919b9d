"""Prophesee's ECF files in each of the three styles that a chunk may have, for the tests of the reader."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from livesnn.events.packet import Events
from tests import format_files
from tests.format_files import ecf_runs, ecf_times, encode_ecf

CHUNK_EVENTS = 192  # more than the longest run that fits into a word


def columns_packed(events: Events) -> bytes:
    """Return a chunk whose columns and polarities are packed."""
    t, x, y, p = (events[axis].astype(int).tolist() for axis in "txyp")
    rows = ecf_runs(y, 31, lambda value, run: struct.pack("<H", value << 5 | run))
    pixels = _bits([a << 1 | c for a, c in zip(x, p, strict=True)], 12, 2)
    return b"".join([struct.pack("<IQ", len(t) << 2 | 1, t[0]), *ecf_times(t), *rows, pixels])


def all_packed(events: Events) -> bytes:
    """Return a chunk whose rows, columns and polarities are packed."""
    t, x, y, p = (events[axis].astype(int).tolist() for axis in "txyp")
    pixels = _bits([b << 12 | a << 1 | c for a, b, c in zip(x, y, p, strict=True)], 24, 4)
    return b"".join([struct.pack("<IQ", len(t) << 2 | 2, t[0]), *ecf_times(t), pixels])


def _bits(values: list[int], bits: int, word_bytes: int) -> bytes:
    """Pack four numbers into three words."""
    values = values + [0] * (-len(values) % 4)
    words = []
    part = bits // 3  # 8 of 24, or 4 of 12: bits that each number gives to the word before
    for a, b, c, d in zip(*(values[i::4] for i in range(4)), strict=True):
        low = [(1 << part) - 1, (1 << 2 * part) - 1]
        words += [a << part | b & low[0], b >> part << 2 * part | c & low[1], c >> 2 * part << bits | d]
    return np.array(words, f"<u{word_bytes}").tobytes()


STYLES: dict[str, Callable[[Events], bytes]] = {
    "masked": encode_ecf,
    "columns packed": columns_packed,
    "all packed": all_packed,
}


def write_ecf(path: Path, events: Events, styles: Sequence[str] = tuple(STYLES), geometry: str = "1280x720") -> Path:
    """Write an ECF file with chunks in each of the styles by turns."""
    encoders = [STYLES[style] for style in styles]
    return format_files.write_ecf(path, events, encoders, CHUNK_EVENTS, geometry)
