"""One step of a network as an ONNX graph, with its states as inputs and outputs. It is written by weights.py."""

from __future__ import annotations

import logging
import warnings

import onnx
import torch
from torch import Tensor, nn

from livesnn.snn import SpikingNetwork
from livesnn.snn.checkpoint import without_norm

OPSET = 18


class _Step(nn.Module):
    """`step` with the state spread over arguments, as ONNX wants it."""

    def __init__(self, net: SpikingNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        output, following = self.net.step(frame, state)
        return output, *following


def onnx_step(net: SpikingNetwork, states: list[str]) -> onnx.ModelProto:
    """Return the graph of one step: batch 1, static shapes, states named ``states``, and no card yet.

    Inputs: `frame` uint8 [1, C, H, W], then each state float32 [1, ...] by name. Outputs: `output` float32 [1, K],
    then each `<state>.next`.
    """
    folded = without_norm(net).cpu()
    spec = net.card.input
    frame = torch.zeros(1, spec.channels, spec.height, spec.width, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # "torchvision is not installed", eight times
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            _Step(folded).eval(),
            (frame, *folded.initial_state()),
            input_names=["frame", *states],
            output_names=["output", *[f"{name}.next" for name in states]],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    onnx.checker.check_model(program.model_proto)
    return program.model_proto
