"""The model that is taught, and the one that results: which names are free, its folder, and how well it learned."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from livesnn.card import LessonScore, ModelCard
from livesnn.console import capitalised
from livesnn.errors import DataError, ModelError, reason_of
from livesnn.infer.load import load_model, model_folder, shipped_models
from livesnn.infer.reason import OTHER
from livesnn.onnx_graph import write_model
from livesnn.paths import own_models_dir
from livesnn.teach.lesson import RECORDINGS, Recordings, recordings_file
from livesnn.weights import GRAPH, WEIGHTS, Weights, dense_layers, load_card, load_tensors, tensor

FloatArray = npt.NDArray[np.float32]

SIMULATED = "gestures-sim"
"""Data set of models that know simulated people. Any other model needs recordings of what it knows."""

NOT_NAMES = ("none", "–")  # What is shown where there is no decision
LONGEST_NAME = 40  # Characters in a gesture's name, which becomes part of a folder's

TAUGHT = "taught.safetensors"
"""File with what each taught class was learned from, float16 [N, D]: moments of the lesson, or the windows that the
row of a class that is taught later is learned against."""
KEY = "class: "  # Prefix of each name in it, since safetensors has a name of its own

EMBEDDING = "teach.safetensors"
"""File of a model whose taught classes compare moments: `detector.Embedding`."""

# Names of the read-out's tensors
WEIGHT, BIAS = "classify.weight", "classify.bias"
PROJECT, OFFSET = "read_out.project.weight", "read_out.project.bias"
HIDDEN, HIDDEN_BIAS = "read_out.hidden_weight", "read_out.hidden_bias"


def check_lesson(gesture: str, model: str | Path, *, others: bool = True) -> ModelCard:
    """Return the card of a model that can be taught a gesture of this name; raises ModelError for any other.

    ``others`` says whether there are recordings of what it knows; raises DataError if it needs them.
    """
    card = check_model(model_folder(model))
    check_name(gesture, card)
    if card.dataset != SIMULATED and not others:
        raise DataError(
            f"{card.name} wasn't trained on simulated people: give recordings of what it knows as --others"
        )
    return card


def check_model(folder: Path) -> ModelCard:
    """Return the card of a model that can be taught; raises ModelError if it lacks a file, or can't be taught."""
    for file in (folder / WEIGHTS, folder / GRAPH):
        if not file.is_file():
            raise ModelError(f"{file} is missing, and teaching needs both files of the model: copy the model again")
    card = load_card(folder / WEIGHTS)
    check_teachable(card)
    return card


def check_teachable(card: ModelCard) -> None:
    """Raise ModelError unless a class can be added to the model: its outputs must be linear in what they read."""
    if card.input.kind != "events":
        raise ModelError(f"{card.name} reads videos: only a model of events can be taught, such as gestures")
    if card.network.kind != "sts_resnet" or card.readout == "spikes":
        raise ModelError(
            f"{card.name} is a {card.network.kind} that reads out its {card.readout}: only an sts_resnet that reads "
            "out its membrane or traces can be taught, such as gestures"
        )


def check_name(gesture: str, card: ModelCard) -> None:
    """Raise ModelError unless a class can have this name beside the model's others, or was taught under it."""
    if gesture in card.taught:
        return
    if not gesture.strip() or not gesture.isprintable() or gesture != gesture.strip():
        raise ModelError(f"{gesture!r} isn't a valid name: give printable characters, without spaces around them")
    if len(gesture) > LONGEST_NAME:
        raise ModelError(f"{gesture[:20]!r}… has {len(gesture)} characters: give a name of at most {LONGEST_NAME}")
    if _plain(gesture) in NOT_NAMES:
        raise ModelError(f"{gesture!r} is shown where nothing is recognised: give the gesture another name")
    if known := {_plain(name): name for name in card.classes}.get(_plain(gesture)):
        raise ModelError(f"{card.name} knows {known} already: give the gesture another name")


def as_taught(gesture: str, model: str | Path) -> str:
    """Return a gesture's name as the model has it, if it was taught one that looks alike in the window."""
    taught = {_plain(name): name for name in check_model(model_folder(model)).taught}
    return taught.get(_plain(gesture.strip()), gesture)


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()


def check_out(out: Path) -> None:
    """Raise ModelError unless ``out`` is free: nothing is overwritten."""
    if str(out).startswith("~"):
        raise ModelError(f"{out}: there is no such user: give another --out")
    try:
        parent = next(folder for folder in out.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise ModelError(f"{out} can't be made, because {parent} can't be written: give another --out")
        free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise ModelError(f"{out} can't be used ({error.strerror}): give another --out") from error
    if not free or not out.name:
        raise ModelError(f"{out} exists already: give another --out")


def own_folder(model: str | Path, gesture: str, name: str = "") -> Path:
    """Return a new folder in the user's models for one that is taught a gesture, or calls it ``name``."""
    folder = model_folder(model).resolve()
    words = "-" + ("-".join(re.findall(r"[\w.]+", name or gesture)) or "taught")
    known = (folder / WEIGHTS).is_file() and gesture in load_card(folder / WEIGHTS).taught
    begins = re.sub(r"-\d+$", "", folder.name) if known else folder.name + words
    name = begins.encode()[:120].decode(errors="ignore").strip(".")
    names = (f"{name}-{number}" if number > 1 else name for number in count(1))
    taken = shipped_models()  # which would be found first
    return next(
        own_models_dir() / each for each in names if each not in taken and not (own_models_dir() / each).exists()
    )


def rows_of(weights: Weights, card: ModelCard) -> FloatArray:
    """Return float32 [K, F + 1], the last layer's weights and its biases; raises ModelError that names a tensor."""
    features, classes = sum(map(prod, card.pooled_shapes())), len(card.classes)
    if card.readout == "traces":
        dense_layers(weights, card)
        tensor(weights, PROJECT, (card.traces.currents, features))
        tensor(weights, OFFSET, (card.traces.currents,))
        features = card.traces.members * card.traces.hidden
    weight, bias = tensor(weights, WEIGHT, (classes, features)), tensor(weights, BIAS, (classes,))
    return np.concatenate([weight, bias[:, None]], axis=1)


def taught_before(folder: Path, card: ModelCard, features: int) -> dict[str, FloatArray]:
    """Return the windows float32 [N, ``features``] of each class taught earlier; raises ModelError without them."""
    file = folder / TAUGHT
    again = "copy it again, or teach the model it was made from"
    kept = load_tensors(file) if card.taught else {}
    if missing := {name for name in card.taught if KEY + name not in kept}:
        raise ModelError(f"{file} lacks {', '.join(sorted(missing))}: {again}")
    taught = {name: kept[KEY + name] for name in card.taught}
    if any(not len(windows) or windows.shape[1:] != (features,) for windows in taught.values()):
        raise ModelError(f"{file} belongs to another network: {again}")
    return taught


def write_taught(
    base: Path,
    out: Path,
    weights: Weights,
    card: ModelCard,
    kept: Mapping[str, FloatArray],
    files: Mapping[str, Recordings],
    arguments: Sequence[str],
) -> None:
    """Write the model in ``base`` with other weights, and with what they were learned from, into a new folder.

    ``kept``: what `TAUGHT` will have. ``files``: the recordings of each class. ``arguments``: of `livesnn teach`.
    """
    from livesnn.infer.onnx_engine import with_read_out  # half a second

    command = shlex.join(["livesnn", "teach", *arguments, "--model", card.name])
    card = replace(card, name=out.name, accuracy=None, test=None, command=command)  # measured with other classes
    card = replace(card, states=card.layer_shapes())
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".new", dir=out.parent) as made:
            folder = Path(made) / out.name
            folder.mkdir()
            write_model(folder, weights, with_read_out(base / GRAPH, weights, card), card)
            halves = {KEY + name: array.astype(np.float16) for name, array in kept.items()}
            (folder / TAUGHT).write_bytes(save(halves))
            (folder / RECORDINGS).write_bytes(recordings_file(files, out.parent))
            (folder / "README.md").write_text(describe_model(card), encoding="utf-8")
            if (base / EMBEDDING).is_file():
                (folder / EMBEDDING).write_bytes((base / EMBEDDING).read_bytes())
            load_model(folder, engine="onnx")  # to be sure that it works
            check_out(out)
            if out.exists():
                out.rmdir()  # it is empty
            folder.rename(out)
    except OSError as error:
        raise ModelError(f"{out} can't be written ({reason_of(error)}): give another --out") from error


MISSED = 0.5  # Share of a gesture, performed otherwise than in the lesson, below which that should be shown too


@dataclass(frozen=True, kw_only=True)
class Report(LessonScore):
    """What a model has learned, and how well."""

    folder: str  # The new model
    gesture: str
    windows: int  # Windows that the class was learned from
    # The class as which the model decided most of these windows before, and how many; "" and 0 if none
    resembles: str
    resembling: int
    # How unevenly events lie in the picture (see `lesson.movement`), in the clip with the least movement
    movement: float
    at_rest: bool  # Whether that is no more than people at rest have; False for models that know no people
    window_s: float = 0.0  # Length of a window; 0: windows have a fixed number of events
    restless: bool = False  # Whether somebody moved in the seconds before a take
    # Share of the lesson that is recognised where it is performed otherwise, such as "more slowly"
    otherwise: dict[str, float] = field(default_factory=dict)

    @property
    def to_add(self) -> list[str]:
        """How to show the gesture, too: the ways in which at most `MISSED` of it is recognised, worst first."""
        missed = sorted((share, way) for way, share in self.otherwise.items() if share <= MISSED)
        return [] if self.poor else [way for _, way in missed]

    @property
    def poor(self) -> bool:
        """Whether no more than half of the windows held out were decided right, so the class isn't learned."""
        return 2 * self.right <= self.kept_aside


@dataclass(frozen=True)
class Resemblance:
    """A class as which a model decided most windows of a lesson before it learned anything."""

    label: str
    resembling: int
    windows: int

    @property
    def words(self) -> str:
        return f"already recognised as {self.label} ({100 * self.resembling / self.windows:.0f} %)"

    @property
    def question(self) -> str:
        return f"{self.words}, go on?"


class AlreadyRecognisedError(ModelError):
    """Nothing was learned, because the model recognised the gesture already and nobody wanted to go on."""

    def __init__(self, resemblance: Resemblance) -> None:
        super().__init__(
            f"{resemblance.words}, so nothing was learned: perform another movement, or give --if-known go-on or "
            "alias"
        )
        self.resemblance = resemblance


def resemblance(gesture: str, label: str, resembling: int, windows: int) -> Resemblance | None:
    """Return as what most windows of a gesture are decided; None: as nothing known, or as this very gesture."""
    known = 2 * resembling > windows and label not in (OTHER, gesture)
    return Resemblance(label, resembling, windows) if known else None


def describe_measured(measured: LessonScore, window_s: float) -> list[str]:
    """Return how well a class was learned, as clauses; ``window_s``: length of a window, 0 where it varies."""
    held_out = f"{measured.kept_aside * window_s:g} s" if window_s else f"{measured.kept_aside} windows"
    words = [
        f"{100 * measured.share:.0f} % of the {held_out} of the lesson that were held out for a test were recognised "
        f"({measured.right} of {measured.kept_aside} windows)"
    ]
    if measured.known:
        most = sorted(((count, name) for name, count in measured.taken_from.items() if name), reverse=True)
        by_class = f": {', '.join(f'{count} of {name}' for count, name in most)}" if most else ""
        was = "was" if measured.taken < 2 else "were"
        words.append(
            f"{measured.taken or 'none'} of {measured.known} windows of other movements {was} mistaken for it"
            + by_class
        )
    return words


def describe(report: Report) -> list[str]:
    """Return what a model has learned, how well, and what it may confuse, as clauses; the first one is short."""
    words = [f"{report.gesture} {'is not learned well' if report.poor else 'is learned'}"]
    if report.at_rest:
        words.append("hardly anything moves in it, so someone who stands still may be mistaken for it")
    if resemblance(report.gesture, report.resembles, report.resembling, report.windows):
        words.append(
            f"before, {report.resembling} of the {report.windows} windows were recognised as {report.resembles}, "
            f"so {report.resembles} may now be taken for {report.gesture}"
        )
    if report.poor:
        words.append(
            "that isn't enough: show it again, always in the same way, or so that it differs more from known classes"
        )
    words += [*describe_measured(report, report.window_s), f"the lesson has {report.windows} windows"]
    if report.restless:
        words.append(f"nobody stood still right before it, so {report.gesture} may be named late when it begins")
    if ways := report.to_add:
        shown = [f"{way} ({100 * report.otherwise[way]:.0f} % is recognised so far)" for way in ways[:2]]
        words.append(f"show it {' and '.join(shown)}, too")
    return words


def describe_model(card: ModelCard) -> str:
    """Return the page of a model that was taught something, or that calls a class otherwise."""
    lines = [f"# {card.name}", "", f"{len(card.classes)} classes: {', '.join(card.classes)}.", ""]
    lines += [f"Made by `{card.command}`. The network is the one it was made from.", ""]
    for name, windows in card.taught.items():
        words = [f"learned from {windows} windows"]
        if name in card.lessons:
            words += describe_measured(card.lessons[name], card.input.window_s)
        lines += [f"## {name}", "", *(f"- {capitalised(each)}." for each in words), ""]
    if names := [f"{name} is another name for {first}" for name, first in card.renamed.items()]:
        lines += [f"{'; '.join(names)}.", ""]
    if card.taught:
        lines += ["How well it works for other people than those who taught it hasn't been measured.", ""]
    return "\n".join(lines)
