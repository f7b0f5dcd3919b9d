"""Files that something has happened to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MAX_LENGTH = 64


def flip_a_bit(octets: bytearray, random: np.random.Generator) -> bytes:
    octets[random.integers(len(octets))] ^= 1 << random.integers(8)
    return bytes(octets)


def set_octets(octets: bytearray, random: np.random.Generator) -> bytes:
    at, length = place(octets, random)
    octets[at : at + length] = random.integers(0, 256, length, np.uint8).tobytes()
    return bytes(octets)


def set_a_number(octets: bytearray, random: np.random.Generator) -> bytes:
    numbers = (b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 8, b"\0" * 8)
    at, number = int(random.integers(len(octets))), numbers[random.integers(len(numbers))]
    octets[at : at + len(number)] = number
    return bytes(octets)


def cut_off(octets: bytearray, random: np.random.Generator) -> bytes:
    return bytes(octets[: random.integers(len(octets))])


def take_out(octets: bytearray, random: np.random.Generator) -> bytes:
    at, length = place(octets, random)
    del octets[at : at + length]
    return bytes(octets)


def put_in(octets: bytearray, random: np.random.Generator) -> bytes:
    at, length = place(octets, random)
    octets[at:at] = random.integers(0, 256, length, np.uint8).tobytes()
    return bytes(octets)


def repeat_a_block(octets: bytearray, random: np.random.Generator) -> bytes:
    at, end = sorted(int(place) for place in random.integers(0, len(octets), 2))
    octets[at:at] = octets[at:end]
    return bytes(octets)


def swap_blocks(octets: bytearray, random: np.random.Generator) -> bytes:
    a, b, c = sorted(int(place) for place in random.integers(0, len(octets), 3))
    return bytes(octets[:a] + octets[b:c] + octets[a:b] + octets[c:])


def damage_the_head(octets: bytearray, random: np.random.Generator) -> bytes:
    at = int(random.integers(min(len(octets), 512)))
    octets[at] = int(random.integers(256))
    return bytes(octets)


def change_text(octets: bytearray, random: np.random.Generator) -> bytes:
    """Put something that text may hold, or a number that is too large, over what is there."""
    pieces = (
        b"-1", b"99999999999999999999", b"nan", b"1e400", b"\n",
        b",", b";", b"%", b"#", b"0x", b'"', b"<", b"/", b" ",
    )  # fmt: skip
    at, piece = int(random.integers(min(len(octets), 2048))), pieces[random.integers(len(pieces))]
    octets[at : at + len(piece) * int(random.integers(2))] = piece
    return bytes(octets)


KINDS: tuple[Callable[[bytearray, np.random.Generator], bytes], ...] = (
    flip_a_bit, set_octets, set_a_number, cut_off, take_out, put_in, repeat_a_block, swap_blocks, damage_the_head,
    change_text,
)  # fmt: skip


def place(octets: bytearray, random: np.random.Generator) -> tuple[int, int]:
    at = int(random.integers(len(octets)))
    return at, min(int(random.integers(1, MAX_LENGTH)), len(octets) - at)
