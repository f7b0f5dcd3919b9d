"""The spiking networks, in torch. A trained one runs without torch in infer/."""

from __future__ import annotations

from livesnn.card import ModelCard
from livesnn.snn.network import SpikingNetwork
from livesnn.snn.sts_resnet import ConvSNN, STSResNet

__all__ = ["SpikingNetwork", "build_network"]


def build_network(card: ModelCard) -> SpikingNetwork:
    """Build the network a card describes, with fresh weights."""
    return STSResNet(card) if card.network.kind == "sts_resnet" else ConvSNN(card)
