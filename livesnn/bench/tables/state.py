"""Does the state matter: shipped models on clips with their frames shuffled, and with the state zeroed each frame.

Not here: measuring a model as it runs (train/evaluate.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Picture

from livesnn.bench.tables.keeping import keep, kept
from livesnn.bench.tables.run import Folders
from livesnn.card import ModelCard
from livesnn.events.slicer import Frame
from livesnn.infer.model import Model, State, load_model
from livesnn.subprocesses import own_commit
from livesnn.train.datasets import Name, data_set
from livesnn.train.datasets.clips import Clips, clip_random
from livesnn.train.evaluate import evaluate

FILE = "state.json"
MOST_CLIPS = 1100
COMMAND = "livesnn tables state --data DIR"
How = Literal["carried", "reset", "shuffled", "forgotten"]
SHOWN: dict[How, str] = {
    "carried": "as it runs: the state carried",
    "reset": "zeroed before each clip",
    "shuffled": "… and the frames of each clip in random order",
    "forgotten": "zeroed before each frame",
}


class Subject(NamedTuple):
    """A shipped model, and the data set whose test part it is measured on."""

    model: str
    dataset: Name


SUBJECTS = (Subject("mnist-seq2", "mnist-seq2"), Subject("gestures", "gestures-sim"))


@dataclass(frozen=True)
class Worth:
    """Accuracies 0..1 of ``n`` test clips, by the names in `SHOWN`."""

    model: str
    dataset: str
    n: int
    frames: int
    accuracy: dict[How, float]
    trained_by: str


@dataclass(frozen=True)
class Worths:
    """What is kept."""

    models: tuple[Worth, ...]
    commit: str
    command: str


class Forgetful:
    """A Model that begins each step from zero state."""

    def __init__(self, model: Model) -> None:
        self.card: ModelCard = model.card
        self.engine = model.engine
        self._model = model

    def initial_state(self) -> State:
        """Return the other's."""
        return self._model.initial_state()

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        """Step the other from zero."""
        return self._model.step(frame, self._model.initial_state())


def measure_state(folders: Folders) -> Worths:
    """Measure the shipped models, and keep it."""
    measured = Worths(tuple(_measure(subject, folders.data) for subject in SUBJECTS), own_commit(), COMMAND)
    keep(folders.out / FILE, measured)
    return measured


def _measure(subject: Subject, data: Path) -> Worth:
    model = load_model(subject.model, "onnx")
    clips = data_set(subject.dataset).load_split(data, "test", model.card)
    # BatchDataset, not every so-manieth: a data set's classes may come by turns.
    clips = clips.subset(np.sort(np.random.default_rng(0).permutation(len(clips))[:MOST_CLIPS]))
    whole = evaluate(model, clips)
    return Worth(
        subject.model, subject.dataset, len(clips), clips.frames.shape[1],
        {
            "carried": whole.accuracy_carried,
            "reset": whole.accuracy_reset,
            "shuffled": evaluate(model, shuffled(clips)).accuracy_reset,
            "forgotten": evaluate(Forgetful(model), clips).accuracy_reset,
        },
        model.card.command,
    )  # fmt: skip


def shuffled(clips: Clips) -> Clips:
    """Return the clips, the frames of each in an order of its own."""
    steps = clips.frames.shape[1]
    orders = [clip_random("order", 0, 0, number).permutation(steps) for number in range(len(clips))]
    mixed = np.stack([clip[order] for clip, order in zip(clips.frames, orders, strict=True)])
    return replace(clips, frames=mixed)


def state_page(out: Path) -> str:
    """Return what was measured as Markdown, drawn into ``out``."""
    measured = kept(out / FILE, Worths)
    if measured is None:
        return f"Not measured yet: `{COMMAND}`"
    _draw(measured).savefig(out / "state.png")
    head = "| model | " + " | ".join(SHOWN.values()) + " | clips |\n|" + "---|" * (len(SHOWN) + 2)
    rows = (
        f"| {each.model} | {' | '.join(f'{100 * each.accuracy[name]:.1f} %' for name in SHOWN)} | "
        f"{each.n} of {each.frames} frames, test part of {each.dataset} |"
        for each in measured.models
    )
    origin = f"Commit {measured.commit}, `{measured.command}`."
    return "\n".join(["![Does the state matter?](state.png)", "", head, *rows, "", origin])


def _draw(measured: Worths) -> Picture:
    picture = Picture(figsize=(7, 3.2), layout="constrained", dpi=110)
    axes = picture.add_subplot()
    places = np.arange(len(measured.models))
    for number, (name, label) in enumerate(SHOWN.items()):
        heights = [100 * each.accuracy[name] for each in measured.models]
        bars = axes.bar(places + 0.2 * (number - 1.5), heights, 0.19, label=label)
        axes.bar_label(bars, fmt="%.0f", fontsize=8)
    axes.set_xticks(places, [each.model for each in measured.models])
    axes.set(ylabel="accuracy, %", ylim=(0, 109))
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
    return picture
