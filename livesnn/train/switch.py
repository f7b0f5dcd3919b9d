"""What the change of phase does: loss, rates and gradients by layer, the same clips on both sides of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from livesnn.snn.network import SpikingNetwork, eval_mode

SWITCH_FILE = "switch.json"

Loss = Callable[[Tensor, Tensor], Tensor]


def measure_switch(net: SpikingNetwork, frames: Tensor, labels: Tensor, loss: Loss) -> dict[str, Any]:
    """Return {"analog": …, "spiking": …}, each with loss, rates by layer and gradient_norms by parameter.

    The network is measured in eval mode (running statistics, no dropout) and left as it was.

    Parameters
    ----------
    frames, labels
        uint8 [B, T, C, H, W] and int64 [B].
    loss
        Of outputs [T, B, K] and labels.
    """
    analog, sides = net.analog, {}
    try:
        with eval_mode(net), torch.enable_grad():
            for name in ("analog", "spiking"):
                net.analog = name == "analog"
                sides[name] = _side(net, frames, labels, loss)
    finally:
        net.zero_grad()
        net.analog = analog
    return sides


def _side(net: SpikingNetwork, frames: Tensor, labels: Tensor, loss: Loss) -> dict[str, Any]:
    net.zero_grad()
    outputs, _, rates = net.forward_rates(frames.transpose(0, 1), net.initial_state(len(frames)))
    value = loss(outputs, labels)
    value.backward()
    norms = {n: p.grad.norm().item() for n, p in net.named_parameters() if p.grad is not None}
    return {
        "loss": value.item(),
        "rates": dict(zip(net.layer_names()[:-1], rates.tolist(), strict=True)),
        "gradient_norms": {
            n: norm for n, norm in norms.items() if n.endswith(("conv.weight", "classify.weight"))
        },
    }


def write_switch(folder: Path, epoch: int, sides: dict[str, Any]) -> None:
    """Keep the measurement as switch.json beside the log."""
    text = msgspec.json.encode({"epoch": epoch, **sides})
    (folder / SWITCH_FILE).write_bytes(msgspec.json.format(text, indent=1))
