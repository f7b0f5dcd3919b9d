"""Packing one .aedat4 packet, and unpacking it, with a limit on what it may unpack to. Not here: what is in it."""

from __future__ import annotations

from enum import IntEnum

import lz4.frame
import zstandard

from livesnn.events.formats.lz4_blocks import unpack_plain_frame

MAX_PACKET_BYTES = 128 << 20
"""No packet may be larger, packed or unpacked: 8 million events, or a 40-megapixel colour frame."""

ONE_BLOCK = lz4.frame.BLOCKSIZE_MAX256KB
"""Large enough for a packet of 10,000 events to be one LZ4 block, which unpacks fastest."""

_LZ4_MAX_RATIO = 255  # the most one octet of LZ4 can stand for
_LZ4_MAGIC = b"\x04\x22\x4d\x18"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Compression(IntEnum):
    """The numbers of the file's header."""

    NONE = 0
    LZ4 = 1
    LZ4_HIGH = 2
    ZSTD = 3
    ZSTD_HIGH = 4

    @property
    def magic(self) -> bytes:
        """The four octets a packed packet starts with; empty without compression."""
        if self is Compression.NONE:
            return b""
        return _LZ4_MAGIC if self <= Compression.LZ4_HIGH else _ZSTD_MAGIC


class PackedError(ValueError):
    """A packet can't be unpacked; the message says why, in a few words."""


def pack(content: bytes, compression: Compression) -> bytes:
    """Return the content of one packet, packed."""
    if compression is Compression.NONE:
        return content
    if compression <= Compression.LZ4_HIGH:
        return bytes(lz4.frame.compress(content, block_size=ONE_BLOCK, block_linked=False, store_size=False))
    return zstandard.ZstdCompressor().compress(content)


class Unpacker:
    """Unpacks packets one after the other; not for use from two threads at once. Releases the GIL."""

    def __init__(self, compression: Compression) -> None:
        self._lz4_context: object = None
        self._zstd: zstandard.ZstdDecompressor | None = None
        if compression in (Compression.LZ4, Compression.LZ4_HIGH):
            self._lz4_context = lz4.frame.create_decompression_context()
        elif compression is not Compression.NONE:
            self._zstd = zstandard.ZstdDecompressor()

    def unpack(self, packed: memoryview, limit: int = MAX_PACKET_BYTES) -> memoryview:
        """Return the content of one packet, in memory of its own; without compression a view of ``packed``.

        Raises
        ------
        PackedError
            When the packet is damaged, or would unpack to more than ``limit``, in bytes.
        """
        if self._lz4_context is not None:
            return self._unpack_lz4(packed, limit)
        if self._zstd is not None:
            return self._unpack_zstd(packed, limit)
        return packed

    def _unpack_lz4(self, packed: memoryview, limit: int) -> memoryview:
        longest = min(_LZ4_MAX_RATIO * len(packed) + 64, limit)
        expected = _first_literal_u32(packed) + 4  # with room to spare, so that the end mark is read, too
        known = 12 <= expected <= longest
        if known and (plain := unpack_plain_frame(packed, expected)) is not None:
            return memoryview(plain)
        first = expected + 4 if known else longest
        content, whole = self._lz4_chunk(packed, first)
        if not whole and first < longest:
            content, whole = self._lz4_chunk(packed, longest)
        if not whole:
            raise PackedError("its LZ4 data has no end")
        return memoryview(content)

    def _lz4_chunk(self, packed: memoryview, limit: int) -> tuple[bytearray, bool]:
        lz4.frame.reset_decompression_context(self._lz4_context)
        try:
            content, _, whole = lz4.frame.decompress_chunk(
                self._lz4_context, packed, max_length=limit, return_bytearray=True
            )
        except (RuntimeError, ValueError, MemoryError):
            raise PackedError("its LZ4 data is damaged") from None
        return content, whole

    def _unpack_zstd(self, packed: memoryview, limit: int) -> memoryview:
        assert self._zstd is not None
        try:
            size = zstandard.frame_content_size(packed)
            if size > limit:
                raise PackedError(f"it claims to unpack to {size:,} bytes")
            if size < 0:  # not stored
                return memoryview(bytearray(self._zstd.decompress(packed, max_output_size=limit)))
            content = bytearray(size)
            filled = self._zstd.stream_reader(packed).readinto(content)
        except zstandard.ZstdError:
            raise PackedError("its ZSTD data is damaged") from None
        if filled != size:
            raise PackedError("its ZSTD data has no end")
        return memoryview(content)

    def first_bytes(self, packed: memoryview, count: int) -> bytes:
        """Return the first ``count`` octets of a packet without unpacking the rest; maybe fewer."""
        if self._lz4_context is not None:
            return bytes(self._lz4_chunk(packed, count)[0])
        if self._zstd is None:
            return bytes(packed[:count])
        try:
            return self._zstd.stream_reader(packed).read(count)
        except zstandard.ZstdError:
            raise PackedError("its ZSTD data is damaged") from None


def _first_literal_u32(packed: memoryview) -> int:
    """Return the content's first four octets as a number, from the packed data; 0 where they aren't plain.

    An LZ4 block starts with literals, and the content starts with its own size, so the size is nearly always
    there to be read: without it the library grows its buffer by doubling, 20 % slower.
    """
    if len(packed) < 24:
        return 0
    flags = packed[4]
    block = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)  # after the frame's header
    if packed[block + 3] & 0x80:  # a block that is stored as it is
        return int.from_bytes(packed[block + 4 : block + 8], "little")
    literals = packed[block + 4] >> 4
    start = block + 5
    if literals == 15:
        while start < len(packed) and packed[start] == 255:
            start += 1
        start += 1
    return int.from_bytes(packed[start : start + 4], "little") if literals >= 4 else 0
