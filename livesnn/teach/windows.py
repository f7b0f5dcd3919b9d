"""What a network makes of clips: windows of what its read-out reads, and moments, which can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.model import Model, pooled_spikes
from livesnn.infer.onnx_engine import MIX
from livesnn.infer.reason import OTHER
from livesnn.infer.spikes.trace_read_out import EPSILON, Dense, hidden_units
from livesnn.teach.lesson import Clip, Take, still_before
from livesnn.teach.model import EMBEDDING, HIDDEN, HIDDEN_BIAS, OFFSET, PROJECT, FloatArray
from livesnn.weights import Weights, load_tensors

EMPTY = np.zeros((0, 0), np.float32)


class Windows(NamedTuple):
    """Whole windows of clips.

    ``units``: what the read-out's rows are multiplied by, means of windows, float32 [N, F + 1]. ``moments``: unit
    vectors, one for each of their frames, float32 [N · window, `Embedding.size`]; empty without an `Embedding`.
    ``currents``: of the embedding's traces in each of these frames, float32 [N · window, D].
    """

    units: FloatArray
    moments: FloatArray = EMPTY
    currents: FloatArray = EMPTY

    @classmethod
    def joined(cls, parts: Sequence[Windows]) -> Windows:
        return cls(*(joined(arrays) for arrays in zip(*parts, strict=True)))

    def chosen(self, windows: npt.NDArray[np.bool_]) -> Windows:
        """Return the windows that are chosen, bool [N], without currents."""
        frames = np.repeat(windows, len(self.moments) // max(len(windows), 1))
        return Windows(self.units[windows], self.moments[frames] if len(frames) else self.moments)


class Embedding(NamedTuple):
    """How spikes s become moments: traces of P · s + p, as in any member of the read-out, mixed by M, and normalised.

    Nothing of it was trained with classes. P are principal components of simulated people's spikes, and M makes the
    decays of a trace independent of each other.

    Attributes
    ----------
    project, bias
        float32 [D, F] and [D]: P and p.
    mix
        float32 [K, K]: M.
    rest
        float32 [D]: the mean of P · s + p while simulated people stand still.
    alphas
        The K decays of the traces.
    """

    project: FloatArray
    bias: FloatArray
    mix: FloatArray
    rest: FloatArray
    alphas: tuple[float, ...]

    @classmethod
    def of(cls, folder: Path, weights: Weights, card: ModelCard) -> Embedding | None:
        """Return a model's; None if it has none. Raises ModelError if its file is damaged or of another network."""
        spec, decays = card.traces, len(card.traces.alphas)
        if card.readout != "traces" or OTHER not in card.classes:
            return None
        if not (file := folder / EMBEDDING).is_file():
            project, bias = (weights[name][-spec.width :] for name in (PROJECT, OFFSET))
            return cls(project, bias, weights[MIX][-1], bias, spec.alphas) if spec.mixed else None
        kept = load_tensors(file)
        try:
            bias = kept["project.bias"]
            rest = kept.get("rest", bias)  # older files have no rest
            made = cls(kept["project.weight"], bias, kept["mix"], rest, spec.alphas)
        except KeyError as error:
            raise ModelError(f"{file} can't be read ({error}): copy the model again") from error
        shapes = [(spec.width, weights[PROJECT].shape[1]), (spec.width,), (decays, decays), (spec.width,)]
        if [each.shape for each in (made.project, bias, made.mix, rest)] != shapes:
            raise ModelError(f"{file} belongs to another network: copy the model again")
        return made

    @property
    def size(self) -> int:
        return len(self.mix) * len(self.bias)

    @property
    def decay(self) -> FloatArray:
        return np.array(self.alphas, np.float32)[:, None]

    def moment(self, current: FloatArray, before: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return moment [size] and traces [K, D] after a current P · s + p [D]."""
        traces = self.decay * before + (1 - self.decay) * current
        mixed = (self.mix @ traces).ravel()
        normed = (mixed - mixed.mean()) / np.sqrt(mixed.var() + EPSILON)
        return normed / np.float32(np.sqrt(self.size)), traces


def windows_of(clip: Clip, model: Model, weights: Weights, embedding: Embedding | None = None) -> Windows:
    """Return the whole windows of a clip, with the state carried through it from zero.

    A read-out of traces has outputs [W | b] · [h[t], 1] of its hidden units h[t], whose means are the units.
    Otherwise, the membrane of the output layer is U[t] = α · U[t−1] + W · s[t] + b (paper, Eq. 1), where s[t] are
    the pooled spikes of blocks 3 and 4. So the mean output of a class over a window is its row of [W | b] times the
    mean of x[t] = α · x[t−1] + [s[t], 1], which are the units.
    """
    card, state, window = model.card, model.initial_state(), model.card.input.window
    dense = Dense.of(weights, card) if card.readout == "traces" else None
    alpha = np.float32(0 if dense else card.neuron.alpha)
    x, traces = np.zeros(1, np.float32), np.zeros((len(card.traces.alphas), 1), np.float32)
    units, moments, currents = [], [], []
    for data in clip[: len(clip) // window * window]:
        _, state = model.step(Frame(0, data, 0), state)
        read = hidden_units(dense, state[-1]) if dense else pooled_spikes(card, state)
        x = alpha * x + np.append(read, np.float32(1))
        units.append(x)
        if embedding is not None:
            currents.append(embedding.project @ pooled_spikes(card, state) + embedding.bias)
            moment, traces = embedding.moment(currents[-1], traces)
            moments.append(moment)
    if not units:
        return Windows(EMPTY)
    means = np.array(units, np.float32).reshape(-1, window, len(x)).mean(1)
    return Windows(means, *(np.array(each or EMPTY, np.float32) for each in (moments, currents)))


def rest_before(take: Take, model: Model, weights: Weights, embedding: Embedding) -> FloatArray:
    """Return the mean current [D] before a take, or that of simulated people if nobody stands still there."""
    window, still = model.card.input.window, still_before(take, model.card.input.window)
    if not still.any():
        return embedding.rest
    before = take.before[len(take.before) % window :]
    currents = windows_of(before, model, weights, embedding).currents[window:]
    return currents.reshape(len(still), window, -1)[still].mean((0, 1))


def without_moments(weights: Weights, card: ModelCard) -> Weights:
    """Return the weights of the read-out's members that were trained, and of all before them."""
    spec = card.traces
    plain = spec.members - spec.mixed
    parts = {PROJECT: plain * spec.width, OFFSET: plain * spec.width, HIDDEN: plain, HIDDEN_BIAS: plain}
    kept = {name: array for name, array in weights.items() if name != MIX}
    return kept | {name: weights[name][:count] for name, count in parts.items()}


def with_units(windows: Windows, weights: Weights, card: ModelCard) -> Windows:
    """Return windows whose units are only those of trained members with all that the read-out's rows read."""
    parts = [windows.units]
    if card.traces.mixed:
        hidden = weights[HIDDEN][-1] * np.float32(np.sqrt(len(weights[HIDDEN][-1])))
        compared = np.maximum(windows.moments @ hidden + weights[HIDDEN_BIAS][-1], 0)
        parts.append(compared.reshape(len(windows.units), -1, compared.shape[-1]).mean(1))
    ones = np.ones((len(windows.units), 1), np.float32)
    return windows._replace(units=np.concatenate([*parts, ones], axis=1))


def drawn(windows: FloatArray, most: int) -> FloatArray:
    """Return at most so many windows, evenly drawn."""
    return windows[np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)]


def joined(parts: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([part for part in parts if len(part)] or [EMPTY])
