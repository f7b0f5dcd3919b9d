"""teach: clips of a gesture in, a model folder that knows it out. Not here: reading clips, fitting a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import DataError, ModelError
from livesnn.infer.decide import THRESHOLD, probabilities
from livesnn.infer.model import Model, load_model, model_folder
from livesnn.progress import Progress, untold
from livesnn.teach import AT_REST, NOISE, SIMULATED, WEIGHTS, Lesson, check_lesson, check_out
from livesnn.teach.clips import MOVES, Clip, moved, movement
from livesnn.teach.features import FloatArray, joined, window_features
from livesnn.teach.known import Known, known_people
from livesnn.teach.row import fit_row, probability
from livesnn.teach.taught import rows_of, taught_before, write_taught
from livesnn.weights import Weights, load_weights

LEAST_WINDOWS = 8
"""Of a gesture: four seconds, of which a quarter is kept aside at first."""

KEPT_ASIDE = 4
"""Of so many windows one, the last ones of each clip."""

MOST_OTHERS = 2000
"""Windows of ``others`` that are learned beside, evenly drawn: what is learned takes memory by their square."""


def teach(
    gesture: str,
    clips: Sequence[Clip],
    model: str | Path,
    out: Path,
    *,
    others: Sequence[Clip] = (),
    progress: Progress = untold,
) -> Lesson:
    """Write a model that knows one class more, or more of one that it was taught, into the new folder ``out``.

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
        See `check_lesson`; or ``out`` is there already, or can't be written.
    DataError
        The clips or ``others`` are too short, or there is nothing to be seen.
    """
    out, folder = Path(out), model_folder(model)
    check_out(out)
    card = check_lesson(gesture, folder, others=bool(others))
    loaded, (weights, _) = load_model(folder, engine="onnx"), load_weights(folder / WEIGHTS)
    if loaded.card != card:
        raise ModelError(f"{folder}: its two files are not of the same model: export or copy it again")
    rows = rows_of(weights)
    before = taught_before(folder, card, rows.shape[1])
    others_rows = rows[[name != gesture for name in card.classes]]
    earlier = before.pop(gesture, rows[:0])
    parts = [window_features(loaded, clip) for clip in clips]
    taught, aside = joined(parts), _kept_aside([len(part) for part in parts])
    _check_windows(len(taught), gesture, card)
    moving = _movement(clips, gesture, card)
    copies = [joined(list(copy)) for copy in zip(*(_copies(loaded, clip) for clip in clips), strict=True)]
    known = _known(loaded, weights, others, before, progress)
    # Of what it was taught before there are no copies: each window stands for its own.
    shown = np.repeat(_drawn(earlier, MOST_OTHERS // (1 + len(MOVES))), 1 + len(MOVES), axis=0)
    fit = partial(fit_row, rows=others_rows, temperature=card.temperature)
    trial = fit(joined([shown, taught[~aside], *(copy[~aside] for copy in copies)]), known.learned)
    row = fit(joined([shown, taught, *copies]), joined(list(known)))
    write_taught(folder, out, gesture, row, before | {gesture: joined([earlier, taught])})
    resembles, resembling = _resembles(taught, rows, card)
    return Lesson(
        folder=str(out),
        gesture=gesture,
        windows=len(taught),
        right=_decided(taught[aside], trial, others_rows, card),
        kept_aside=int(aside.sum()),
        taken=_decided(known.kept_aside, trial, others_rows, card),
        known=len(known.kept_aside),
        resembles=resembles,
        resembling=resembling,
        movement=round(moving, 1),
        at_rest=moving < AT_REST and card.dataset == SIMULATED,
    )


def _copies(model: Model, clip: Clip) -> list[FloatArray]:
    return [window_features(model, copy) for copy in moved(clip)]


def _kept_aside(lengths: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return which windows are kept aside, of clips of so many: the last of each; of short ones, the last of all."""
    last = [np.arange(length) >= length - length // KEPT_ASIDE for length in lengths]
    kept = np.concatenate(last or [np.zeros(0, bool)])
    return kept if kept.any() else np.arange(len(kept)) >= len(kept) - max(1, len(kept) // KEPT_ASIDE)


def _check_windows(windows: int, gesture: str, card: ModelCard) -> None:
    if windows < LEAST_WINDOWS:
        seconds = LEAST_WINDOWS * card.input.window * (card.input.slice.delta_t_us or 0) / 1e6
        long = f" ({seconds:g} s)" if seconds else ""
        raise DataError(
            f"{windows} whole windows of {gesture} are too few to learn from: record {LEAST_WINDOWS}{long} or more"
        )


def _known(
    model: Model,
    weights: Weights,
    others: Sequence[Clip],
    before: Mapping[str, FloatArray],
    progress: Progress,
) -> Known:
    """Return all that the new class must not be taken for: what was trained, what was taught, and ``others``."""
    parts = [known_people(model, weights, progress)] if model.card.dataset == SIMULATED else []
    shown = [window_features(model, clip) for clip in others]
    for windows in (joined(shown), *before.values()):
        drawn = _drawn(windows, MOST_OTHERS)
        aside = _kept_aside([len(drawn)])
        parts.append(Known(drawn[~aside], drawn[aside]))
    known = Known(joined([part.learned for part in parts]), joined([part.kept_aside for part in parts]))
    if not len(known.learned):
        raise DataError("there are no two whole windows in --others: give longer recordings")
    return known


def _decided(windows: FloatArray, row: FloatArray, rows: FloatArray, card: ModelCard) -> int:
    """Return how many windows are decided as the class of ``row``."""
    if not len(windows):
        return 0
    return int((probability(windows, row, rows, card.temperature) >= THRESHOLD).sum())


def _drawn(windows: FloatArray, most: int) -> FloatArray:
    """Return at most so many windows, evenly drawn."""
    return windows[np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)]


def _movement(clips: Sequence[Clip], gesture: str, card: ModelCard) -> float:
    """Return the movement of the clip that has least, half of its windows more; raises DataError if that is none."""
    windows = [movement(clip, card.input.window) for clip in clips]
    least = min(float(np.median(each)) for each in windows if len(each))
    if least < (NOISE if card.dataset == SIMULATED else np.nextafter(0, 1)):
        which = " in one of its clips" if len(clips) > 1 else ""
        raise DataError(
            f"there is nothing to see of {gesture}{which}: is the lens cap on, is anybody in the picture?"
        )
    return least


def _resembles(windows: FloatArray, rows: FloatArray, card: ModelCard) -> tuple[str, int]:
    """Return as which class most windows were decided, and how many; "", 0: none was."""
    likely = np.array([probabilities(out, card, temperature=card.temperature) for out in windows @ rows.T])
    decided = np.argmax(likely, axis=1)[likely.max(axis=1) >= THRESHOLD]
    if not len(decided):
        return "", 0
    ((best, times),) = Counter(decided.tolist()).most_common(1)
    return card.classes[best], times
