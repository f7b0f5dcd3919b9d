"""AEDAT 1.0 and 2.0 (.aedat) of jAER: DVS128, DVS640 and DAVIS.

Lines of text that start with # come first, then words of eight bytes: the address and the time in µs, each a
big-endian int32. In AEDAT 1.0 the address has 16 bits. Which pixel an address means, and whether it is an event at
all, depends on the camera that the header's AEChip line names. Source: jAER's DVS128, DVS640, DavisBaseCamera and
CDAVIS, and recordings of four cameras.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.errors import FormatError
from livesnn.events.formats.reader import EventStream
from livesnn.events.formats.word_reader import Decode, Pixel, WordLayout, WordReader, pixel_decoder
from livesnn.events.packet import Resolution
from livesnn.files import BufferedFile, closed_on_error
from livesnn.progress import Progress, no_progress
from livesnn.untrusted import HEADER_BYTES

MAGIC, MAGIC_1 = b"#!AER-DAT2.0", b"#!AER-DAT1.0"
_DAVIS_SIZES = {
    "128": (128, 128), "192": (208, 192), "208": (208, 192), "240": (240, 180), "346": (346, 260), "640": (640, 480),
}  # fmt: skip
_SAMPLE_BYTES = 1 << 16


_decode_dvs128 = pixel_decoder(Pixel(
    x=(33, 0x7F), y=(40, 0x7F), on=32, on_is_zero=True, mirrored=True,
    others=0xFFFF8000 << 32, triggers=0x80008000 << 32,  # from its IN pin, or added by jAER
))  # fmt: skip
_decode_davis = pixel_decoder(Pixel(
    x=(44, 0x3FF), y=(54, 0x1FF), on=43, mirrored=True,
    others=0x80000400 << 32, frames=0x80000000 << 32, triggers=0x400 << 32,
))  # fmt: skip
_decode_dvs640 = pixel_decoder(Pixel(x=(33, 0x3FF), y=(43, 0x3FF), on=32, mirrored=True, others=0xFFE00000 << 32))


class Chip(NamedTuple):
    """A camera's name, its sensor, and what decodes its addresses.

    ``frame`` is the size of its frames if that isn't the sensor's.
    """

    name: str
    resolution: Resolution
    decode: Decode
    frame: Resolution | None = None

    @property
    def leftwards(self) -> bool:
        """Whether jAER counts x from the right, as the address does."""
        return self.decode is _decode_davis

    @property
    def orientation(self) -> str:
        if self.leftwards:
            return "x to the left, y up (x and y as in the address)"
        return f"x to the right, y up (x = {self.resolution.width - 1} - address, y = address)"


_DVS128 = Chip("DVS128", Resolution(128, 128), _decode_dvs128)
_DVS640 = Chip("DVS640", Resolution(640, 480), _decode_dvs640)
_DAVIS240 = Chip("DAVIS240", Resolution(240, 180), _decode_davis)
_CDAVIS = Chip("CDAVIS", Resolution(320, 240), _decode_davis, frame=Resolution(640, 480))


def open_aedat2(path: Path, progress: Progress = no_progress) -> WordReader:
    """Open an AEDAT 1.0 or 2.0 file; raises FormatError when it is damaged, or the camera isn't known."""
    with closed_on_error(BufferedFile(path, progress)) as file:
        chip, start, warnings = _read_header(file)
        if bytes(file.view(0, len(MAGIC_1))) == MAGIC_1:
            layout = WordLayout("aedat1", "AEDAT 1.0", 6, _decode_dvs128, word="event")
        else:
            layout = WordLayout("aedat2", "AEDAT 2.0", 8, chip.decode, big_endian=True, word="event")
        time = file.view(start + layout.word_bytes - 4, 4)
        first_us = int.from_bytes(time, "big", signed=True)
        return WordReader(
            file,
            EventStream("events", chip.name, chip.resolution, (chip.leftwards, True)),
            layout,
            start,
            np.array([first_us]),
            warnings=warnings,
            orientation=chip.orientation,
            frame_pixels=chip.frame and chip.frame.width * chip.frame.height,
        )


def _read_header(file: BufferedFile) -> tuple[Chip, int, list[str]]:
    """Return (the camera, where the first word starts, what was assumed)."""
    head = bytes(file.view(0, HEADER_BYTES))
    line_end = b"\r\n" if head[len(MAGIC) :].startswith(b"\r\n") else b"\n"
    line = re.compile(rb"#[^\x00-\x08\x0b\x0c\x0e-\x1f]*?" + line_end)
    start = 0
    while (found := line.match(head, start)) is not None:
        start = found.end()
        if b"End Of ASCII Header" in found.group():
            break
    if not start:
        raise FormatError(f"{file.path}: the header's first line has no end: copy the file again, or record it again")
    chip = re.search(rb"^# AEChip: (\S+)", head[:start], re.MULTILINE)
    if head.startswith(MAGIC_1):
        if chip is not None and b"128" not in chip.group(1):
            raise FormatError(f"{file.path}: AEDAT 1.0 is only read of a DVS128: save it again with jAER")
        return _DVS128, start, []
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
    if upper in ("DVS640", "CDAVIS"):
        return _DVS640 if upper == "DVS640" else _CDAVIS
    if re.fullmatch(r"SBRET\d\d|DVS240", upper):
        return _DAVIS240._replace(name=name)
    davis = re.match(r"DAVIS?(\d{3})", upper)
    if davis is None or davis.group(1) not in _DAVIS_SIZES:
        raise FormatError(
            f"{path}: recorded by {name[:40]}, which isn't supported: give one of a DVS128, DVS640 or DAVIS"
        )
    return _DAVIS240._replace(name=name, resolution=Resolution(*_DAVIS_SIZES[davis.group(1)]))
