"""What reading files that anybody may have made, or damaged, may take: the limits of all formats, in one place.

A file may claim any size. A decoder of our own calls `require_room` before it makes room for what is claimed, and
unpacks into that much at most. This bounds the time too: what fits is decoded in some seconds. What a library raises
on damage is in `DAMAGE`.

Libraries in C allocate as they like, and some crash. They get only what was checked before: HDF5 by hdf5.py,
SQLite by rosbag.py, ONNX Runtime by onnx_graph.py.
"""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib

HEADER_BYTES = 1 << 20
"""What a file begins with. jAER writes all its preferences, 175 kB of XML, there."""

STRUCTURE_BYTES = 8 << 20
"""What says where in a file something lies."""

PIECE_BYTES = 128 << 20
"""What is read or unpacked in one piece: 8 million events, or a 40-megapixel colour frame."""

WHOLE_BYTES = 512 << 20
"""What is held of a file at a time: a table of 10 million packets, a hundred a second for a day."""

ENTRIES = 10_000
"""What a file lists by name: objects, labels."""

STREAMS = 64
"""What each takes a reader, or a column, of its own."""


class DamageError(ValueError):
    """What is read is damaged, or claims too much; readers turn it into a warning or a FormatError."""


def require_room(octets: int, limit: int, what: str) -> int:
    """Return how many bytes to make room for; raises DamageError where that is below 0 or above the limit."""
    if not 0 <= octets <= limit:
        raise DamageError(f"{what} claims {octets:,} bytes, more than {limit:,}")
    return octets


DAMAGE = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, EOFError,
    MemoryError, RuntimeError, SyntaxError, struct.error, tokenize.TokenError, lzma.LZMAError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What numpy, zipfile, h5py and rosbags raise on damaged files, some only from within what they use."""
