"""The threads that advance a network together, band by band. Not here: what they do (step.py)."""

from __future__ import annotations

import threading
import weakref
from functools import partial

import numpy as np
import numpy.typing as npt

from livesnn.infer.spikes.kept import is_kept
from livesnn.infer.spikes.layout import BAND, LANES, TICKET
from livesnn.infer.spikes.memory import FloatArray, zeros
from livesnn.infer.spikes.plan import Plan
from livesnn.infer.spikes.step import lead, serve
from livesnn.machine_code import forget_stale
from livesnn.threads import WAKE_S, Worker

Rule = tuple[int, np.float32, np.float32, bool, bool]
"""Largest count, alpha, threshold, whether spikes reset, whether the read-out fires."""

Longs = npt.NDArray[np.int64]
Shared = tuple[tuple[Longs, Longs, Longs], Plan, Rule]
"""What all threads of a crew share: see `step.lead`."""

PATIENCE = 1_500_000
"""Looks that a thread has for the next step before it sleeps, 0.4 to 1.5 ms: a sleeper is late by 50 to 100 µs."""


class Crew:
    """The caller's thread and ``threads`` − 1 others, which end when this is no longer referred to.

    Nobody waits for a thread that hasn't begun anything: bands are taken by who comes, and the caller alone can take
    all of them.
    """

    def __init__(self, network: Plan, rule: Rule, threads: int) -> None:
        self._shared = _shared(network, rule, threads)
        self._held = _scratch(network)
        forget_stale(serve)
        # Compiled here: a process that ends while a thread compiles aborts.
        serve(*self._shared, *self._held, 0, 0, 0)
        self._bells = [threading.Event() for _ in range(threads - 1)]
        for thread, bell in enumerate(self._bells, 1):
            task = partial(_serve, thread, bell, self._shared)
            worker = Worker(f"spikes-{thread}", task).start()
            weakref.finalize(self, worker.stop.set)

    def step(
        self,
        frame: npt.NDArray[np.uint8],
        before: FloatArray,
        written: tuple[FloatArray, FloatArray, FloatArray],
        *,
        alone: bool,
    ) -> float:
        """Advance by one frame; see `step.lead`."""
        alone = alone or not self._bells
        for bell in () if alone else self._bells:
            if not bell.is_set():
                bell.set()
        where = frame.__array_interface__["data"][0]
        synops: float = lead(*self._shared, alone, where, before, written, *self._held)
        return synops


def is_compiled(network: Plan, rule: Rule) -> bool:
    """Return whether all that a step runs is there in machine code, in this process or on disk."""
    forget_stale(serve)
    shared, held, floats = _shared(network, rule, 1), _scratch(network), np.zeros(1, np.float32)
    written = floats, floats, np.zeros((2, 1), np.float32)
    return is_kept(serve, *shared, *held, 0, 0, 0) and is_kept(lead, *shared, True, 0, floats, written, *held)


def _shared(network: Plan, rule: Rule, threads: int) -> Shared:
    layers, bands = len(network.layers), -(-int(network.layers["height"].max()) // BAND)
    sizes = (16,), (layers, threads, TICKET), (layers, bands, TICKET)
    board, tickets, finished = (np.zeros(size, np.int64) for size in sizes)
    return (board, tickets, finished), network, rule


def _scratch(network: Plan) -> tuple[object, ...]:
    """Return what a thread works on, and which lanes there are: the last five of what `step.lead` takes."""
    found = set(network.layers["lanes"].tolist())
    some = (lanes if lanes in found else None for lanes in LANES)
    return zeros(LANES[0] + network.scratch, np.float32), zeros(network.scratch, np.int16), *some


def _serve(thread: int, bell: threading.Event, shared: Shared, stop: threading.Event) -> None:
    """Take part in steps until ``stop``; between them look for the next one for a while, then sleep."""
    held, epoch = _scratch(shared[1]), 0
    while not stop.is_set():
        if bell.wait(WAKE_S):
            bell.clear()
            epoch = serve(*shared, *held, thread, epoch, PATIENCE)
