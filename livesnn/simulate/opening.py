"""open_simulation: "simulate:KIND:SEED" becomes a live source. Not here: the sources (live.py, turning.py)."""

from __future__ import annotations

import re

from livesnn.errors import SourceError
from livesnn.events import EventSource

GESTURES, DIGITS = "simulate:gestures", "simulate:digits"
_SEEDS = {GESTURES: 19, DIGITS: 1}
"""Of the demos: somebody well lit, who is recognised."""


def open_simulation(uri: str) -> EventSource:
    """Open "simulate:gestures" or "simulate:digits", each with ":SEED" behind it or without.

    Raises
    ------
    SourceError
        It is something else.
    """
    found = re.fullmatch(r"(simulate:\w+)(?::([0-9]{1,18}))?", uri, re.ASCII)
    if found is None or found[1] not in _SEEDS:
        raise SourceError(
            f"{uri}: give {GESTURES} or {DIGITS}, with a number from 0 as its seed or without: {GESTURES}:7"
        )
    seed = _SEEDS[found[1]] if found[2] is None else int(found[2])
    if found[1] == GESTURES:
        from livesnn.simulate.live import SimulatedPerson

        return SimulatedPerson(seed)
    from livesnn.simulate.turning import TurningDigits

    return TurningDigits(seed)
