"""The network a training begins with: built with random weights, or with those of the model of --init."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from livesnn.card import BY_TABLE, ModelCard
from livesnn.console import say
from livesnn.errors import ModelError, TrainError
from livesnn.infer.model import model_folder
from livesnn.snn import SpikingNetwork, build_network
from livesnn.snn.checkpoint import weights_of, with_weights
from livesnn.snn.lif import compiled_kernels
from livesnn.snn.surrogate import Surrogate
from livesnn.train.baselines import Baseline, build_baseline
from livesnn.train.configuration import NETWORKS, Configuration
from livesnn.train.datasets import Parts
from livesnn.train.spike_conv import convolve_spikes
from livesnn.weights import Weights, load_weights

Network = SpikingNetwork | Baseline
"""What `HybridModule` trains."""

HEAD = "classify."
"""Prefix of the names of the last layer's tensors, whose first axis is the classes."""


def build(config: Configuration, classes: tuple[str, ...]) -> Network:
    """Build the configured network with random weights; raises TrainError if it doesn't fit its input."""
    card = config.card(classes)
    if not NETWORKS[config.network].spiking:
        return build_baseline(config.network, card)
    try:
        net = build_network(card)
    except ModelError as error:
        raise TrainError(f"--strides or --final-pool is too large for this input: {error}") from error
    net.analog_slope, net.analog_ceiling = config.analog_slope, config.analog_ceiling
    if config.compile:
        convolve_spikes(net)
        if torch.cuda.is_available() or shutil.which("c++") is not None:
            net.kernels = compiled_kernels()
    net.surrogate = Surrogate(config.surrogate, config.surrogate_width, config.surrogate_peak)
    return net


class Start(NamedTuple):
    """A model that a training starts from: the file of its weights, the weights, and its card."""

    file: Path
    weights: Weights
    card: ModelCard


def read_start(model: Path) -> Start:
    """Read a model by its name or folder; raises TrainError if it isn't a whole model folder."""
    try:
        file = model_folder(model) / "model.safetensors"
        return Start(file, *load_weights(file))
    except (ModelError, OSError) as error:
        raise TrainError(f"--init {model}: {error}") from error


def start_from(net: SpikingNetwork, start: Start) -> None:
    """Load a model's weights into a network to train; the rows of classes it doesn't know stay random.

    Raises TrainError if the model has another network.
    """
    weights = start.weights
    if start.card.classes != net.card.classes:
        weights = weights | _head(weights, start.card.classes, weights_of(net), net.card.classes)
    try:
        with_weights(net, weights, where=str(start.file)).train()
    except ModelError as error:
        raise TrainError(f"--init: {error}: give a model of the same network and input") from error


def _head(theirs: Weights, known: Sequence[str], fresh: Weights, classes: Sequence[str]) -> Weights:
    """Return the last layer: the model's rows for the classes it knows, and fresh ones for the others."""
    head = {name: array.copy() for name, array in fresh.items() if name.startswith(HEAD)}
    for name, rows in head.items():
        if name not in theirs or theirs[name].shape[1:] != rows.shape[1:]:
            return {}  # another network or input, which is refused
        for row, label in enumerate(classes):
            if label in known:
                rows[row] = theirs[name][known.index(label)]
    return head


def with_classes(net: Network, classes: tuple[str, ...]) -> Network:
    """Return the network without the outputs behind those of its first ``classes``, which only training needs."""
    if net.card.classes == classes:
        return net
    assert isinstance(net, SpikingNetwork)  # baselines have no others
    weights = weights_of(net)
    head = {name: array[: len(classes)] for name, array in weights.items() if name.startswith(HEAD)}
    return with_weights(
        build_network(replace(net.card, classes=classes)), weights | head, where=net.card.name
    )


def trained_before(start: Start | None, config: Configuration) -> ModelCard | None:
    """Return the model's card if it was trained on the same data set: then its validation clips stay validation.

    Raises TrainError if that was on another published split: it has learned what would be validation or test here.
    """
    if start is None or _recordings_of(start.card.dataset) != _recordings_of(config.dataset):
        return None
    theirs = start.card.split.protocol if start.card.split else config.protocol
    if theirs not in (config.protocol, BY_TABLE):
        raise TrainError(
            f"{start.card.name} was trained on --protocol {theirs}, which includes validation and test clips of "
            f"this one: give --protocol {theirs}"
        )
    return start.card


def _recordings_of(dataset: str) -> str:
    """Return the same name for data sets of the same recordings: all MNIST sequences have the same digits."""
    return "mnist" if dataset.startswith("mnist-") else dataset


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
        say(f"validation uses the same clips as for {before.name}, which may have been trained on all others")
