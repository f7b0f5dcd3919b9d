"""Lines of decimal numbers, read exactly: a mantissa and a power of ten each, so that no time loses a digit.

numpy's and Python's parsers hold the GIL, and read times of a clock as floats. Not here: what the numbers mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.events.packet import TIME_LIMIT_US

_MAX_DIGITS = 18
_MAX_EXPONENT = 400
_MINUS, _PLUS, _POINT, _ZERO, _NINE, _NEW_LINE, _RETURN = 45, 43, 46, 48, 57, 10, 13
_HASH, _PERCENT = 35, 37
_LOWER = 32  # the bit by which a small letter differs
_E, _F, _T = 101, 102, 116

Octets = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """Numbers [N, fields] as mantissas · 10^exponents; lines that weren't such rows, and where the first begins."""

    mantissas: Integers
    exponents: Integers
    bad_lines: int
    first_bad: int


def read_rows(text: memoryview, fields: int) -> Rows:
    """Read lines of ``fields`` numbers, apart by spaces, commas, semicolons, tabs or quotes; true is 1, false is 0.

    Empty lines, and those that begin with # or %, are left out.
    """
    octets = np.frombuffer(text, np.uint8)
    most = min(int(np.count_nonzero(octets == _NEW_LINE)) + 1, octets.size // (2 * fields) + 1)
    mantissas, exponents = np.empty((2, most + 1, fields), np.int64)  # one more, for lines that are no rows
    n, bad, first_bad = _read_rows(octets, mantissas, exponents)
    return Rows(mantissas[:n], exponents[:n], bad, first_bad)


@njit(nogil=True, cache=True)
def _is_apart(octet: int) -> bool:
    return octet in (9, 13, 32, 34, 39, 44, 59)  # tab, return, space, " ' , ;


@njit(nogil=True, cache=True)
def _read_word(octets: Octets, i: int, end: int) -> tuple[int, int, int]:
    """Return (1 for true or 0 for false, 0, where it ends); it ends before ``i`` for any other word."""
    first, last = octets[i] | _LOWER, 0
    start = i
    while i < end and not _is_apart(octets[i]):
        last = octets[i] | _LOWER
        i += 1
    if last == _E and first == _T and i - start == 4:
        return 1, 0, i
    if last == _E and first == _F and i - start == 5:
        return 0, 0, i
    return 0, 0, start - 1


@njit(nogil=True, cache=True)
def _read_power(octets: Octets, i: int, end: int) -> tuple[int, int]:
    """Return (the power of ten after an e, where it ends); it ends before ``i`` where it has no digit."""
    start = i
    negative = i < end and octets[i] == _MINUS
    if i < end and octets[i] in (_MINUS, _PLUS):
        i += 1
    first, power = i, 0
    while i < end and _ZERO <= octets[i] <= _NINE:
        power = min(power * 10 + (octets[i] - _ZERO), _MAX_EXPONENT)
        i += 1
    return (-power if negative else power), (i if i > first else start - 1)


@njit(nogil=True, cache=True)
def _read_number(octets: Octets, i: int, end: int) -> tuple[int, int, int]:
    """Return (mantissa, exponent, where it ends); it ends before ``i`` where it is no number."""
    start = i
    negative = octets[i] == _MINUS
    if octets[i] in (_MINUS, _PLUS):
        i += 1
    if i < end and (octets[i] | _LOWER) in (_T, _F):
        return _read_word(octets, i, end)
    mantissa, exponent, kept, seen, point = 0, 0, 0, 0, False
    while i < end and (_ZERO <= octets[i] <= _NINE or (octets[i] == _POINT and not point)):
        if octets[i] == _POINT:
            point = True
        elif kept < _MAX_DIGITS:
            mantissa = mantissa * 10 + (octets[i] - _ZERO)
            kept += mantissa > 0
            exponent -= point
        else:
            exponent += not point
        seen += octets[i] != _POINT
        i += 1
    if seen and i < end and octets[i] | _LOWER == _E:
        power, i = _read_power(octets, i + 1, end)
        exponent += power
    if not seen or (i < end and not _is_apart(octets[i])):
        return 0, 0, start - 1
    return (-mantissa if negative else mantissa), exponent, i


@njit(nogil=True, cache=True)
def _read_line(octets: Octets, i: int, end: int, mantissas: Integers, exponents: Integers) -> int:
    """Read one line into a row; return how many fields it has, -1 where it isn't a row of that many numbers."""
    field = 0
    while i < end:
        if _is_apart(octets[i]):
            i += 1
            continue
        if field == 0 and (octets[i] == _HASH or octets[i] == _PERCENT):
            return 0
        if field == mantissas.size:
            return -1
        mantissas[field], exponents[field], after = _read_number(octets, i, end)
        if after <= i:
            return -1
        i = after
        field += 1
    return field if field in (0, mantissas.size) else -1


@njit(nogil=True, cache=True)
def _read_plain_line(octets: Octets, i: int, mantissas: Integers) -> int:
    """Read a line of nothing but digits and single marks between them; return where the next begins, or -1."""
    for field in range(mantissas.size):
        start, number = i, np.int64(0)
        while i < octets.size and _ZERO <= octets[i] <= _NINE:
            number = number * 10 + (octets[i] - _ZERO)
            i += 1
        if i == start or i - start > _MAX_DIGITS or i == octets.size:
            return -1
        mantissas[field] = number
        last = field == mantissas.size - 1
        if last and octets[i] == _RETURN and i + 1 < octets.size:
            i += 1
        if (octets[i] != _NEW_LINE) if last else not _is_apart(octets[i]):
            return -1
        i += 1
    return i


@njit(nogil=True, cache=True)
def _read_rows(octets: Octets, mantissas: Integers, exponents: Integers) -> tuple[int, int, int]:
    n = bad = 0
    first_bad = start = 0
    while start < octets.size:
        end = _read_plain_line(octets, start, mantissas[n])
        if end >= 0:
            exponents[n] = 0
            n += 1
            start = end
            continue
        end = start
        while end < octets.size and octets[end] != _NEW_LINE:
            end += 1
        fields = _read_line(octets, start, end, mantissas[n], exponents[n])
        if fields < 0:
            first_bad = start if bad == 0 else first_bad
            bad += 1
        n += fields > 0
        start = end + 1
    return n, bad, first_bad


def scaled(mantissas: Integers, exponents: Integers, power: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return (numbers [N] · 10^power, rounded; which of them are so without rounding, and within ± TIME_LIMIT_US).

    What is beyond the limit is TIME_LIMIT_US.
    """
    numbers = np.empty(mantissas.size, np.int64)
    exact = np.empty(mantissas.size, np.bool_)
    _scale(np.ascontiguousarray(mantissas), np.ascontiguousarray(exponents), power, numbers, exact)
    return numbers, exact


@njit(nogil=True, cache=True)
def _scale(
    mantissas: Integers, exponents: Integers, power: int, numbers: Integers, exact: npt.NDArray[np.bool_]
) -> None:
    for i in range(mantissas.size):
        mantissa, shift = mantissas[i], exponents[i] + power
        factor = np.int64(10) ** min(abs(shift), _MAX_DIGITS)
        if shift >= 0:
            exact[i] = mantissa == 0 or (shift <= _MAX_DIGITS and abs(mantissa) < TIME_LIMIT_US // factor)
            numbers[i] = mantissa * factor if exact[i] else TIME_LIMIT_US
        else:
            within = -shift <= _MAX_DIGITS
            numbers[i] = (mantissa + factor // 2) // factor if within else 0
            exact[i] = mantissa == 0 or (within and numbers[i] * factor == mantissa)
