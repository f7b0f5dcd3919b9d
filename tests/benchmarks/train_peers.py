"""How fast a training step is, beside other frameworks: `python tests/benchmarks/train_peers.py --peers`.

Each framework trains the same network in a process of its own.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from livesnn.bench import machine, spread
from livesnn.cli.parser import run_script
from livesnn.console import write_json
from livesnn.errors import LivesnnError
from livesnn.snn.lif import Surrogate
from livesnn.snn.network import eval_mode
from livesnn.train.configuration import Configuration, Precision
from livesnn.train.hybrid_method import hidden_density
from livesnn.train.network import Network, build
from tests.benchmarks.peer_networks import Peer, build_peer, load_ours

Weights = dict[str, npt.NDArray[np.generic]]

PRECISIONS: tuple[Precision, ...] = ("32-true", "bf16-mixed")
PEERS = ("spikingjelly", "snntorch")
FRAMEWORKS = tuple(f"{peer}{layout}" for peer in PEERS for layout in ("", "-channels-last"))
"""Each peer in both memory layouts. The faster one counts."""
CONFIG = Configuration(dataset="nmnist", batch=25)
STEPS = 4
"""Training steps of each turn of a framework."""
TOLERANCE = 1e-4
"""Difference of mean outputs that counts as equal."""

CLASSES = tuple("0123456789")
EVENTS_PER_PIXEL = 0.25
"""Mean count of a pixel."""
MOST_LOWERED, HALVINGS = 4.0, 8
"""Search for the shift that gives firing rates like those of a trained network: its largest value in thresholds, and
the halvings."""


def bench_train(
    repeats: int, *, peers: bool, config: Configuration = CONFIG, precisions: tuple[Precision, ...] = PRECISIONS
) -> dict[str, object]:
    """Measure samples a second and peak memory of STS-ResNet's training step on random input of N-MNIST's shape.

    The frameworks take turns, so that drifts of the machine's speed affect all of them.

    Returns
    -------
    For each precision `frameworks` and `parameters`, equal for all networks. With peers also `ratio`, our median over
    that of the faster peer, and `same_outputs`: for each peer the share of clips with the same decision and of
    outputs within 1e-4 of ours, with our weights in float32. One spike that rounding flips changes a clip.
    """
    _need(("torch", "lightning"), "livesnn[train]")
    if peers:
        _need(PEERS, " ".join(PEERS))
    frameworks = ("livesnn", *(FRAMEWORKS if peers else ()))
    figures: dict[str, object] = {
        precision: _measure(frameworks, replace(config, precision=precision), repeats) for precision in precisions
    }
    return {
        "network": "STS-ResNet",
        "width": config.width,
        "batch": config.batch,
        "steps_per_repeat": STEPS,
        "versions": {name: version(name) for name in ("torch", *(PEERS if peers else ()))},
        **figures,
    }


def _need(packages: tuple[str, ...], install: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise LivesnnError(f"this measurement needs {package}: pip install {install}")


def _measure(frameworks: tuple[str, ...], config: Configuration, repeats: int) -> dict[str, object]:
    with ExitStack() as stack:
        workers = [stack.enter_context(closing(Worker(name, config))) for name in frameworks]
        weights = workers[0]("weights")
        checks = [worker("check", weights) for worker in workers]
        parameters = {check["parameters"] for check in checks}
        if len(parameters) > 1:
            raise LivesnnError(f"the networks differ: they have {sorted(parameters)} trainable parameters")
        for worker in workers:
            worker("train", 2)  # compilation, caches
        rates: list[list[float]] = [[] for _ in workers]
        for _ in range(repeats):
            for worker, measured in zip(workers, rates, strict=True):
                measured.append(worker("train", STEPS))
        found = {
            name: {"samples_per_s": spread(measured), "density": check["density"], **worker("memory")}
            for name, worker, check, measured in zip(frameworks, workers, checks, rates, strict=True)
        }
    figures: dict[str, object] = {"parameters": parameters.pop(), "frameworks": found}
    if len(frameworks) > 1:
        medians = [float(np.median(measured)) for measured in rates]
        figures["ratio"] = {"livesnn_vs_best_peer": medians[0] / max(medians[1:])}
        figures["same_outputs"] = {
            name: _agreement(checks[0]["outputs"], check["outputs"])
            for name, check in zip(frameworks[1:], checks[1:], strict=True)
        }
    return figures


def _agreement(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> dict[str, float]:
    """Compare mean outputs [B, K]."""
    near = np.abs(ours - theirs).max(1) <= TOLERANCE
    return {"same_decision": float((ours.argmax(1) == theirs.argmax(1)).mean()), "within": float(near.mean())}


class Worker:
    """A framework's process. Calling it with the name and arguments of a `Trainee`'s method returns the result."""

    def __init__(self, framework: str, config: Configuration) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"))
        self._trainee = framework, config

    def __call__(self, method: str, *arguments: object) -> Any:
        future = self._pool.submit(_call, *self._trainee, method, arguments)
        if (error := future.exception()) is not None:
            raise LivesnnError(f"training with {self._trainee[0]} failed: {error!r}") from error
        return future.result()

    def close(self) -> None:
        self._pool.shutdown()


@cache
def _trainee(framework: str, config: Configuration) -> Trainee:
    return Trainee(framework, config)


def _call(framework: str, config: Configuration, method: str, arguments: tuple[object, ...]) -> Any:
    return getattr(_trainee(framework, config), method)(*arguments)


class Check(TypedDict):
    """A network's mean outputs float32 [B, K] and spikes per neuron and step in evaluation, with given weights."""

    parameters: int
    outputs: npt.NDArray[np.float32]
    density: float


class Trainee:
    """A network, its optimiser and one batch on a device.

    Network, loss, clipping and optimiser are those of `livesnn train`, without augmentation and burn-in. Only our
    step has the penalty on firing rates.
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
        """Return weights with which neurons spike as often as a training's target, in the mean of a training step.

        Batch norms get the statistics of the batch, so that evaluation isn't silent.
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
        """Load weights and evaluate the batch in float32."""
        load_ours(self.net, weights)
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
        """Return outputs [T, B, K] and the mean output of each hidden layer; a peer has none."""
        if isinstance(self.net, Peer):
            return self.net(self.frames), torch.zeros(0, device=self.device)
        state = self.net.initial_state(self.config.batch)
        outputs, _, rates = self.net.forward_rates(self.frames, state)
        return outputs, rates

    def train(self, steps: int) -> float:
        """Return the samples a second over some training steps."""
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
        """Return the peak memory of the process with its libraries, or of the GPU."""
        if self.device.type == "cuda":
            return {"peak_memory_mb": torch.cuda.max_memory_allocated() / 2**20}
        return {"peak_memory_mb": peak_memory_mb()}


def peak_memory_mb() -> float | None:
    """Return the process's peak resident memory; None where the system isn't Linux.

    The peak of `getrusage` includes the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 2**10 if found else None


def main(repeats: int = 5, peers: bool = False, densities: tuple[float, ...] = (CONFIG.rate_target,)) -> None:
    """Time the training step of STS-ResNet, and print the figures as JSON.

    Parameters
    ----------
    repeats
        Runs of each framework.
    peers
        Measure SpikingJelly and snnTorch too; both must be installed.
    densities
        Shares of neurons that fire in a step, such as 0.03 0.07 0.25.
    """
    found = {
        f"density {share:g}": bench_train(repeats, peers=peers, config=replace(CONFIG, rate_target=share))
        for share in densities
    }
    write_json({"machine": machine(), "train": found})


if __name__ == "__main__":
    run_script(main)
