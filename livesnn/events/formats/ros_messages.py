"""The messages of event cameras in ROS: events of dvs_msgs, and packets of event_camera_msgs in four encodings.

ROS 1 packs a message's fields without gaps. ROS 2 writes them as CDR: four bytes that give the byte order, then
numbers at multiples of their own size. Sources: dvs_msgs, prophesee_event_msgs and event_camera_msgs (formerly
event_array_msgs), and the decoders of event_camera_codecs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from livesnn.events.formats.evt import EVT3, HIGH_BITS_3, LOW_BITS_3, NOWHERE, find_beginning, newest
from livesnn.events.formats.shared_readers import PACKET_EVENTS, WIDEST
from livesnn.events.formats.table_columns import parse_size
from livesnn.events.formats.word_reader import OUTSIDE, State, no_counts
from livesnn.events.packet import EVENTS_DTYPE, NO_EVENTS, TIME_LIMIT_US, Events, Resolution, SourceCounters

EVENT_TYPES = {
    "dvs_msgs/msg/EventArray": False,
    "prophesee_event_msgs/msg/EventArray": False,
    "event_camera_msgs/msg/EventPacket": True,
    "event_array_msgs/msg/EventArray": True,
}
"""The types of messages with events, and whether a message's events are packed in an encoding."""

_ROS1_EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
_CDR_EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("gap", "V2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
_WRAP_US = 1 << 31  # of libcaer's times
_TIME_HIGH, _TIME_LOW, _COLUMN, _EVENT, _VECTOR_BASE, _VECTOR = range(6)  # types of libcaer_cmp's words
_EVT3_RANGE_US = 1 << LOW_BITS_3 + HIGH_BITS_3


class MessageError(Exception):
    """A message can't be decoded; ``refused`` if it isn't damaged, but coded in a way that isn't supported."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class Head(NamedTuple):
    """What a message says before its events.

    ``encoding`` is "" where each event is a message of its own. ``number`` counts a camera's packets; it is
    None where nothing counts them. ``base_ns`` is added to the times of mono and libcaer.
    ``start`` is where the events begin, ``length`` how many of them, or of their bytes, there are.
    """

    resolution: Resolution | None = None
    camera: str = ""
    encoding: str = ""
    number: int | None = None
    base_ns: int = 0
    order: str = "<"
    cdr: bool = False
    start: int = 0
    length: int = 0


class _Fields:
    """A message's fields, read one after the other; raises MessageError where the message ends too early."""

    def __init__(self, octets: bytes, *, cdr: bool) -> None:
        self._octets, self._cdr = octets, cdr
        self.position = 4 if cdr else 0
        if cdr and octets[:2] != b"\x00\x01":
            raise MessageError("a message isn't CDR in little-endian order")

    def number(self, code: str) -> int:
        """Return the next number of a `struct` code."""
        size = struct.calcsize(f"<{code}")
        if self._cdr:
            self.position += -(self.position - 4) % size
        try:
            (value,) = struct.unpack_from(f"<{code}", self._octets, self.position)
        except struct.error:
            raise MessageError("a message ends too early") from None
        self.position += size
        return int(value)

    def text(self) -> str:
        """Return the next text."""
        size = self.number("I")
        octets = self._octets[self.position : self.position + min(size, 1000)]
        self.position += size
        return octets.rstrip(b"\x00").decode(errors="replace")


def read_head(octets: bytes, *, cdr: bool, packed: bool) -> Head:
    """Return what a message says before its events; ``packed`` as in `EVENT_TYPES`. Raises MessageError."""
    fields = _Fields(octets, cdr=cdr)
    for code in "II" if cdr else "III":  # the header: (a number,) seconds, nanoseconds
        fields.number(code)
    camera = fields.text()[:100]
    height, width = fields.number("I"), fields.number("I")
    size = parse_size(str(width), str(height))
    encoding, number, base_ns, order = "", None, 0, "<"
    if packed:
        number = fields.number("Q")
        base_ns = fields.number("Q")
        encoding = fields.text()[:40]
        order = ">" if fields.number("B") else "<"
    count = fields.number("I")
    return Head(size, camera, encoding, number, base_ns, order, cdr, fields.position, count)


class Decoder:
    """Decodes a topic's messages, one after the other: in EVT 3.0, one goes on where the one before it ended.

    Events outside ``size`` are left out by EVT 3.0's decoder, which counts them in ``counters``; the others leave
    that to the caller.
    """

    def __init__(self, size: Resolution, counters: SourceCounters) -> None:
        self._size = size
        self._counters = counters
        self._state: State | None = None
        self._column, self._base = NOWHERE, 0  # of libcaer_cmp: the last x; polarity and y of the next vector

    def decode(self, octets: bytes, head: Head, about_us: int | None) -> Iterator[Events]:
        """Yield a message's events as they lie in it, EVENTS_DTYPE [N]; nothing where it has none.

        If the messages before weren't decoded, ``about_us`` is about when this one's events happened: EVT 3.0 alone
        gives a time only to a multiple of 16.8 s. Raises MessageError when the message is damaged, or its encoding
        isn't supported.
        """
        yield from (events for events in self._decode(octets, head, about_us) if events.size)

    def _decode(self, octets: bytes, head: Head, about_us: int | None) -> Iterable[Events]:
        if not head.encoding:
            return [_separate_events(octets, head)]
        packed = octets[head.start : head.start + head.length]
        if len(packed) < head.length:
            raise MessageError("a message ends too early")
        if head.encoding == "evt3":
            return self._evt3(packed, about_us)
        decoders = {"libcaer_cmp": self._libcaer_cmp, "mono": _mono, "libcaer": _libcaer}
        if head.encoding in decoders:
            return [decoders[head.encoding](packed, head)]
        raise MessageError(
            f"its events are coded as {head.encoding!r}: record them as evt3 or libcaer_cmp", refused=True
        )

    def _evt3(self, packed: bytes, about_us: int | None) -> Iterator[Events]:
        words, first = EVT3.words(packed), 0
        if self._state is None:
            found = find_beginning(words, EVT3)
            if found is None:
                return
            first, self._state = found
            if about_us is not None:
                self._state[0] += round((about_us - int(self._state[0])) / _EVT3_RANGE_US) * _EVT3_RANGE_US
        counts = no_counts()
        while first < len(words):
            events = np.empty(PACKET_EVENTS, EVENTS_DTYPE)
            first, n, _, _, _ = EVT3.decode(words, first, self._state, *self._size, events, counts)
            if n:
                yield events[:n]
        self._counters.out_of_bounds += int(counts[OUTSIDE])

    def _libcaer_cmp(self, packed: bytes, head: Head) -> Events:
        """Return events of words of 16 bits, a type (4) and a content (12), each of which changes one thing.

        It is EVT 3.0 with x and y exchanged: a vector's pixels lie below one another. Times, 24 bits of µs, count
        from the message's.
        """
        words = np.frombuffer(packed, f"{head.order}u2", len(packed) // 2)
        if not words.size:
            return np.empty(0, EVENTS_DTYPE)
        kinds, contents = words >> 12, (words & 0xFFF).astype(np.int64)
        times = newest(kinds, contents, _TIME_HIGH, 0) << 12 | newest(kinds, contents, _TIME_LOW, 0)
        columns = newest(kinds, contents, _COLUMN, self._column)
        vectors = kinds == _VECTOR
        # A vector moves the base down by 8.
        moved = np.cumsum(vectors) * 8
        moved -= newest(kinds, moved, _VECTOR_BASE, 0)
        bases = newest(kinds, contents, _VECTOR_BASE, self._base) + moved
        bits = np.where(vectors, contents & 0xFF, kinds == _EVENT).astype(np.uint8)
        row, below = np.nonzero(np.unpackbits(bits[:, np.newaxis], axis=1, bitorder="little"))
        places = np.where(vectors, bases - 8, contents)[row]  # polarity (1), y (11)
        self._column, self._base = int(columns[-1]), int(bases[-1])
        events = np.empty(row.size, EVENTS_DTYPE)
        events["t"], events["x"] = _base(head) // 1000 + times[row], columns[row].clip(max=WIDEST.width)
        events["y"], events["p"] = (places & 0x7FF) + below, places & 0x800 != 0
        return events


def _separate_events(octets: bytes, head: Head) -> Events:
    """Return the events of dvs_msgs and prophesee_event_msgs.

    In CDR, x of an event but the first lies at once behind the polarity before it, at an even place, and the seconds
    two bytes later than in the first event, at a multiple of four.
    """
    if not head.length:
        return NO_EVENTS
    kind, step, start = (_CDR_EVENT, 16, head.start - 2) if head.cdr else (_ROS1_EVENT, 13, head.start)
    if start + (head.length - 1) * step + kind.itemsize > len(octets):
        raise MessageError("a message ends too early")
    rows = np.ndarray((head.length,), kind, octets, start, (step,))
    events = np.empty(head.length, EVENTS_DTYPE)
    events["t"] = rows["s"].astype(np.int64) * 1_000_000 + rows["ns"] // 1000
    events["x"], events["y"], events["p"] = rows["x"], rows["y"], rows["p"] != 0
    if head.cdr:
        events["x"][0], events["y"][0] = struct.unpack_from("<HH", octets, head.start)
    return events


def _mono(packed: bytes, head: Head) -> Events:
    """Return events of 64 bits: polarity, y (15), x (16), ns after the message's time (32)."""
    words = np.frombuffer(packed, f"{head.order}u8", len(packed) // 8).astype(np.uint64)
    events = np.empty(words.size, EVENTS_DTYPE)
    events["t"] = (_base(head) + (words & 0xFFFFFFFF).astype(np.int64)) // 1000
    events["x"], events["y"] = words >> 32 & 0xFFFF, words >> 48 & 0x7FFF
    events["p"] = words >> 63 != 0
    return events


def _libcaer(packed: bytes, head: Head) -> Events:
    """Return events of 2 × 32 bits: x (15), y (15), polarity, valid; µs after the message's time, which may wrap."""
    words = np.frombuffer(packed, f"{head.order}u4", len(packed) // 8 * 2).astype(np.int64).reshape(-1, 2)
    events = np.empty(len(words), EVENTS_DTYPE)
    wraps = np.cumsum(np.diff(words[:, 1], prepend=0) < -(_WRAP_US >> 1))
    events["t"] = _base(head) // 1000 + words[:, 1] + wraps * _WRAP_US
    events["x"], events["y"] = words[:, 0] >> 17, words[:, 0] >> 2 & 0x7FFF
    events["p"] = words[:, 0] >> 1 & 1 != 0
    return events


def _base(head: Head) -> int:
    if head.base_ns >= TIME_LIMIT_US:
        raise MessageError("a message's time makes no sense")
    return head.base_ns
