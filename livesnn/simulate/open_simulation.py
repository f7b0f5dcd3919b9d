"""open_simulation: "simulate:KIND:SEED" becomes a live source. Not here: the sources (live.py, turning.py)."""

from __future__ import annotations

import re

from livesnn.errors import SourceError
from livesnn.events.packet import EventSource
from livesnn.simulate.motions import PEOPLE
from livesnn.video.frame_source import FrameSource

GESTURES, DIGITS = "simulate:gestures", "simulate:digits"
_SEEDS = {GESTURES: 19, DIGITS: 1}
"""Of the demos: somebody well lit, who is recognised; who performs one movement alone is the first one."""


def open_simulation(uri: str) -> EventSource | FrameSource:
    """Open "simulate:gestures", "simulate:digits" or "simulate:" and one of `PEOPLE`, with ":SEED" behind or without.

    Raises
    ------
    SourceError
        It is something else.
    """
    found = re.fullmatch(r"(simulate:(\w+))(?::([0-9]{1,18}))?", uri, re.ASCII)
    if found is None or (found[1] not in _SEEDS and found[2] not in PEOPLE):
        raise SourceError(
            f"{uri}: give {GESTURES} or {DIGITS}, with a number from 0 as its seed or without: {GESTURES}:7; "
            f"or one movement alone: {', '.join(PEOPLE)}"
        )
    seed = _SEEDS.get(found[1], 0) if found[3] is None else int(found[3])
    if found[1] == DIGITS:
        from livesnn.simulate.turning import TurningDigits

        return TurningDigits(seed)
    from livesnn.simulate.live import SimulatedPerson

    return SimulatedPerson(seed) if found[1] == GESTURES else SimulatedPerson(seed, gestures=(found[2],))
