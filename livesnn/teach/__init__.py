"""A class more for a trained model, from seconds of it: a row in its read-out. Not here: training (train/), torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livesnn.card import ModelCard
from livesnn.errors import DataError, ModelError
from livesnn.infer import Model, load_model, model_folder
from livesnn.infer.decide import THRESHOLD
from livesnn.progress import Progress, untold
from livesnn.teach.clips import Clip, moved
from livesnn.teach.features import FloatArray, check_teachable, joined, window_features
from livesnn.teach.known import DATASET, Known, known_people
from livesnn.teach.row import fit_row, probability
from livesnn.teach.taught import check_out, rows_of, taught_before, write_taught
from livesnn.weights import Weights, load_weights

__all__ = ["LEAST_WINDOWS", "Lesson", "check_gesture", "teach"]

LEAST_WINDOWS = 8
"""Of a gesture: four seconds, of which a quarter is kept aside at first."""
KEPT_ASIDE = 4
"""The last of every four windows of a clip; known ones of recordings too."""


@dataclass(frozen=True)
class Lesson:
    """What a model has learned.

    Attributes
    ----------
    folder
        The new model.
    windows
        That the class was learned from.
    right, kept_aside
        Of its last windows, kept aside at first, how many were decided right, and how many there were.
    taken, known
        Of windows of what the model knew, how many were then taken for the new class, and how many there were.
    resembles, resembling
        What the model took most of the class's windows for before, and how many of them.
    """

    folder: str
    gesture: str
    windows: int
    right: int
    kept_aside: int
    taken: int
    known: int
    resembles: str
    resembling: int


def teach(
    gesture: str,
    clips: Sequence[Clip],
    model: str | Path,
    out: Path,
    *,
    others: Sequence[Clip] = (),
    progress: Progress = untold,
) -> Lesson:
    """Write a model that knows one class more into the new folder ``out``.

    Learned is its row of the read-out alone: the network, and what it makes of all else, stay as they are. First
    without the last quarter of each clip, to measure; then with all.

    Parameters
    ----------
    clips
        Frames uint8 [T, C, H, W] of the model's input, of somebody who performs the gesture all the time.
    others
        The same of whatever isn't the gesture; needed by models that weren't trained on simulated people.
    progress
        Told how much of what the model knows has been simulated.

    Raises
    ------
    ModelError
        The model can't be taught, knows such a class, or ``out`` is there already.
    DataError
        The clips are too short, the network sees nothing in them, or ``others`` are missing.
    """
    out = Path(out)
    check_out(out)
    folder = model_folder(model)
    loaded = load_model(folder, engine="onnx")
    card = loaded.card
    check_teachable(card)
    check_gesture(gesture, card)
    if card.dataset != DATASET and not others:
        raise DataError(
            f"{card.name} was trained on {card.dataset or 'recordings'}: give recordings of what it knows as --others"
        )
    taught = [window_features(loaded, clip) for clip in clips]
    _check_windows(sum(map(len, taught)), gesture, card)
    if not any(clip.any() for clip in clips):
        raise DataError(
            f"there is nothing to see of {gesture}: is the lens cap on, is anybody in the picture?"
        )
    copies = [[window_features(loaded, copy) for copy in moved(clip)] for clip in clips]
    weights, _ = load_weights(folder / "model.safetensors")
    before, rows = taught_before(folder), rows_of(weights)
    known = _known(loaded, weights, others, before, progress)
    first = [_split(windows)[0] for windows in taught]
    last = joined([_split(windows)[1] for windows in taught])
    moved_first = [windows[: len(part)] for part, of in zip(first, copies, strict=True) for windows in of]
    trial = fit_row(joined([*first, *moved_first]), known.learned, rows, card.temperature)
    everything = joined([*taught, *(windows for of in copies for windows in of)])
    row = fit_row(everything, known.learned, rows, card.temperature)
    write_taught(folder, out, gesture, row, before | {gesture: everything})
    load_model(out, engine="onnx")  # that it can be
    resembles, resembling = _resembles(joined(taught), rows, card)
    return Lesson(
        folder=str(out),
        gesture=gesture,
        windows=sum(map(len, taught)),
        right=_decided(last, trial, rows, card),
        kept_aside=len(last),
        taken=_decided(known.kept_aside, trial, rows, card),
        known=len(known.kept_aside),
        resembles=resembles,
        resembling=resembling,
    )


def check_gesture(gesture: str, card: ModelCard) -> None:
    """Raise ModelError unless a class can be called so, beside those that a model knows."""
    if not gesture.strip() or not gesture.isprintable() or gesture != gesture.strip():
        raise ModelError(
            f"{gesture!r} can't name a gesture: give printable signs, without blanks around them"
        )
    if gesture in card.classes:
        raise ModelError(f"{card.name} knows {gesture} already: give the gesture another name")


def _check_windows(windows: int, gesture: str, card: ModelCard) -> None:
    if windows < LEAST_WINDOWS:
        seconds = LEAST_WINDOWS * card.input.window * (card.input.slice.delta_t_us or 0) / 1e6
        long = f" ({seconds:g} s)" if seconds else ""
        raise DataError(
            f"{windows} whole windows of {gesture} are too few to learn from: record {LEAST_WINDOWS}{long} or more"
        )


def _known(
    model: Model, weights: Weights, others: Sequence[Clip], before: dict[str, FloatArray], progress: Progress
) -> Known:
    """Return all that the new class must not be taken for: what was trained, what was taught, and ``others``."""
    parts = [known_people(model, weights, progress)] if model.card.dataset == DATASET else []
    parts += [Known(*_split(window_features(model, clip))) for clip in others]
    known = Known(joined([part.learned for part in parts]), joined([part.kept_aside for part in parts]))
    if not len(known.learned):
        raise DataError("there is no whole window in --others: give longer recordings")
    return known._replace(learned=joined([known.learned, *before.values()]))


def _split(windows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the first three quarters of a clip's windows, and the last."""
    kept = max(1, len(windows) // KEPT_ASIDE)
    return windows[:-kept], windows[-kept:]


def _decided(windows: FloatArray, row: FloatArray, rows: FloatArray, card: ModelCard) -> int:
    if not len(windows):
        return 0
    return int((probability(windows, row, rows, card.temperature) >= THRESHOLD).sum())


def _resembles(windows: FloatArray, rows: FloatArray, card: ModelCard) -> tuple[str, int]:
    (best, count), *_ = Counter(np.argmax(windows @ rows.T, axis=1).tolist()).most_common(1)
    return card.classes[best], count
