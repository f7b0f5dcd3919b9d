"""Decisions about many recordings, a row each in a table: by several processes, or by a Dask cluster."""

from __future__ import annotations

import csv
import errno
import io
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar, get_type_hints

import msgspec

from livesnn.console import json_line
from livesnn.errors import LivesnnError, ModelError, error_message
from livesnn.events.labels import SUFFIX
from livesnn.events.packet import Closing
from livesnn.files import closed_on_error
from livesnn.infer.load import DEFAULT_MODEL, Engine, load_model, model_folder, read_card
from livesnn.infer.model import Model
from livesnn.infer.spike_engine import SpikeNetwork, runs
from livesnn.infer.switching_engine import load_spike
from livesnn.outputs.lines import RunOptions, Summary, decide_all
from livesnn.progress import Notify
from livesnn.subprocesses import process_pool
from livesnn.threads import WAKE_S, usable_processors
from livesnn.weights import WEIGHTS

_CONNECT_S, _LOOK_S = 10, 0.05


class File(NamedTuple):
    """A recording: what it is called in the table, and its path where work is done."""

    name: str
    path: str


Outcome = bytes | str  # A recording's row as a line of JSON, or why there is none

R = TypeVar("R")
Outcomes = Generator[tuple[File, Outcome], None, R]


def decide(file: File, options: RunOptions, threads: int) -> Outcome:
    """Decide on a recording, in a worker. Its row has the fields of `Summary`, and `lines`, those of `decide_all`."""
    used = ""

    def load(name: str) -> Model:
        nonlocal used
        model = _loaded(name, options.engine, threads, threading.get_ident())
        used = model.card.name
        return model

    try:
        *lines, summary = decide_all(file.path, options, load=load)
    except Exception as error:
        return error_message(error)
    about = {"file": file.name, "model": used, "options": options}
    return json_line(about | vars(summary) | {"lines": lines})


@cache
def _loaded(name: str, engine: Engine, threads: int, thread: int) -> Model:
    """Load a model once in a worker; a worker of Dask has several threads, and a model steps in one at a time."""
    return load_model(name, engine, threads)


# Who does the work


def prepare(options: RunOptions, notify: Notify) -> None:
    """Compile the spike-driven engine, so that not every process does, and none runs on another one meanwhile."""
    if options.engine not in ("auto", "spike"):
        return
    try:
        folder = model_folder(options.model or DEFAULT_MODEL)
        spikes = (folder / WEIGHTS).is_file() and runs(read_card(folder))
        if spikes and not SpikeNetwork.read(folder).is_compiled():
            load_spike(folder, notify=notify)
    except ModelError:
        if options.model is not None and options.engine == "spike":
            raise


def in_processes(files: Sequence[File], options: RunOptions, jobs: int) -> Outcomes[None]:
    """Yield the outcome of each file as it comes, from so many processes, which end with this one.

    Where a process is killed, the files that it may have been are tried again, each by itself.
    """
    threads = max(1, usable_processors() // jobs)
    work = partial(decide, options=options, threads=threads)
    waiting = deque(files)
    while waiting:
        for file in (yield from _in_pool(waiting, work, jobs, threads)):
            if (yield from _in_pool(deque([file]), work, 1, threads)):
                yield file, "its process was killed, maybe for lack of memory: give fewer --jobs"


def _in_pool(waiting: deque[File], work: Callable[[File], Outcome], jobs: int, threads: int) -> Outcomes[list[File]]:
    """Yield outcomes until nothing waits, or a process is killed; return the files that were given out then."""
    running: dict[Future[Outcome], File] = {}
    lost: list[File] = []
    with process_pool(min(jobs, len(waiting)), threads=threads) as pool:
        while running or (waiting and not lost):
            while waiting and not lost and len(running) <= jobs:
                file = waiting.popleft()
                try:
                    running[pool.submit(work, file)] = file
                except BrokenExecutor:
                    lost.append(file)
            for future in wait(running, WAKE_S, FIRST_COMPLETED).done:
                file = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenExecutor:
                    lost.append(file)
                    continue
                yield file, outcome
    return lost


def on_cluster(address: str, files: Sequence[File], options: RunOptions, notify: Notify) -> Outcomes[None]:
    """Yield the outcome of each file as it comes, from the workers of a Dask scheduler.

    What a lost worker had begun is begun again by another. Raises LivesnnError where there is no scheduler, or it is
    lost.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise LivesnnError(f"--dask needs {error.name}: pip install 'livesnn[cluster]'") from error
    for name in ("distributed", "distributed.client", "distributed.core", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is said here
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError) as error:  # the last two: other protocols than TCP
        raise LivesnnError(
            f"--dask: no scheduler answers at {address}: give the address that dask scheduler prints"
        ) from error
    with client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        notify(f"{len(workers)} workers at {address}" + ": waiting for some" * (not workers))
        running: dict[Any, File] = {client.submit(decide, file, options, 1, pure=False): file for file in files}
        # Not client.get_executor: at its end it waits for all that it has submitted.
        done = distributed.as_completed(running, loop=client.loop, with_results=True, raise_errors=False)
        while running:
            if not (batch := done.next_batch(block=False)):
                time.sleep(_LOOK_S)
            if client.status != "running" or any(future.cancelled() for future, _ in batch):
                raise LivesnnError("the scheduler is lost: start it, and run this again to go on")
            for future, result in batch:
                yield running.pop(future), _why_not(result[1]) if future.status == "error" else result


def _why_not(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return "each worker that took it was killed, maybe for lack of memory: give workers more of it"
    return f"{type(error).__name__}: {error}"


# Where rows go


_CSV_COLUMNS = ("file", "model", "options", *get_type_hints(Summary))


class Table(Closing):
    """A file of rows, each added in one step, that can be read at any time, even after its writer was killed.

    A row is a line of JSON, or of a .csv file, in which lists and objects are JSON in their cells, without ``lines``.
    Half a row, as of a computer without power, is cut off when the file is opened; of another file, nothing is.
    Raises ValueError, LookupError or csv.Error where the file is another one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, str] = {}  # the files that have a row, each with its `RunOptions` as JSON
        self._csv = path.suffix.lower() == ".csv"
        header = _csv_row(_CSV_COLUMNS) if self._csv else b""
        beginning = header or b'{"file":'
        self._file: IO[bytes] = open(path, "a+b", buffering=0)  # noqa: SIM115 (see close)
        self._size = 0  # of whole rows
        with closed_on_error(self):
            with open(path, "rb") as file:
                if (head := file.read(len(beginning))) != beginning[: len(head)]:
                    raise ValueError(head)
                file.seek(0)
                self._read(self._whole_lines(file))
            self._file.truncate(self._size)
            if not self._size:
                self._write(header)

    def _whole_lines(self, file: IO[bytes]) -> Iterator[bytes]:
        for line in file:
            if line.endswith(b"\n"):
                self._size += len(line)
                yield line

    def _read(self, lines: Iterator[bytes]) -> None:
        if not self._csv:
            for line in lines:
                row = msgspec.json.decode(line, type=_FirstFields)
                self.done[row.file] = bytes(row.options).decode()
            return
        for cells in csv.DictReader(line.decode() for line in lines):
            if cells["options"] is None:  # half a row
                raise ValueError(cells)
            self.done[cells["file"]] = cells["options"]

    def add(self, line: bytes) -> None:
        """Add a row, a line of JSON. Raises LivesnnError where it can't be written."""
        if self._csv:
            row = msgspec.json.decode(line)
            values = [row[name] for name in _CSV_COLUMNS]
            line = _csv_row(msgspec.json.encode(v).decode() if isinstance(v, list | dict) else v for v in values)
        self._write(line)

    def _write(self, text: bytes) -> None:
        if self._file.seek(0, os.SEEK_END) != self._size:
            raise LivesnnError(f"{self.path}: another program writes to it: give each an --out of its own")
        try:
            written = self._file.write(text)
            if written < len(text):
                self._file.truncate(self._size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise LivesnnError(
                f"{self.path} can't be written ({error.strerror}): make room and run this again: it goes on there"
            ) from error
        self._size += written

    def close(self) -> None:
        self._file.close()


class _FirstFields(msgspec.Struct):
    file: str
    options: msgspec.Raw


def _csv_row(cells: Iterable[object]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def open_table(path: Path) -> Table:
    """Open a table to add to it. Raises LivesnnError where that can't be, or the file isn't one."""
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise LivesnnError(f"--out {path}: choose a name that ends in .jsonl or .csv")
    if path.name.lower().endswith(SUFFIX):
        raise LivesnnError(f"--out {path}: this is the name of a table of labels: choose another name")
    if path.exists() and not path.is_file():
        raise LivesnnError(f"--out {path}: this is a folder, a pipe or a device: give another file")
    try:
        return Table(path)
    except (OSError, ValueError, LookupError, csv.Error) as error:  # msgspec's are ValueErrors
        reason = getattr(error, "strerror", None)
        wrong = " isn't a table of livesnn run, or is damaged" if reason is None else f": {reason}"
        raise LivesnnError(f"--out {path}{wrong}: give another file") from error
