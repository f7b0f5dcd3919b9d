"""Corrects what a model was taught: a class gets another name, or is taken out. The result is a new model folder.

A class that names too much is learned again, with more that it isn't: `learn.teach` with ``again``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.load import model_folder
from livesnn.infer.reason import OTHER
from livesnn.teach.detector import room, with_moments
from livesnn.teach.model import (
    BIAS,
    WEIGHT,
    check_model,
    check_name,
    check_out,
    rows_of,
    taught_before,
    write_taught,
)
from livesnn.teach.recordings import recordings_of
from livesnn.teach.windows import Embedding
from livesnn.weights import WEIGHTS, load_weights

T = TypeVar("T")


def change_class(gesture: str, model: str | Path, out: Path, *, name: str = "") -> None:
    """Write a model that calls a class ``name``, or lacks a taught class, into the new folder ``out``.

    Raises ModelError if it has no such class, or can't do without it; or like `model.check_lesson`.
    """
    folder = model_folder(model)
    card = check_model(folder)
    check_out(out)
    check_change(gesture, name, card)

    def changed(named: Mapping[str, T]) -> dict[str, T]:
        return {name if each == gesture else each: kept for each, kept in named.items() if name or each != gesture}

    weights, _ = load_weights(folder / WEIGHTS)
    try:
        rows_of(weights, card)
    except ModelError as error:
        raise ModelError(f"{folder / WEIGHTS}: {error}") from error
    embedding = Embedding.of(folder, weights, card)
    features = weights[WEIGHT].shape[1] + 1 if embedding is None else embedding.size
    kept = changed(taught_before(folder, card, features))
    first = changed({gesture: gesture} | card.renamed)
    changed_card = replace(
        card,
        classes=tuple(changed(dict.fromkeys(card.classes))),
        taught=changed(card.taught),
        lessons=changed(card.lessons),
        renamed={each: before for each, before in first.items() if each != before},
    )
    if embedding is not None and not name:
        most = room(card, len(kept))
        weights, changed_card = with_moments(weights, card, changed_card, embedding, kept, {}, most)
    else:
        left = [row for row, each in enumerate(card.classes) if name or each != gesture]
        weights |= {part: weights[part][left] for part in (WEIGHT, BIAS)}
    arguments = (gesture, *(("--rename", name) if name else ("--remove",)))
    write_taught(folder, out, weights, changed_card, kept, changed(recordings_of(folder)), arguments)


def check_change(gesture: str, name: str, card: ModelCard) -> None:
    """Raise ModelError unless a class can be called ``name``, or removed if that is ""."""
    named = [each for each in card.classes if each != OTHER] if name else [*card.taught]
    if gesture not in named:
        raise ModelError(
            f"{card.name} has no gesture {gesture} that could be changed: it has {', '.join(named) or 'none'}"
        )
    if name:
        check_name(name, replace(card, taught={}))
    elif len(card.taught) == 1:
        raise ModelError(f"{gesture} is all that {card.name} was taught: use the model that it was made from instead")
