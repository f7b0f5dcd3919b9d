"""What a training starts from: fresh weights, or a model's. Not here: resuming one (run_folder.py)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch

from livesnn.card import BY_TABLE, ModelCard, NetworkSpec
from livesnn.console import say
from livesnn.errors import ModelError, TrainError
from livesnn.infer.model import model_folder
from livesnn.snn import SpikingNetwork, build_network
from livesnn.snn.checkpoint import weights_of, with_weights
from livesnn.snn.lif import compiled_kernels
from livesnn.snn.surrogate import Surrogate
from livesnn.train.baselines import Baseline, build_baseline
from livesnn.train.configuration import NETWORKS, OF_MODEL, TrainConfig, as_flags, flag
from livesnn.train.datasets import Parts
from livesnn.train.processes import shares_another
from livesnn.train.resolve import recipe
from livesnn.train.spike_conv import convolve_spikes
from livesnn.weights import Weights, load_weights

HEAD = "classify."
"""How the names of the last layer's tensors begin; their first axis is the classes."""


class Start(NamedTuple):
    """A model that a training starts from: its file of weights, what is in it, and its card."""

    file: Path
    weights: Weights
    card: ModelCard


def read_start(folder: Path) -> Start:
    """Return a model by its name or folder; raises TrainError if it isn't a whole model folder."""
    try:
        file = model_folder(folder) / "model.safetensors"
        return Start(file, *load_weights(file))
    except (ModelError, OSError) as error:
        raise TrainError(f"--init {folder}: {error}") from error


def as_start(config: TrainConfig, start: Start | None) -> TrainConfig:
    """Return the training with the model's network, neuron and read-out where it has its recipe's; and say so.

    Raises
    ------
    TrainError
        It is to have another network than the model. Neuron and read-out may be others.
    """
    if start is None:
        return config
    spec, neuron = start.card.network, start.card.neuron
    if spec.kind != config.network:
        raise TrainError(f"{start.card.name} is of --network {spec.kind}, not {config.network}: give that")
    having = (spec, neuron, start.card)  # each of `OF_MODEL` is a field of one of them
    theirs = {name: next(getattr(one, name) for one in having if hasattr(one, name)) for name in OF_MODEL}
    usual = recipe(config.recipe, config.network, config.dataset)
    if config.width != usual.width or config.card(()).network.widths == spec.widths:
        del theirs["widths"]
    differ = {name: value for name, value in theirs.items() if value != getattr(config, name)}
    taken = {name: value for name, value in differ.items() if getattr(config, name) == getattr(usual, name)}
    if taken and not shares_another():
        say(f"as {start.card.name} has it: {' '.join(as_flags(taken).values())}")
    taking = replace(config, **taken)
    _check_network(taking.card(()).network, start.card)
    return taking


def _check_network(ours: NetworkSpec, card: ModelCard) -> None:
    """Raise TrainError where a network isn't the model's, in more than is of the training or the export alone."""
    theirs = replace(card.network, dropout=ours.dropout, weight_bits=ours.weight_bits)
    for name, value in asdict(theirs).items():
        if value != (other := getattr(ours, name)):
            raise TrainError(
                f"--init: {card.name} has {name} {value}, not {other}: leave that out, or give a model of the same "
                "network"
            )


def trained_before(start: Start | None, config: TrainConfig) -> ModelCard | None:
    """Return the card of a model that was trained on the same data set: what it kept for validation stays so.

    Raises
    ------
    TrainError
        It was trained on another of the published splits: what it has learned would be validation's here, or test's.
    """
    if start is None or _set(start.card.dataset) != _set(config.dataset):
        return None
    theirs = start.card.split.protocol if start.card.split else config.protocol
    if theirs != config.protocol and theirs != BY_TABLE:
        raise TrainError(
            f"{start.card.name} was trained on --protocol {theirs}, of which this one tests and validates with "
            f"some: give --protocol {theirs}"
        )
    return start.card


def _set(name: str) -> str:
    """Return whose recordings a data set has: the sequences are all of the same digits."""
    return "mnist" if name.startswith("mnist-") else name


def say_kept(before: ModelCard | None, parts: Parts) -> None:
    """Say where validation isn't as --seed and --validation would draw it; or can't be known to be new."""
    if before is None or parts.split is None:
        return
    theirs = before.split
    if theirs is None or BY_TABLE in (theirs.protocol, parts.split.protocol):
        say(
            f"what {before.name} kept for validation isn't known here: some of this one it may have been trained on"
        )
        return
    kept, ours = {*theirs.groups, *theirs.clips}, {*parts.split.groups, *parts.split.clips}
    if kept and not kept & ours:
        say(f"nothing that {before.name} kept for validation is here: these are taken for other recordings")
    else:
        say(f"validation stays what {before.name} kept for it: on all else it may have been trained")


def start_from(net: SpikingNetwork, start: Start) -> None:
    """Put a model's weights into a network that is to be trained on; classes it doesn't know start afresh.

    Raises
    ------
    TrainError
        It has another network than the training is to have.
    """
    weights = start.weights
    if start.card.classes != net.card.classes:
        weights = weights | _head(weights, start.card.classes, weights_of(net), net.card.classes)
    try:
        with_weights(net, weights, where=str(start.file)).train()
    except ModelError as error:
        raise TrainError(f"--init: {error}: give a model of the same network and input") from error


def _head(theirs: Weights, known: Sequence[str], fresh: Weights, wanted: Sequence[str]) -> Weights:
    """Return the last layer: the rows of classes that both have are theirs, the others fresh."""
    head = {name: array.copy() for name, array in fresh.items() if name.startswith(HEAD)}
    for name, rows in head.items():
        if name not in theirs or theirs[name].shape[1:] != rows.shape[1:]:
            return {}  # another network or input, which is refused
        for row, label in enumerate(wanted):
            if label in known:
                rows[row] = theirs[name][known.index(label)]
    return head


Network = SpikingNetwork | Baseline
"""What `HybridModule` trains."""


def build(config: TrainConfig, classes: tuple[str, ...]) -> Network:
    """Build the network with fresh weights, its neuron as the configuration has it.

    Raises
    ------
    TrainError
        It doesn't fit its input.
    """
    card = config.card(classes)
    if not NETWORKS[config.network].spiking:
        return build_baseline(config.network, card)
    try:
        net = build_network(card)
    except RuntimeError as error:
        given = [
            flag(name)
            for name in ("strides", "final_pool")
            if getattr(config, name) != getattr(TrainConfig, name)
        ]
        if not given:
            raise
        reason = str(error).partition("\n")[0]
        raise TrainError(f"{' or '.join(given)} is too large for this input: {reason}") from error
    net.analog_slope, net.analog_ceiling = config.analog_slope, config.analog_ceiling
    if config.compile:
        convolve_spikes(net)
    if _compiles(config):
        net.kernels = compiled_kernels()
    net.surrogate = Surrogate(config.surrogate, config.surrogate_width, config.surrogate_peak)
    return net


def _compiles(config: TrainConfig) -> bool:
    """Whether the neuron is to be compiled, and can be."""
    return config.compile and (torch.cuda.is_available() or shutil.which("c++") is not None)
