"""Writes bags as robots do, with rosbags' own serialisation, and reads them back with it: a second reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from tests.build_ros_messages import PACKAGES

TOPIC = "/camera/events"
EVENT_ARRAY, PACKET = "dvs_msgs/msg/EventArray", "event_camera_msgs/msg/EventPacket"
PICTURES, SAMPLES = 2, 5
DELAY_NS = 20_000_000  # from a message's first event until it is recorded


def typestore(ros: int) -> Any:
    store = get_typestore(Stores.ROS1_NOETIC if ros == 1 else Stores.ROS2_HUMBLE)
    time = "time" if ros == 1 else "builtin_interfaces/Time"
    for package, messages in {**PACKAGES, "prophesee_event_msgs": PACKAGES["dvs_msgs"]}.items():
        for name, text in messages.items():
            text = text.replace("builtin_interfaces/Time", time)
            store.register(get_types_from_msg(text, f"{package}/msg/{name}"))
    return store


def encode_mono(events: Events, base_ns: int) -> bytes:
    words = (events["t"] * 1000 - base_ns).astype("<u8") | events["x"].astype("<u8") << np.uint64(32)
    return (words | events["y"].astype("<u8") << 48 | events["p"].astype("<u8") << 63).tobytes()


def encode_libcaer(events: Events, base_ns: int) -> bytes:
    words = np.empty((events.size, 2), "<u4")
    words[:, 0] = events["x"].astype("<u4") << 17 | events["y"].astype("<u4") << 2 | events["p"] << 1 | 1
    words[:, 1] = events["t"] - base_ns // 1000 & 0x7FFFFFFF
    return words.tobytes()


def encode_evt3(events: Events, base_ns: int) -> bytes:
    """Return the events with their whole time each, base_ns unused: EVT 3.0 has a time of its own."""
    t, x, y, on = (events[axis].astype(np.int64) for axis in ("t", "x", "y", "p"))
    words = np.stack([8 << 12 | t >> 12 & 0xFFF, 6 << 12 | t & 0xFFF, y, 2 << 12 | on << 11 | x], axis=1)
    return words.astype("<u2").tobytes()


def encode_libcaer_cmp(events: Events, base_ns: int) -> bytes:
    """Return a word for each thing that changes; events below one another become a vector of 8."""
    words: list[int] = []
    last, rows = (0, 0, -1), events.tolist()
    while rows:
        t, x, y, p = rows[0]
        high, low = divmod(t - base_ns // 1000, 4096)
        words += [0 << 12 | high] * (high != last[0]) + [1 << 12 | low] * (low != last[1])
        words += [2 << 12 | x] * (x != last[2])
        last = high, low, x
        below = [row for row in rows[:8] if (row[0], row[1], row[3]) == (t, x, p) and 0 <= row[2] - y < 8]
        if below != rows[: len(below)] or len(below) == 1:
            below = rows[:1]
            words.append(3 << 12 | p << 11 | y)
        else:
            words += [4 << 12 | p << 11 | y, 5 << 12 | sum(1 << row[2] - y for row in below)]
        rows = rows[len(below) :]
    return np.array(words, "<u2").tobytes()


ENCODERS: dict[str, Callable[[Events, int], bytes]] = {
    "mono": encode_mono, "libcaer": encode_libcaer, "libcaer_cmp": encode_libcaer_cmp, "evt3": encode_evt3,
}  # fmt: skip
"""By the encoding of an EventPacket: what returns the octets of some events, given the message's time in ns."""


def messages(
    store: Any, kind: str, events: Events, size: Resolution, encoding: str, each: int
) -> list[tuple[int, Any]]:
    """Return (when it is recorded in ns, the message) of each so many events."""
    types, cdr = store.types, "builtin_interfaces/msg/Time"
    header_type, time_type = types["std_msgs/msg/Header"], types[cdr]

    def header(t_us: int) -> Any:
        stamp = time_type(sec=t_us // 1_000_000, nanosec=t_us % 1_000_000 * 1000)
        number = {"seq": 0} if "seq" in header_type.__dataclass_fields__ else {}
        return header_type(**number, stamp=stamp, frame_id="camera")

    found = []
    for number, first in enumerate(range(0, events.size, each)):
        part = events[first : first + each]
        t_us = int(part["t"].min())
        if kind != PACKET:
            event = types[kind.replace("EventArray", "Event")]
            rows = [
                event(x=x, y=y, ts=time_type(t // 1_000_000, t % 1_000_000 * 1000), polarity=p)
                for t, x, y, p in part.tolist()
            ]
            message = types[kind](header(t_us), size.height, size.width, rows)
        else:
            octets = np.frombuffer(ENCODERS.get(encoding, encode_mono)(part, t_us * 1000), np.uint8)
            message = types[kind](header(t_us), size.height, size.width, number, t_us * 1000, encoding, False, octets)
        found.append((t_us * 1000 + DELAY_NS, message))
    return found


def write_bag(
    path: Path,
    events: Events,
    size: Resolution,
    *,
    kind: str = EVENT_ARRAY,
    encoding: str = "",
    each: int = 100,
    others: bool = True,
    compress: bool = False,
    empty_first: bool = False,
) -> Path:
    """Write a bag with the events, and with pictures and samples of an IMU; its kind is by the file's suffix.

    Return its path: a .db3 or .mcap lies in a folder with its metadata. ``encoding`` is that of messages of the kind
    `PACKET`; an unknown one's octets are those of mono. ``empty_first``: a message without events is the first one.
    """
    ros = 1 if path.suffix == ".bag" else 2
    store = typestore(ros)
    rows = messages(store, kind, events, size, encoding, each)
    if empty_first:
        log_ns, message = rows[0]
        rows.insert(0, (log_ns - 1, replace(message, events=[])))
    writer: Any
    if ros == 1:
        writer = Writer1(path)
        if compress:
            writer.set_compression(Writer1.CompressionFormat.LZ4)
    else:
        plugin = StoragePlugin.MCAP if path.suffix == ".mcap" else StoragePlugin.SQLITE3
        writer = Writer2(path.with_suffix(""), version=9, storage_plugin=plugin)
    serialise = store.serialize_ros1 if ros == 1 else store.serialize_cdr
    with writer:
        topic = writer.add_connection(TOPIC, kind, typestore=store)
        if others:
            for name, count in (("Image", PICTURES), ("Imu", SAMPLES)):
                other = writer.add_connection(f"/{name}", f"sensor_msgs/msg/{name}", typestore=store)
                for number in range(count):
                    writer.write(other, DELAY_NS + number, b"\0\1\0\0 not looked at")
        for log_ns, message in rows:
            writer.write(topic, log_ns, serialise(message, kind))
    if ros == 1:
        return path
    return next(path.with_suffix("").glob(f"*{path.suffix}"))


def read_with_rosbags(path: Path, ros: int) -> Events:
    """Return the events of dvs_msgs or prophesee_event_msgs, or of mono packets, as rosbags reads them."""
    store, rows = typestore(ros), []
    with AnyReader([path], default_typestore=store) as reader:
        chosen = [one for one in reader.connections if one.topic == TOPIC]
        for connection, _, octets in reader.messages(chosen):
            deserialise = store.deserialize_ros1 if ros == 1 else store.deserialize_cdr
            message = deserialise(octets, connection.msgtype)
            rows += [(_us(one.ts), one.x, one.y, one.polarity) for one in message.events]
    return np.array(rows, EVENTS_DTYPE)


def _us(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000 + int(stamp.nanosec) // 1000
