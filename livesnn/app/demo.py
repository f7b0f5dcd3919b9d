"""What can be simulated in place of a camera: the demo and other scenes, their names, and the model each needs."""

from __future__ import annotations

import re

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.load import DEFAULT_MODEL, only_model_for, read_card
from livesnn.paths import recordings_dir
from livesnn.session.camera_settings import SIMULATED
from livesnn.simulate import DIGITS_URI, GESTURES_URI
from livesnn.simulate.motions import EVERYDAY, GESTURES, NOTHING

DEMO = GESTURES_URI
WHOLE = {GESTURES_URI: "All gestures in turn", DIGITS_URI: "Turning digits"}
GROUPS = {"One gesture": GESTURES, "Another movement": sorted(EVERYDAY), "No gesture": NOTHING}
CLIPS = {"nmnist": "digit-3", "cifar10-dvs-sim": "ship"}  # What models of a data set know, of the shipped clips


def demo_of(model: str) -> str | None:
    """Return what shows a model at its best; None: it is for videos that livesnn doesn't have.

    Models of digits and of CIFAR10-DVS see a shipped clip, all others of events the simulated person.
    """
    try:
        card = read_card(model)
    except ModelError:
        return DEMO  # the window says what is wrong with it
    if card.input.kind == "video":
        return DIGITS_URI if card.dataset.startswith("mnist-") else None
    clip = recordings_dir() / f"{CLIPS.get(card.dataset)}.aedat4"
    return str(clip) if clip.is_file() else DEMO


def model_for(source: str, chosen: str) -> str | None:
    """Return the model that a source needs in place of the chosen one; None: the chosen one may play it."""
    if (needed := only_model_for(source)) is not None or not source.startswith(SIMULATED):
        return needed
    try:
        return None if knows_people(read_card(chosen)) else DEFAULT_MODEL
    except ModelError:  # loading it says why
        return None


def knows_people(card: ModelCard) -> bool:
    return not set(GESTURES[:-1]).isdisjoint(card.classes)


def title_of(source: str) -> str:
    """Return what a source is called in the window: of a scene, what it shows and, if one is named, whose it is."""
    found = re.fullmatch(r"(simulate:\w+)(?::(\d+))?", source, re.ASCII)
    if found is None:
        return source
    scene, seed = found.groups()
    words = WHOLE.get(scene) or scene.removeprefix(SIMULATED).replace("_", " ")
    words = "a simulated person" if scene == GESTURES_URI else words.lower()
    return f"Demo: {words}" + (f", number {seed}" if seed else "")
