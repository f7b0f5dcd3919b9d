"""Prophesee's ECF files in each of the three styles that a chunk may have, for the tests of the reader."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import h5py
import numpy as np

from livesnn.events.packet import Events

DTYPE = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")], align=True)
CHUNK_EVENTS = 192  # more than the longest run that fits into a word


def masked(events: Events) -> bytes:
    """Return a chunk whose columns are masks."""
    t, x, y, p = (events[axis].astype(int).tolist() for axis in "txyp")
    parts = [struct.pack("<IQ", len(t) << 2, t[0]), *_times(t)]
    parts += _runs(y, 31, lambda value, run: struct.pack("<H", value << 5 | run))
    parts += [*_masks(x), *_runs(p, 127, lambda value, run: bytes([value << 7 | run]))]
    return b"".join(parts)


def _runs(values: list[int], limit: int, word: Callable[[int, int], bytes]) -> Iterator[bytes]:
    """Yield numbers as runs of equal ones, each made a word by ``word(value, length)``."""
    for value, group in groupby(values):
        run = len(list(group))
        yield word(value, run) if run < limit else word(value, limit) + struct.pack("<H", run)


def _times(t: list[int]) -> Iterator[bytes]:
    """Yield the times of a chunk, as steps and how many events follow each."""
    now = t[0]
    for value, group in groupby(t):
        run, step, wide = len(list(group)), max(value - now, 0), False
        now = max(value, now)
        while step >= 15 or (step and wide):
            wide = True
            yield bytes([0xF0 | step & 15])
            step >>= 4
        yield bytes([step << 4 | run]) if run < 15 else bytes([step << 4 | 15]) + struct.pack("<H", run)


def _masks(x: list[int]) -> Iterator[bytes]:
    i = 0
    while i < len(x):
        first, mask = x[i], 0
        i += 1
        for ahead in range(1, 6):
            if i < len(x) and x[i] == first + ahead:
                mask |= 1 << (5 - ahead)
                i += 1
        yield struct.pack("<H", first << 5 | mask)


def columns_packed(events: Events) -> bytes:
    """Return a chunk whose columns and polarities are packed."""
    t, x, y, p = (events[axis].astype(int).tolist() for axis in "txyp")
    rows = _runs(y, 31, lambda value, run: struct.pack("<H", value << 5 | run))
    pixels = _bits([a << 1 | c for a, c in zip(x, p, strict=True)], 12, 2)
    return b"".join([struct.pack("<IQ", len(t) << 2 | 1, t[0]), *_times(t), *rows, pixels])


def all_packed(events: Events) -> bytes:
    """Return a chunk whose rows, columns and polarities are packed."""
    t, x, y, p = (events[axis].astype(int).tolist() for axis in "txyp")
    pixels = _bits([b << 12 | a << 1 | c for a, b, c in zip(x, y, p, strict=True)], 24, 4)
    return b"".join([struct.pack("<IQ", len(t) << 2 | 2, t[0]), *_times(t), pixels])


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
    "masked": masked,
    "columns packed": columns_packed,
    "all packed": all_packed,
}


def write_ecf(
    path: Path,
    events: Events,
    styles: Sequence[str] = tuple(STYLES),
    geometry: str = "1280x720",
    *,
    chunk_events: int = CHUNK_EVENTS,
) -> Path:
    """Write an ECF file like Prophesee's, with its chunks in each of the styles by turns."""
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = geometry
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((chunk_events,))
        made.set_filter(36559, h5py.h5z.FLAG_OPTIONAL, (0, 0, 0))
        space = h5py.h5s.create_simple((len(events),), (h5py.h5s.UNLIMITED,))
        group = file.create_group("CD")
        kind = h5py.h5t.py_create(DTYPE, logical=True)
        dataset = h5py.h5d.create(group.id, b"events", kind, space, made)
        for number, first in enumerate(range(0, len(events), chunk_events)):
            chunk = np.zeros(chunk_events, events.dtype)  # the last one is filled up, as HDF5 does
            part = events[first : first + chunk_events]
            chunk[: len(part)] = part
            dataset.write_direct_chunk((first,), STYLES[styles[number % len(styles)]](chunk))
    return path
