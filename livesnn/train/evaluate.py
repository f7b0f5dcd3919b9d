"""evaluate: a model on labelled clips, the way it runs live: step by step, state reset and state carried (SPEC)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from livesnn.errors import DataError
from livesnn.events.frames import Frame
from livesnn.infer import Model
from livesnn.infer.decide import Decider
from livesnn.infer.pipeline import Result, run
from livesnn.infer.synops import mean_density
from livesnn.train.datasets import Clips


@dataclass(frozen=True)
class Evaluation:
    """What `livesnn eval` prints. Accuracies are fractions 0..1 over ``n`` clips.

    ``density``: spikes a neuron a step over all hidden neurons, in the carried run; ``densities``: by layer.
    ``confusion``: rows are true classes, columns decisions, of the carried run.
    """

    n: int
    accuracy_reset: float
    accuracy_carried: float
    density: float
    densities: dict[str, float]
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    seconds: float


def evaluate(model: Model, clips: Clips, *, seed: int = 0) -> Evaluation:
    """Run each clip from zero state, then all of them in an order shuffled by ``seed`` as one stream.

    Raises
    ------
    DataError
        The clips' classes are not the model's.
    """
    card = model.card
    if clips.classes != card.classes:
        raise DataError(f"the data set's classes {clips.classes} are not the model's {card.classes}")
    if len(clips) == 0:
        raise DataError("no clips to measure on: choose another split")
    if clips.frames.shape[1] != card.input.window:
        raise DataError(f"clips of {clips.frames.shape[1]} frames are not the model's {card.input.window}")
    begun_s = time.perf_counter()
    stream = clips.shuffled(seed)
    reset = [result.decision for result in _windows(model, stream, "reset")]
    carried = list(_windows(model, stream, "carry"))
    truth = [clips.classes[label] for label in stream.labels]
    confusion = Counter(zip(truth, (result.decision for result in carried), strict=True))
    density = np.mean([result.density for result in carried], axis=0)
    return Evaluation(
        n=len(clips),
        accuracy_reset=float(np.mean([a == b for a, b in zip(reset, truth, strict=True)])),
        accuracy_carried=sum(confusion[name, name] for name in clips.classes) / len(clips),
        density=mean_density(density, card),
        densities=dict(zip(card.states, density.tolist(), strict=False)),
        classes=clips.classes,
        confusion=tuple(
            tuple(confusion[true, decided] for decided in clips.classes) for true in clips.classes
        ),
        seconds=time.perf_counter() - begun_s,
    )


def _windows(model: Model, clips: Clips, state: Literal["carry", "reset"]) -> Iterator[Result]:
    """Yield each clip's result; its decision is never "nothing", its density is that of its whole window."""
    frames = (Frame(0, data, 0) for clip in clips.frames for data in clip)
    densities = []
    for result in run(frames, model, state=state, decider=Decider(threshold=0.0)):
        densities.append(result.density)
        if result.window_end:
            yield replace(result, density=np.mean(densities, axis=0))
            densities.clear()
