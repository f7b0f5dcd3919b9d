"""The threads that advance a network together, band by band. Not here: what they do (step.py)."""

from __future__ import annotations

import threading
import weakref
from functools import partial

import numpy as np
import numpy.typing as npt

from livesnn.infer.spikes.kept import is_kept
from livesnn.infer.spikes.layout import CALLED, LANES, TICKET
from livesnn.infer.spikes.plan import FloatArray, Plan
from livesnn.infer.spikes.step import lead, serve
from livesnn.machine_code import forget_stale
from livesnn.threads import WAKE_S, Worker

Rule = tuple[int, np.float32, np.float32, bool, int, bool]
"""Largest count, alpha, threshold, whether spikes reset, stride of the stem's pool, whether the read-out fires."""

PATIENCE = 200_000
"""Looks that a thread has for the next step before it sleeps, some 0.2 ms: a sleeper is late by 50 µs."""


class Crew:
    """The caller's thread and ``threads`` − 1 others, which end when this is no longer referred to.

    Nobody waits for a thread that the system keeps from running: bands are taken by who comes, and the caller alone
    can take all of them.
    """

    def __init__(self, network: Plan, rule: Rule, threads: int) -> None:
        self._board, self._tickets = _shared(network, threads)
        self._network, self._rule = network, rule
        self._held = _scratch(network)
        forget_stale(serve)
        # Compiled here: a process that ends while a thread compiles aborts.
        serve(self._board, self._tickets, network, rule, *self._held, 0, 0, 0)
        self._bells = [threading.Event() for _ in range(threads - 1)]
        for thread, bell in enumerate(self._bells, 1):
            task = partial(_serve, thread, bell, self._board, self._tickets, network, rule)
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
            bell.set()
        where = frame.__array_interface__["data"][0]
        shared = self._board, self._tickets, self._network, self._rule
        synops: float = lead(*shared, alone, where, before, written, *self._held)
        return synops


def is_compiled(network: Plan, rule: Rule) -> bool:
    """Return whether all that a step runs is there in machine code, in this process or on disk."""
    forget_stale(serve)
    shared, held, floats = _shared(network, 1), _scratch(network), np.zeros(1, np.float32)
    written = floats, floats, np.zeros((2, 1), np.float32)
    return is_kept(serve, *shared, network, rule, *held, 0, 0, 0) and is_kept(
        lead, *shared, network, rule, True, 0, floats, written, *held
    )


def _shared(network: Plan, threads: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return board and tickets, see `step.lead`."""
    return np.zeros(16, np.int64), np.zeros((len(network.layers), 1 + threads, TICKET), np.int64)


def _scratch(network: Plan) -> tuple[object, ...]:
    """Return what a thread works on, and which lanes there are: the last five of what `step.lead` takes."""
    found = set(network.layers["lanes"].tolist())
    some = (lanes if lanes in found else None for lanes in LANES)
    return np.empty(network.scratch, np.float32), np.zeros(network.scratch, np.int16), *some


def _serve(
    thread: int,
    bell: threading.Event,
    board: npt.NDArray[np.int64],
    tickets: npt.NDArray[np.int64],
    network: Plan,
    rule: Rule,
    stop: threading.Event,
) -> None:
    """Take part in steps until ``stop``; between them look for the next one for a while, then sleep."""
    held, epoch = _scratch(network), 0
    while not stop.is_set():
        bell.clear()
        epoch = serve(board, tickets, network, rule, *held, thread, epoch, PATIENCE)
        if board[CALLED] == epoch:
            bell.wait(WAKE_S)
