"""What happens when a gesture is decided: rules, when they fire, and the thread that does what they say.

The rules of the window are edited in app/acting.py; `livesnn run --on-decision` has one.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from livesnn.console import json_line, one_line
from livesnn.errors import LivesnnError, error_message
from livesnn.events.packet import Closing
from livesnn.infer.decide import STALE_US
from livesnn.infer.reason import OTHER
from livesnn.infer.run import Result
from livesnn.subprocesses import run_apart
from livesnn.threads import WAKE_S, BoundedQueue, Worker

ANY = ""  # In place of a class: any gesture, which `OTHER` isn't.
COMMAND_LIMIT_S = 30.0  # A command that takes longer is ended.

ADDRESS_LIMIT_S = 5.0
MOST_WAITING = 16  # Firings that wait for a slow action; of a live source the oldest are dropped.

MOST_AGE_S = 2.0  # A firing that waited longer is about the past: it is dropped.

LAST_PATIENCE_S = 2.0  # for what is being done at the end

ActionKind = Literal["command", "post", "record", "stop_recording"]
RECORDING: tuple[ActionKind, ...] = ("record", "stop_recording")
"""Kinds that the window does; `ActionRunner.see` only returns them."""


@dataclass(frozen=True)
class Action:
    """What is done. Raises LivesnnError if the program or the address is missing, or the address isn't one of HTTP.

    A command is a program, never a shell.
    """

    kind: ActionKind
    arguments: tuple[str, ...] = ()  # the program and its own; the address

    def __post_init__(self) -> None:
        if self.kind == "command" and not any(self.arguments[:1]):
            raise LivesnnError("there is no command: give a program and its arguments")
        if self.kind == "post" and not self.address.lower().startswith(("http://", "https://")):
            wrong = f"{self.address!r} isn't an address to call" if self.address else "there is no address"
            raise LivesnnError(f"{wrong}: give one with http:// or https://")

    @property
    def address(self) -> str:
        return "".join(self.arguments[:1])

    @property
    def words(self) -> str:
        match self.kind:
            case "command":
                return f"run {Path(self.arguments[0]).name}"
            case "post":
                return f"call {self.address}"
            case "record":
                return "start recording"
            case "stop_recording":
                return "stop recording"


@dataclass(frozen=True)
class Rule:
    """When a class has been decided for some time, do something, once for each time that it begins."""

    action: Action
    label: str = ANY  # the class
    held_ms: int = 0  # how long it must have been decided, in stream time
    every_s: float = 1.0  # least stream time between two firings; one that would come earlier does nothing
    active: bool = True

    def __post_init__(self) -> None:
        if not self.held_ms >= 0:
            raise LivesnnError(f"a decision can't be held for {self.held_ms} ms: give 0 or more")
        if not self.every_s >= 0:
            raise LivesnnError(f"an action can't run every {self.every_s} s: give 0 or more")

    def names(self, decision: str | None) -> bool:
        return decision not in (None, OTHER) if self.label == ANY else decision == self.label


class Onset(NamedTuple):
    """What a rule knows of the decision that it follows, all times in µs of the stream."""

    decision: str | None = None  # the rule's class, as long as it is decided; None: it isn't
    since_us: int = 0
    seen_us: int = 0  # of the last result
    done: bool = False  # it has fired, or was too early to
    fired_us: int | None = None  # when the rule fired last


def follow(rule: Rule, onset: Onset, result: Result) -> tuple[Onset, bool]:
    """Return what a rule knows after another result, and whether it fires now.

    It fires once the same class has been decided for `held_ms`. Another decision, a reset of the state, a jump in
    time, or no result for `STALE_US` ends that.
    """
    t_us, decision = result.t, result.decision
    same = onset.decision is not None and decision == onset.decision
    if rule.active and same and not result.reset and 0 <= t_us - onset.seen_us <= STALE_US:
        onset = onset._replace(seen_us=t_us)
    else:
        begun = decision if rule.active and rule.names(decision) else None
        onset = Onset(begun, since_us=t_us, seen_us=t_us, fired_us=onset.fired_us)
    if onset.decision is None or onset.done or t_us - onset.since_us < 1000 * rule.held_ms:
        return onset, False
    early = onset.fired_us is not None and 0 <= t_us - onset.fired_us < 1e6 * rule.every_s
    return onset._replace(done=True, fired_us=onset.fired_us if early else t_us), not early


class Firing(NamedTuple):
    """A rule that fires, and the decision that made it."""

    rule: Rule
    decision: str
    confidence: float
    t_us: int

    @property
    def facts(self) -> dict[str, str | float | int]:
        """The decision by the names of the JSON lines."""
        return {"decision": self.decision, "confidence": round(self.confidence, 4), "t": self.t_us}


# What a rule does


def perform(firing: Firing, stop: threading.Event) -> None:
    """Run a program or call an address and wait for its end; ``stop`` ends a program at once.

    Raises LivesnnError when it fails or takes too long.
    """
    action = firing.rule.action
    if action.kind == "post":
        _post(action.address, json_line(firing.facts))
        return
    facts = {f"LIVESNN_{name.upper()}": str(value) for name, value in firing.facts.items()}
    if shutil.which(action.arguments[0]) is None:
        raise LivesnnError("there is no such program: give its name or its full path")
    run_apart([*action.arguments], stop, limit_s=COMMAND_LIMIT_S, variables={**os.environ, **facts})


def _post(address: str, body: bytes) -> None:
    import asyncio

    from aiohttp import ClientError, ClientSession, ClientTimeout

    async def post() -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "livesnn"}
        limit = ClientTimeout(ADDRESS_LIMIT_S)
        async with ClientSession(headers=headers, timeout=limit, trust_env=True, raise_for_status=True) as session:
            await session.post(address, data=body)

    try:
        asyncio.run(post())
    except (OSError, ClientError, ValueError) as error:  # a time-out is an OSError
        why = one_line(str(error)) or "timed out"
        raise LivesnnError(f"{why}: check the address, and what answers there") from error


def split_command(line: str) -> tuple[str, ...]:
    """Return a program and its arguments as a shell would split them; nothing else of a shell is understood.

    On Windows a backslash is a letter, as paths need it. Raises LivesnnError when a quotation mark is open.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if os.name == "nt":
        lexer.escape = ""
    try:
        return tuple(lexer)
    except ValueError as error:
        raise LivesnnError(f"the command {line!r} can't be read: {str(error).lower()}") from error


class ActionRunner(Closing):
    """Follows results by rules, and does what fires in a thread of its own.

    ``on_failure`` is called there with a line for people, once for each rule until its action succeeds again. Of a
    ``live`` source, `see` never waits, and what can't be done in time is dropped and counted. Otherwise `see` waits,
    so that every decision of a recording is acted on.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        on_failure: Callable[[str], None],
        *,
        live: bool = True,
        do: Callable[[Firing, threading.Event], None] = perform,
    ) -> None:
        self._on_failure, self._do, self._live = on_failure, do, live
        self._failing: set[Rule] = set()
        self._queue: BoundedQueue[tuple[Firing, float]] = BoundedQueue(  # since when it waits
            policy="drop_oldest" if live else "block",
            max_bytes=MOST_WAITING,
            size=lambda waiting: 1,
        )
        self._late = 0  # which waited too long
        self._following = threading.Lock()  # a session that hangs may still have a thread
        self.use(rules)
        self._worker = Worker("actions", self._work)  # begins with the first firing

    @property
    def dropped(self) -> int:
        return self._queue.dropped + self._late

    def use(self, rules: Sequence[Rule]) -> None:
        with self._following:
            self._onsets = {rule: Onset() for rule in rules}

    def see(self, result: Result) -> list[Firing]:
        """Take a result, from any thread; return what fires."""
        fired = []
        with self._following:
            for rule, onset in self._onsets.items():
                self._onsets[rule], fires = follow(rule, onset, result)
                if fires and result.decision is not None:
                    fired.append(Firing(rule, result.decision, result.confidence, result.t))
        for firing in fired:
            self.put(firing)
        return fired

    def put(self, firing: Firing) -> None:
        if firing.rule.action.kind not in RECORDING:
            self._worker.start()
            self._queue.put((firing, time.perf_counter()))

    def close(self) -> None:
        """End, once everything is done or, of a live source, after `LAST_PATIENCE_S`. Safe to call twice."""
        self._finish(LAST_PATIENCE_S if self._live else math.inf)

    def __exit__(self, *error: object) -> None:
        """Close; after an error, such as Ctrl-C, what runs is ended at once."""
        if error[0] is None:
            self.close()
        else:
            self._finish(0.0)

    def _finish(self, patience_s: float) -> None:
        self._queue.end()
        ends_s = time.monotonic() + patience_s
        try:
            while not self._worker.wait(WAKE_S) and time.monotonic() < ends_s:
                pass
        finally:  # also after Ctrl-C: a program that runs is ended
            self._queue.close()
            self._worker.close()

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set() and (waiting := self._queue.take()) is not None:
            firing, since_s = waiting
            if self._live and time.perf_counter() - since_s > MOST_AGE_S:
                self._late += 1
            else:
                self._try(firing, stop)

    def _try(self, firing: Firing, stop: threading.Event) -> None:
        try:
            self._do(firing, stop)
        except Exception as error:  # whatever it is, the next action is done
            if firing.rule not in self._failing:
                self._failing.add(firing.rule)
                self._on_failure(f"{firing.rule.action.words}: {error_message(error)}")
        else:
            self._failing.discard(firing.rule)
