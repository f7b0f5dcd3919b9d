"""Damages small sound files of every kind, again and again: `make fuzz MINUTES=10`, or `python -m tests.mutations`.

Recordings are damaged here, octet by octet, and read as `livesnn info`, a conversion and a seek read them. What has a
structure is damaged in structures.py and model_structures.py. A file may be refused with one line, or read, whole or
with a warning. It may not hang, crash, take a GB of memory, or raise anything else. A crash ends the run, and so does
a case without an end: its files are in FOLDER/current with `--keep FOLDER`. Every case is made again from its seed
and number: `--seed S --number N --keep FOLDER`. Not here: the sound recordings (good_files.py).
"""

from __future__ import annotations

import argparse
import faulthandler
import math
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.errors import LivesnnError
from tests.damage import KINDS
from tests.good_files import Good, good_files
from tests.model_structures import model_subjects
from tests.structures import Case, Subject, read_all, subjects

LIMIT_S = 5.0
"""Of a processor's time for one case: on a busy machine the clock says little; and of the clock, ten times that."""
LIMIT_BYTES = 700 << 20
"""Of memory for one case, beside 300 MB of libraries: that makes a GB."""
BUGS = ("raised", "hung", "over 1 GB", "contradicts itself")


class Outcome(NamedTuple):
    """What came of a case; ``said`` is the error or the first warning."""

    number: int
    format: str
    kind: str
    result: str
    seconds: float
    said: str = ""


def all_subjects(folder: Path, names: list[str]) -> list[Subject]:
    """Return the subjects of these names; all without. An unknown name ends the program."""
    found = [*map(recording_of, good_files(folder)), *subjects(), *model_subjects()]
    known = [subject.name for subject in found]
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no files of the kind {unknown[0]!r}: give some of {', '.join(map(repr, known))}")
    return [subject for subject in found if not names or subject.name in names]


def recording_of(good: Good) -> Subject:
    name = f"f{good.suffix}"
    return Subject(
        good.name,
        lambda random: _damaged_recording(good, name, random),
        lambda: Case("whole", {name: good.octets}),
        partial(_read_recording, good, name),
    )


def _damaged_recording(good: Good, name: str, random: np.random.Generator) -> Case:
    """Return a good file damaged once, or in one of four cases twice."""
    octets, names = good.octets, []
    for _ in range(2 if random.random() < 0.25 else 1):
        damage = KINDS[random.integers(len(KINDS))]
        names.append(damage.__name__)
        octets = damage(bytearray(octets), random) or b"\0"
    return Case(" and ".join(names), {name: octets})


def _read_recording(good: Good, name: str, folder: Path) -> tuple[str, str]:
    found, events, contradiction = read_all(folder / name)
    if contradiction:
        return "contradicts itself", contradiction
    if len(events) == 1 and found.resolution is not None:
        outside = (events[0]["x"] >= found.resolution[0]) | (events[0]["y"] >= found.resolution[1])
        if outside.any():
            return "contradicts itself", f"{np.count_nonzero(outside)} events outside {found.resolution}"
    whole = len(events) == len(good.events) and all(map(np.array_equal, events, good.events))
    if whole or found.warnings:
        return "read whole" if whole else "read, with a warning", next(iter(found.warnings), "")
    return "read otherwise, without a warning", ""


def make_case(subject: Subject, seed: int, number: int) -> Case:
    return subject.make(np.random.default_rng([seed, number]))


def run_case(subject: Subject, case: Case, folder: Path, number: int = 0) -> Outcome:
    """Read a damaged file in every way; what is raised but LivesnnError is the caller's."""
    keep(case, folder)
    before_bytes = forget_peak()
    begun_s = time.process_time()
    try:
        result, said = subject.read(folder)
    except LivesnnError as error:
        said = str(error)
        result = "refused" if "\n" not in said else "raised"
    if (taken := peak_bytes() - before_bytes) > LIMIT_BYTES:
        result, said = "over 1 GB", f"{taken >> 20} MB: {said}"
    return Outcome(number, subject.name, case.kind, result, time.process_time() - begun_s, said)


def keep(case: Case, folder: Path) -> None:
    """Write a case's files into a folder, in which nothing else is then."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, octets in case.files.items():
        (folder / name).write_bytes(octets)


def forget_peak() -> int:
    """Begin to measure anew; return the memory that this process has now."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """Return the most memory that this process has had since `forget_peak`; 0 where it can't be asked."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
        return int(found[1]) << 10 if found else 0
    return 0


def run_all(arguments: argparse.Namespace) -> tuple[dict[str, Counter[str]], bool]:
    """Return how many cases of each kind of file ended how, and whether any is a bug."""
    with tempfile.TemporaryDirectory() as spare:
        several = all_subjects(Path(spare), arguments.formats)
        folder = (arguments.keep or Path(spare)) / "current"
        for subject in several:  # compiles, loads libraries: not the case's time
            run_case(subject, subject.whole(), folder)
        if sys.platform == "linux":
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + 2 * LIMIT_BYTES, taken + 2 * LIMIT_BYTES))
        faulthandler.enable()
        counts: dict[str, Counter[str]] = {subject.name: Counter() for subject in several}
        failed = False
        for outcome in _outcomes(several, arguments, folder):
            counts[outcome.format][outcome.result] += 1
            if outcome.result in BUGS:
                failed = True
                sys.stderr.write(f"{outcome}\n")
        faulthandler.cancel_dump_traceback_later()
        shutil.rmtree(folder)
    return counts, failed


def _outcomes(several: list[Subject], arguments: argparse.Namespace, folder: Path) -> Iterator[Outcome]:
    """Yield outcomes of so many cases, or for so many minutes."""
    end_s = time.monotonic() + 60 * arguments.minutes if arguments.minutes else math.inf
    for number in count(arguments.start) if arguments.minutes else range(arguments.start, arguments.count):
        subject = several[number % len(several)]
        faulthandler.dump_traceback_later(10 * LIMIT_S, exit=True)
        try:
            outcome = run_case(subject, make_case(subject, arguments.seed, number), folder, number)
        except Exception as error:  # that is what is looked for
            outcome = Outcome(number, subject.name, "", "raised", 0.0, f"{type(error).__name__}: {error}"[:500])
        if outcome.seconds > LIMIT_S:
            outcome = outcome._replace(result="hung")
        if outcome.result in BUGS and arguments.keep:
            shutil.copytree(folder, arguments.keep / f"{subject.name.replace(' ', '-')}-{arguments.seed}-{number}")
        yield outcome
        if time.monotonic() > end_s:
            return


def table(counts: dict[str, Counter[str]]) -> str:
    """Return a line for each kind of file: how many cases there were, and how many of each bug."""
    columns = ("cases", *BUGS)
    lines = [f"{'':<22}" + "".join(f"{name:>20}" for name in columns)]
    for name, ends in counts.items():
        figures = (ends.total(), *(ends[bug] for bug in BUGS))
        lines.append(f"{name:<22}" + "".join(f"{figure:>20,}" for figure in figures))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="the number after the last case's")
    parser.add_argument("--minutes", type=float, default=0.0, help="in place of a count")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", default=[])
    parser.add_argument("--number", type=int, help="run one case, here, with whatever it raises")
    parser.add_argument("--keep", type=Path, help="the folder for the files of cases that are bugs, or of that case")
    arguments = parser.parse_args()
    if arguments.number is None:
        counts, failed = run_all(arguments)
        sys.stdout.write(f"seed {arguments.seed}\n{table(counts)}\n")
        sys.exit(failed)
    with tempfile.TemporaryDirectory() as folder:
        several = all_subjects(Path(folder), arguments.formats)
        subject = several[arguments.number % len(several)]
        case = make_case(subject, arguments.seed, arguments.number)
        where = arguments.keep or Path(folder)
        sys.stdout.write(f"{run_case(subject, case, where, arguments.number)}\n")


if __name__ == "__main__":
    main()
