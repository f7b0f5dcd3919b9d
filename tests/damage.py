"""Files that something has happened to."""

from __future__ import annotations

import numpy as np


def damaged(octets: bytes, random: np.random.Generator) -> bytes:
    """Return a copy with up to 63 octets in one place overwritten, or taken out."""
    copy = bytearray(octets)
    at, length = int(random.integers(0, len(copy))), int(random.integers(1, 64))
    if random.random() < 0.5:
        copy[at : at + length] = random.integers(0, 256, length, np.uint8).tobytes()
    else:
        del copy[at : at + length]
    return bytes(copy)
