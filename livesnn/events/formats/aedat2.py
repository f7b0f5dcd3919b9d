"""AEDAT 2.0 (.aedat) of jAER: DVS128 and DAVIS.

Lines of text that start with # come first, then words of eight bytes: the address and the time in µs, each a
big-endian int32. Which pixel an address means, and whether it is an event at all, depends on the camera that the
header's AEChip line names. Source: jAER's DVS128 and DavisBaseCamera, and recordings of four cameras.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit

from livesnn.errors import FormatError
from livesnn.events.formats.registry import EventStream
from livesnn.events.formats.shared_readers import (
    IMU,
    OUTSIDE,
    SAMPLES,
    TRIGGERS,
    Body,
    Counts,
    Pixel,
    State,
    WordLayout,
    WordReader,
    Words,
    decode_plain,
    extend_span,
    unwrap,
)
from livesnn.events.packet import DISORDER_US, Events, Resolution
from livesnn.files import BufferedFile, closed_on_error
from livesnn.progress import Progress, untold

MAGIC = b"#!AER-DAT2.0"
MAX_HEADER_BYTES = 8 << 20  # jAER writes all its preferences, 175 kB of XML, into it
_DAVIS_SIZES = {
    "128": (128, 128), "192": (208, 192), "208": (208, 192), "240": (240, 180), "346": (346, 260), "640": (640, 480),
}  # fmt: skip
_SPECIAL = 0x80008000  # in a DVS128's address: from its IN pin, or added by jAER
_SAMPLE_BYTES = 1 << 16


class Chip(NamedTuple):
    """A camera's name, its sensor, and which of the two layouts its addresses have."""

    name: str
    resolution: Resolution
    davis: bool

    @property
    def orientation(self) -> str:
        """How the file's coordinates lie, in words."""
        if self.davis:
            return "x to the left, y up (x and y as in the address)"
        return "x to the right, y up (x = 127 - address, y = address)"


_DVS128_PIXEL = Pixel(
    x=(33, 0x7F), y=(40, 0x7F), on=32, on_is_zero=True, mirrored=True, others=0xFFFF8000 << 32
)
_DAVIS_PIXEL = Pixel(x=(44, 0x3FF), y=(54, 0x1FF), on=43, mirrored=True, others=0x80000400 << 32)
_DVS128 = Chip("DVS128", Resolution(128, 128), davis=False)
_DAVIS240 = Chip("DAVIS240", Resolution(240, 180), davis=True)


@njit(nogil=True, cache=True)
def _pixel(address: int, davis: bool, width: int, height: int) -> tuple[int, int, bool]:
    """Return (x, y, whether ON) of an event's address, upright; x or y is negative if outside the sensor."""
    if davis:
        return width - 1 - (address >> 12 & 0x3FF), height - 1 - (address >> 22 & 0x1FF), address & 0x800 != 0
    x = width - 1 - (address >> 1 & 0x7F)
    return -1 if address >> 16 else x, height - 1 - (address >> 8 & 0x7F), address & 1 == 0


@njit(nogil=True, cache=True)
def _decode(
    davis: bool,
    words: Words,
    first: int,
    state: State,
    width: int,
    height: int,
    events: Events,
    counts: Counts,
) -> tuple[int, int, int, int, bool]:
    """Decode words; ``state`` [1] is the time of the event before; see `shared_readers.Decode`."""
    pixel = _DAVIS_PIXEL if davis else _DVS128_PIXEL
    plain, first_us, last_us = decode_plain(words[first:], pixel, state[0], width, height, events)
    if plain:
        state[0] = last_us
        return first + plain, plain, first_us, last_us, True
    room, n, span = events.shape[0], 0, (state[0], state[0], True)
    for i in range(first, words.shape[0]):
        address = np.int64(words[i] >> np.uint64(32))
        if davis and address & 0x80000000:
            kind = address >> 10 & 3
            counts[SAMPLES] += kind == 1  # 0 is a pixel's reset level, 1 its signal
            counts[IMU] += kind == 3 and address >> 28 & 7 == 0  # the first of a sample's seven words
            continue
        if address & (0x400 if davis else _SPECIAL):
            counts[TRIGGERS] += 1
            continue
        x, y, on = _pixel(address, davis, width, height)
        if x < 0 or y < 0:
            counts[OUTSIDE] += 1
            continue
        t = unwrap(np.int64(words[i] & np.uint64(0xFFFFFFFF)), state[0])
        if n and (n == room or t < span[1] - DISORDER_US):
            return i, n, span[0], span[1], span[2]
        span = extend_span(t, n == 0, span)
        state[0] = t
        if room:
            events[n].t, events[n].x, events[n].y, events[n].p = t, x, y, on
        n += 1
    return words.shape[0], n, span[0], span[1], span[2]


def open_aedat2(path: Path, progress: Progress = untold) -> WordReader:
    """Open an AEDAT 2.0 file; raises FormatError when it is damaged, or the camera isn't known."""
    with closed_on_error(BufferedFile(path, progress)) as file:
        chip, start, warnings = _read_header(file)
        layout = WordLayout(
            "aedat2", "AEDAT 2.0", 8, partial(_decode, chip.davis), big_endian=True, word="event"
        )
        first_us = int.from_bytes(file.view(start + 4, 4), "big", signed=True)
        return WordReader(
            file,
            Body(start, layout, np.array([first_us])),
            EventStream("events", chip.name, chip.resolution, (chip.davis, True)),
            widest=chip.resolution,
            warnings=warnings,
            orientation=chip.orientation,
        )


def _read_header(file: BufferedFile) -> tuple[Chip, int, list[str]]:
    """Return (the camera, where the first word starts, what was assumed)."""
    head = bytes(file.view(0, min(MAX_HEADER_BYTES, file.size)))
    line_end = b"\r\n" if head[len(MAGIC) :].startswith(b"\r\n") else b"\n"
    line = re.compile(rb"#[^\x00-\x08\x0b\x0c\x0e-\x1f]*?" + line_end)
    start = 0
    while (found := line.match(head, start)) is not None:
        start = found.end()
        if b"End Of ASCII Header" in found.group():
            break
    if not start:
        raise FormatError(
            f"{file.path}: the header's first line has no end: copy the file again, or record it again"
        )
    chip = re.search(rb"^# AEChip: (\S+)", head[:start], re.MULTILINE)
    if chip is None:
        assumed = _assume_chip(file.view(start, _SAMPLE_BYTES))
        return assumed, start, [f"the file doesn't say which camera recorded it: {assumed.name} assumed"]
    name = chip.group(1).decode("ascii", errors="replace").rpartition(".")[2]
    return _find_chip(file.path, name), start, []


def _assume_chip(octets: memoryview) -> Chip:
    """Return the camera of a file that doesn't name it: a DVS128's addresses have 16 bits, a DAVIS's 31."""
    addresses = np.frombuffer(octets, ">u4", len(octets) // 8 * 2)[::2]
    return _DAVIS240 if np.count_nonzero(addresses >> 16) > addresses.size // 2 else _DVS128


def _find_chip(path: Path, name: str) -> Chip:
    """Return the camera by the name of jAER's class, or by the converter aedat4to2's name (DAVI346)."""
    upper = name.upper()
    if re.search(r"(DVS|TMPDIFF)128(?!\d)", upper):
        return _DVS128._replace(name=name)
    if re.fullmatch(r"SBRET\d\d|DVS240", upper):
        return _DAVIS240._replace(name=name)
    davis = re.match(r"DAVIS?(\d{3})", upper)
    if davis is None or davis.group(1) not in _DAVIS_SIZES:
        raise FormatError(
            f"{path}: recorded by {name[:40]}, which isn't supported: give a recording of a DVS128 or a DAVIS"
        )
    return Chip(name, Resolution(*_DAVIS_SIZES[davis.group(1)]), davis=True)
