"""Bags of robots: ROS 1 (.bag), ROS 2 (.db3, .mcap, or their folder), with the events of each topic as a stream.

The library rosbags finds the messages; what is in them is decoded by ros_messages.py. A bag is indexed by the time at
which each message was recorded, so a place in the events' own time is found by way of the first message.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Bag1
from rosbags.rosbag1 import ReaderError as Bag1Error
from rosbags.rosbag2 import ReaderError as Bag2Error
from rosbags.rosbag2 import storage_mcap, storage_sqlite3
from rosbags.rosbag2.reader import DirectoryReader

from livesnn.errors import FormatError, reason_of
from livesnn.events.formats.reader import EventStream, OtherContent, Reader
from livesnn.events.formats.ros_messages import EVENT_TYPES, Decoder, Head, MessageError, read_head
from livesnn.events.formats.shared_readers import WIDEST, LossyBlocks, sorted_packets
from livesnn.events.formats.table_columns import require_plausible
from livesnn.events.packet import Events, SourceCounters, jump_warnings
from livesnn.files import closed_on_error
from livesnn.untrusted import DAMAGE

_FRAMES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_IMU = ("sensor_msgs/msg/Imu",)
_BACK_NS = (10**9, 10**10, 10**11, 10**12)  # how far to go back from a place until a message before it is found
_DAMAGE = (*DAMAGE, Bag1Error, Bag2Error, storage_sqlite3.apsw.Error, storage_mcap.zstd.ZstdError)
"""What rosbags and the libraries under it raise on damaged bags."""


class Topic(NamedTuple):
    """The head of a stream's first message, and the times of recording it and of its first event."""

    head: Head
    first_ns: int
    first_us: int


class BagReader(Reader):
    """An open bag; see `Reader`. Raises FormatError when it can't be read, or its events are coded in another way."""

    def __init__(self, path: Path, bag: Any, format_name: str) -> None:
        self.format = format_name
        self._path, self._bag = path, bag
        self._warnings: list[str] = []
        self._damaged: dict[str, str] = {}
        self._jumps: dict[str, int] = {}
        self._ranges: dict[str, tuple[int, int] | None] = {}
        try:
            bag.open()
        except _DAMAGE as error:
            raise _unreadable(path, error) from error
        with closed_on_error(self):
            self._connections: dict[str, list[Connection]] = {}
            for one in bag.connections:
                if one.msgtype in EVENT_TYPES and one.topic:
                    self._connections.setdefault(one.topic, []).append(one)
            self._lost = {name: LossyBlocks(0, f"messages of {name}") for name in self._connections}
            found = {name: self._find_topic(name) for name in self._connections}
            self._topics = {name: topic for name, topic in found.items() if topic is not None}
            if self._warnings and not self._topics:
                raise FormatError(f"{path}: {self._warnings[0]}")
        self.streams = tuple(
            EventStream(name, topic.head.camera, topic.head.resolution) for name, topic in self._topics.items()
        )
        self.camera = self.streams[0].camera if self.streams else ""
        self.resolution = self.streams[0].resolution if self.streams else None

    def _find_topic(self, name: str) -> Topic | None:
        """Return a topic by its first message with events; None if it has none, or they can't be decoded."""
        damage = ""
        for log_ns, octets in self._messages(name, None):
            try:
                head = self._head(name, octets)
                decoder = Decoder(head.resolution or WIDEST, SourceCounters())
                parts = list(decoder.decode(octets, head, None))
            except MessageError as error:
                if error.refused:
                    self._warnings.append(f"the topic {name} is left out: {error}")
                    return None
                damage = str(error)
                continue
            if parts:
                require_plausible(self._path, parts[0], head.resolution)
                return Topic(head, log_ns, int(parts[0]["t"].min()))
        if damage:
            self._warnings.append(f"the topic {name} is left out: {damage}: copy the bag again")
        return None

    def _head(self, name: str, octets: bytes) -> Head:
        packed = EVENT_TYPES[self._connections[name][0].msgtype]
        return read_head(octets, cdr=not isinstance(self._bag, Bag1), packed=packed)

    def _messages(self, name: str, from_ns: int | None) -> Iterator[tuple[int, bytes]]:
        """Yield (when it was recorded, the message), from a time on, up to the first damage of the bag."""
        try:
            for _, log_ns, octets in self._bag.messages(self._connections[name], from_ns):
                if not isinstance(log_ns, int):  # SQLite keeps anything in any column
                    raise ValueError("the time of a message isn't a number")
                yield log_ns, octets if isinstance(octets, bytes) else b""
        except _DAMAGE as error:
            self._damaged[name] = f"{name}: the bag is damaged ({_reason(error)}): the rest of it is left out"

    def _events(self, name: str, from_ns: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield the events of each message that was recorded at ``from_ns`` or later."""
        topic = self._topics[name]
        decoder = Decoder(topic.head.resolution or WIDEST, counters)
        for log_ns, octets in self._messages(name, from_ns):
            about_us = topic.first_us + (log_ns - topic.first_ns) // 1000
            try:
                head = self._head(name, octets)
                yield from decoder.decode(octets, head, None if from_ns is None else about_us)
            except MessageError as error:
                self._lost[name].note_loss(log_ns, 1, str(error))

    @property
    def warnings(self) -> list[str]:
        lost = [line for blocks in self._lost.values() for line in blocks.warnings]
        return [*self._warnings, *self._damaged.values(), *lost, *jump_warnings(self._jumps)]

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        topic = self._topics[stream]
        from_ns = None if start_us is None else self._place(stream, start_us)
        found = self._events(stream, from_ns, counters)
        jumps = yield from sorted_packets(found, topic.head.resolution or WIDEST, start_us, counters)
        if start_us is None:
            self._jumps[stream] = jumps

    def _place(self, name: str, start_us: int) -> int | None:
        """Return a time of recording from which on all events at or after ``start_us`` are found; None: the start."""
        topic = self._topics[name]
        for back_ns in _BACK_NS:
            from_ns = topic.first_ns + (start_us - topic.first_us) * 1000 - back_ns
            if from_ns <= topic.first_ns:
                return None
            first = next(self._events(name, from_ns, SourceCounters()), None)
            if first is not None and first["t"].min() <= start_us:
                return from_ns
        return None

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the times of the first message's first event and of the last messages' last, µs."""
        if stream not in self._ranges:
            self._ranges[stream] = self._topics[stream].first_us, self._latest(stream)
        return self._ranges[stream]

    def _latest(self, name: str) -> int:
        topic = self._topics[name]
        end_ns = int(self._bag.end_time if isinstance(self._bag, Bag1) else self._bag.metadata.end_time)
        size = topic.head.resolution or WIDEST
        later_ns = (end_ns - back_ns for back_ns in _BACK_NS if end_ns - back_ns > topic.first_ns)
        for from_ns in (*later_ns, None):
            found = self._events(name, from_ns, SourceCounters())
            packets = sorted_packets(found, size, None, SourceCounters())
            if ends := [int(packet["t"][-1]) for packet in packets]:
                return max(*ends, topic.first_us)
        return topic.first_us

    def other_content(self) -> OtherContent:
        """Count the messages with pictures and with samples of an IMU."""
        connections = self._bag.connections
        each = (sum(int(one.msgcount) for one in connections if one.msgtype in kinds) for kinds in (_FRAMES, _IMU))
        return OtherContent(*each)

    def close(self) -> None:
        bag, self._bag = self._bag, None
        if bag is not None:
            bag.close()


_OF_PYTHON = (TypeError, AttributeError, IndexError, OverflowError, AssertionError, struct.error)
"""Those of `_DAMAGE` whose message is about Python, and not about the bag."""


def _reason(error: Exception) -> str:
    if isinstance(error, _OF_PYTHON):
        return "it may be cut short"
    return reason_of(error)


def _unreadable(path: Path, error: Exception) -> FormatError:
    unindexed = "not indexed" in str(error)
    advice = "run rosbag reindex FILE" if unindexed else "copy it again, or convert it with the tools of ROS"
    return FormatError(f"{path}: the bag can't be read ({_reason(error)}): {advice}")


def open_bag1(path: Path) -> BagReader:
    return BagReader(path, Bag1(path), "bag")


def open_mcap(path: Path) -> BagReader:
    return BagReader(path, storage_mcap.McapReader(path), "mcap")


def open_sqlite(path: Path) -> BagReader:
    _refuse_views(path)
    return BagReader(path, storage_sqlite3.Sqlite3Reader(path), "db3")


def _refuse_views(path: Path) -> None:
    """Raise FormatError where a database has what isn't a table or an index: reading a view may never end."""
    apsw = storage_sqlite3.apsw
    others = "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE '%VIRTUAL%'"
    try:
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        opened = apsw.Connection(f"file:{path}?immutable=1", flags=flags)
        with contextlib.closing(opened):
            ((found,),) = opened.execute(others)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    if found:
        raise FormatError(f"{path}: it has views or triggers, which no bag has: copy it again")


def open_folder(path: Path) -> BagReader:
    for part in path.glob("*.db3"):
        _refuse_views(part)
    return BagReader(path, DirectoryReader(path), "ros2")
