"""The threads that share a step (step.py): the caller's and its helpers, and whether helpers are called at all."""

from __future__ import annotations

import threading
import time
import weakref
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.compiled import forget_stale
from livesnn.infer.spikes import plan
from livesnn.infer.spikes.plan import FeatureMap, FloatArray, Plan, zeros
from livesnn.infer.spikes.step import help_steps, run_step
from livesnn.threads import WAKE_S, Worker

Rule = tuple[np.float32, np.float32, bool, bool]
"""Alpha, threshold, whether spikes reset, whether the read-out fires."""

LOOKS_BEFORE_SLEEP = 1_500_000
"""How often a thread looks for the next step before it sleeps: 0.4 to 1.5 ms. Waking up takes 50 to 100 µs."""

LOOKS_TIMED = 50_000
"""Looks by which it is measured how long one takes: 13 to 50 µs in all."""

LATE_S, LATE_SHARE = 0.001, 1 / 3
"""A helper lost its processor if the caller waited for longer than both: systems take it away for milliseconds."""

LATE_EVERY, LATE_AT_ONCE = 120, 3
"""Helpers may be late in one of so many steps, which leaves p99 as it is, and so many times in a row."""

FIRST_PAUSE, LONGEST_PAUSE = 150, 4800  # Steps without helpers after they were late more often than that


class HelperPolicy(NamedTuple):
    """Whether helpers are called to a step. On a busy machine, where they were late too often, they pause."""

    alone: int = 0  # steps that are still left of a pause
    allowed: float = LATE_AT_ONCE  # how often they may be late before the next pause
    pause: int = FIRST_PAUSE  # steps of the next pause: they double, until helpers are on time for a while

    def after_alone(self) -> HelperPolicy:
        return self._replace(alone=self.alone - 1) if self.alone else self

    def after_helped(self, step_s: float, waited_s: float) -> HelperPolicy:
        """Return what follows a step with helpers, in ``waited_s`` of which the caller waited for them."""
        if waited_s > max(LATE_S, LATE_SHARE * step_s):
            if self.allowed >= 1:
                return self._replace(allowed=self.allowed - 1)
            return HelperPolicy(self.pause, 0.0, min(2 * self.pause, LONGEST_PAUSE))
        allowed = min(self.allowed + 1 / LATE_EVERY, LATE_AT_ONCE)
        return HelperPolicy(0, allowed, FIRST_PAUSE if allowed == LATE_AT_ONCE else self.pause)


class _Shared(NamedTuple):
    """What all threads share: the board, the arrays that it points to, and the rule."""

    address: int  # of the board
    board: npt.NDArray[np.int64]
    network: Plan
    words: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    rule: Rule


class Scratch(NamedTuple):
    """One thread's own working memory: ``arrays``, and as a kernel's arguments their addresses and the lanes."""

    arguments: tuple[object, ...]
    arrays: tuple[npt.NDArray[Any], npt.NDArray[Any]]


class ThreadTeam:
    """The caller's thread and ``threads`` − 1 helpers, which end when the team is no longer referred to."""

    def __init__(self, network: Plan, rule: Rule, threads: int) -> None:
        self._shared = _share(network, rule, threads)
        self._scratch = make_scratch(network)
        forget_stale(help_steps)
        # Compiled in this thread: a process that ends while a helper compiles would abort.
        self._look_for(0)
        self._look_s = min(self._look_for(LOOKS_TIMED) for _ in range(3)) / LOOKS_TIMED
        self.helping = HelperPolicy()
        self._wake_ups = [threading.Event() for _ in range(threads - 1)]
        for thread, wake_up in enumerate(self._wake_ups, 1):
            worker = Worker(f"spikes-{thread}", partial(_help, thread, wake_up, self._shared)).start()
            weakref.finalize(self, worker.stop.set)

    @property
    def steps(self) -> int:
        return int(self._shared.board[plan.EPOCH])

    @property
    def last_with_helpers(self) -> int:
        """Which of them was the last that the helpers were called to; 0: none."""
        return int(self._shared.board[plan.CALLED])

    def step(
        self,
        frame: npt.NDArray[np.uint8],
        before: FloatArray,
        written: tuple[FloatArray, FloatArray, FloatArray],
        *,
        alone: bool,
    ) -> None:
        """Advance by one frame, ``alone``: without the helpers; the arguments are those of `step.run_step`."""
        begun_s = time.perf_counter()
        alone = alone or not self._wake_ups or self.helping.alone > 0
        for wake_up in () if alone else self._wake_ups:
            if not wake_up.is_set():
                wake_up.set()
        shared = self._shared
        looks = run_step(
            shared.address, shared.rule, alone, _address(frame), before, written, *self._scratch.arguments
        )
        if alone:
            self.helping = self.helping.after_alone()
        else:
            self.helping = self.helping.after_helped(time.perf_counter() - begun_s, looks * self._look_s)

    def _look_for(self, looks: int) -> float:
        """Return how long so many looks at the board take, in seconds, where there is no step."""
        begun_s = time.perf_counter()
        help_steps(self._shared.address, self._shared.rule, *self._scratch.arguments, 0, 0, looks)
        return time.perf_counter() - begun_s


def _share(network: Plan, rule: Rule, threads: int) -> _Shared:
    maps = [FeatureMap(*row) for row in network.layers.tolist()]
    depth, bands = len(maps), max(-(-layer.height // layer.band) for layer in maps[1:])
    words = zeros(depth * threads * plan.TICKET_WORDS, np.int64), zeros(depth * bands * plan.TICKET_WORDS, np.int64)
    arrays = {name: array for name, array in network._asdict().items() if isinstance(array, np.ndarray)}
    where = {name: _address(array) for name, array in arrays.items()}
    addresses = plan.Addresses(
        frame=0, before=0, after=0, **where, tickets=_address(words[0]), finished=_address(words[1]), depth=depth,
        taps_in_all=len(network.taps), classes=network.bias.size, currents_in_all=network.currents.size,
        threads=threads, bands=bands,
    )  # fmt: skip
    board = zeros(plan.ADDRESSES + len(addresses), np.int64)
    board[plan.ADDRESSES :] = addresses
    return _Shared(_address(board), board, network, words, rule)


def make_scratch(network: Plan) -> Scratch:
    found = network.layers[:, FeatureMap._fields.index("lanes")].tolist()
    layers = (found.count(lanes) or None for lanes in plan.LANES)
    arrays = zeros(plan.LANES[0] + network.scratch, np.float32), zeros(network.scratch, np.int16)
    return Scratch((*map(_address, arrays), *layers), arrays)


def _address(array: npt.NDArray[Any]) -> int:
    return array.__array_interface__["data"][0]


def _help(thread: int, wake_up: threading.Event, shared: _Shared, stop: threading.Event) -> None:
    """Take part in steps until ``stop``; after a while without one, sleep until woken up."""
    scratch, epoch = make_scratch(shared.network), 0
    while not stop.is_set():
        if wake_up.wait(WAKE_S):
            wake_up.clear()
            epoch = help_steps(shared.address, shared.rule, *scratch.arguments, thread, epoch, LOOKS_BEFORE_SLEEP)
