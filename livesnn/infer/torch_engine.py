"""TorchModel: one step of a network in PyTorch, for comparison. Only `load_model(…, "torch")` imports it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from livesnn.events.slicer import Frame
from livesnn.infer.model import CheckedModel, FloatArray, State, check_first_step
from livesnn.snn.checkpoint import load_network, without_norm
from livesnn.snn.network import SpikingNetwork


class TorchModel(CheckedModel):
    """A Model (`livesnn.infer.model`) on PyTorch's CPU, batch norm folded as in the exported graph."""

    engine = "torch"

    def __init__(self, net: SpikingNetwork, where: str) -> None:
        self._net = without_norm(net, where)
        self.card = net.card

    @classmethod
    def load(cls, folder: Path, *, threads: int | None = None) -> TorchModel:
        """Rebuild the network from model.safetensors; ``threads`` holds for the whole process.

        Raises ModelError if the file is missing or damaged, its tensors don't fit its card, or a step gives NaN or
        infinity.
        """
        path = folder / "model.safetensors"
        if threads is not None:
            torch.set_num_threads(threads)
        model = cls(load_network(path), str(path))
        check_first_step(model, str(path))
        return model

    @torch.no_grad()
    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        # Copied: PyTorch warns of numpy arrays that are read-only.
        membranes = tuple(torch.tensor(membrane[np.newaxis]) for membrane in state)
        output, after = self._net.step(torch.tensor(frame.data[np.newaxis]), membranes)
        return output[0].numpy(), tuple(membrane[0].numpy() for membrane in after)
