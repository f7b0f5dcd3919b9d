"""A training that starts from a model: its weights, and the clips that were kept from it."""

from __future__ import annotations

from collections.abc import Sequence

from livesnn.card import BY_TABLE, ModelCard
from livesnn.console import say
from livesnn.errors import ModelError, TrainError
from livesnn.snn import SpikingNetwork
from livesnn.snn.checkpoint import weights_of, with_weights
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.clips import Parts
from livesnn.train.network import HEAD, READ_OUT
from livesnn.train.resolve import Start
from livesnn.weights import Weights


def start_from(net: SpikingNetwork, start: Start) -> None:
    """Load a model's weights into a network to train; the rows of classes it doesn't know stay random.

    If only one of the two has a read-out of traces, the whole read-out stays random. Raises TrainError if the model
    has another network.
    """
    weights, fresh = start.weights, weights_of(net)
    if "traces" in (kinds := {start.card.readout, net.card.readout}) and len(kinds) > 1:
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
