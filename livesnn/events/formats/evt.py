"""Prophesee's .raw files: EVT 2.0, EVT 2.1 in both orders of its halves, and EVT 3.0, after a header of text.

Which of them a file is, its header says and its first words must bear out; without a header they alone decide. Not
here: how events are coded (evt_decoders.py, evt_words.py), reading block by block (word_stream.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livesnn.errors import FormatError
from livesnn.events.formats.evt_decoders import EVT2, EVT3, EVT21, EVT21_LEGACY, LAYOUTS
from livesnn.events.formats.evt_words import find_beginning, holds_events, misfits
from livesnn.events.formats.prophesee_header import (
    TextHeader,
    disagreement,
    header_of,
    parse_format,
    read_text_header,
    stream_of,
)
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.formats.word_stream import BLOCK_BYTES, Body, Layout, WordReader
from livesnn.events.packet import Resolution
from livesnn.files import file_head
from livesnn.progress import Progress, untold

_WIDEST = Resolution(2048, 2048)  # coordinates have 11 bits
_VERSIONS = {"2.0": (EVT2,), "2.1": (EVT21, EVT21_LEGACY), "3.0": (EVT3,)}
_FORMATS = {"EVT2": "2.0", "EVT21": "2.1", "EVT3": "3.0"}
_CAMERA_KEYWORDS = {"evt", "format", "geometry", "integrator_name", "plugin_name", "system_id"}
_ENOUGH_WORDS = 64  # fewer say nothing about what they are
_MAX_MISFITS = 0.1  # a file of another version has at least 0.15; damage, far fewer


def looks_like_evt(path: Path) -> bool:
    """Say whether it has a camera's header; of a .raw without one, whether its words are one version's alone."""
    octets = file_head(path, BLOCK_BYTES)
    if not _CAMERA_KEYWORDS.isdisjoint(read_text_header(octets).fields):
        return True
    return (
        path.suffix.lower() == ".raw"
        and len({layout.title for layout in LAYOUTS if _is_surely(octets, layout)}) == 1
    )


def open_evt(path: Path, progress: Progress = untold) -> WordReader:
    """Open a .raw file.

    Raises
    ------
    FormatError
        When the header names another coding or contradicts the words, or what they are can't be told; when most
        events are outside of the sensor.
    """
    file = WindowedFile(path, progress)
    try:
        header = header_of(file)
        layout = _choose_layout(file, header)
        body, warnings = _find_body(file, header.start, layout)
        warnings += disagreement(header.fields)
        return WordReader(file, body, stream_of(header.fields), widest=_WIDEST, warnings=warnings)
    except BaseException:
        file.close()
        raise


def _choose_layout(file: WindowedFile, header: TextHeader) -> Layout:
    sample = bytes(file.view(header.start, min(BLOCK_BYTES, max(0, file.size - header.start))))
    stated = _stated_layouts(file.path, header.fields)
    sure = [layout for layout in LAYOUTS if _is_surely(sample, layout)]
    if not stated:
        if len(sure) != 1:
            raise FormatError(
                f"{file.path}: it doesn't say which EVT version it is, and that can't be told from its first words: "
                f'add a line "% evt 3.0" (or 2.0, 2.1) to its start, or record it again'
            )
        return sure[0]
    possible = [layout for layout in stated if layout in sure]
    others = {layout.title for layout in sure}
    if not possible and len(others) != 1:
        possible = [layout for layout in stated if _may_be(sample, layout)]
    if not possible:
        looks = f"they look like {others.pop()}" if len(others) == 1 else "the file is damaged"
        raise FormatError(
            f"{file.path}: the header says {stated[0].title}, but the words after it can't be: {looks}: "
            f"correct the header, or record it again"
        )
    timed = [layout for layout in possible if find_beginning(layout.words(sample), layout)]
    return (timed or possible)[0]


def _stated_layouts(path: Path, fields: dict[str, str]) -> tuple[Layout, ...]:
    """Return the layouts that the header allows, the likeliest first; none where it says nothing."""
    name, options = parse_format(fields)
    version = _FORMATS.get(name, name) if name else fields.get("evt", "")
    if not version:
        return ()
    if version not in _VERSIONS:
        raise FormatError(
            f"{path}: its events are coded as {version[:40]!r}, which isn't supported: "
            f"give a recording in EVT 2.0, 2.1 or 3.0"
        )
    layouts = _VERSIONS[version]
    return layouts[::-1] if options.get("endianness", fields.get("endianness")) == "legacy" else layouts


def _may_be(octets: bytes, layout: Layout) -> bool:
    """Say whether words can be what the header says: there are few misfits, or too few words to say so."""
    words = layout.words(octets)
    return len(words) < _ENOUGH_WORDS or misfits(words, layout) <= _MAX_MISFITS


def _is_surely(octets: bytes, layout: Layout) -> bool:
    """Say whether words that nothing is said about are a layout's: hardly a misfit, and time goes on."""
    words = layout.words(octets)
    return (
        len(words) >= _ENOUGH_WORDS
        and find_beginning(words, layout) is not None
        and misfits(words, layout, strictly=True) <= _MAX_MISFITS / 10
    )


def _find_body(file: WindowedFile, start: int, layout: Layout) -> tuple[Body, list[str]]:
    """Return where decoding begins, and what to say of the words before."""
    lost = False
    for position in range(start, file.size, BLOCK_BYTES):
        file.passed(position)
        words = layout.words(file.view(position, min(BLOCK_BYTES, file.size - position)))
        found = find_beginning(words, layout)
        lost = lost or (holds_events(words, layout) if found is None else found.lost)
        if found is not None:
            begin = position + found.first * layout.word_bytes
            said = f"it starts in the middle of a stream: {begin - start:,} bytes before the first time are left out"
            return Body(begin, layout, found.state), [said] if lost else []
    said = "it never says what time it is: its events are left out"
    end = file.size - max(0, file.size - start) % layout.word_bytes
    return Body(end, layout, np.zeros(5, np.int64)), [said] if lost else []
