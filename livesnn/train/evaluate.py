"""evaluate: a model on labelled clips, the way it runs live: step by step, state reset and state carried (SPEC)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError
from livesnn.events.frames import Frame
from livesnn.infer import Model
from livesnn.infer.decide import Decider
from livesnn.infer.pipeline import run
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
    if clips.frames.shape[1] % card.input.window:
        raise DataError(
            f"clips of {clips.frames.shape[1]} frames are not whole windows of the model's {card.input.window}"
        )
    begun_s = time.perf_counter()
    stream = clips.shuffled(seed)
    reset = [clip.decision for clip in _decided(model, stream, "reset")]
    carried = list(_decided(model, stream, "carry"))
    truth = [clips.classes[label] for label in stream.labels]
    confusion = Counter(zip(truth, (clip.decision for clip in carried), strict=True))
    density = np.mean([clip.density for clip in carried], axis=0)
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


class _Clip(NamedTuple):
    """What was decided on a clip, never "nothing"; and its density [hidden layers]."""

    decision: str
    density: npt.NDArray[np.float32]


def _decided(model: Model, clips: Clips, state: Literal["carry", "reset"]) -> Iterator[_Clip]:
    """Yield each clip's decision: of its windows' labels the one with the highest rate over all of them.

    "reset" zeroes the state at the beginning of each clip.
    """
    length, window = clips.frames.shape[1], model.card.input.window
    position = 0
    frames = (Frame(0, data, 0) for clip in clips.frames for data in clip)
    results = run(
        frames,
        model,
        reset_requested=lambda: state == "reset" and position == 0,
        decider=Decider(threshold=0.0),
    )
    densities, ends = [], []
    for result in results:
        densities.append(result.density)
        position = (position + 1) % length
        if position % window == 0:
            ends.append(result)
        if position == 0:
            rates = dict(zip(clips.classes, np.mean([end.rates for end in ends], axis=0), strict=True))
            labels = [end.decision for end in ends if end.decision is not None]
            yield _Clip(max(labels, key=lambda label: rates[label]), np.mean(densities, axis=0))
            densities.clear()
            ends.clear()
