"""What is raised by reading an array whose file is damaged. Not here: reading it."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib

DAMAGED_ARRAY = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, RuntimeError, SyntaxError,
    struct.error, tokenize.TokenError, lzma.LZMAError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""By numpy and zipfile, some only from within ast and the decompressors."""
