"""TorchModel: one step of a network in PyTorch, for comparison. Only `load_model(…, "torch")` imports it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from livesnn.events.slicer import Frame
from livesnn.infer.model import CheckedModel, FloatArray, State, check_first_step
from livesnn.snn.checkpoint import load_network, without_norm


class TorchModel(CheckedModel):
    """A Model on PyTorch's CPU, batch norm folded; ``threads`` holds for the process. Raises ModelError."""

    engine = "torch"

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        path = folder / "model.safetensors"
        if threads is not None:
            torch.set_num_threads(threads)
        net = load_network(path)
        self._net, self.card = without_norm(net, str(path)), net.card
        check_first_step(self, str(path))

    @torch.no_grad()
    def advance(self, frame: Frame, state: State) -> tuple[FloatArray, State]:
        # Copied: PyTorch warns of numpy arrays that are read-only.
        membranes = tuple(torch.tensor(membrane[np.newaxis]) for membrane in state)
        output, after = self._net.step(torch.tensor(frame.data[np.newaxis]), membranes)
        return output[0].numpy(), tuple(membrane[0].numpy() for membrane in after)
