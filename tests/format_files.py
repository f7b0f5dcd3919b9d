"""Made recordings of every format, for tests and benchmarks/format_peers.py.

They are written from the descriptions of the formats (see each reader), independently of livesnn's own code, except
for .aedat4. Bags are written by rosbags.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from livesnn.bench.throughput import SENSOR, START_US, write_aedat4
from livesnn.events.packet import Events, Resolution
from tests.aedat3_writer import header, polarity
from tests.bag_writer import write_bag
from tests.ecf_writer import write_ecf

SMALL_SENSOR = Resolution(128, 128)
_ES_STEP_US = 127
_MESSAGE_EVENTS = 1000  # of bags

Words = npt.NDArray[np.unsignedinteger]


class MadeFile(NamedTuple):
    """A format's sensor, file suffix and writer, and the share of the events that a benchmark writes to it."""

    sensor: Resolution
    suffix: str
    write: Callable[[Path, Iterator[Events]], None]
    share: float = 1.0


def _encoded(sensor: Resolution, suffix: str, head: str, encode: Callable[[Events], bytes]) -> MadeFile:
    """Return a format whose files are a head and then events, each packet of them encoded by itself."""

    def write(path: Path, packets: Iterator[Events]) -> None:
        with open(path, "xb") as file:
            file.write(head.encode())
            for events in packets:
                file.write(encode(events))

    return MadeFile(sensor, suffix, write)


def _encode_aedat1(events: Events) -> bytes:
    words = np.empty((events.size, 3), ">u2")
    words[:, 0] = (127 - events["y"]) << 8 | (127 - events["x"]) << 1 | ~events["p"]
    words[:, 1], words[:, 2] = events["t"] >> 16, events["t"] & 0xFFFF
    return words.tobytes()


def _encode_aedat2(events: Events) -> bytes:
    words = np.empty((events.size, 2), ">u4")
    words[:, 0] = (127 - events["y"]).astype(np.uint32) << 8 | (127 - events["x"]) << 1 | ~events["p"]
    words[:, 1] = events["t"]
    return words.tobytes()


def _encode_aedat3(events: Events) -> bytes:
    return b"".join(polarity(events[first : first + 8192]) for first in range(0, events.size, 8192))


def encode_nmnist(events: Events) -> bytes:
    """Return records of 5 bytes: x, y, polarity and time (Orchard et al. 2015)."""
    t = events["t"]
    columns = [events["x"], events["y"], events["p"] << 7 | t >> 16, t >> 8 & 255, t & 255]
    return np.stack(columns, axis=1).astype(np.uint8).tobytes()


def _joined(columns: list[Words], present: list[npt.NDArray[np.bool_]]) -> bytes:
    """Return the words of some columns [N] row by row, without those that aren't present."""
    return np.stack(columns, axis=1)[np.stack(present, axis=1)].tobytes()


def _changed(values: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.append(True, values[1:] != values[:-1])


def _encode_evt2(events: Events) -> bytes:
    t = events["t"]
    high = (8 << 28 | t >> 6 & 0xFFFFFFF).astype("<u4")
    words = (events["p"].astype(np.int64) << 28 | (t & 63) << 22 | _place(events)).astype("<u4")
    return _joined([high, words], [_changed(t >> 6), np.ones(t.size, np.bool_)])


def _place(events: Events) -> npt.NDArray[np.int64]:
    return events["x"].astype(np.int64) << 11 | events["y"]


def _vectors(events: Events) -> tuple[Events, npt.NDArray[np.uint32]]:
    """Group events of a row and time within 32 columns, as cameras do; return first events and bits of each group."""
    x, y = events["x"].astype(np.int64), events["y"].astype(np.int64)
    groups = _changed(events["t"] << 26 | x >> 5 << 20 | y << 1 | events["p"])
    groups[1:] |= x[1:] <= x[:-1]
    (starts,) = np.nonzero(groups)
    bits = np.bitwise_or.reduceat(np.uint32(1) << (events["x"] & 31).astype(np.uint32), starts)
    first = events[starts]
    first["x"] &= ~np.uint16(31)
    return first, bits


def _encode_evt21(events: Events) -> bytes:
    first, bits = _vectors(events)
    t = first["t"]
    high = (8 << 28 | t >> 6 & 0xFFFFFFF).astype("<u8") << np.uint64(32)
    words = (first["p"].astype(np.int64) << 28 | (t & 63) << 22 | _place(first)).astype("<u8") << np.uint64(32)
    return _joined([high, words | bits], [_changed(t >> 6), np.ones(t.size, np.bool_)])


def encode_evt3(events: Events) -> bytes:
    """Return the words of a RAW file, version 3, without its header."""
    first, bits = _vectors(events)
    t, y = first["t"], first["y"].astype(np.int64)
    alone = bits & (bits - 1) == 0
    x = first["x"] + np.where(alone, np.frexp(bits)[1] - 1, 0)
    many = ~alone
    columns = [
        8 << 12 | t >> 12 & 0xFFF, 6 << 12 | t & 0xFFF, y,
        np.where(alone, 2, 3) << 12 | first["p"].astype(np.int64) << 11 | x,
        4 << 12 | bits & 0xFFF, 4 << 12 | bits >> 12 & 0xFFF, 5 << 12 | bits >> 24,
    ]  # fmt: skip
    always = np.ones(t.size, np.bool_)
    present = [_changed(t >> 12), _changed(t), _changed(t << 11 | y), always, many, many, many]
    return _joined([column.astype("<u2") for column in columns], present)


def _prophesee(version: str, encode: Callable[[Events], bytes]) -> MadeFile:
    options = f"EVT{version};endianness=little;height={SENSOR.height};width={SENSOR.width}"
    return _encoded(SENSOR, ".raw", f"% evt {version[0]}.{version[1:] or 0}\n% format {options}\n% end\n", encode)


def _encode_dat(events: Events) -> bytes:
    words = np.empty((events.size, 2), "<u4")
    words[:, 0] = events["t"]
    words[:, 1] = events["x"] | events["y"].astype(np.uint32) << 14 | events["p"].astype(np.uint32) << 28
    return words.tobytes()


_AEDAT2_HEAD = "#!AER-DAT2.0\r\n# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n#End Of ASCII Header\r\n"
_DAT_HEAD = f"% Data file containing CD events\n% Version 2\n% Width {SENSOR.width}\n% Height {SENSOR.height}\n\0\x08"


def _hdf5(path: Path, packets: Iterator[Events], *, time: str = "<i8", offset_us: int = 0) -> None:
    """Write columns in chunks, not compressed: otherwise the compression would be timed."""
    with h5py.File(path, "x") as file:
        group = file.create_group("events")
        group.attrs["geometry"] = f"{SENSOR.width}x{SENSOR.height}"
        if offset_us:
            file["t_offset"] = np.int64(offset_us)
        kinds = {"t": time, "x": "<u2", "y": "<u2", "p": "u1"}
        columns = {
            axis: group.create_dataset(axis, (0,), kind, maxshape=(None,), chunks=(1 << 16,))
            for axis, kind in kinds.items()
        }
        columns["t"].attrs["unit"] = "us"
        for events in packets:
            for axis, column in columns.items():
                column.resize((column.shape[0] + events.size,))
                column[-events.size :] = events[axis] - offset_us if axis == "t" else events[axis]


def _dsec(path: Path, packets: Iterator[Events]) -> None:
    """Write DSEC's layout, not compressed: 32-bit times, to which a reader adds an offset."""
    _hdf5(path, packets, time="<u4", offset_us=START_US)
    with h5py.File(path, "a") as file:
        t = file["events/t"][:]
        file["ms_to_idx"] = np.searchsorted(t, np.arange(0, int(t[-1]) + 1, 1000)).astype("<u8")


def _ecf(path: Path, packets: Iterator[Events]) -> None:
    events = np.concatenate(list(packets))
    write_ecf(path, events, ["masked"], chunk_events=16384)  # as Prophesee's files


def _es(path: Path, packets: Iterator[Events]) -> None:
    last_us = 0  # times are from the file's start on
    with open(path, "xb") as file:
        file.write(b"Event Stream\x02\x00\x00\x01" + struct.pack("<HH", *SENSOR))
        for events in packets:
            steps = np.diff(events["t"], prepend=last_us)
            last_us = int(events["t"][-1])
            ends = np.cumsum(5 + steps // _ES_STEP_US)
            octets = np.full(ends[-1], 0xFF, np.uint8)
            octets[ends - 5] = steps % _ES_STEP_US << 1 | events["p"]
            for axis, place in ("x", 4), ("y", 2):
                value = events["x"] if axis == "x" else SENSOR.height - 1 - events["y"]
                octets[ends - place], octets[ends - place + 1] = value & 0xFF, value >> 8
            file.write(octets.tobytes())


def _npz(path: Path, packets: Iterator[Events]) -> None:
    events = np.concatenate(list(packets))
    columns = {axis: events[axis] for axis in "txyp"}
    np.savez(path, **columns, width=np.array(SENSOR.width), height=np.array(SENSOR.height))


def _csv(path: Path, packets: Iterator[Events]) -> None:
    with open(path, "x") as file:
        file.write("t,x,y,p\n")
        for events in packets:
            file.writelines(f"{t},{x},{y},{p:d}\n" for t, x, y, p in events.tolist())


def _bag(path: Path, packets: Iterator[Events]) -> None:
    events = np.concatenate(list(packets))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        write_bag(Path(folder) / path.name, events, SENSOR, each=_MESSAGE_EVENTS, others=False).rename(path)


MADE_FILES: dict[str, MadeFile] = {
    "aedat4 (LZ4)": MadeFile(SENSOR, ".aedat4", write_aedat4),
    "aedat1": _encoded(SMALL_SENSOR, ".aedat", "#!AER-DAT1.0\r\n# Timestamps tick is 1 us\r\n", _encode_aedat1),
    "aedat2": _encoded(SMALL_SENSOR, ".aedat", _AEDAT2_HEAD, _encode_aedat2),
    "aedat3": _encoded(SMALL_SENSOR, ".aedat", header().decode(), _encode_aedat3),
    "evt2": _prophesee("2", _encode_evt2),
    "evt21": _prophesee("21", _encode_evt21),
    "evt3": _prophesee("3", encode_evt3),
    "dat": _encoded(SENSOR, ".dat", _DAT_HEAD, _encode_dat),
    "hdf5": MadeFile(SENSOR, ".h5", _hdf5),
    "dsec (HDF5)": MadeFile(SENSOR, ".h5", _dsec),
    "ecf (HDF5)": MadeFile(SENSOR, ".hdf5", _ecf, share=0.1),
    "es": MadeFile(SENSOR, ".es", _es),
    "bag (dvs_msgs)": MadeFile(SENSOR, ".bag", _bag, share=0.02),
    "mcap (dvs_msgs)": MadeFile(SENSOR, ".mcap", _bag, share=0.02),
    "db3 (dvs_msgs)": MadeFile(SENSOR, ".db3", _bag, share=0.02),
    "npz": MadeFile(SENSOR, ".npz", _npz),
    "csv": MadeFile(SENSOR, ".csv", _csv, share=0.2),
}
