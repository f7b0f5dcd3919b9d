"""The threads that advance a network together, band by band."""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.infer.spikes.plan import (
    ADDRESSES,
    CALLED,
    EPOCH,
    LANES,
    TICKET_WORDS,
    Addresses,
    FeatureMap,
    FloatArray,
    Plan,
    zeros,
)
from livesnn.infer.spikes.step import help_steps, run_step
from livesnn.paths import forget_stale, is_cached
from livesnn.threads import WAKE_S, Worker

Rule = tuple[np.float32, np.float32, bool, bool]
"""Alpha, threshold, whether spikes reset, whether the read-out fires."""

LOOKS_BEFORE_SLEEP = 1_500_000
"""How often a thread looks for the next step before it sleeps: 0.4 to 1.5 ms. Waking up takes 50 to 100 µs."""


class _Shared(NamedTuple):
    """What all threads share: the board and its address, the arrays that it points to, and the rule."""

    address: int
    board: npt.NDArray[np.int64]
    network: Plan
    words: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    rule: Rule


class _Scratch(NamedTuple):
    """One thread's own working memory: ``arrays``, and as a kernel's arguments their addresses and the lanes."""

    arguments: tuple[object, ...]
    arrays: tuple[npt.NDArray[Any], npt.NDArray[Any]]


class ThreadTeam:
    """The caller's thread and ``threads`` − 1 helpers, which end when the team is no longer referred to.

    No thread waits for one that hasn't begun a band: whoever comes takes the next, and the caller can take them all.
    """

    def __init__(self, network: Plan, rule: Rule, threads: int) -> None:
        self._shared = _share(network, rule, threads)
        self._scratch = _scratch(network)
        forget_stale(help_steps)
        # Compiled in this thread: a process that ends while a helper compiles would abort.
        help_steps(self._shared.address, rule, *self._scratch.arguments, 0, 0, 0)
        self._wake_ups = [threading.Event() for _ in range(threads - 1)]
        for thread, wake_up in enumerate(self._wake_ups, 1):
            worker = Worker(f"spikes-{thread}", partial(_help, thread, wake_up, self._shared)).start()
            weakref.finalize(self, worker.stop.set)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return int(self._shared.board[EPOCH])

    @property
    def last_with_helpers(self) -> int:
        """Which of them was the last that the helpers were called to; 0: none."""
        return int(self._shared.board[CALLED])

    def step(
        self,
        frame: npt.NDArray[np.uint8],
        before: FloatArray,
        written: tuple[FloatArray, FloatArray, FloatArray],
        *,
        alone: bool,
    ) -> float:
        """Advance by one frame, ``alone``: without the helpers; arguments and result are those of `step.run_step`."""
        alone = alone or not self._wake_ups
        for wake_up in () if alone else self._wake_ups:
            if not wake_up.is_set():
                wake_up.set()
        where = _address(frame)
        address, rule = self._shared.address, self._shared.rule
        synops: float = run_step(address, rule, alone, where, before, written, *self._scratch.arguments)
        return synops


def is_compiled(network: Plan, rule: Rule) -> bool:
    """Return whether all machine code of a step is there, in this process or on disk."""
    forget_stale(help_steps)
    scratch, floats = _scratch(network).arguments, np.zeros(1, np.float32)
    written = floats, floats, np.zeros((2, 1), np.float32)
    helps = is_cached(help_steps, 0, rule, *scratch, 0, 0, 0)
    return helps and is_cached(run_step, 0, rule, True, 0, floats, written, *scratch)


def _share(network: Plan, rule: Rule, threads: int) -> _Shared:
    maps = [FeatureMap(*row) for row in network.layers.tolist()]
    depth, bands = len(maps), max(-(-layer.height // layer.band) for layer in maps[1:])
    words = zeros(depth * threads * TICKET_WORDS, np.int64), zeros(depth * bands * TICKET_WORDS, np.int64)
    arrays = {name: array for name, array in network._asdict().items() if isinstance(array, np.ndarray)}
    where = {name: _address(array) for name, array in arrays.items()}
    addresses = Addresses(
        frame=0, before=0, after=0, **where, tickets=_address(words[0]), finished=_address(words[1]), depth=depth,
        taps_in_all=len(network.taps), classes=network.bias.size, currents_in_all=network.currents.size,
        threads=threads, bands=bands,
    )  # fmt: skip
    board = zeros(ADDRESSES + len(addresses), np.int64)
    board[ADDRESSES:] = addresses
    return _Shared(_address(board), board, network, words, rule)


def _scratch(network: Plan) -> _Scratch:
    found = set(network.layers[:, FeatureMap._fields.index("lanes")].tolist())
    some = (lanes if lanes in found else None for lanes in LANES)
    arrays = zeros(LANES[0] + network.scratch, np.float32), zeros(network.scratch, np.int16)
    return _Scratch((*map(_address, arrays), *some), arrays)


def _address(array: npt.NDArray[Any]) -> int:
    where: int = array.__array_interface__["data"][0]
    return where


def _help(thread: int, wake_up: threading.Event, shared: _Shared, stop: threading.Event) -> None:
    """Take part in steps until ``stop``; after a while without one, sleep until woken up."""
    scratch, epoch = _scratch(shared.network), 0
    while not stop.is_set():
        if wake_up.wait(WAKE_S):
            wake_up.clear()
            epoch = help_steps(
                shared.address, shared.rule, *scratch.arguments, thread, epoch, LOOKS_BEFORE_SLEEP
            )
