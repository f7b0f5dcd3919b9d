"""A torch network to and from model.safetensors, and with batch norm folded in, as it is exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.snn import SpikingNetwork, build_network
from livesnn.weights import Weights, load_weights, save_weights, weights_to_run


def weights_of(net: SpikingNetwork) -> Weights:
    """Return the trainable weights and batch norm's running statistics, copied to numpy."""
    return {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def save_network(net: SpikingNetwork, path: Path, card: ModelCard) -> None:
    """Write the trainable weights and the card."""
    save_weights(weights_of(net), path, card)


def load_network(path: Path) -> SpikingNetwork:
    """Rebuild a network, in eval mode, from its model.safetensors; raises ModelError that names a wrong tensor."""
    weights, card = load_weights(path)
    try:
        return with_weights(build_network(card), weights, where="it")
    except ModelError as error:
        raise ModelError(f"{path}: {error}: copy the model again") from error


def with_weights(net: SpikingNetwork, weights: Weights, *, where: str) -> SpikingNetwork:
    """Load weights into a network and return it in eval mode; raises ModelError that names a wrong tensor."""
    expected = weights_of(net)
    for name, array in expected.items():
        if name not in weights:
            raise ModelError(f"{where} lacks the tensor {name} of this network")
        if array.shape != weights[name].shape:
            raise ModelError(
                f"{where}: {name} is {weights[name].shape}, not {array.shape} as in this network"
            )
    if extra := weights.keys() - expected.keys():
        raise ModelError(f"{where} has a tensor {min(extra)}, which this network lacks")
    net.load_state_dict({name: torch.from_numpy(weights[name].copy()) for name in expected}, strict=False)
    return net.eval()


def without_norm(net: SpikingNetwork, where: str = "") -> SpikingNetwork:
    """Return the network that inference runs: batch norm folded into the convolutions, kernels in the card's bits.

    Raises ModelError that names ``where`` (default: the card's name) and the tensor that holds NaN or infinity.
    """
    where = where or net.card.name
    card = replace(net.card, network=replace(net.card.network, norm=False))
    try:
        weights = weights_to_run(weights_of(net), card.network)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    return with_weights(build_network(card), weights, where=where)
