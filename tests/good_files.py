"""A small sound file of every format and coding that is read, to be damaged."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np

from livesnn.bench.throughput import SENSOR, make_events
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import Events, Resolution
from livesnn.events.recording import open_recording
from tests import aedat3_writer
from tests.bag_writer import EVENT_ARRAY, PACKET, write_bag
from tests.ecf_writer import write_ecf
from tests.format_files import MADE_FILES, encode_nmnist
from tests.reading import read

COUNT = 400


class Good(NamedTuple):
    """A file's format and coding, its octets, and the events of each of its streams as they are read."""

    name: str
    suffix: str
    octets: bytes
    events: tuple[Events, ...]


def some(sensor: Resolution = SENSOR) -> Events:
    return _some(sensor).copy()


@cache
def _some(sensor: Resolution) -> Events:
    return next(make_events(COUNT, sensor))  # makes a million first


def aedat4(compression: Literal["lz4", "zstd"] | None) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with Aedat4Writer(path, SENSOR, compression=compression) as writer:
            for part in np.array_split(some(), 4):
                writer.write(part)

    return write


def aedat2(chip: str, sensor: Resolution, bits: tuple[int, int, int], *others: int) -> Callable[[Path], object]:
    """Return a writer: from which bits of an address on x, y and polarity lie, and addresses that aren't events'."""

    def write(path: Path) -> None:
        events = some(sensor)
        words = np.zeros((events.size + len(others), 2), ">u4")
        across, down = sensor.width - 1 - events["x"], sensor.height - 1 - events["y"]
        parts = zip((across, down, events["p"]), bits, strict=True)
        words[: events.size, 0] = sum(part.astype(np.uint32) << np.uint32(bit) for part, bit in parts)
        words[: events.size, 1] = events["t"]
        words[events.size :, 0] = others
        head = f"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.{chip}\r\n"
        path.write_bytes(head.encode() + words.tobytes())

    return write


def aedat3_mixed(path: Path) -> None:
    events = some(Resolution(128, 128))
    parts = [aedat3_writer.polarity(part) for part in np.array_split(events, 5)]
    others = [
        aedat3_writer.special([aedat3_writer.RISING_EDGE], 50_020),
        aedat3_writer.imu(aedat3_writer.IMU6, 3),
        aedat3_writer.frames(1, 8, 6),
    ]
    path.write_bytes(aedat3_writer.header() + b"".join([*parts[:2], *others, *parts[2:]]))


def evt21_legacy(path: Path) -> None:
    MADE_FILES["evt21"].write(path, iter([some()]))
    octets = path.read_bytes().replace(b"endianness=little", b"endianness=legacy")
    start = octets.index(b"% end\n") + 6
    halves = np.frombuffer(octets[start:], "<u4").reshape(-1, 2)[:, ::-1]
    path.write_bytes(octets[:start] + halves.tobytes())


def es_atis(path: Path) -> None:
    octets, last = bytearray(b"Event Stream\x02\x00\x00\x02" + struct.pack("<HH", *SENSOR)), 0
    for number, (t, x, y, p) in enumerate(some().tolist()):
        passed, first = divmod(t - last, 63)
        octets += b"\xff" * (passed // 3) + bytes([0xFC | passed % 3] if passed % 3 else [])
        octets += struct.pack("<BHH", first << 2 | p << 1 | (number % 5 == 0), x, y)
        last = t
    path.write_bytes(octets)


def nmnist(path: Path) -> None:
    events = some(Resolution(34, 34))
    events["t"] -= events["t"][0]
    path.write_bytes(encode_nmnist(events))


def npz_compressed(path: Path) -> None:
    events = some()
    np.savez_compressed(path, **{axis: events[axis] for axis in "txyp"}, camera=np.array("DVS"))


def hdf5(compression: str | None) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        events = some()
        with h5py.File(path, "w") as file:
            for axis in "txyp":
                column = events[axis].astype("u1") if axis == "p" else events[axis]
                file.create_dataset(f"CD/{axis}", data=column, chunks=(128,), compression=compression)
            file["CD/t"].attrs["unit"] = "us"
            file.attrs["geometry"] = "1280x720"

    return write


def csv_plain(path: Path) -> None:
    rows = (f"{t / 1e6:.6f} {x} {y} {p:d}\n" for t, x, y, p in some().tolist())
    path.write_text("# geometry:1280,720\n" + "".join(rows))


def dat1(path: Path) -> None:
    events = some(Resolution(304, 240))
    words = np.empty((events.size, 2), "<u4")
    words[:, 0] = events["t"]
    words[:, 1] = events["x"] | events["y"].astype("<u4") << 9 | events["p"].astype("<u4") << 17
    path.write_bytes(b"% Data file containing CD events\n% Version 1\n\0\x08" + words.tobytes())


def bag(suffix: str, encoding: str = "", **options: Any) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        kind = PACKET if encoding else EVENT_ARRAY
        with tempfile.TemporaryDirectory() as folder:
            made = write_bag(Path(folder) / f"bag{suffix}", some(), SENSOR, kind=kind, encoding=encoding, **options)
            path.write_bytes(made.read_bytes())

    return write


OTHERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "aedat4 (ZSTD)": (".aedat4", aedat4("zstd")),
    "aedat4 (none)": (".aedat4", aedat4(None)),
    # With addresses of an IMU, and of a frame
    "aedat2 (DAVIS)": (".aedat", aedat2("DAVIS240C", Resolution(240, 180), (12, 22, 11), *[0x80000C00] * 100)),
    "aedat2 (CDAVIS)": (".aedat", aedat2("CDAVIS", Resolution(320, 240), (12, 22, 11), *[0x80000077] * 100)),
    "aedat2 (DVS640)": (".aedat", aedat2("DVS640", Resolution(640, 480), (1, 11, 0))),
    "aedat3 (mixed)": (".aedat", aedat3_mixed),
    "dat (version 1)": (".dat", dat1),
    "bag (dvs_msgs)": (".bag", bag(".bag")),
    "bag (LZ4)": (".bag", bag(".bag", "mono", compress=True)),
    "db3 (dvs_msgs)": (".db3", bag(".db3")),
    "db3 (libcaer)": (".db3", bag(".db3", "libcaer")),
    "mcap (dvs_msgs)": (".mcap", bag(".mcap")),
    "mcap (libcaer_cmp)": (".mcap", bag(".mcap", "libcaer_cmp")),
    "mcap (evt3)": (".mcap", bag(".mcap", "evt3")),
    "evt21 (legacy)": (".raw", evt21_legacy),
    "es (ATIS)": (".es", es_atis),
    "nmnist": (".bin", nmnist),
    "npz (compressed)": (".npz", npz_compressed),
    "hdf5 (gzip)": (".h5", hdf5("gzip")),
    "hdf5 (ECF)": (".hdf5", lambda path: write_ecf(path, some())),
    "csv (no header)": (".txt", csv_plain),
}


def good_files(folder: Path) -> list[Good]:
    """Make the files in a folder, and return them; they are always the same."""
    made = {
        name: (known.suffix, lambda path, known=known: known.write(path, iter([some(known.sensor)])))
        for name, known in MADE_FILES.items()
        if not name.endswith("(HDF5)")  # "hdf5" and "hdf5 (ECF)" are of them
    }
    made |= {"aedat4 (LZ4)": (".aedat4", aedat4("lz4")), "hdf5": (".h5", hdf5(None))}  # in smaller pieces
    return [_make(folder, name, suffix, write) for name, (suffix, write) in {**made, **OTHERS}.items()]


def _make(folder: Path, name: str, suffix: str, write: Callable[[Path], object]) -> Good:
    path = folder / f"good{suffix}"
    write(path)
    with open_recording(path) as recording:
        streams = [recording.stream, *recording.other_streams]
    events = tuple(read(path, stream=stream) for stream in streams)
    octets = path.read_bytes()
    path.unlink()
    return Good(name, suffix, octets, events)
