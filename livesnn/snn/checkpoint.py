"""A torch network to and from model.safetensors, and one step of it as an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from livesnn.errors import ModelError
from livesnn.snn import SpikingNetwork, build_network
from livesnn.weights import Weights, load_weights, weights_to_run

if TYPE_CHECKING:
    import onnx

OPSET = 18


def weights_of(net: SpikingNetwork) -> Weights:
    """Return the trainable weights and batch norm's running statistics, copied to numpy."""
    return {
        name: tensor.detach().cpu().numpy().copy() for name, tensor in net.state_dict().items() if _is_weight(name)
    }


def load_network(path: Path) -> SpikingNetwork:
    """Rebuild a network, in eval mode, from its model.safetensors; raises ModelError that names a wrong tensor."""
    weights, card = load_weights(path)
    try:
        with torch.device("meta"):  # takes no memory, which a card may ask for without end
            _check_fit(build_network(card).state_dict(), weights, "it")
        return with_weights(build_network(card), weights, where="it")
    except ModelError as error:
        raise ModelError(f"{path}: {error}: copy the model again") from error


def with_weights(net: SpikingNetwork, weights: Weights, *, where: str) -> SpikingNetwork:
    """Load weights into a network and return it in eval mode; raises ModelError that names a wrong tensor."""
    _check_fit(net.state_dict(), weights, where)
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()}, strict=False)
    return net.eval()


def _check_fit(state: dict[str, Tensor], weights: Weights, where: str) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in state.items() if _is_weight(name)}
    for name, shape in expected.items():
        if name not in weights:
            raise ModelError(f"{where} lacks the tensor {name} of this network")
        if shape != weights[name].shape:
            raise ModelError(f"{where}: {name} is {weights[name].shape}, not {shape} as in this network")
    if extra := weights.keys() - expected.keys():
        raise ModelError(f"{where} has a tensor {min(extra)}, which this network lacks")


def _is_weight(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def without_norm(net: SpikingNetwork, where: str = "") -> SpikingNetwork:
    """Return the network that inference runs; raises ModelError that names ``where``, by default the card's name."""
    where = where or net.card.name
    card = replace(net.card, network=replace(net.card.network, norm=False))
    try:
        weights = weights_to_run(weights_of(net), card.network)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    return with_weights(build_network(card), weights, where=where)


class _Step(nn.Module):
    """`step` with the state spread over arguments, as ONNX wants it."""

    def __init__(self, net: SpikingNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        output, following = self.net.step(frame, state)
        return output, *following


def onnx_step(net: SpikingNetwork) -> onnx.ModelProto:
    """Return the graph of one step: batch 1, static shapes, states named as in the card, and no card yet.

    Inputs: `frame` uint8 [1, C, H, W], then each state float32 [1, ...] by name. Outputs: `output` float32 [1, K],
    then each `<state>.next`.
    """
    import onnx  # half a second

    folded = without_norm(net).cpu()
    spec, states = net.card.input, [*net.state_shapes()]
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
