"""A network of which only the read-out is trained: its spikes, computed once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model, model_folder
from livesnn.infer.model import pooled_spikes
from livesnn.snn import SpikingNetwork
from livesnn.train.datasets.cache import made_in_parts
from livesnn.train.datasets.clips import Frames, Stack, Streams
from livesnn.train.network import READ_OUT
from livesnn.weights import WEIGHTS, load_weights

SPIKES_AT_ONCE = 20  # Streams in a cache file


def freeze(net: SpikingNetwork) -> None:
    """Let only the read-out be trained."""
    for name, parameter in net.named_parameters():
        parameter.requires_grad = name.startswith(READ_OUT)


def spikes_of(streams: Streams, model: Path) -> Streams:
    """Return streams of pooled spike counts, uint8 [N, F, P, 1, 1], in place of frames, for a read-out of traces.

    The spikes are those of the spike-driven engine, as the finished model has them. They are kept in the cache.
    """
    folder = model_folder(model)
    weights, card = load_weights(folder / WEIGHTS)
    digest = hashlib.blake2b()
    for name, array in sorted(weights.items()):
        if not name.startswith(READ_OUT):
            digest.update(name.encode() + array.tobytes())
    settings = (digest.hexdigest(), card.network, card.neuron, card.input)
    spikes = made_in_parts(
        "spikes",
        [slice(first, first + SPIKES_AT_ONCE) for first in range(0, len(streams.frames), SPIKES_AT_ONCE)],
        lambda part: (*settings, hashlib.blake2b(streams.frames[part].data).hexdigest()),
        partial(_spikes, streams.frames, folder),
        "computing spikes, in parts",
    )
    return replace(streams, frames=spikes)


def _spikes(streams: Stack, folder: Path, part: slice) -> Frames:
    model, frames = load_model(folder, "spike", threads=1), streams[part]
    # The read-out may be another one: only the layers that a read-out of traces gets are asked for.
    card = replace(model.card, readout="traces")
    made = []
    for stream in frames:
        state = model.initial_state()
        for data in stream:
            _, state = model.step(Frame(0, data, 0), state)
            made.append(np.rint(pooled_spikes(card, state) * card.network.final_pool**2).astype(np.uint8))
    return np.array(made).reshape(*frames.shape[:2], -1, 1, 1)
