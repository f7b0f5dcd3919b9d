"""What words of EVT 2.0, 2.1 and 3.0 are: where in a stream decoding can begin, whether they can be of a layout.

Not here: the decoders (evt_decoders.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.events.formats.evt_decoders import EVT3
from livesnn.events.formats.evt_kinds import (
    ADDRESS_X,
    ADDRESS_Y,
    HIGH_BITS,
    HIGH_BITS_3,
    KINDS_2,
    KINDS_3,
    KINDS_21,
    LOW_BITS,
    LOW_BITS_3,
    NOWHERE,
    OFF,
    ON,
    TIME_HIGH,
    TIME_LOW,
    VECTOR_8,
    VECTOR_12,
)
from livesnn.events.formats.word_stream import Layout, State, Words
from livesnn.events.packet import DISORDER_US


class Beginning(NamedTuple):
    """``first`` is the word to begin with, ``state`` the one before it; ``lost``: events lie before it."""

    first: int
    state: State
    lost: bool


def kinds_and_contents(words: Words, layout: Layout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each word's type and the bits below it (of EVT 2.1: the more significant half's), int64 [N]."""
    heads = words >> np.uint64(32) if layout.word_bytes == 8 else words
    bits = 12 if layout is EVT3 else 28
    return (heads >> heads.dtype.type(bits)).astype(np.int64), heads.astype(np.int64) & (1 << bits) - 1


def find_beginning(words: Words, layout: Layout) -> Beginning | None:
    """Return where the time is first known; None where it isn't.

    Of EVT 3.0 both parts of the time must have come, and an event counts only once its coordinates have.
    """
    kinds, contents = kinds_and_contents(words, layout)
    needed = (TIME_HIGH, TIME_LOW) if layout is EVT3 else (TIME_HIGH,)
    found = [np.flatnonzero(kinds == kind)[:1] for kind in needed]
    if not all(place.size for place in found):
        return None
    index = max(int(place[0]) for place in found) + 1
    lost = holds_events(words[:index], layout)
    times = [_last(kinds[:index], contents, kind) or 0 for kind in needed]
    if layout is not EVT3:
        return Beginning(index, np.array([times[0] << LOW_BITS]), lost)
    y = _last(kinds[:index], contents, ADDRESS_Y)
    state = [times[0] << LOW_BITS_3, times[1], NOWHERE if y is None else y, NOWHERE, 0]
    return Beginning(index, np.array(state), lost)


def _last(kinds: npt.NDArray[np.int64], contents: npt.NDArray[np.int64], kind: int) -> int | None:
    places = np.flatnonzero(kinds == kind)
    return int(contents[places[-1]]) if places.size else None


def misfits(words: Words, layout: Layout, *, strictly: bool = False) -> float:
    """Return which share of words can't be of a layout: by their type, or because time goes back.

    Parameters
    ----------
    strictly
        Count as well: time that goes back by no more than a disorder; of EVT 3.0, rows without an event; of EVT 2.1,
        TIME_HIGH words with bits in the unused half, among their like.
    """
    if not words.size:
        return 0.0
    kinds, contents = kinds_and_contents(words, layout)
    highs = kinds == TIME_HIGH
    strange = ~np.isin(kinds, {2: KINDS_3, 4: KINDS_2, 8: KINDS_21}[layout.word_bytes])
    if layout is EVT3:
        empty_rows = (kinds[1:] == ADDRESS_Y) & (kinds[:-1] == ADDRESS_Y)
        strange[1:] |= strictly & empty_rows
        times, whole = contents[highs] << LOW_BITS_3, 1 << LOW_BITS_3 + HIGH_BITS_3
    else:
        places = np.maximum.accumulate(np.where(highs, np.arange(kinds.size), -1))
        timed = (kinds <= ON) & (places >= 0)
        times = (contents[places[timed]] << LOW_BITS) + (contents[timed] >> 22)
        whole = 1 << LOW_BITS + HIGH_BITS
    back_us = -np.diff(times) % whole
    flaws = [strange, (back_us > (0 if strictly else DISORDER_US)) & (back_us < whole >> 1)]
    if strictly and layout.word_bytes == 8:
        flaws.append(words[highs] & np.uint64(0xFFFFFFFF) != 0)
    return max(float(flaw.mean()) for flaw in flaws if flaw.size)


def holds_events(words: Words, layout: Layout) -> bool:
    """Say whether there is an event among the words."""
    kinds, _ = kinds_and_contents(words, layout)
    return bool(np.isin(kinds, (ADDRESS_X, VECTOR_12, VECTOR_8) if layout is EVT3 else (OFF, ON)).any())
