"""Prophesee's .dat files, and the text header that they share with .raw files (evt.py).

The header is lines of "% keyword value". In a .dat two bytes give the type and the size of the events after it. An
event is a word of eight bytes: its lower half is the time in µs, which wraps after 71 minutes; its upper half is x
(14 bits), y (14 bits) and the polarity. In versions 0 and 1, of the ATIS, x has 9 bits and y 8.
Source: docs.prophesee.ai, file formats; OpenEB's list of the sensors that a system_ID means; Prophesee's
load_atis_data.m for versions 0 and 1.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.errors import FormatError
from livesnn.events.formats.reader import EventStream
from livesnn.events.formats.table_columns import parse_size
from livesnn.events.formats.word_reader import Pixel, WordLayout, WordReader, pixel_decoder
from livesnn.events.packet import Resolution
from livesnn.files import BufferedFile, closed_on_error, file_head
from livesnn.progress import Progress, no_progress

_LINE = re.compile(rb"% ?(?:(\w[\w.-]*)(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?)?\r?\n")
_GEN3, _GEN4, _GENX320 = Resolution(640, 480), Resolution(1280, 720), Resolution(320, 320)
_SENSORS = {
    "gen3": _GEN3, "gen4": _GEN4, "imx636": _GEN4, "imx646": _GEN4, "imx637": Resolution(640, 512),
    "imx647": Resolution(640, 512), "genx320": _GENX320,
}  # fmt: skip
_GENERATIONS = {"3": _GEN3, "4": _GEN4, "320": _GENX320}
_SYSTEMS = {
    **dict.fromkeys((0x15, 0x17, 0x19, 0x1C, 0x1D, 0x21, 0x22, 0x23, 0x28, 0x29), _GEN3),
    **dict.fromkeys((0x1A, 0x1E, 0x1F, 0x20, 0x27, 0x2E, 0x30, 0x31, 0x32, 0x35, 0x3A, 0x42), _GEN4),
    **dict.fromkeys((0x3B, 0x40), _GENX320),
}  # by their lower seven bits, since the others are flags
_EVENT_TYPES = (0, 12)  # a 2D event, a contrast-detection event
_TRIGGER_TYPE = 14
_ATIS_VERSIONS = ("0", "1")
_EVENT_BYTES = 8
_SAMPLE_BYTES = 1 << 16
_ATIS = Resolution(304, 240)


class TextHeader(NamedTuple):
    """``fields`` by keyword in lower case; ``start`` is where the header ends."""

    fields: dict[str, str]
    start: int


def read_text_header(octets: bytes | memoryview) -> TextHeader:
    """Return the header, which is empty if there is none.

    It ends at "% end" or before the first line of another form. A % doesn't suffice: the words that follow may start
    with one.
    """
    head = bytes(octets[:_SAMPLE_BYTES])
    fields: dict[str, str] = {}
    start = 0
    while (line := _LINE.match(head, start)) is not None:
        start = line.end()
        keyword, value = ((part or b"").decode("utf-8", errors="replace") for part in line.groups())
        if keyword == "end":
            break
        fields.setdefault(keyword.lower(), value.strip())
    return TextHeader(fields, start)


def parse_format(fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return a "format" field's name and options ("EVT3;height=720;width=1280"); the name is "" if there is none."""
    name, *options = fields.get("format", "").split(";")
    pairs = (option.partition("=") for option in options)
    return name.strip(), {key.strip(): value.strip() for key, _, value in pairs}


def stream_of(fields: dict[str, str]) -> tuple[EventStream, list[str]]:
    """Return the stream that a file holds, as far as the header describes it, and a line if that gives two sizes."""
    sizes = _stated_sizes(fields)
    stream = EventStream("events", _find_camera(fields), sizes[0] if sizes else _size_of_sensor(fields))
    other = next((size for size in sizes if size != sizes[0]), None)
    if other is None:
        return stream, []
    taken = sizes[0].words
    return stream, [f"its header says that the sensor has {taken} and {other.words} pixels: {taken} is taken"]


def _stated_sizes(fields: dict[str, str]) -> list[Resolution]:
    """Return the sizes that the header gives, the one that takes precedence first."""
    options = parse_format(fields)[1]
    geometry = re.match(r"(\d+)x(\d+)", fields.get("geometry", ""))
    stated = (
        (options.get("width", ""), options.get("height", "")),
        geometry.groups() if geometry else ("", ""),
        (fields.get("width", ""), fields.get("height", "")),
    )
    sizes = (parse_size(width, height, most=1 << 14) for width, height in stated)
    return [size for size in sizes if size]


def _size_of_sensor(fields: dict[str, str]) -> Resolution | None:
    sensor = _named_sensor(fields)
    if sensor:
        return _SENSORS[sensor]
    generation = fields.get("sensor_generation", fields.get("generation", "")).partition(".")[0]
    if generation in _GENERATIONS:
        return _GENERATIONS[generation]
    system = fields.get("system_id", "")
    ours = fields.get("integrator_name", "Prophesee") == "Prophesee"
    return _SYSTEMS.get(int(system) & 0x7F) if ours and re.fullmatch(r"\d{1,10}", system) else None


def _named_sensor(fields: dict[str, str]) -> str:
    named = f"{fields.get('sensor_name', '')} {fields.get('plugin_name', '')}".lower()
    return next((sensor for sensor in _SENSORS if re.search(rf"{sensor}(?!\d\d)", named)), "")


def _find_camera(fields: dict[str, str]) -> str:
    """Return the maker, the sensor and its serial number as far as the header gives them."""
    generation = fields.get("sensor_generation", fields.get("generation", ""))
    named = _named_sensor(fields)
    sensor = fields.get("sensor_name") or (named.upper() if named.startswith("imx") else "")
    sensor = sensor or (f"Gen{generation}" if generation else named.capitalize())
    maker = fields.get("camera_integrator_name", fields.get("integrator_name", ""))
    return " ".join(part for part in (maker, sensor, fields.get("serial_number", "")) if part)[:100]


DAT = WordLayout("dat", "DAT", _EVENT_BYTES, pixel_decoder(Pixel(x=(32, 0x3FFF), y=(46, 0x3FFF), on=60)))
_DAT_1 = DAT._replace(decode=pixel_decoder(Pixel(x=(32, 0x1FF), y=(41, 0xFF), on=49)))


def looks_like_dat(path: Path, head: bytes) -> bool:
    """Return whether the header is a .dat's, or, in a .dat without one, whether the first events are plausible.

    Metavision's own writer omits the line "Data file containing"; then the version and the type of the events tell.
    """
    if not head.startswith(b"% ") and path.suffix.lower() != ".dat":
        return False
    octets = file_head(path, _SAMPLE_BYTES)
    if not head.startswith(b"%"):
        return path.suffix.lower() == ".dat" and _is_plausible(octets)
    header = read_text_header(octets)
    kinds = [bytes((kind, _EVENT_BYTES)) for kind in (*_EVENT_TYPES, _TRIGGER_TYPE)]
    typed = octets[header.start : header.start + 2] in kinds
    return b"Data file containing" in octets[: header.start] or ("version" in header.fields and typed)


def _is_plausible(octets: bytes) -> bool:
    """Return whether these are events: at least 16, with rising times and coordinates of a real sensor."""
    words = DAT.words(octets)
    times = (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
    places = (words >> np.uint64(32)).astype(np.int64)
    inside = ((places & 0x3FFF) < 2048) & ((places >> 14 & 0x3FFF) < 2048) & (places >> 28 <= 1)
    return len(words) >= 16 and bool(inside.all() and (np.diff(times) >= 0).all())


def open_dat(path: Path, progress: Progress = no_progress) -> WordReader:
    """Open a .dat file; raises FormatError unless its events have eight bytes and are inside the sensor."""
    with closed_on_error(BufferedFile(path, progress)) as file:
        header = read_text_header(file.view(0, _SAMPLE_BYTES))
        warnings = _check_version(path, header.fields.get("version"), header.start > 0)
        stream, notes = stream_of(header.fields)
        start = header.start + _check_type(file, header.start) if header.start else 0
        first_us = int.from_bytes(file.view(start, 4), "little")
        layout = DAT
        if header.fields.get("version") in _ATIS_VERSIONS:
            stream, layout = replace(stream, resolution=stream.resolution or _ATIS), _DAT_1
        return WordReader(file, stream, layout, start, np.array([first_us]), warnings=warnings + notes)


def _check_version(path: Path, version: str | None, has_header: bool) -> list[str]:
    if not has_header:
        return ["it has no header: events of eight bytes assumed, as their times and coordinates suggest"]
    if version is None:
        return ["the header doesn't say which version it is: 2 assumed"]
    if version not in ("2", *_ATIS_VERSIONS):
        raise FormatError(f"{path}: DAT version {version[:20]!r} isn't supported: give a recording of version 1 or 2")
    return []


def _check_type(file: BufferedFile, start: int) -> int:
    """Return how many bytes give the type and size of the events; raises FormatError if that isn't supported."""
    octets = bytes(file.view(start, 2))
    if len(octets) < 2:
        raise FormatError(f"{file.path}: it ends after its header: copy it again, or record it again")
    kind, size = octets
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
