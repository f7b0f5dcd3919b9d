"""What a training of the read-out only learns from: the pooled spikes of a network that stays as it is."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from livesnn.errors import TrainError
from livesnn.events.slicer import Frame
from livesnn.infer.model import load_model, model_folder, pooled_spikes
from livesnn.snn import SpikingNetwork
from livesnn.train.datasets.clips import Frames, OnDisk, Stack, Streams, cache_file, in_processes, keep
from livesnn.weights import WEIGHTS, Weights, load_weights

READ_OUT = ("read_out.", "classify.")  # Prefixes of the names of its tensors

STREAMS_AT_ONCE = 20  # Streams in a cache file


def freeze(net: SpikingNetwork) -> None:
    """Let only the read-out be trained."""
    for name, parameter in net.named_parameters():
        parameter.requires_grad = name.startswith(READ_OUT)


def spikes_of(streams: Streams, model: Path, net: SpikingNetwork) -> Streams:
    """Return streams of pooled spike counts, uint8 [N, F, P, 1, 1], in place of frames, for a read-out of traces.

    The spikes are those of the spike-driven engine, as the finished model has them. They are kept in the cache.
    Raises TrainError if ``model`` has another network than ``net`` or other frames.
    """
    folder = model_folder(model)
    weights, card = load_weights(folder / WEIGHTS)
    if (card.network.widths, card.input) != (net.card.network.widths, net.card.input):
        raise TrainError(f"--freeze: {card.name} has other frames or another network: leave --freeze out")
    parts = [
        range(first, min(first + STREAMS_AT_ONCE, len(streams.frames)))
        for first in range(0, len(streams.frames), STREAMS_AT_ONCE)
    ]
    network = _digest({name: array for name, array in weights.items() if not name.startswith(READ_OUT)})
    files = [
        cache_file("spikes", (network, card.neuron, hashlib.blake2b(_taken(streams, part).data).hexdigest()))
        for part in parts
    ]
    missing = [each for each in zip(parts, files, strict=True) if not each[1].exists()]
    if missing:
        in_processes(partial(_fill, streams, folder), missing, "computing spikes, in parts")
    return replace(streams, frames=Stack([OnDisk(file) for file in files]))


def _digest(weights: Weights) -> str:
    digest = hashlib.blake2b()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].tobytes())
    return digest.hexdigest()


def _taken(streams: Streams, part: range) -> Frames:
    return streams.frames[np.arange(part.start, part.stop)]


def _fill(streams: Streams, folder: Path, missing: tuple[range, Path]) -> None:
    part, file = missing
    model = load_model(folder, "spike", threads=1)
    # The read-out may be another one: only the layers that a read-out of traces gets are asked for.
    card = replace(model.card, readout="traces")
    side = card.network.final_pool
    made = []
    for frames in _taken(streams, part):
        state = model.initial_state()
        for data in frames:
            _, state = model.step(Frame(0, data, 0), state)
            made.append(np.rint(pooled_spikes(card, state) * side * side).astype(np.uint8))
    keep(file, np.array(made).reshape(len(part), -1, made[0].size, 1, 1))
