"""Damages small good files of every format, again and again: `python -m tests.mutations --count 500000 --seed 0`.

Each file is read as `livesnn info`, a conversion and a seek read it. It may be refused with one line, or read, whole
or with a warning; it may not hang, crash, take a GB of memory, or raise anything else. Every case is made again from
its seed and number: `--number N --keep FILE`. Not here: the good files (good_files.py).
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from livesnn.errors import LivesnnError
from livesnn.events.packet import Events
from livesnn.events.recording import describe, open_recording
from tests.damage import KINDS
from tests.good_files import Good, good_files
from tests.reading import all_events

LIMIT_S = 5.0
"""Of a processor's time for one case: on a busy machine the clock says little; and of the clock, ten times that."""
LIMIT_BYTES = 1 << 30
BUGS = ("raised", "hung", "crashed", "contradicts itself")


class Case(NamedTuple):
    """A damaged file: how it was damaged, and its octets."""

    kind: str
    octets: bytes


class Outcome(NamedTuple):
    """What came of a case; ``said`` is the error or the first warning, ``shape`` it without numbers and names."""

    number: int
    format: str
    kind: str
    result: str
    seconds: float
    said: str = ""


def make_case(good: Good, seed: int, number: int) -> Case:
    """Return a good file damaged once, or in one of four cases twice."""
    random = np.random.default_rng([seed, number])
    octets, names = good.octets, []
    for _ in range(2 if random.random() < 0.25 else 1):
        damage = KINDS[random.integers(len(KINDS))]
        names.append(damage.__name__)
        octets = damage(bytearray(octets), random) or b"\0"
    return Case(" and ".join(names), octets)


def run_case(good: Good, case: Case, folder: Path, number: int = 0) -> Outcome:
    """Read a damaged file in every way; what is raised but LivesnnError is the caller's."""
    path = folder / f"f{good.suffix}"
    path.write_bytes(case.octets)
    begun_s = time.process_time()

    def outcome(result: str, said: str = "") -> Outcome:
        return Outcome(number, good.name, case.kind, result, time.process_time() - begun_s, said)

    try:
        found = describe(path)
        events = [read_and_seek(path, name) for name in found.streams]
    except LivesnnError as error:
        said = str(error)
        return outcome("refused" if "\n" not in said else "raised", said)
    counts = [stream.n for stream in found.streams.values()]
    if [len(one) for one in events] != counts:
        return outcome("contradicts itself", f"{counts} described, {[len(one) for one in events]} read")
    whole = len(events) == len(good.events) and all(map(np.array_equal, events, good.events))
    if whole or found.warnings:
        return outcome("read whole" if whole else "read, with a warning", *found.warnings[:1])
    return outcome("read otherwise, without a warning")


def read_and_seek(path: Path, stream: str) -> Events:
    """Return a stream's events, and read it from its middle on."""
    with open_recording(path, stream=stream) as recording:
        events = all_events(recording)
        recording.seek((recording.t_start + recording.t_end) // 2)
        for _ in recording:
            pass
    return events


def run_range(connection: Connection, numbers: range, seed: int, formats: list[str], folder: str) -> None:
    """Run cases, and say each one's number before it and its outcome after it."""
    goods = chosen(Path(folder), formats)
    for good in goods:
        run_case(
            good, Case("whole", good.octets), Path(folder)
        )  # compiles, loads libraries: not the case's time
    if sys.platform == "linux":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + LIMIT_BYTES, taken + LIMIT_BYTES))
    for number in numbers:
        connection.send(number)
        good = goods[number % len(goods)]
        case = make_case(good, seed, number)
        try:
            connection.send(run_case(good, case, Path(folder), number))
        except BaseException as error:  # that is what is looked for
            said = f"{type(error).__name__}: {error}"
            connection.send(Outcome(number, good.name, case.kind, "raised", 0.0, said))
    connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


class Worker:
    """A process that runs every ``step``-th case, begun anew behind one that it hangs or dies of."""

    def __init__(self, numbers: range, folder: str, arguments: argparse.Namespace) -> None:
        self.arguments, self.folder = arguments, folder
        self.peak_kb = 0
        self.start(numbers)

    def start(self, numbers: range) -> None:
        self.rest, self.current, self.ready = numbers, None, False
        self.connection, theirs = get_context("spawn").Pipe()
        asked = (theirs, numbers, self.arguments.seed, self.arguments.formats, self.folder)
        self.process: BaseProcess = get_context("spawn").Process(target=run_range, args=asked)
        self.process.start()
        self.spent = psutil.Process(self.process.pid)
        theirs.close()
        self.since_s = self.clocks()

    def clocks(self) -> tuple[float, float]:
        try:
            times = self.spent.cpu_times()
        except psutil.Error:  # it is gone, which the connection tells
            return 0.0, time.monotonic() / 10
        return times.user + times.system, time.monotonic() / 10

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what has come since the last call, and what is wrong with the case that is being run."""
        try:
            while self.connection.poll():
                yield from self.take(self.connection.recv())
        except EOFError:
            self.process.join()
            yield from self.give_up("crashed", f"exit code {self.process.exitcode}")
            return
        if self.current is not None and any(
            now - then > LIMIT_S for now, then in zip(self.clocks(), self.since_s, strict=True)
        ):
            self.process.kill()
            self.process.join()
            yield from self.give_up("hung", f"more than {LIMIT_S} s")

    def take(self, message: Any) -> Iterator[Outcome]:
        if isinstance(message, Outcome):
            self.current = None
            yield message
        elif self.current is None and len(self.rest) and message == self.rest[0]:
            self.current, self.rest, self.since_s = message, self.rest[1:], self.clocks()
        else:
            self.peak_kb, self.ready = max(self.peak_kb, message), True

    def give_up(self, result: str, said: str) -> Iterator[Outcome]:
        if self.current is not None:
            yield Outcome(self.current, "", "", result, LIMIT_S, said)
            self.start(self.rest)
        else:
            raise RuntimeError(f"a worker ended between two cases: {said}")

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def summarise(outcomes: Iterator[Outcome], names: list[str]) -> dict[str, Any]:
    """Return how many cases of each format ended how, the slowest, and each that is a bug."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    slowest = Outcome(0, "", "", "", 0.0)
    bugs, done = [], 0
    for outcome in outcomes:
        outcome = outcome._replace(format=names[outcome.number % len(names)])
        counts[outcome.format][outcome.result] += 1
        slowest = max(slowest, outcome, key=lambda one: one.seconds)
        done += 1
        if done % 10_000 == 0:
            sys.stderr.write(f"{done:,} cases\n")
        if outcome.result in BUGS:
            bugs.append(outcome._asdict())
            sys.stderr.write(f"{outcome}\n")
    return {"cases": done, "formats": counts, "slowest": slowest._asdict(), "bugs": bugs}


def run_all(arguments: argparse.Namespace) -> dict[str, Any]:
    numbers = [
        range(arguments.start + one, arguments.start + arguments.count, arguments.workers)
        for one in range(arguments.workers)
    ]
    with ExitStack() as stack:
        *folders, spare = (stack.enter_context(tempfile.TemporaryDirectory()) for _ in [*numbers, 0])
        names = [one.name for one in chosen(Path(spare), arguments.formats)]
        workers = [Worker(*each, arguments) for each in zip(numbers, folders, strict=True)]
        for worker in workers:
            stack.callback(worker.close)
        found = summarise(_outcomes(workers), names)
    return {"seed": arguments.seed, **found, "peak_rss_mb": max(worker.peak_kb for worker in workers) // 1024}


def _outcomes(workers: list[Worker]) -> Iterator[Outcome]:
    while busy := [worker for worker in workers if not worker.ready]:
        wait([worker.connection for worker in busy], timeout=0.5)
        for worker in busy:
            yield from worker.outcomes()


def chosen(folder: Path, formats: list[str]) -> list[Good]:
    """Return the good files of some formats; of all, where none is named."""
    return [good for good in good_files(folder) if not formats or good.name in formats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--formats", nargs="*", default=[])
    parser.add_argument("--number", type=int, help="run one case, here, with whatever it raises")
    parser.add_argument("--keep", type=Path, help="with --number: where its file goes")
    arguments = parser.parse_args()
    if arguments.number is None:
        sys.stdout.write(json.dumps(run_all(arguments), indent=1) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        goods = chosen(Path(folder), arguments.formats)
        good = goods[arguments.number % len(goods)]
        case = make_case(good, arguments.seed, arguments.number)
        if arguments.keep:
            arguments.keep.write_bytes(case.octets)
        sys.stdout.write(f"{run_case(good, case, Path(folder), arguments.number)}\n")


if __name__ == "__main__":
    main()
