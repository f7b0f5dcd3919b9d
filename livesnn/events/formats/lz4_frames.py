"""Unpacking LZ4's frames, in which .aedat4 files hold their packets: many in one call, without the GIL."""

from __future__ import annotations

import platform
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import cgutils, config, types
from numba.extending import intrinsic, models, register_model

from livesnn.compiled import njit
from livesnn.events.packet import Resolution

EVENT_BYTES = 16
"""An event in the file: t int64, x and y int16, on one byte, three bytes of padding."""

# Size prefix (filled in), root offset, "EVTS", vtable of one field, root table, number of events (filled in).
EVENTS_PREFIX = bytes.fromhex("00000000 10000000 45565453 0000 0600 0800 0400 06000000 04000000 00000000")

LZ4_MAX_RATIO = 255  # the most one byte of LZ4 can stand for
LZ4_MAGIC = b"\x04\x22\x4d\x18"
_LZ4_VERSION, _LZ4_INDEPENDENT, _LZ4_CONTENT_SIZE = 0x40, 0x20, 0x08  # flags of a frame
_LZ4_BLOCK_CHECKSUM, _LZ4_CONTENT_CHECKSUM, _LZ4_DICTIONARY = 0x10, 0x04, 0x01
_LZ4_STORED = 0x80000000  # in a block's size: it isn't compressed
_LZ4_MAGIC_U32 = int.from_bytes(LZ4_MAGIC, "little")
_LEAST_FRAME_BYTES = 24  # so that what follows the header can be read without another check
_PREFIX_1, _PREFIX_2, _PREFIX_3 = struct.unpack_from("<3q", EVENTS_PREFIX, 4)
_LONGEST_STEP_US = 1 << 36  # 19 hours; 2^27 events, 2 GB, come to 2^63
_NO_SENSOR = Resolution(0, 0)


# The code below unpacks the blocks of two packets at once, in three fifths of the time of LZ4's own decoder. Each
# event takes one or two LZ4 sequences. LZ4's decoder writes a few octets of each, and waits until it can read them
# again together with those before. Here, the last 16 octets stay in a register. The functions take addresses, because
# numba would count references to arrays. They check each address against the ends of what may be read or written.
# Source: LZ4 Block Format Description, LZ4 Frame Format Description 1.6.4.
class _Octets(types.Type):
    """Sixteen octets in one of the processor's registers."""

    def __init__(self) -> None:
        super().__init__("Octets")


_VECTOR, _WORD = ir.VectorType(ir.IntType(8), 16), ir.IntType(64)
_OCTETS = _Octets()


@register_model(_Octets)
class _OctetsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _place(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _reader(kind: Any, result: Any = types.int64) -> Any:
    """Return an intrinsic that reads octets, or an unsigned number, at any address."""

    @intrinsic
    def read(context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
            found = builder.load(_place(builder, values[0], kind), align=1)
            return found if kind in (_VECTOR, _WORD) else builder.zext(found, _WORD)

        return result(types.int64), generate

    return read


_octet_at, _u16_at, _u32_at, _word_at = (_reader(ir.IntType(bits)) for bits in (8, 16, 32, 64))
_octets_at = _reader(_VECTOR, _OCTETS)  # 16 of them


@intrinsic
def _put(context: Any, address: Any, value: Any) -> Any:
    """Write 16 octets, or a number of 64 bits, to any address."""

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        builder.store(values[1], _place(builder, values[0], values[1].type), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, _OCTETS if value is _OCTETS else types.int64), generate


@intrinsic
def _put_octet(context: Any, address: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        octet = ir.IntType(8)
        builder.store(builder.trunc(values[1], octet), _place(builder, values[0], octet))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _followed_by(context: Any, last: Any, following: Any, count: Any) -> Any:
    """Return the last 16 octets when up to 16 of ``following`` come behind ``last``."""
    shuffle = _shuffle()

    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        last, following, count = values
        if not shuffle:
            both = cgutils.alloca_once(builder, ir.ArrayType(_VECTOR, 2))
            first = builder.ptrtoint(both, _WORD)
            builder.store(last, _place(builder, first, _VECTOR), align=1)
            builder.store(following, _place(builder, builder.add(first, _WORD(16)), _VECTOR), align=1)
            return builder.load(_place(builder, builder.add(first, count), _VECTOR), align=1)
        places = [0x80] * 16 + [*range(16)] + [0x80] * 16  # 0x80 gives a zero
        table = cgutils.global_constant(builder, "places", ir.Constant(ir.ArrayType(ir.IntType(8), 48), places))
        move = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR]), shuffle)
        first = builder.add(builder.ptrtoint(table, _WORD), count)
        behind = builder.load(_place(builder, first, _VECTOR), align=1)
        before = builder.load(_place(builder, builder.add(first, _WORD(16)), _VECTOR), align=1)
        return builder.or_(builder.call(move, [last, before]), builder.call(move, [following, behind]))

    return _OCTETS(_OCTETS, _OCTETS, types.int64), generate


def _shuffle() -> str:
    """Return the LLVM name of the instruction that moves octets to any places; "" if the processor has none."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "llvm.aarch64.neon.tbl1.v16i8"
    host = config.CPU_NAME is None and config.CPU_FEATURES is None  # not another's, by NUMBA_CPU_NAME
    return "llvm.x86.ssse3.pshuf.b.128" if host and get_host_cpu_features().get("ssse3") else ""


_INNER = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)  # isn't called from Python


@_INNER
def _sequence(packed: int, to: int, start: int, last: Any) -> tuple[int, int, Any, bool]:
    """Unpack one short sequence; return where its packed octets and its content end, the last 16, and True.

    It leaves a longer or damaged one to `_any_sequence`, and returns False. 32 octets must be left to read, 48 to
    write, and 16 must have been written.
    """
    token = _octet_at(packed)
    literals, match = token >> 4, (token & 15) + 4
    match_to = to + literals
    source = match_to - _u16_at(packed + 1 + literals)
    if literals == 15 or match > 16 or source > match_to - 16 or source < start:
        return packed, to, last, False
    last = _followed_by(last, _octets_at(packed + 1), literals)
    _put(match_to - 16, last)  # all 16 at once, so that the read below needn't wait
    repeated = _octets_at(source)
    _put(match_to, repeated)
    return packed + literals + 3, match_to + match, _followed_by(last, repeated, match), True


@_INNER
def _short_ones(packed: int, end: int, to: int, limit: int, start: int) -> int:
    """Return how many short sequences fit for certain: each takes up to 17 octets and makes up to 30."""
    return min((end - packed - 32) // 17, (limit - to - 48) // 30) if to >= start + 16 else 0


@_INNER
def _length(packed: int, end: int, length: int) -> tuple[int, int]:
    """Return a length of 15 or more with the octets that continue it, and where they end."""
    while packed < end:
        more = _octet_at(packed)
        packed, length = packed + 1, length + more
        if more != 255:
            break
    return packed, length


@_INNER
def _copy(source: int, to: int, count: int, freely: bool) -> None:
    """Copy octets to where they may overlap; ``freely``: 8 at once, and so up to 7 too many."""
    done = 0
    if freely:
        while done < count:
            _put(to + done, _word_at(source + done))
            done += 8
    while done < count:
        _put_octet(to + done, _octet_at(source + done))
        done += 1


@_INNER
def _any_sequence(packed: int, end: int, to: int, limit: int, start: int) -> tuple[int, int]:
    """Unpack one sequence; return where its packed octets and its content end. Damaged: ``end`` and -1."""
    token = _octet_at(packed)
    packed, literals, match = packed + 1, token >> 4, token & 15
    if literals == 15:
        packed, literals = _length(packed, end, literals)
    if literals > end - packed or literals > limit - to:
        return end, -1
    _copy(packed, to, literals, freely=packed + literals + 8 <= end and to + literals + 8 <= limit)
    packed, to = packed + literals, to + literals
    if packed == end:
        return end, to
    if end - packed < 2:
        return end, -1
    offset = _u16_at(packed)
    packed += 2
    if match == 15:
        packed, match = _length(packed, end, match)
    match += 4
    # LZ4 ends every block with five literals.
    if not 0 < offset <= to - start or match > limit - to - 5 or packed >= end:
        return end, -1
    _copy(to - offset, to, match, freely=offset >= 8 and to + match + 8 <= limit)
    return packed, to + match


@_INNER
def _unpack_block(packed: int, end: int, to: int, limit: int, start: int) -> int:
    """Unpack a block; return where its content ends, or -1 if it is damaged.

    A match may begin at ``start`` or later. Nothing is written from ``limit`` on.
    """
    while packed < end:
        left = _short_ones(packed, end, to, limit, start)
        if left > 0:
            last = _octets_at(to - 16)
            while left > 0:
                packed, to, last, short = _sequence(packed, to, start, last)
                left = left - 1 if short else 0
        packed, to = _any_sequence(packed, end, to, limit, start)
    return to


@_INNER
def _unpack_two_blocks(
    packed: int, end: int, to: int, limit: int, start: int,
    packed_2: int, end_2: int, to_2: int, limit_2: int, start_2: int,
) -> tuple[int, int]:  # fmt: skip
    """Unpack two blocks side by side, as `_unpack_block`: while one waits for memory, the other goes on."""
    while packed < end and packed_2 < end_2:
        left = min(_short_ones(packed, end, to, limit, start), _short_ones(packed_2, end_2, to_2, limit_2, start_2))
        if left > 0:
            last, last_2 = _octets_at(to - 16), _octets_at(to_2 - 16)
            while left > 0:
                packed, to, last, short = _sequence(packed, to, start, last)
                packed_2, to_2, last_2, short_2 = _sequence(packed_2, to_2, start_2, last_2)
                left = left - 1 if short and short_2 else 0
        packed, to = _any_sequence(packed, end, to, limit, start)
        packed_2, to_2 = _any_sequence(packed_2, end_2, to_2, limit_2, start_2)
    return (
        _unpack_block(packed, end, to, limit, start),
        _unpack_block(packed_2, end_2, to_2, limit_2, start_2),
    )


_P1, _P2, _P3, _P4, _P5 = map(np.uint32, (2654435761, 2246822519, 3266489917, 668265263, 374761393))


@_INNER
def _rotated(number: Any, bits: int) -> Any:
    return np.uint32(number << np.uint32(bits) | number >> np.uint32(32 - bits))


@_INNER
def _xxh32_round(lane: Any, packed: int) -> Any:
    mixed = np.uint32(lane + np.uint32(np.uint32(_u32_at(packed)) * _P2))
    return np.uint32(_rotated(mixed, 13) * _P1)


@_INNER
def _xxh32(packed: int, count: int) -> np.int64:
    """Return the checksum of octets. Source: xxHash's specification, 0.1.1."""
    end, total = packed + count, _P5
    if count >= 16:
        one, two, three, four = np.uint32(_P1 + _P2), _P2, np.uint32(0), np.uint32(np.uint32(0) - _P1)
        while packed + 16 <= end:
            one, two = _xxh32_round(one, packed), _xxh32_round(two, packed + 4)
            three, four = _xxh32_round(three, packed + 8), _xxh32_round(four, packed + 12)
            packed += 16
        total = np.uint32(_rotated(one, 1) + _rotated(two, 7) + _rotated(three, 12) + _rotated(four, 18))
    total = np.uint32(total + np.uint32(count))
    while packed + 4 <= end:
        total = np.uint32(total + np.uint32(np.uint32(_u32_at(packed)) * _P3))
        total = np.uint32(_rotated(total, 17) * _P4)
        packed += 4
    while packed < end:
        total = np.uint32(total + np.uint32(np.uint32(_octet_at(packed)) * _P5))
        total = np.uint32(_rotated(total, 11) * _P1)
        packed += 1
    total = np.uint32(np.uint32(total ^ total >> np.uint32(15)) * _P2)
    total = np.uint32(np.uint32(total ^ total >> np.uint32(13)) * _P3)
    return np.int64(np.uint32(total ^ total >> np.uint32(16)))


@_INNER
def _first_block(packed: int, end: int) -> tuple[int, int]:
    """Return where a frame's first block starts, and the frame's flags; 0 if the frame must be left to the library.

    The library unpacks frames with a checksum of the content or a dictionary, and judges damaged ones. The header's
    checksum counts only where blocks have checksums too: files without them, such as DV's, stay readable.
    """
    if end - packed < _LEAST_FRAME_BYTES or _u32_at(packed) != _LZ4_MAGIC_U32:
        return 0, 0
    flags = _octet_at(packed + 4)
    if flags & 0xC0 != _LZ4_VERSION or flags & (_LZ4_CONTENT_CHECKSUM | _LZ4_DICTIONARY):
        return 0, 0
    block = packed + (15 if flags & _LZ4_CONTENT_SIZE else 7)
    described = _xxh32(packed + 4, block - packed - 5) >> 8 & 0xFF
    if flags & _LZ4_BLOCK_CHECKSUM and described != _octet_at(block - 1):
        return 0, 0
    return block, flags


@_INNER
def _next_block(at: int, end: int, to: int, limit: int, flags: int) -> tuple[int, int, int, int]:
    """Return where the next packed block starts and ends, what follows it, and where the content so far ends.

    Blocks that aren't packed are copied on the way. After the last block, the first three are 0. If the frame is
    damaged, the last is -1.
    """
    while at > 0 and end - at >= 4:
        size = _u32_at(at)
        if size == 0:
            return 0, 0, 0, to
        start, checked = at + 4, bool(flags & _LZ4_BLOCK_CHECKSUM)
        over = start + (size & ~_LZ4_STORED)
        if over > end - 4 or (checked and _xxh32(start, over - start) != _u32_at(over)):
            return 0, 0, 0, -1
        at = over + 4 if checked else over
        if not size & _LZ4_STORED:
            return start, over, at, to
        if over - start > limit - to:
            return 0, 0, 0, -1
        _copy(start, to, over - start, False)
        to += over - start
    return 0, 0, 0, to if at == 0 else -1


@njit(cache=True)
def lz4_sizes(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the size of each frame's content, 0 if it can't be told; ``places`` are as for `unpack_lz4_frames`.

    A packet's content starts with its size, and an LZ4 block with literals, so the size can nearly always be read.
    """
    sizes = np.zeros(places.shape[0], np.int64)
    for i in range(places.shape[0]):
        packed, end = places[i, 0], places[i, 1]
        if end - packed < _LEAST_FRAME_BYTES:
            continue
        block = packed + (15 if _octet_at(packed + 4) & _LZ4_CONTENT_SIZE else 7)
        at, literals = block + 4, 4
        if not _u32_at(block) & _LZ4_STORED:
            literals = _octet_at(at) >> 4
            at = _length(at + 1, end, 0)[0] if literals == 15 else at + 1
        size = _u32_at(at) + 4 if literals >= 4 and end - at >= 4 else 0
        if 12 <= size <= LZ4_MAX_RATIO * (end - packed) + 64:
            sizes[i] = size
    return sizes


@njit(cache=True)
def are_plain(at: int, count: int, width: int, height: int) -> bool:
    """Return whether events need no sorting and no dropping; ``at`` is their address, as they lie in the file.

    The loop has no branch and no comparison. A coordinate that is too large sets the highest of its 16 bits when the
    rest of the range is added to it. A falling time makes its step negative. Steps of `_LONGEST_STEP_US` or more are
    refused, because many of them would wrap around to where they began.
    """
    seen, steps, last_us = 0, 0, _word_at(at)
    rest_of_16 = (0x8000 - width) | (0x8000 - height) << 16
    for event in range(at, at + count * EVENT_BYTES, EVENT_BYTES):
        t_us, place = _word_at(event), _word_at(event + 8)  # x, y, p, padding
        seen |= place | (place + rest_of_16)
        steps |= t_us - last_us
        last_us = t_us
    odd = seen & 0xFE_8000_8000  # or a polarity that is neither 0 nor 1
    return odd == 0 and 0 <= steps < _LONGEST_STEP_US


@_INNER
def _plain_events(start: int, to: int, width: int, height: int) -> int:
    """Return how many events a content holds; 0 unless it has the usual prefix and `are_plain`."""
    if width == 0 or to - start < 48 or _word_at(start + 4) != _PREFIX_1 or _word_at(start + 12) != _PREFIX_2:
        return 0
    count, events = _u32_at(start + 28), start + 32
    if _word_at(start + 20) != _PREFIX_3 or count > (to - events) // EVENT_BYTES:
        return 0
    return count if count > 0 and are_plain(events, count, width, height) else 0


@njit(nogil=True, cache=True)
def unpack_lz4_frames(places: npt.NDArray[np.int64], width: int, height: int, found: npt.NDArray[np.int64]) -> None:
    """Unpack frames without the GIL.

    ``places``, int64 [N, 4] with an even N, are the addresses where each frame starts and ends, and where its content
    starts and must end. A frame whose content starts at 0 is left out. ``found``, int64 [N, 2], is filled with each
    content's size, or -1 where the library is needed, and with the result of `_plain_events`.
    """
    for one in range(0, places.shape[0], 2):
        two = one + 1
        start, start_2 = places[one, 2], places[two, 2]
        at, flags = _first_block(places[one, 0], places[one, 1]) if start else (0, 0)
        at_2, flags_2 = _first_block(places[two, 0], places[two, 1]) if start_2 else (0, 0)
        to, to_2 = start if at else -1, start_2 if at_2 else -1
        while True:
            packed, end, at, to = _next_block(at, places[one, 1], to, places[one, 3], flags)
            packed_2, end_2, at_2, to_2 = _next_block(at_2, places[two, 1], to_2, places[two, 3], flags_2)
            if packed == 0 and packed_2 == 0:
                break
            to, to_2 = _unpack_two_blocks(
                packed, end, to, places[one, 3], to if flags & _LZ4_INDEPENDENT else start,
                packed_2, end_2, to_2, places[two, 3], to_2 if flags_2 & _LZ4_INDEPENDENT else start_2,
            )  # fmt: skip
            at, at_2 = at if to >= 0 else 0, at_2 if to_2 >= 0 else 0
        found[one, 0], found[one, 1] = to - start if to >= 0 else -1, _plain_events(start, to, width, height)
        found[two, 0], found[two, 1] = (
            to_2 - start_2 if to_2 >= 0 else -1,
            _plain_events(start_2, to_2, width, height),
        )


class Unpacked(NamedTuple):
    """A packet's content, and how many events it holds; 0 if some need sorting or dropping, or it is unusual."""

    content: memoryview
    plain_events: int


def unpack_lz4(
    packed: memoryview, places: list[tuple[int, int]], limit: int, resolution: Resolution = _NO_SENSOR
) -> list[Unpacked | None]:
    """Unpack packets, which start and end at ``places`` of ``packed``, into at most ``limit`` bytes together.

    None stands for a packet that is damaged or too long, or that must be left to the library.
    """
    spans = np.zeros((len(places) + len(places) % 2, 4), np.int64)
    spans[: len(places), :2] = places
    spans[:, :2] += address_of(packed)
    sizes = lz4_sizes(spans)
    sizes[np.cumsum(sizes) > limit] = 0
    contents = [np.empty(size, np.uint8) for size in sizes.tolist()]
    spans[:, 2] = [address_of(content) if content.size else 0 for content in contents]
    spans[:, 3] = spans[:, 2] + sizes
    found = np.empty((len(spans), 2), np.int64)
    unpack_lz4_frames(spans, *resolution, found)
    each = zip(contents[: len(places)], found.tolist(), strict=False)
    return [None if size < 0 else Unpacked(content.data[:size], count) for content, (size, count) in each]


def address_of(octets: memoryview | npt.NDArray[np.uint8]) -> int:
    """Return where octets lie in memory; .ctypes.data takes 1 µs more."""
    where: int = np.asarray(octets).__array_interface__["data"][0]
    return where
