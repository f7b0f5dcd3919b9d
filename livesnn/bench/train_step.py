"""A framework's training step, run on request in a process of its own. Not here: who asks (train.py)."""

from __future__ import annotations

import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from livesnn.bench.peer_networks import build_peer
from livesnn.bench.peers import Peer
from livesnn.snn.network import eval_mode
from livesnn.snn.surrogate import Surrogate
from livesnn.train.configuration import Configuration
from livesnn.train.hybrid import hidden_density
from livesnn.train.start import Network, build

Weights = dict[str, npt.NDArray[np.generic]]

CLASSES = tuple("0123456789")
EVENTS_PER_PIXEL = 0.25
"""Mean count of a frame's pixel."""
MOST_LOWERED, HALVINGS = 4.0, 8
"""In search of how much currents have to be lowered for rates as after a training: in thresholds, which are their
standard deviations."""


class Check(TypedDict):
    """What a network does with given weights in evaluation: mean outputs float32 [B, K], spikes a neuron and step."""

    parameters: int
    outputs: npt.NDArray[np.float32]
    density: float


def serve(connection: Connection, framework: str, config: Configuration) -> None:
    """Call the `Trainee`'s methods that are asked for, until the other side closes."""
    trainee = Trainee(framework, config)
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        connection.send(getattr(trainee, method)(*arguments))


class Trainee:
    """A network, its optimiser and one batch on a device.

    Network, loss, clipping and optimiser are those of `livesnn train`, without augmentation and burn-in. The penalty
    on firing rates is in our step alone.
    """

    def __init__(self, framework: str, config: Configuration) -> None:
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        random = torch.Generator().manual_seed(config.seed)
        card = config.card(CLASSES)
        shape = (card.input.window, config.batch, card.input.channels, card.input.height, card.input.width)
        counts = torch.poisson(torch.full(shape, EVENTS_PER_PIXEL), generator=random)
        self.frames = counts.to(torch.uint8).to(self.device)
        self.labels = torch.randint(len(CLASSES), (config.batch,), generator=random).to(self.device)
        torch.manual_seed(config.seed)
        self.net: Network | Peer
        if framework == "livesnn":
            self.net = build(config, CLASSES)
        else:
            surrogate = Surrogate(config.surrogate, config.surrogate_width, config.surrogate_peak)
            self.net = build_peer(framework, card, surrogate)
        self.net.to(self.device)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), config.learning_rate, weight_decay=1e-2)

    def weights(self) -> Weights:
        """Return weights with which neurons spike, in the mean of a training step, as often as a training wants.

        Batch norms have the statistics of the batch, so that evaluation isn't silent.
        """
        norms = [layer for layer in self.net.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        least, most = 0.0, MOST_LOWERED * self.net.card.neuron.threshold
        with torch.no_grad():
            for _ in range(HALVINGS):
                middle = (least + most) / 2
                for norm in norms:
                    norm.bias.fill_(-middle)
                    norm.momentum = 1.0
                _, density = self._density()
                least, most = (middle, most) if density > self.config.rate_target else (least, middle)
        for norm in norms:
            norm.momentum = 0.1
        return {name: value.cpu().numpy() for name, value in self.net.state_dict().items()}

    def check(self, weights: Weights) -> Check:
        """Load weights, evaluate the batch in float32."""
        given = {name: torch.from_numpy(value) for name, value in weights.items()}
        missing, unexpected = self.net.load_state_dict(given, strict=False)
        lacking = set(missing) & {name for name, _ in self.net.named_parameters()}
        if lacking or unexpected:
            raise ValueError(f"networks differ: {sorted(lacking)} and {unexpected} are in one of them alone")
        with eval_mode(self.net), torch.no_grad():
            outputs, density = self._density()
        parameters = sum(p.numel() for p in self.net.parameters() if p.requires_grad)
        return {"parameters": parameters, "outputs": outputs.mean(0).cpu().numpy(), "density": density}

    def _density(self) -> tuple[Tensor, float]:
        if isinstance(self.net, Peer):
            with self.net.counted() as counts:
                outputs, _ = self._forward()
            return outputs, sum(spikes for spikes, _ in counts) / sum(neurons for _, neurons in counts)
        outputs, rates = self._forward()
        return outputs, hidden_density(rates, self.net).item()

    def _forward(self) -> tuple[Tensor, Tensor]:
        """Return outputs [T, B, K], and ours' mean output of each hidden layer; none of a peer's."""
        if isinstance(self.net, Peer):
            return self.net(self.frames), torch.zeros(0, device=self.device)
        state = self.net.initial_state(self.config.batch)
        outputs, _, rates = self.net.forward_rates(self.frames, state)
        return outputs, rates

    def train(self, steps: int) -> float:
        """Return the samples a second of so many training steps."""
        self.net.train()
        self._synchronize()
        begun_s = time.perf_counter()
        for _ in range(steps):
            self._step()
        self._synchronize()
        return steps * self.config.batch / (time.perf_counter() - begun_s)

    def _step(self) -> None:
        half = self.config.precision == "bf16-mixed"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            outputs, rates = self._forward()
            loss = F.cross_entropy(outputs.mean(0), self.labels)
            if len(rates):
                loss = loss + self.config.rate_weight * F.relu(rates - self.config.rate_target).mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        if not loss.isfinite():
            raise ValueError(f"the loss is {loss.item()}")

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def memory(self) -> dict[str, float | None]:
        """Return the peak: of the process, libraries included, or of what is allocated on the GPU."""
        if self.device.type == "cuda":
            return {"peak_memory_mb": torch.cuda.max_memory_allocated() / 2**20}
        return {"peak_memory_mb": peak_memory_mb()}


def peak_memory_mb() -> float | None:
    """Return this process's highest resident memory so far; None where the system doesn't tell.

    Linux: not `getrusage`, whose peak begins with the memory of the process that started this one.
    """
    if sys.platform == "win32":
        return None
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
