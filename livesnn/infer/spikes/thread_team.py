"""The threads that advance a network together, band by band. Not here: what they do (step.py)."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.infer.spikes.intrinsics import is_kept
from livesnn.infer.spikes.layout import LANES, PLACES, TICKET, Map, Places
from livesnn.infer.spikes.plan import FloatArray, Plan, zeros
from livesnn.infer.spikes.step import lead, serve
from livesnn.numba_cache import forget_stale
from livesnn.threads import WAKE_S, Worker

Rule = tuple[np.float32, np.float32, bool, bool]
"""Alpha, threshold, whether spikes reset, whether the read-out fires."""


class Shared(NamedTuple):
    """What all threads of a crew share: the address of ``board``, all that it points to, and the rule."""

    address: int
    board: npt.NDArray[np.int64]
    network: Plan
    words: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    rule: Rule


class Held(NamedTuple):
    """What one thread works on: the addresses of ``arrays``, and which lanes there are."""

    arguments: tuple[object, ...]
    arrays: tuple[npt.NDArray[Any], npt.NDArray[Any]]


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
        serve(self._shared.address, rule, *self._held.arguments, 0, 0, 0)
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
        where = _address(frame)
        address, rule = self._shared.address, self._shared.rule
        synops: float = lead(address, rule, alone, where, before, written, *self._held.arguments)
        return synops


def is_compiled(network: Plan, rule: Rule) -> bool:
    """Return whether all that a step runs is there in machine code, in this process or on disk."""
    forget_stale(serve)
    held, floats = _scratch(network).arguments, np.zeros(1, np.float32)
    written = floats, floats, np.zeros((2, 1), np.float32)
    return is_kept(serve, 0, rule, *held, 0, 0, 0) and is_kept(lead, 0, rule, True, 0, floats, written, *held)


def _shared(network: Plan, rule: Rule, threads: int) -> Shared:
    maps = [Map(*row) for row in network.layers.tolist()]
    depth, bands = len(maps), max(-(-layer.height // layer.band) for layer in maps[1:])
    words = zeros(depth * threads * TICKET, np.int64), zeros(depth * bands * TICKET, np.int64)
    arrays = {name: array for name, array in network._asdict().items() if isinstance(array, np.ndarray)}
    where = {name: _address(array) for name, array in arrays.items()}
    places = Places(
        frame=0, before=0, after=0, **where, tickets=_address(words[0]), finished=_address(words[1]), depth=depth,
        taps_in_all=len(network.taps), classes=network.bias.size, currents_in_all=network.currents.size,
        threads=threads, bands=bands,
    )  # fmt: skip
    board = zeros(PLACES + len(places), np.int64)
    board[PLACES:] = places
    return Shared(_address(board), board, network, words, rule)


def _scratch(network: Plan) -> Held:
    found = set(network.layers[:, Map._fields.index("lanes")].tolist())
    some = (lanes if lanes in found else None for lanes in LANES)
    arrays = zeros(LANES[0] + network.scratch, np.float32), zeros(network.scratch, np.int16)
    return Held((*map(_address, arrays), *some), arrays)


def _address(array: npt.NDArray[Any]) -> int:
    where: int = array.__array_interface__["data"][0]
    return where


def _serve(thread: int, bell: threading.Event, shared: Shared, stop: threading.Event) -> None:
    """Take part in steps until ``stop``; between them look for the next one for a while, then sleep."""
    held, epoch = _scratch(shared.network), 0
    while not stop.is_set():
        if bell.wait(WAKE_S):
            bell.clear()
            epoch = serve(shared.address, shared.rule, *held.arguments, thread, epoch, PATIENCE)
