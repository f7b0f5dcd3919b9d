"""Damages what is inside files: HDF5, bags, settings and labels, which stay readable up to what is wrong.

tests/mutations.py runs these cases, and damages octets of recordings, which seldom gets behind a checksum or a table.
Models are in model_structures.py.
"""

from __future__ import annotations

import io
import json
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from livesnn.app.settings import Settings, SettingsFile
from livesnn.console import json_line
from livesnn.events.filters import Orientation
from livesnn.events.labels import COLUMNS, has_labels, keep_labels, labels_file, read_labels
from livesnn.events.packet import Events
from livesnn.events.recording import RecordingInfo, describe, open_recording
from tests.damage import KINDS
from tests.fake_source import joined
from tests.good_files import bag, some

Random = np.random.Generator


class Case(NamedTuple):
    """What was done to a sound file, and the files that came of it, by name."""

    kind: str
    files: dict[str, bytes]


class Subject(NamedTuple):
    """A kind of file: what makes a damaged one, what makes a sound one, and what reads them in a folder.

    ``read`` returns what came of it and what was said, and raises LivesnnError where it is refused.
    """

    name: str
    make: Callable[[Random], Case]
    whole: Callable[[], Case]
    read: Callable[[Path], tuple[str, str]]


def subjects() -> list[Subject]:
    """Return one subject for each kind of file that has a structure."""
    kinds = [
        ("settings", _damaged_settings, partial(one_file, "s.json", SETTINGS), _read_settings),
        ("labels", _damaged_labels, partial(one_file, "f.labels.csv", LABELS), _read_labels),
        ("hdf5 objects", _hdf5, lambda: _hdf5(np.random.default_rng(0)), read_recording),
    ]
    for name, damage in (("mcap", _damaged_mcap), ("bag", _damaged_bag), ("db3", _damaged_tables)):
        octets = _bag(f".{name}")
        kinds.append(
            (f"{name} records", partial(damage, octets), partial(one_file, f"f.{name}", octets), read_recording)
        )
    return [Subject(*kind) for kind in kinds]


def read_recording(folder: Path) -> tuple[str, str]:
    """Read the file that is called f in a folder in every way; its other streams too."""
    found, _, contradiction = read_all(next(folder.glob("f.*")))
    if contradiction:
        return "contradicts itself", contradiction
    return ("read, with a warning", found.warnings[0]) if found.warnings else ("read", "")


def read_all(path: Path) -> tuple[RecordingInfo, list[Events], str]:
    """Return what a recording holds, as it is described and as it is read, and how these contradict each other."""
    found = describe(path)
    events = [read_and_seek(path, name) for name in found.streams]
    counts, read = [stream.n for stream in found.streams.values()], [len(one) for one in events]
    return found, events, f"{counts} described, {read} read" * (counts != read)


def read_and_seek(path: Path, stream: str) -> Any:
    """Return a stream's events, and read it from its middle on."""
    with open_recording(path, stream=stream) as recording:
        events = joined(recording)
        recording.seek((recording.t_start + recording.t_end) // 2)
        for _ in recording:
            pass
    return events


def one_file(name: str, octets: bytes) -> Case:
    return Case("whole", {name: octets})


def pick(random: Random, several: Sequence[Any]) -> Any:
    return several[int(random.integers(len(several)))]


def maybe_broken(octets: bytes, random: Random, share: float = 0.1) -> bytes:
    """Return octets, seldom with damage that knows nothing of the structure."""
    return pick(random, KINDS)(bytearray(octets), random) if octets and random.random() < share else octets


# JSON

NUMBERS: tuple[float, ...] = (
    0, -1, 1, 2, 3, 7, 16, 255, 4095, 4096, 4097, 65_536, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 64,
    -(1 << 63), 10**400, 0.5, -0.5, 1e-320, 1e6, 1e308, float("nan"), float("inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "é" * 300, "a" * 70_000, "../../etc/passwd", "<img src=x>", "%s%n", "\n", "\ud800", "nan", "-1",
)  # fmt: skip


DEEP = "a list in a list in a list"


def _odd(random: Random) -> Any:
    other = (None, True, False, [], {}, [0] * 5_000, {"a": 1}, DEEP)
    return pick(random, pick(random, (NUMBERS, NUMBERS, TEXTS, other)))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place in a JSON value, as what holds it and its key."""
    for key, part in [*(value.items() if isinstance(value, dict) else enumerate(value))]:
        yield value, key
        if isinstance(part, dict | list):
            yield from _places(part)


def damaged_json(octets: bytes, random: Random) -> bytes:
    value = json.loads(octets)
    for _ in range(int(random.integers(1, 4))):
        places = [*_places(value)] or [([0], 0)]
        holder, key = pick(random, places)
        was = holder[key]
        action = random.integers(6)
        if action == 0 and isinstance(holder, dict):
            del holder[key]
        elif action == 1 and isinstance(was, int | float):
            factor = pick(random, (2, -1, 0.5, 1000))
            half = factor == 0.5 and isinstance(was, int)  # which may be too large for a float
            holder[key] = (was // 2 if half else was * factor) + pick(random, (0, 1, -1))
        elif action == 2:
            other, theirs = pick(random, places)
            holder[key] = json.loads(json.dumps(other[theirs]))
        elif action == 3 and isinstance(was, list):
            holder[key] = was * int(random.integers(0, 200 if len(was) < 1_000 else 2))
        elif action == 4 and isinstance(holder, dict):
            holder[pick(random, TEXTS)] = was
        else:
            holder[key] = _odd(random)
    depth = int(random.integers(3, 100_000))
    text = json.dumps(value).replace(f'"{DEEP}"', "[" * depth + "]" * depth)
    return maybe_broken(text.encode(), random)


# Settings and labels

SETTINGS = json_line(
    Settings(
        b"\1\2",
        {"main": b"\3"},
        theme="dark",
        mounted={"camera": Orientation()},
        recent=("a.aedat4",),
        labels=("wave",),
    )
)


def _damaged_settings(random: Random) -> Case:
    return Case("settings", {"s.json": damaged_json(SETTINGS, random)})


def _read_settings(folder: Path) -> tuple[str, str]:
    """Read the settings as the window does, change one, and read them again; what can't be read has its default."""
    path = folder / "s.json"
    with redirect_stderr(io.StringIO()):  # it says what it resets
        file = SettingsFile(path)
        file.change(theme="light" if file.now.theme == "dark" else "dark")
        again = SettingsFile(path).now
    return ("read", "") if again == file.now else ("contradicts itself", "what was written is read otherwise")


ROWS = [["f.aedat4", f"{start}", f"{start + 1}", "wave", "anna"] for start in range(5)]
LABELS = "\n".join(map(",".join, [[*COLUMNS], *ROWS])).encode()
FIELDS = (*TEXTS[:-3], "1e400", "nan", "-inf", "0x1", "1_0", "٣", '"', '"a', "a\0", ",", "\r", "\u2028", "f.npz")


def _damaged_labels(random: Random) -> Case:
    rows = [[*COLUMNS], *(row.copy() for row in ROWS)]
    for _ in range(int(random.integers(1, 4))):
        row = pick(random, rows)
        action = random.integers(5)
        if action == 0 and row:
            row[int(random.integers(len(row)))] = pick(random, FIELDS)
        elif action == 1:
            row.append(pick(random, FIELDS))
        elif action == 2 and row:
            row.pop()
        elif action == 3:
            rows.remove(row) if len(rows) > 1 else None
        else:
            rows += [row.copy() for _ in range(pick(random, (1, 2, 30_000 if sum(map(len, row)) < 1_000 else 30)))]
    text = pick(random, ("\n", "\r\n", "\r")).join(map(pick(random, (",", ",", ";", "\t")).join, rows))
    coded = text.encode(pick(random, ("utf-8", "utf-8-sig", "utf-16", "latin-1")), errors="replace")
    return Case("labels", {"f.labels.csv": maybe_broken(coded, random)})


def _read_labels(folder: Path) -> tuple[str, str]:
    recording = folder / "f.aedat4"
    labels = read_labels(recording)
    if bool(labels) != has_labels(recording):
        return "contradicts itself", f"{len(labels)} labels"
    keep_labels(recording, labels)
    again = read_labels(recording) if labels_file(recording).is_file() else ()
    close = all(abs(one.start - two.start) < 1e-5 for one, two in zip(labels, again, strict=False))
    return ("read", "") if close and len(again) == len(labels) else ("contradicts itself", "kept otherwise")


# HDF5

COLUMN_NAMES = (
    "CD/events", "CD/{}", "events/{}", "{}", "davis/left/events", "a/b/c/{}", "CD", "ms_to_idx", "t_offset",
    "EXT_TRIGGER/events", "events",
)  # fmt: skip
COMPOUND = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
DTYPES: tuple[Any, ...] = (
    "<i8", "<u2", "u1", "<f8", "<f4", "<i4", ">u8", "?", "S4", COMPOUND,
    np.dtype([("a", COMPOUND), ("t", "<i8", (3,))]), h5py.string_dtype(), h5py.vlen_dtype("<i4"), h5py.ref_dtype,
    h5py.enum_dtype({"ON": 1}), "V7",
    np.dtype([("t", h5py.string_dtype())]),
)  # fmt: skip
SHAPES: tuple[Any, ...] = (
    (400,), (400,), (), (0,), (1,), (400, 4), (4, 400), (3, 0), (1 << 40,), (1 << 20, 1 << 20), None,
)  # fmt: skip


# For h5py to write
IMPOSSIBLE = (TypeError, ValueError, OSError, KeyError, RuntimeError, OverflowError, AttributeError)


def _hdf5(random: Random) -> Case:
    """Write an HDF5 file of a sound group of columns and of what else h5py can write, in any place."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.h5"
        with h5py.File(path, "w", libver=pick(random, ("earliest", "latest"))) as file:
            events, home = some(), pick(random, ("CD", "events", "", "a/b"))
            for axis in "txyp":
                data = events[axis].astype("u1") if axis == "p" else events[axis]
                if random.random() < 0.95:
                    chunks = pick(random, (None, (64,), (400,)))
                    filters = pick(random, ({}, {"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}))
                    file.create_dataset(
                        f"{home}/{axis}", data=data, chunks=chunks or bool(filters) or None, **filters
                    )
            for _ in range(int(random.integers(1, 6))):
                add = pick(random, (_dataset, _dataset, _attribute, _link, _virtual, _external, _groups))
                with suppress(*IMPOSSIBLE):
                    add(file, random)
        octets = path.read_bytes()
    return Case("objects", {"f.h5": maybe_broken(octets, random, 0.15), "other.raw": bytes(range(256)) * 20})


def _name(random: Random) -> str:
    return str(pick(random, COLUMN_NAMES)).format(pick(random, "txyp"))


def _free(file: h5py.File, random: Random) -> str:
    """Return a name, under which there is nothing any more."""
    name = _name(random)
    if name in file:
        del file[name]
    return name


def _dataset(file: h5py.File, random: Random) -> None:
    options = pick(
        random,
        ({}, {"chunks": True}, {"chunks": True, "compression": "gzip"}, {"chunks": True, "compression": "lzf"},
         {"chunks": True, "scaleoffset": 0}, {"fillvalue": 3}),
    )  # fmt: skip
    shape = pick(random, SHAPES)
    if shape is None:
        file.create_dataset(_free(file, random), data=h5py.Empty("f4"))
        return
    if shape and np.prod(shape, dtype=float) > 1e6:
        options = {"chunks": True} | options
    file.create_dataset(_free(file, random), shape, pick(random, DTYPES), **options)


def _attribute(file: h5py.File, random: Random) -> None:
    owner = file[pick(random, ["/", *(name for name in ("CD", "CD/t", "events/t", "t", "events") if name in file)])]
    name = pick(random, ("unit", "units", "geometry", "width", "height", "camera", "camera_name", "sensor_name", "x"))
    if random.random() < 0.5:
        owner.attrs[name] = pick(random, ("us", "s", "1280x720", "99999x1", "", 7, -1, 1e300, 2**63 - 1, b"\xff\xfe"))
    else:
        shape = pick(random, ((), (0,), (1,), (5_000,)))
        owner.attrs.create(name, np.zeros(shape), shape, pick(random, DTYPES[:10]))


def _link(file: h5py.File, random: Random) -> None:
    target = pick(random, ("/", "/CD", "/missing", "/CD/t"))
    kinds = (h5py.SoftLink(target), h5py.ExternalLink("other.raw", "/"), h5py.ExternalLink("f.h5", target), file["/"])
    file[_free(file, random)] = pick(random, kinds)


def _virtual(file: h5py.File, random: Random) -> None:
    layout = h5py.VirtualLayout((400,), "<i8")
    layout[:] = h5py.VirtualSource(pick(random, (".", "other.raw", "missing.h5", "/dev/zero")), "CD/t", shape=(400,))
    file.create_virtual_dataset(_free(file, random), layout)


def _external(file: h5py.File, random: Random) -> None:
    where = pick(random, ("other.raw", "/etc/hostname", "/dev/zero", "missing"))
    file.create_dataset(_free(file, random), (400,), "<i8", external=[(where, 0, 3_200)])


def _groups(file: h5py.File, random: Random) -> None:
    if random.random() < 0.5:
        file.create_group("/".join(["g"] * int(random.integers(2, 400))))
    else:
        for number in range(int(random.integers(2, 400))):
            file.create_group(f"many/{number}")


# Bags


def _bag(suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"b{suffix}"
        bag(suffix)(path)
        return path.read_bytes()


SIZES = (0, 1, 7, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


def _other_number(octets: bytes, random: Random) -> bytes:
    """Put another length or number of 1 to 8 octets into a record."""
    if not octets:
        return octets
    width = pick(random, (1, 2, 4, 4, 4, 8))
    at = int(random.integers(min(len(octets), 120 if random.random() < 0.7 else len(octets))))
    number = int(pick(random, SIZES)) & (1 << 8 * width) - 1
    return octets[:at] + number.to_bytes(width, "little") + octets[at + width :]


def _other_records(records: list[tuple[bytes, bytes]], random: Random) -> None:
    """Change the contents, heads and order of records (head, content), but not that they are records."""
    for _ in range(int(random.integers(1, 4))):
        at, other = (int(random.integers(len(records))) for _ in range(2))
        (head, content), action = records[at], random.integers(6)
        if action == 0:
            records[at] = records[other]
        elif action == 1 and len(records) > 2:
            del records[at]
        elif action == 2:
            records[at:at] = [records[other]] * pick(random, (1, 2, 500))
        elif action == 3:
            records[at] = (_other_number(head, random), content)
        else:
            records[at] = (head, _other_number(content, random))


def _damaged_mcap(octets: bytes, random: Random) -> Case:
    magic, at, records = octets[:8], 8, []
    while at + 9 <= len(octets) - 8:
        code, length = struct.unpack_from("<BQ", octets, at)
        records.append((bytes([code]), octets[at + 9 : at + 9 + length]))
        at += 9 + length
    _other_records(records, random)
    whole = b"".join(head + struct.pack("<Q", len(content)) + content for head, content in records)
    return Case("records", {"f.mcap": maybe_broken(magic + whole + magic, random)})


def _damaged_bag(octets: bytes, random: Random) -> Case:
    first = octets.index(b"\n") + 1
    at, records = first, []
    while at + 8 <= len(octets):
        length = struct.unpack_from("<I", octets, at)[0]
        head = octets[at + 4 : at + 4 + length]
        more = struct.unpack_from("<I", octets, at + 4 + length)[0]
        records.append((head, octets[at + 8 + length : at + 8 + length + more]))
        at += 8 + length + more
    _other_records(records, random)
    parts = (part for record in records for part in record)
    whole = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return Case("records", {"f.bag": maybe_broken(octets[:first] + whole, random)})


TABLES = {
    "messages": ("id", "topic_id", "timestamp", "data"),
    "topics": ("id", "name", "type", "serialization_format"),
}
ENDLESS = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c)"
STATEMENTS = (
    "DELETE FROM messages", "DROP TABLE topics", "DROP TABLE messages", "DELETE FROM schema",
    "ALTER TABLE messages RENAME TO m; CREATE VIEW messages AS SELECT * FROM m",
    f"ALTER TABLE messages RENAME TO m; CREATE VIEW messages AS {ENDLESS} SELECT i AS id, "
    "1 AS topic_id, i AS timestamp, x'00' AS data FROM c",
    "UPDATE messages SET data = zeroblob(3000000)", "INSERT INTO topics SELECT * FROM topics WHERE 0",
    f"DROP TABLE schema; CREATE VIEW schema AS {ENDLESS} SELECT i AS schema_version FROM c WHERE i < 0",
    f"DROP TABLE message_definitions; CREATE VIEW message_definitions AS {ENDLESS} SELECT i AS id, "
    "'a' AS topic_type, 'ros2msg' AS encoding, 'b' AS encoded_message_definition, '' AS type_description_hash FROM c",
    "DROP TABLE topics; CREATE VIRTUAL TABLE topics USING fts5(id, name, type, serialization_format)",
    "UPDATE messages SET data = CAST(id AS TEXT)", "PRAGMA user_version = 77", "CREATE TABLE more(a)",
)  # fmt: skip


def _damaged_tables(octets: bytes, random: Random) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.db3"
        path.write_bytes(octets)
        database = sqlite3.connect(path)
        for _ in range(int(random.integers(1, 4))):
            with suppress(sqlite3.Error, OverflowError):  # one change made another impossible
                _change_table(database, random)
        database.commit()
        database.close()
        return Case("tables", {"f.db3": maybe_broken(path.read_bytes(), random)})


def _change_table(database: sqlite3.Connection, random: Random) -> None:
    if random.random() < 0.3:
        database.executescript(pick(random, STATEMENTS))
        return
    table = pick(random, [*TABLES])
    column = pick(random, TABLES[table])
    rows = database.execute(f"SELECT id, {column} FROM {table} LIMIT 100").fetchall()  # a view may have no end
    number, was = pick(random, rows or [(0, None)])
    odd = (None, "", "x", 0, -1, (1 << 63) - 1, -(1 << 63), 1.5, b"", b"\0" * 9)
    new = _other_number(was, random) if isinstance(was, bytes) and random.random() < 0.8 else pick(random, odd)
    database.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (new, number))
