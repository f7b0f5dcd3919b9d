"""evaluate: a model on labelled clips, the way it runs live: step by step, state reset and state carried (SPEC)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError
from livesnn.events.frames import Frame
from livesnn.infer import Model
from livesnn.infer.decide import winner
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
    if clips.classes != model.card.classes:
        raise DataError(f"the data set's classes {clips.classes} are not the model's {model.card.classes}")
    begun_s = time.perf_counter()
    order = np.random.default_rng([seed, 0xCA44]).permutation(len(clips))
    reset = np.array([decision for decision, _ in _decisions(model, clips.frames[order], carry=False)])
    carried, densities = zip(*_decisions(model, clips.frames[order], carry=True), strict=True)
    truth = clips.labels[order]
    confusion = np.zeros((len(clips.classes),) * 2, dtype=np.int64)
    for true, decided in zip(truth, carried, strict=True):
        confusion[true, decided] += 1
    hidden = list(model.card.states.items())[:-1]
    by_layer = np.mean(densities, axis=0)
    neurons = [int(np.prod(shape)) for _, shape in hidden]
    return Evaluation(
        n=len(clips),
        accuracy_reset=float(np.mean(reset == truth)),
        accuracy_carried=float(np.mean(np.array(carried) == truth)),
        density=float(np.average(by_layer, weights=neurons)),
        densities={name: float(value) for (name, _), value in zip(hidden, by_layer, strict=True)},
        classes=clips.classes,
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        seconds=time.perf_counter() - begun_s,
    )


def _decisions(
    model: Model, frames: npt.NDArray[np.uint8], *, carry: bool
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Yield each clip's decision, and its density by hidden layer, from frames uint8 [N, T, C, H, W]."""
    state = model.initial_state()
    threshold = np.float32(model.card.neuron.threshold)
    for clip in frames:
        if not carry:
            state = model.initial_state()
        outputs, spikes = [], []
        for data in clip:
            output, state = model.step(Frame(0, data, 0), state)
            outputs.append(output)
            spikes.append([np.count_nonzero(u >= threshold) / u.size for u in state[:-1]])
        yield winner(np.mean(outputs, axis=0), state[-1]), np.mean(spikes, axis=0)
