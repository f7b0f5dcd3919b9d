"""Teaches a model a class from a lesson, and corrects it: another name, or taken out. The result is a new folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from livesnn.card import LessonScore, ModelCard
from livesnn.errors import DataError, ModelError
from livesnn.infer.decide import THRESHOLD, probabilities
from livesnn.infer.load import load_model, model_folder
from livesnn.infer.reason import OTHER
from livesnn.progress import Progress, no_progress
from livesnn.teach import detector as detectors
from livesnn.teach import model as models
from livesnn.teach.lesson import (
    OTHERWISE,
    Clip,
    Recordings,
    Take,
    at_tempo,
    moved,
    movement,
    recordings_of,
    still_before,
)
from livesnn.weights import WEIGHTS, fold_batch_norm, load_weights

LEAST_WINDOWS = 8
"""Least number of windows of a gesture: four seconds, of which a quarter is held out at first."""

NOISE, AT_REST = 4.0, 100.0
"""Less movement than this is noise, or a person at rest; for models of simulated people. Simulated noise has 0.7 to
3, people at rest 2 to 410 (half of them below 80), and people who gesture 43 to 16,000 (half of each gesture above
860). Four real gestures had 1,600 to 4,100."""


def teach(
    gesture: str,
    takes: Sequence[Take | Clip],
    model: str | Path,
    out: Path,
    *,
    others: Sequence[Clip] = (),
    recordings: Recordings = Recordings(),  # noqa: B008 (frozen)
    again: bool = False,
    progress: Progress = no_progress,
    go_on: Callable[[models.Resemblance], bool] = lambda resemblance: True,
) -> models.Report:
    """Write a model with one more class, or with more of a taught class, into the new folder ``out``.

    The network and the other classes' rows stay as they are. The class is learned first without the last quarter of
    each clip, to measure it, and then from all windows. Raises ModelError like `check_lesson`, and if ``out`` is
    there already or can't be written; DataError if the takes or ``others`` are too short, or nothing can be seen in
    them; AlreadyRecognisedError if ``go_on`` returns False.

    Parameters
    ----------
    takes
        Frames uint8 [T, C, H, W] for the model, of someone who performs the gesture all the time; or such frames with
        those right before them, in which the person stands still. The gesture is then recognised sooner after a rest.
        The frames before are ignored if somebody moves in them.
    others
        Frames of anything else; models that weren't trained on simulated people need them.
    recordings
        Where ``takes`` and ``others`` come from, to be listed in the model (`recordings_of`): absolute paths.
    again
        Whether earlier lessons of this class are forgotten.
    go_on
        Asked before anything is learned, if the model recognises most windows as a class that it knows.
    """
    out, folder = Path(out), model_folder(model)
    models.check_out(out)
    card = models.check_lesson(gesture, folder, others=bool(others))
    loaded, (weights, _) = load_model(folder, engine="onnx"), load_weights(folder / WEIGHTS)
    if loaded.card != card:
        raise ModelError(f"{folder}: its two files belong to different models: export or copy it again")
    try:
        rows = models.rows_of(fold_batch_norm(weights), card)
    except ModelError as error:
        raise ModelError(f"{folder / WEIGHTS}: {error}") from error
    embedding = detectors.Embedding.of(folder, weights, card)
    earlier = models.taught_before(folder, card, rows.shape[1] if embedding is None else embedding.size)
    if again:
        earlier.pop(gesture, None)
    given = [take if isinstance(take, Take) else Take(take, take[:0]) for take in takes]
    window = card.input.window
    lengths = [len(take.clip) // window for take in given]
    count = sum(lengths)
    _check_windows(count, gesture, card)
    shown = detectors.Windows.joined([detectors.windows_of(take.clip, loaded, weights, embedding) for take in given])
    moving = _movement([take.clip for take in given], gesture, card)
    resembles, resembling = _resembles(shown.units, rows, card)
    resembled = models.resemblance(gesture, resembles, resembling, count)
    if resembled is not None and not go_on(resembled):
        raise models.AlreadyRecognisedError(resembled)
    aside = detectors.held_out(lengths)
    examples = detectors.Examples(gesture, given, others, loaded, weights, rows, earlier, shown, aside)
    if embedding is None:
        detector = detectors.learn_row(examples, progress)
    else:
        detector = detectors.learn_moments(examples, embedding, lengths, progress)
    measured = LessonScore(
        right=detector.named(shown.chosen(aside)),
        kept_aside=int(aside.sum()),
        taken=sum(detector.taken.values()),
        known=detector.known,
        taken_from=detector.taken,
    )
    report = models.Report(
        **vars(measured),
        folder=str(out),
        gesture=gesture,
        windows=count,
        resembles=resembles,
        resembling=resembling,
        movement=round(moving, 1),
        at_rest=moving < AT_REST and card.dataset == models.SIMULATED,
        window_s=card.input.window_s,
        restless=any(len(still) > 0 and not still.any() for take in given for still in [still_before(take, window)]),
        otherwise=_otherwise(examples, embedding, detector),
    )
    taught = {name: card.taught.get(name, 0) for name in detector.kept}
    taught[gesture] = count + (0 if again else taught[gesture])
    new_card = replace(detector.card, taught=taught, lessons=card.lessons | {gesture: measured})
    files = recordings_of(folder)
    known_before = Recordings() if again else files.get(gesture, Recordings())
    files |= {gesture: known_before + recordings}
    arguments = (gesture, "--again") if again else (gesture,)
    models.write_taught(folder, out, detector.weights, new_card, detector.kept, files, arguments)
    return report


def _otherwise(
    examples: detectors.Examples, embedding: detectors.Embedding | None, detector: detectors.Detector
) -> dict[str, float]:
    """Return which share of the lesson's second half is recognised where it is performed otherwise (`OTHERWISE`)."""
    model, weights = examples.model, examples.weights
    timed = model.card.input.slice.delta_t_us is not None  # frames of so many events have no tempo
    halves = [take.clip[len(take.clip) // 2 :] for take in examples.takes]
    shares = {}
    for name, (moves, tempo) in OTHERWISE.items():
        if tempo == 1 or timed:
            copies = [copy for half in halves for copy in moved(at_tempo(half, tempo), moves)]
            windows = detectors.Windows.joined(
                [detectors.windows_of(copy, model, weights, embedding) for copy in copies]
            )
            if count := len(windows.units):  # none if all clips are short
                shares[name] = round(detector.named(windows) / count, 2)
    return shares


def _check_windows(windows: int, gesture: str, card: ModelCard) -> None:
    if windows < LEAST_WINDOWS:
        seconds = LEAST_WINDOWS * card.input.window_s
        long = f" ({seconds:g} s)" if seconds else ""
        few = "1 whole window of {} is" if windows == 1 else f"{windows} whole windows of {{}} are"
        raise DataError(f"{few.format(gesture)} too few to learn from: record {LEAST_WINDOWS}{long} or more")


def _movement(clips: Sequence[Clip], gesture: str, card: ModelCard) -> float:
    """Return the median movement of the clip with the least; raises DataError if nothing moves in it."""
    windows = [movement(clip, card.input.window) for clip in clips]
    least = min(float(np.median(each)) for each in windows if len(each))
    if least < (NOISE if card.dataset == models.SIMULATED else np.nextafter(0, 1)):
        which = " in one of its clips" if len(clips) > 1 else ""
        raise DataError(f"nothing can be seen of {gesture}{which}: take off the lens cap, or step into the picture")
    return least


def _resembles(units: models.FloatArray, rows: models.FloatArray, card: ModelCard) -> tuple[str, int]:
    """Return the class as which most windows are decided, and their number; "" and 0 if none is."""
    likely = np.array([probabilities(out, card) for out in units @ rows.T])
    decided = np.argmax(likely, axis=1)[likely.max(axis=1) >= THRESHOLD]
    if not len(decided):
        return "", 0
    ((best, times),) = Counter(decided.tolist()).most_common(1)
    return card.classes[best], times


T = TypeVar("T")


def change_class(gesture: str, model: str | Path, out: Path, *, name: str = "") -> None:
    """Write a model that calls a class ``name``, or lacks a taught class, into the new folder ``out``.

    Raises ModelError if it has no such class, or can't do without it; or like `model.check_lesson`.
    """
    folder = model_folder(model)
    card = models.check_model(folder)
    models.check_out(out)
    check_change(gesture, name, card)

    def changed(named: Mapping[str, T]) -> dict[str, T]:
        return {name if each == gesture else each: kept for each, kept in named.items() if name or each != gesture}

    weights, _ = load_weights(folder / WEIGHTS)
    try:
        models.rows_of(weights, card)
    except ModelError as error:
        raise ModelError(f"{folder / WEIGHTS}: {error}") from error
    embedding = detectors.Embedding.of(folder, weights, card)
    features = weights[models.WEIGHT].shape[1] + 1 if embedding is None else embedding.size
    kept = changed(models.taught_before(folder, card, features))
    first = changed({gesture: gesture} | card.renamed)
    changed_card = replace(
        card,
        classes=tuple(changed(dict.fromkeys(card.classes))),
        taught=changed(card.taught),
        lessons=changed(card.lessons),
        renamed={each: before for each, before in first.items() if each != before},
    )
    if embedding is not None and not name:
        most = detectors.room(card, len(kept))
        weights, changed_card = detectors.with_moments(weights, card, changed_card, embedding, kept, {}, most)
    else:
        left = [row for row, each in enumerate(card.classes) if name or each != gesture]
        weights |= {part: weights[part][left] for part in (models.WEIGHT, models.BIAS)}
    arguments = (gesture, *(("--rename", name) if name else ("--remove",)))
    models.write_taught(folder, out, weights, changed_card, kept, changed(recordings_of(folder)), arguments)


def check_change(gesture: str, name: str, card: ModelCard) -> None:
    """Raise ModelError unless a class can be called ``name``, or removed if that is ""."""
    named = [each for each in card.classes if each != OTHER] if name else [*card.taught]
    if gesture not in named:
        raise ModelError(
            f"{card.name} has no gesture {gesture} that could be changed: it has {', '.join(named) or 'none'}"
        )
    if name:
        models.check_name(name, replace(card, taught={}))
    elif len(card.taught) == 1:
        raise ModelError(f"{gesture} is all that {card.name} was taught: use the model that it was made from instead")
