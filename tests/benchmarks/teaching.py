"""How well a taught movement of real people is recognised when others perform it, and how often other actions are.

`python tests/benchmarks/teaching.py --data DIR`. One person teaches an action of UTD-MHAD by two takes, and all other
people are decided on. Spikes are computed once and then kept, so a second run takes minutes.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from people import Stream, cached, depth_packets, stream_frames

from livesnn.bench import machine
from livesnn.card import ModelCard
from livesnn.cli.parser import run_script
from livesnn.console import say, write_json
from livesnn.errors import DataError
from livesnn.events.slicer import Frame
from livesnn.infer.decide import UNDECIDED, Decider, FloatArray
from livesnn.infer.load import load_model, model_folder
from livesnn.infer.model import pooled_spikes
from livesnn.infer.spikes.trace_read_out import EPSILON, Dense
from livesnn.teach.correct import teach
from livesnn.train.datasets import utd_mhad
from livesnn.train.datasets.cache import in_processes
from livesnn.train.datasets.clips import Frames
from livesnn.weights import WEIGHTS, Weights, load_weights

REPEATED_S = 8.0  # Each take is repeated to this length, for lessons and for tests

LEFT_OUT = (23, 24, 25)
"""Walking in place, standing up and sitting down: nobody teaches them as gestures. They count as other actions."""

TAUGHT = tuple(action for action in range(1, 28) if action not in (*utd_mhad.PERFORMED, *LEFT_OUT))
NAME = "taught"


class Played(NamedTuple):
    """A take, repeated to `REPEATED_S`."""

    action: int
    subject: int
    trial: int
    path: Path


class Lesson(NamedTuple):
    """Shares of frames with a whole window.

    Attributes
    ----------
    recall
        Of the other people's takes of the action, decided as it.
    false
        Of the other people's other actions, decided as it.
    own
        Of the teacher's third take, decided as it; nan without one.
    known, known_before
        Of the model's own gestures, by the other people, in the middle of each take: decided right, with the lesson
        and without.
    """

    action: int
    teachers: str
    recall: float
    false: float
    own: float
    known: float
    known_before: float


def takes(data: Path) -> list[Played]:
    """Return all takes by action, subject and trial."""
    found = [
        Played(take.action, take.subject, int(re.findall(r"_t(\d)_", take.path.name)[0]), take.path)
        for take in utd_mhad.find_takes(data)
    ]
    return sorted(found)


def repeated(played: Played, card: ModelCard) -> tuple[Frames, int]:
    """Return a take's frames again and again, uint8 [T, C, H, W], and how many it has itself."""
    frames = stream_frames(Stream(played.path, depth_packets), card.input, denoise=False)
    once = np.stack([frame.data for frame in frames])
    length = round(REPEATED_S * 1e6 / (card.input.slice.delta_t_us or 0))
    return np.concatenate([once] * -(-length // len(once)))[:length], len(once)


def spikes_of(played: Played, *, folder: Path, digest: str) -> Frames:
    """Return the pooled spikes of a repeated take as counts, uint8 [T, F], from the cache if they are there."""
    weights_card = load_weights(folder / WEIGHTS)[1]
    settings = (utd_mhad.VERSION, digest, str(played.path.resolve()), REPEATED_S, weights_card.input)
    return cached("taught-spikes", settings, lambda: _spikes(played, folder))


def _spikes(played: Played, folder: Path) -> Frames:
    model = load_model(folder, "spike", threads=1)
    cells = model.card.network.final_pool**2
    state, made = model.initial_state(), []
    for data in repeated(played, model.card)[0]:
        _, state = model.step(Frame(0, data, 0), state)
        made.append(np.rint(pooled_spikes(model.card, state) * cells).astype(np.uint8))
    return np.array(made)


def network_digest(weights: Weights) -> str:
    """Return a digest of all weights before the read-out."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        if not name.startswith(("read_out.", "classify.", "teach.")):
            digest.update(name.encode() + weights[name].tobytes())
    return digest.hexdigest()


class Units:
    """Hidden units of all takes. What a lesson leaves as it is, isn't computed again."""

    def __init__(self, spikes: Sequence[Frames], cells: int) -> None:
        self._spikes, self._cells = spikes, np.float32(cells)
        self._kept: dict[object, tuple[bytes, FloatArray]] = {}

    def of(self, weights: Weights, card: ModelCard) -> FloatArray:
        """Return float32 [takes, T, units], as the engines compute them."""
        return np.concatenate([self._member(weights, card, m) for m in range(card.traces.members)], axis=-1)

    def _member(self, weights: Weights, card: ModelCard, member: int) -> FloatArray:
        spec = card.traces
        rows = slice(member * spec.width, (member + 1) * spec.width)
        mix = weights["read_out.mix"][member] if spec.mixed else np.eye(len(spec.alphas), dtype=np.float32)
        project, bias = weights["read_out.project.weight"][rows], weights["read_out.project.bias"][rows]
        traced = self._keep(
            ("normed", member),
            (project, bias, mix),
            lambda: np.stack([self._normed(each, project, bias, mix, spec.alphas) for each in self._spikes]),
        )
        hidden = weights["read_out.hidden_weight"][member], weights["read_out.hidden_bias"][member]
        return self._keep(
            ("units", member),
            (project, bias, mix, *hidden),
            lambda: np.stack([np.maximum(each @ hidden[0] + hidden[1], 0) for each in traced]),
        )

    def _normed(
        self, counts: Frames, project: FloatArray, bias: FloatArray, mix: FloatArray, alphas: Sequence[float]
    ) -> FloatArray:
        decay = np.array(alphas, np.float32)[:, None]
        traces, made = np.zeros((len(decay), len(bias)), np.float32), []
        for current in (counts / self._cells) @ project.T + bias:
            traces = decay * traces + (1 - decay) * current
            mixed = (mix @ traces).ravel()
            made.append((mixed - mixed.mean()) / np.sqrt(mixed.var() + EPSILON))
        return np.array(made, np.float32)

    def _keep(self, key: object, of: Sequence[FloatArray], make: Callable[[], FloatArray]) -> FloatArray:
        digest = hashlib.blake2b(b"".join(np.ascontiguousarray(each).data for each in of)).digest()
        if key not in self._kept or self._kept[key][0] != digest:
            self._kept[key] = digest, make()
        return self._kept[key][1]


def decisions(outputs: FloatArray, card: ModelCard) -> list[str | None]:
    """Return what the default rule decides after each frame with a whole window, of outputs [T, K]."""
    decider, before, made = Decider(), UNDECIDED, []
    for last in range(card.input.window, len(outputs) + 1):
        window = outputs[last - card.input.window : last]
        before = decider.decide(decider.evidence(window), window[-1], card, before)
        made.append(before.label)
    return made


def share(decided: Sequence[Sequence[str | None]], label: str) -> float:
    found = [each == label for some in decided for each in some]
    return sum(found) / len(found) if found else float("nan")


def _outputs(units: FloatArray, dense: Dense) -> FloatArray:
    return units @ dense.classify + dense.classify_bias


def _right(
    chosen: Sequence[tuple[Played, int]], decided: dict[int, list[str | None]], lengths: Sequence[int]
) -> float:
    """Return the share of frames in the middle of gestures, as often as they are repeated, decided right."""
    right = n = 0
    for played, number in chosen:
        length, first = lengths[number], len(decided[number])
        aside = length * (1 - utd_mhad.MIDDLE) / 2
        skipped = round(REPEATED_S * 20) - first
        for frame, label in enumerate(decided[number], skipped):
            if aside <= frame % length < length - aside:
                n += 1
                right += label == utd_mhad.PERFORMED[played.action]
    return right / n


def measure(data: Path, model: str, groups: Sequence[tuple[int, ...]], actions: Sequence[int]) -> Iterator[Lesson]:
    """Yield the figures of each lesson by each group of people; raises DataError if a take of theirs is missing."""
    folder = model_folder(model)
    weights, card = load_weights(folder / WEIGHTS)
    if card.readout != "traces":
        raise DataError(f"{card.name} has no read-out of traces: give --model gestures")
    found = takes(data)
    digest = network_digest(weights)
    spikes = in_processes(partial(spikes_of, folder=folder, digest=digest), found, "computing spikes")
    lengths = [repeated(played, card)[1] for played in found]
    units = Units(spikes, card.network.final_pool**2)
    gestures = [(played, n) for n, played in enumerate(found) if played.action in utd_mhad.PERFORMED]
    dense = Dense.of(weights, card)
    plain = units.of(weights, card)
    before = {n: decisions(_outputs(plain[n], dense), card) for _, n in gestures}
    for group in groups:
        for action in actions:
            own = [[each for each in found if each[:2] == (action, subject)] for subject in group]
            shown_takes = [played for theirs in own for played in theirs[:2]]
            if len(shown_takes) < 2 * len(group):
                raise DataError(f"subjects {group} have fewer than two takes each of action {action}: add them")
            last = [played for theirs in own for played in theirs[2:]]
            with tempfile.TemporaryDirectory() as made:
                out = Path(made) / NAME
                teach(NAME, [repeated(played, card)[0] for played in shown_takes], folder, out)
                taught, taught_card = load_weights(out / WEIGHTS)
            dense = Dense.of(taught, taught_card)
            shown = units.of(taught, taught_card)
            decided = {
                n: decisions(_outputs(shown[n], dense), taught_card)
                for n, played in enumerate(found)
                if played.subject not in group or played in last
            }
            theirs = [(played, n) for n, played in enumerate(found) if played.subject not in group]
            known = [each for each in gestures if each[0].subject not in group]
            yield Lesson(
                action,
                "+".join(map(str, group)),
                share([decided[n] for played, n in theirs if played.action == action], NAME),
                share([decided[n] for played, n in theirs if played.action != action], NAME),
                share([decided[n] for n, played in enumerate(found) if played in last], NAME),
                _right(known, decided, lengths),
                _right(known, before, lengths),
            )


def main(
    data: Path = Path("data"),
    model: str = "gestures",
    subjects: tuple[int, ...] = (1, 3, 5, 7),
    actions: tuple[int, ...] = TAUGHT,
    together: int = 1,
) -> None:
    """Teach each action by each person, decide on everyone else, and print JSON.

    Parameters
    ----------
    data
        Folder with people/UTD-MHAD.
    model
        Model that is taught, by name or folder.
    subjects
        Who teaches.
    actions
        What is taught.
    together
        How many people teach an action in one lesson.
    """
    lessons, groups = [], [*combinations(subjects, together)]
    for lesson in measure(data, model, groups, actions):
        say(
            ", ".join(
                f"{name} {value if isinstance(value, str) else f'{value:.3g}'}"
                for name, value in lesson._asdict().items()
            )
        )
        lessons.append(lesson)
    table = {str(action): _means([each for each in lessons if each.action == action]) for action in actions}
    write_json(
        {
            "machine": machine(),
            "model": model,
            "lessons": len(lessons),
            "mean": _means(lessons),
            "by_teachers": {
                names: _means([each for each in lessons if each.teachers == names])
                for names in ("+".join(map(str, group)) for group in groups)
            },
            "by_action": table,
        }
    )


def _means(lessons: Sequence[Lesson]) -> dict[str, float]:
    names = ("recall", "false", "own", "known", "known_before")
    return {name: round(fmean(getattr(each, name) for each in lessons), 4) for name in names}


if __name__ == "__main__":
    run_script(main)
