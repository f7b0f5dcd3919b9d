"""Model folders of random STS-ResNets, in both files, as a training would leave them (needs torch); equal states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.events.slicer import Frame
from livesnn.infer.model import Model

CLOSE = 1e-5
"""Of a membrane so near to its threshold a rounding decides whether it spikes, and all that follows differs."""

Membranes = Iterable[npt.NDArray[np.float32]]


def write_network(folder: Path, card: ModelCard, *, seed: int = 0) -> Path:
    """Write a model of the card, with random weights and batch norms that have seen something."""
    import torch

    from livesnn.onnx_graph import write_model
    from livesnn.snn import build_network
    from livesnn.snn.checkpoint import onnx_step, weights_of

    torch.manual_seed(seed)
    net = build_network(card)
    spec = net.card.input
    seen = torch.poisson(torch.full((10, 4, spec.channels, spec.height, spec.width), 0.6)).to(torch.uint8)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1 - 0.9**20  # as after twenty passes
    net.train()
    net(seen, net.initial_state(4))
    net.eval()
    card = replace(net.card, states=net.state_shapes())
    write_model(folder, weights_of(net), onnx_step(net), card)
    return folder


def agree(expected: Membranes, found: Membranes, threshold: float) -> bool:
    """Assert that membranes are equal, up to where a rounding flips a spike; return whether they are to the end."""
    for number, (a, b) in enumerate(zip(expected, found, strict=True)):
        np.testing.assert_allclose(b, a, rtol=CLOSE, atol=CLOSE, err_msg=f"layer {number}")
        flipped = (a >= threshold) != (b >= threshold)
        if flipped.any():
            assert abs(a[flipped] - threshold).max() < CLOSE * 10
            return False
    return True


def outputs_on_noise(model: Model) -> np.ndarray:
    """Return the outputs [12, K] of a model on frames of noise, with the state carried."""
    spec, random = model.card.input, np.random.default_rng(3)
    shape = (12, spec.channels, spec.height, spec.width)
    state, found = model.initial_state(), []
    for data in random.poisson(0.6, shape).astype(np.uint8):
        output, state = model.step(Frame(0, data, 500), state)
        found.append(output.copy())
    return np.array(found)
