"""How fast a training step is, beside other frameworks on the same network. Not here: the step (train_step.py)."""

from __future__ import annotations

import multiprocessing
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from livesnn.bench.spread import spread
from livesnn.errors import LivesnnError
from livesnn.train.configuration import Configuration, Precision

PRECISIONS: tuple[Precision, ...] = ("32-true", "bf16-mixed")
PEERS = ("spikingjelly", "snntorch")
CONTESTANTS = tuple(f"{peer}{layout}" for peer in PEERS for layout in ("", "-channels-last"))
"""Each peer in both memory layouts: the faster is its best."""
CONFIG = Configuration(dataset="nmnist", batch=25)
STEPS = 4
"""Training steps a repeat and framework, one after the other, before it is the next framework's turn."""
TOLERANCE = 1e-4


def bench_train(
    repeats: int,
    *,
    peers: bool,
    config: Configuration = CONFIG,
    precisions: tuple[Precision, ...] = PRECISIONS,
) -> dict[str, object]:
    """Measure samples a second and peak memory of STS-ResNet's training step on N-MNIST's input, drawn at random.

    Each framework runs in a process of its own, at its turn, so that a drift of the machine's speed hits all alike.

    Returns
    -------
    For each precision `frameworks`, `parameters` (of each network, asserted equal), and with peers `ratio` (ours to
    the faster peer, by the medians) and `same_outputs`: for each peer the share of clips with the same decision, and
    of outputs within 1e-4 of ours, with our weights in float32. One spike that a rounding flips changes a clip.
    """
    _need(("torch", "lightning"), "livesnn[train]")
    if peers:
        _need(PEERS, " ".join(PEERS))
    frameworks = ("livesnn", *(CONTESTANTS if peers else ()))
    figures: dict[str, object] = {
        precision: _measure(frameworks, replace(config, precision=precision), repeats)
        for precision in precisions
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
        workers = [stack.enter_context(closing(_Worker(name, config))) for name in frameworks]
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
            name: {
                "samples_per_s": spread(measured),
                "density": check["density"],
                **worker("memory"),
            }
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


class _Worker:
    """A framework's process: called with the name of a `Trainee`'s method and its arguments, returns what it does."""

    def __init__(self, framework: str, config: Configuration) -> None:
        from livesnn.bench.train_step import serve

        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, framework, config), name=framework)
        self._process.start()
        theirs.close()

    def __call__(self, request: str, *arguments: object) -> Any:
        try:
            self._connection.send((request, arguments))
            return self._connection.recv()
        except (EOFError, OSError) as error:  # BrokenPipeError, where it ended before
            self._process.join(10)
            name, code = self._process.name, self._process.exitcode
            raise LivesnnError(f"training with {name} ended with exit code {code}: see above") from error

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
