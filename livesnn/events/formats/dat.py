"""Prophesee's .dat files: decoded events, eight octets each, after a header of text and two octets that say so.

A word's lower half is the time in µs, which wraps after 71 minutes; its upper half is x (14 bits), y (14 bits) and
the polarity. Source: docs.prophesee.ai, DAT file format. Not here: reading block by block (word_stream.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit

from livesnn.errors import FormatError
from livesnn.events import DISORDER_US, Events, Resolution
from livesnn.events.formats.aedat4_index import WindowedFile
from livesnn.events.formats.prophesee_header import (
    MAX_SIZE,
    find_camera,
    find_resolution,
    header_of,
    read_text_header,
)
from livesnn.events.formats.word_stream import OUTSIDE, Body, Counts, Layout, State, WordReader, Words
from livesnn.files import file_head

_WIDEST = Resolution(MAX_SIZE, MAX_SIZE)
_EVENT_TYPES = (0, 12)  # a 2D event, a contrast-detection event
_TRIGGER_TYPE = 14
_EVENT_BYTES = 8
_SAMPLE_BYTES = 1 << 16


@njit(nogil=True, cache=True)
def _decode(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode words; ``state`` [1] is the time of the event before; see `word_stream.Decode`."""
    last_us = state[0]
    room = events.shape[0]
    n, earliest_us, newest_us, ordered = 0, last_us, last_us, True
    i = first
    while i < words.shape[0]:
        word = words[i]
        x, y = (
            np.int64(word >> np.uint64(32) & np.uint64(0x3FFF)),
            np.int64(word >> np.uint64(46) & np.uint64(0x3FFF)),
        )
        t = np.int64(word & np.uint64(0xFFFFFFFF))
        t = last_us + ((t - last_us + 0x80000000 & 0xFFFFFFFF) - 0x80000000)
        if x >= width or y >= height:
            counts[OUTSIDE] += 1
            i += 1
            continue
        if n and (n == room or t < newest_us - DISORDER_US):
            break
        ordered = ordered and (n == 0 or t >= newest_us)
        earliest_us = t if n == 0 or t < earliest_us else earliest_us
        newest_us = t if n == 0 or t > newest_us else newest_us
        if room:
            events[n].t, events[n].x, events[n].y = t, x, y
            events[n].p = word >> np.uint64(60) & np.uint64(1) != 0
        last_us = t
        n += 1
        i += 1
    state[0] = last_us
    return i, n, earliest_us, newest_us, ordered


DAT = Layout("dat", "DAT", _EVENT_BYTES, _decode)


def looks_like_dat(path: Path, head: bytes) -> bool:
    """Say whether its header is a .dat's; of a .dat without one, whether its first events are plausible."""
    if head.startswith(b"%"):
        return "Data file containing" in read_text_header(file_head(path, _SAMPLE_BYTES)).text
    return path.suffix.lower() == ".dat" and _is_plausible(file_head(path, _SAMPLE_BYTES))


def _is_plausible(octets: bytes) -> bool:
    """Say whether octets are events: a few at least, times that rise, coordinates of a real sensor."""
    words = DAT.words(octets)
    times = (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
    places = (words >> np.uint64(32)).astype(np.int64)
    inside = ((places & 0x3FFF) < 2048) & ((places >> 14 & 0x3FFF) < 2048) & (places >> 28 <= 1)
    return len(words) >= 16 and bool(inside.all() and (np.diff(times) >= 0).all())


def open_dat(path: Path) -> WordReader:
    """Open a .dat file.

    Raises
    ------
    FormatError
        When it isn't of version 2, or holds anything but events of eight octets; when most of them are outside of
        the sensor.
    """
    file = WindowedFile(path)
    try:
        header = header_of(file)
        warnings = _check_version(path, header.fields.get("version"), header.start > 0)
        start = header.start + _check_type(file, header.start) if header.start else 0
        first = np.frombuffer(file.view(start, 4), "<u4")
        body = Body(start, DAT, first[:1].astype(np.int64) if first.size else np.zeros(1, np.int64))
        return WordReader(
            file,
            body,
            find_resolution(header.fields),
            widest=_WIDEST,
            camera=find_camera(header.fields),
            warnings=warnings,
        )
    except BaseException:
        file.close()
        raise


def _check_version(path: Path, version: str | None, has_header: bool) -> list[str]:
    if not has_header:
        return ["it has no header: events of eight bytes assumed, as their times and coordinates suggest"]
    if version is None:
        return ["the header doesn't say which version it is: 2 assumed"]
    if version != "2":
        raise FormatError(
            f"{path}: DAT version {version[:20]!r} isn't supported: give a recording of version 2"
        )
    return []


def _check_type(file: WindowedFile, start: int) -> int:
    """Return how many octets say the type and size of the events; raises FormatError when it isn't supported."""
    said = bytes(file.view(start, 2))
    if len(said) < 2:
        raise FormatError(f"{file.path}: it ends after its header: get it again, or record it again")
    kind, size = said
    if kind in _EVENT_TYPES and size == _EVENT_BYTES:
        return 2
    if kind == _TRIGGER_TYPE:
        raise FormatError(
            f"{file.path}: it holds external triggers, not events: give the .dat of the recording itself"
        )
    raise FormatError(
        f"{file.path}: events of type {kind} with {size} bytes aren't supported: "
        f"give one with events of type 0 or 12, of {_EVENT_BYTES} bytes"
    )
