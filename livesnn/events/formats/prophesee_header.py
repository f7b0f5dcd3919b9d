"""The lines of text at the start of Prophesee's .raw and .dat files: "% keyword value". Not here: what follows them.

Source: docs.prophesee.ai, file formats; which sensor a system_ID means: OpenEB's list of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from livesnn.events.formats import EventStream
from livesnn.events.formats.columns import parse_size
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.packet import Resolution

MAX_SIZE = 1 << 14
_MAX_HEADER_BYTES = 1 << 16
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
}  # by their lower seven bits: the others are flags


class TextHeader(NamedTuple):
    """``fields`` by keyword, in lower case; ``text`` is all of it, ``start`` where the file goes on after it."""

    fields: dict[str, str]
    text: str
    start: int


def read_text_header(octets: bytes | memoryview) -> TextHeader:
    """Return the header, empty where there is none: it ends at "% end", or at the first line that isn't one.

    Not at the first octet that isn't a %: the words that follow may start with one.
    """
    head = bytes(octets[:_MAX_HEADER_BYTES])
    fields: dict[str, str] = {}
    start = 0
    while (line := _LINE.match(head, start)) is not None:
        start = line.end()
        keyword, value = ((part or b"").decode("utf-8", errors="replace") for part in line.groups())
        if keyword == "end":
            break
        fields.setdefault(keyword.lower(), value.strip())
    return TextHeader(fields, head[:start].decode("utf-8", errors="replace"), start)


def header_of(file: WindowedFile) -> TextHeader:
    """Return a file's header; raises SourceError when it can't be read."""
    return read_text_header(file.view(0, min(_MAX_HEADER_BYTES, file.size)))


def parse_format(fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return a "format" field's name and options: "EVT3;height=720;width=1280"; "" where there is none."""
    name, *options = fields.get("format", "").split(";")
    pairs = (option.partition("=") for option in options)
    return name.strip(), {key.strip(): value.strip() for key, _, value in pairs}


def stream_of(fields: dict[str, str]) -> EventStream:
    """Return the stream that a file holds: its camera, and the sensor's size, as far as the header says."""
    return EventStream("events", _find_camera(fields), _find_resolution(fields))


def disagreement(fields: dict[str, str]) -> list[str]:
    """Return what to say of a header that states two sizes; nothing where it states one."""
    sizes = _stated_sizes(fields)
    other = next((size for size in sizes if size != sizes[0]), None)
    if other is None:
        return []
    taken, left = (f"{size.width}×{size.height}" for size in (sizes[0], other))
    return [f"its header says that the sensor has {taken} and {left} pixels: {taken} is taken"]


def _find_resolution(fields: dict[str, str]) -> Resolution | None:
    """Return the sensor's size, as the header says or by the sensor it names; None where it does neither."""
    return next(iter(_stated_sizes(fields)), None) or _size_of_sensor(fields)


def _stated_sizes(fields: dict[str, str]) -> list[Resolution]:
    """Return the sizes that stand in it, the one that counts first."""
    options = parse_format(fields)[1]
    geometry = re.match(r"(\d+)x(\d+)", fields.get("geometry", ""))
    stated = (
        (options.get("width", ""), options.get("height", "")),
        geometry.groups() if geometry else ("", ""),
        (fields.get("width", ""), fields.get("height", "")),
    )
    sizes = (parse_size(width, height, most=MAX_SIZE) for width, height in stated)
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
    """Return the sensor and its serial number, as far as the header says; "" where it says neither."""
    generation = fields.get("sensor_generation", fields.get("generation", ""))
    named = _named_sensor(fields)
    sensor = fields.get("sensor_name") or (named.upper() if named.startswith("imx") else "")
    sensor = sensor or (f"Gen{generation}" if generation else named.capitalize())
    maker = fields.get("camera_integrator_name", fields.get("integrator_name", ""))
    return " ".join(part for part in (maker, sensor, fields.get("serial_number", "")) if part)[:100]
