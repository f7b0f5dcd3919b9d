"""Decoding a recording on several threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from livesnn.threads import usable_processors

T = TypeVar("T")
R = TypeVar("R")


def decoding_threads() -> int:
    """Return how many threads decode a recording: four at most, as more would wait for whoever takes their events.

    A process that was started to share work with others (subprocesses.py) has one.
    """
    from multiprocessing import parent_process

    return min(4, usable_processors()) if parent_process() is None else 1


def prefetch(work: Callable[[T], Iterator[R]], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield what ``work`` yields for each item, in order, worked on by this thread and ``threads`` - 1 others.

    ``work`` is a generator function. What it raises is raised where its results would come. The others work on the
    next ``2 * threads`` items. This thread works only when what is next isn't ready, instead of waiting. The first
    item, and with one thread every item, is worked on here: a look at the beginning costs little.
    """
    left = iter(items)
    for item in left if threads == 1 else islice(left, 1):
        yield from work(item)
    waiting: deque[tuple[T, Future[list[R]]]] = deque()
    # glibc keeps of a thread's freed memory as much as twice the largest block it has ever given back to the kernel.
    # Without this one, which is never touched, getting pages from the kernel again took as long as LZ4 itself.
    bytes(4 << 20)
    with ThreadPoolExecutor(max(threads - 1, 1), "livesnn-prefetch") as workers:
        try:
            while True:
                some = islice(left, 1 + 2 * threads - len(waiting))
                waiting.extend((item, workers.submit(list, work(item))) for item in some)
                if not waiting:
                    return
                if not waiting[0][1].done():
                    _work_on_one(work, waiting)
                yield from waiting.popleft()[1].result()
        finally:
            workers.shutdown(wait=False, cancel_futures=True)


def _work_on_one(work: Callable[[T], Iterator[R]], waiting: deque[tuple[T, Future[list[R]]]]) -> None:
    """Work here on the first item that no thread has begun, if there is one."""
    for place, (item, future) in enumerate(waiting):
        if future.cancel():
            mine: Future[list[R]] = Future()
            try:
                mine.set_result(list(work(item)))
            except Exception as error:
                mine.set_exception(error)
            waiting[place] = item, mine
            return
