"""Model folders of random STS-ResNets, in both files, as a training would leave them. Needs torch."""

from __future__ import annotations

from pathlib import Path

from livesnn.card import ModelCard


def write_network(folder: Path, card: ModelCard, *, seed: int = 0) -> Path:
    """Write a model of the card, with random weights and batch norms that have seen something."""
    import torch

    from livesnn.snn import build_network
    from livesnn.snn.checkpoint import save_network
    from livesnn.snn.export import onnx_step, write_onnx

    torch.manual_seed(seed)
    net = build_network(card)
    spec = net.card.input
    seen = torch.poisson(torch.full((10, 4, spec.channels, spec.height, spec.width), 0.6)).to(torch.uint8)
    net.train()
    for _ in range(20):
        net(seen, net.initial_state(4))
    net.eval()
    card = net.with_states()
    save_network(net, folder / "model.safetensors", card)
    write_onnx(onnx_step(net, list(card.states)), folder / "model.onnx", card)
    return folder
