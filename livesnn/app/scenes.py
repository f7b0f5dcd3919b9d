"""The menu of simulated scenes: everything that `simulate:…` can show, and what each is called."""

from __future__ import annotations

import re
from collections.abc import Callable

from PySide6.QtWidgets import QMenu

from livesnn.app import style
from livesnn.card import ModelCard
from livesnn.simulate import DIGITS_URI, GESTURES_URI
from livesnn.simulate.motions import EVERYDAY, GESTURES, NOTHING

SCHEME = "simulate:"
OTHERS = "Another movement"  # seventy, by name
GROUPS = {"One gesture": GESTURES, OTHERS: EVERYDAY, "No gesture": NOTHING}
WHOLE = {GESTURES_URI: "All gestures in turn", DIGITS_URI: "Turning digits"}
_TITLES = {GESTURES_URI: "a simulated person", DIGITS_URI: "turning digits"}


def fill_scenes(menu: QMenu, watch: Callable[[str], None]) -> None:
    """Fill a menu with every scene; ``watch`` is called with the address of the chosen one."""

    def add(where: QMenu, words: str, address: str) -> None:
        action = where.addAction(words)
        action.setToolTip(address)
        action.triggered.connect(lambda _=False: watch(address))

    for address, words in WHOLE.items():
        add(menu, words, address)
    for group, names in GROUPS.items():
        inner = menu.addMenu(group)
        for name in names if group != OTHERS else sorted(names):
            add(inner, style.readable(name), SCHEME + name)


def title(source: str) -> str:
    """Return what a source is called in the window: of a scene, what it shows and, if one is named, whose it is."""
    scene, seed = _parts(source)
    if not scene:
        return source
    words = _TITLES.get(scene) or style.readable(scene.removeprefix(SCHEME)).lower()
    return f"Demo: {words}" + (f", number {seed}" if seed else "")


def another(source: object) -> str:
    """Return the scene that plays with the next person or hand; where none plays, all gestures of the first one."""
    scene, seed = _parts(source if isinstance(source, str) else "")
    return f"{scene or GESTURES_URI}:{int(seed or 0) + 1}"


def knows_people(card: ModelCard | None) -> bool:
    """Return whether a model recognises what simulated people do."""
    return card is not None and bool({*GESTURES[:-1]} & {*card.classes})


def _parts(source: str) -> tuple[str, str]:
    """Return a scene without its seed, and the seed; "" where there is none."""
    found = re.fullmatch(r"(simulate:\w+)(?::(\d+))?", source, re.ASCII)
    return (found[1], found[2] or "") if found else ("", "")
