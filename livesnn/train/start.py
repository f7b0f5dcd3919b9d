"""A training that starts from a model: its weights, the clips that were kept from it, and what --freeze keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from livesnn.card import BY_TABLE, ModelCard
from livesnn.console import say
from livesnn.errors import ModelError, TrainError
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model, model_folder
from livesnn.infer.model import pooled_spikes
from livesnn.snn import SpikingNetwork
from livesnn.snn.checkpoint import weights_of, with_weights
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.cache import made_in_parts
from livesnn.train.datasets.clips import Frames, Parts, Stack, Streams
from livesnn.train.network import HEAD, READ_OUT
from livesnn.train.resolve import Start
from livesnn.weights import WEIGHTS, Weights, load_weights


def start_from(net: SpikingNetwork, start: Start) -> None:
    """Load a model's weights into a network to train; the rows of classes it doesn't know stay random.

    If their read-outs of traces differ, or only one has any, the whole read-out stays random. Raises TrainError if
    the model has another network.
    """
    weights, fresh = start.weights, weights_of(net)
    theirs, ours = ((card.readout, card.traces) for card in (start.card, net.card))
    if "traces" in (theirs[0], ours[0]) and theirs != ours:
        weights = {name: array for name, array in weights.items() if not name.startswith(READ_OUT)}
        weights |= {name: array for name, array in fresh.items() if name.startswith(READ_OUT)}
    elif start.card.classes != net.card.classes:
        weights = weights | _head(weights, start.card.classes, fresh, net.card.classes)
    try:
        with_weights(net, weights, where=str(start.file)).train()
    except ModelError as error:
        raise TrainError(f"--init: {error}: give a model of the same network and input") from error


def _head(theirs: Weights, known: Sequence[str], fresh: Weights, classes: Sequence[str]) -> Weights:
    head = {name: array.copy() for name, array in fresh.items() if name.startswith(HEAD)}
    for name, rows in head.items():
        if name not in theirs or theirs[name].shape[1:] != rows.shape[1:]:
            return {}  # another network or input, which is refused
        for row, label in enumerate(classes):
            if label in known:
                rows[row] = theirs[name][known.index(label)]
    return head


def trained_before(start: Start | None, config: Configuration) -> ModelCard | None:
    """Return the model's card if it was trained on the same data set: then its validation clips stay validation.

    Raises TrainError if that was on another published split: it has learned what would be validation or test here.
    """
    if start is None:
        return None
    names = {start.card.dataset, config.dataset}
    same_digits = all(name.startswith("mnist-") for name in names)
    if len(names) > 1 and not same_digits:
        return None
    theirs = start.card.split.protocol if start.card.split else config.protocol
    if theirs not in (config.protocol, BY_TABLE):
        raise TrainError(
            f"{start.card.name} was trained on --protocol {theirs}, which includes validation and test clips of "
            f"this one: give --protocol {theirs}"
        )
    return start.card


def say_validation(before: ModelCard | None, parts: Parts) -> None:
    """Say where validation isn't drawn by --seed and --validation, and where the model may have seen it."""
    if before is None or parts.split is None:
        return
    theirs = before.split
    if theirs is None or BY_TABLE in (theirs.protocol, parts.split.protocol):
        say(
            f"{before.name} doesn't record its validation clips. It may have been trained on some of these, so the "
            "accuracy may be too high"
        )
        return
    kept, ours = {*theirs.groups, *theirs.clips}, {*parts.split.groups, *parts.split.clips}
    if kept and not kept & ours:
        say(f"none of the validation clips of {before.name} are here, so these count as other recordings")
    else:
        say(f"validation keeps the clips that it had for {before.name}")


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
