"""Prophesee's .dat files: decoded events, eight octets each, after a header of text and two octets that say so.

A word's lower half is the time in µs, which wraps after 71 minutes; its upper half is x (14 bits), y (14 bits) and
the polarity. Source: docs.prophesee.ai, DAT file format. Not here: reading block by block (word_stream.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba import njit

from livesnn.errors import FormatError
from livesnn.events.formats.plain_words import Pixel, decode_plain
from livesnn.events.formats.prophesee_header import (
    MAX_SIZE,
    disagreement,
    header_of,
    read_text_header,
    stream_of,
)
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.formats.word_stream import (
    OUTSIDE,
    Body,
    Counts,
    Layout,
    State,
    WordReader,
    Words,
    stretch,
    unwrap,
)
from livesnn.events.packet import DISORDER_US, Events, Resolution
from livesnn.files import file_head
from livesnn.progress import Progress, untold

_WIDEST = Resolution(MAX_SIZE, MAX_SIZE)
_EVENT_TYPES = (0, 12)  # a 2D event, a contrast-detection event
_TRIGGER_TYPE = 14
_EVENT_BYTES = 8
_SAMPLE_BYTES = 1 << 16
_PIXEL = Pixel(x=(32, 0x3FFF), y=(46, 0x3FFF), on=60)


@njit(nogil=True, cache=True)
def _decode(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode words; ``state`` [1] is the time of the event before; see `word_stream.Decode`."""
    plain, first_us, last_us = decode_plain(words[first:], _PIXEL, state[0], width, height, events)
    if plain:
        state[0] = last_us
        return first + plain, plain, first_us, last_us, True
    room = events.shape[0]
    n, span = 0, (state[0], state[0], True)
    for i in range(first, words.shape[0]):
        place = np.int64(words[i] >> np.uint64(32))
        x, y = place & 0x3FFF, place >> 14 & 0x3FFF
        if x >= width or y >= height:
            counts[OUTSIDE] += 1
            continue
        t = unwrap(np.int64(words[i] & np.uint64(0xFFFFFFFF)), state[0])
        if n and (n == room or t < span[1] - DISORDER_US):
            return i, n, span[0], span[1], span[2]
        span = stretch(t, n == 0, span)
        state[0] = t
        if room:
            events[n].t, events[n].x, events[n].y, events[n].p = t, x, y, place >> 28 & 1 != 0
        n += 1
    return words.shape[0], n, span[0], span[1], span[2]


DAT = Layout("dat", "DAT", _EVENT_BYTES, _decode)


def looks_like_dat(path: Path, head: bytes) -> bool:
    """Say whether its header is a .dat's; of a .dat without one, whether its first events are plausible.

    Metavision's own writer leaves out the line "Data file containing": version and type of its events tell it then.
    """
    octets = file_head(path, _SAMPLE_BYTES)
    if not head.startswith(b"%"):
        return path.suffix.lower() == ".dat" and _is_plausible(octets)
    header = read_text_header(octets)
    kinds = [bytes((kind, _EVENT_BYTES)) for kind in (*_EVENT_TYPES, _TRIGGER_TYPE)]
    typed = octets[header.start : header.start + 2] in kinds
    return "Data file containing" in header.text or ("version" in header.fields and typed)


def _is_plausible(octets: bytes) -> bool:
    """Say whether octets are events: a few at least, times that rise, coordinates of a real sensor."""
    words = DAT.words(octets)
    times = (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
    places = (words >> np.uint64(32)).astype(np.int64)
    inside = ((places & 0x3FFF) < 2048) & ((places >> 14 & 0x3FFF) < 2048) & (places >> 28 <= 1)
    return len(words) >= 16 and bool(inside.all() and (np.diff(times) >= 0).all())


def open_dat(path: Path, progress: Progress = untold) -> WordReader:
    """Open a .dat file.

    Raises
    ------
    FormatError
        When it isn't of version 2, or holds anything but events of eight octets; when most of them are outside of
        the sensor.
    """
    file = WindowedFile(path, progress)
    try:
        header = header_of(file)
        warnings = _check_version(path, header.fields.get("version"), header.start > 0)
        warnings += disagreement(header.fields)
        start = header.start + _check_type(file, header.start) if header.start else 0
        first_us = int.from_bytes(file.view(start, 4), "little")
        body = Body(start, DAT, np.array([first_us]))
        return WordReader(file, body, stream_of(header.fields), widest=_WIDEST, warnings=warnings)
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
