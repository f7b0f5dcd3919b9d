"""Latest, Worker, BoundedQueue and Ctrl-C, one behaviour each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import get_args

import pytest

from livesnn.errors import SourceError
from livesnn.events.formats.aedat4_reader import decoding_threads, prefetch
from livesnn.signals import ending_sets
from livesnn.threads import BoundedQueue, Latest, Policy, Worker, usable_processors

PATIENCE_S = 20.0  # of waits that end at once unless something is broken


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system lets no process choose its processors")
def test_only_the_processors_a_process_may_use_count() -> None:
    usable = os.sched_getaffinity(0)
    assert usable_processors() == len(usable)
    try:
        os.sched_setaffinity(0, {min(usable)})
        assert usable_processors() == 1
    finally:
        os.sched_setaffinity(0, usable)


def test_a_process_that_shares_work_with_others_decodes_with_one_thread() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        assert processes.submit(decoding_threads).result(PATIENCE_S * 5) == 1
    assert decoding_threads() == min(4, usable_processors())


def test_latest_hands_out_the_newest_value_once() -> None:
    box: Latest[int] = Latest()
    assert box.take() is None
    box.put(1)
    box.put(2)
    assert box.take() == 2
    assert box.take() is None


def test_a_worker_names_its_thread_and_ends_when_stopped() -> None:
    names: Latest[str] = Latest()

    def target(stop: threading.Event) -> None:
        names.put(threading.current_thread().name)
        stop.wait(PATIENCE_S)

    worker = Worker("pipeline", target)
    assert not worker.running
    worker.start()
    assert worker.close(PATIENCE_S)
    assert not worker.running
    assert names.take() == "livesnn-pipeline"
    assert worker.error is None


def test_a_worker_keeps_what_its_target_raised_and_hands_it_on() -> None:
    raised: Latest[BaseException] = Latest()
    error = SourceError("camera unplugged")

    def target(stop: threading.Event) -> None:
        raise error

    worker = Worker("capture", target, on_error=raised.put)
    worker.start()
    assert worker.close(PATIENCE_S)
    assert worker.error is error
    assert raised.take() is error


def test_a_worker_survives_errors_that_are_no_exception() -> None:
    class PanicException(BaseException):  # what drivers written in Rust raise
        pass

    def target(stop: threading.Event) -> None:
        raise PanicException

    worker = Worker("capture", target).start()
    assert worker.close(PATIENCE_S)
    assert isinstance(worker.error, PanicException)


def test_closing_a_worker_waits_no_longer_than_asked() -> None:
    release = threading.Event()

    def waits(event: threading.Event) -> None:
        event.wait(PATIENCE_S)

    worker = Worker("stuck", lambda stop: waits(release)).start()
    assert not worker.close(0.01)
    release.set()
    assert worker.close(PATIENCE_S)


def test_a_closed_worker_never_starts() -> None:
    ran = threading.Event()
    worker = Worker("late", lambda stop: ran.set())
    assert worker.close()
    worker.start()
    assert not worker.running
    assert not ran.is_set()


def test_the_first_ending_sets_the_event_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    stop = threading.Event()
    with ending_sets(stop):
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_ctrl_c_stays_as_it_is() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: Latest[object] = Latest()

    def enter(stop: threading.Event) -> None:
        with ending_sets(stop):
            found.put(signal.getsignal(signal.SIGINT))

    worker = Worker("other", enter).start()
    assert worker.close(PATIENCE_S)
    assert worker.error is None
    assert found.take() is before


def queue_of_words(policy: Policy, **limits: float) -> BoundedQueue[str]:
    """Return a queue of words, whose letters are bytes and vowels are what is counted."""
    return BoundedQueue(policy=policy, size=len, count=lambda word: sum(map(word.count, "aeiou")), **limits)  # type: ignore[arg-type]


def test_nobody_waits_for_room_in_a_queue_that_has_ended() -> None:
    queue = queue_of_words("block", max_bytes=1)
    queue.put("banana")
    waiting = Worker("producer", lambda stop: queue.put("apple")).start()
    assert waiting.running
    queue.end()
    assert waiting.close(PATIENCE_S)
    assert queue.unread == 3


def test_a_full_queue_drops_the_oldest_and_counts_what_they_count() -> None:
    queue = queue_of_words("drop_oldest", max_bytes=10)
    for word in ("banana", "pie", "kiwis"):
        queue.put(word)
    assert (queue.unread, queue.dropped, queue.taken) == (4, 3, 0)
    queue.end()
    assert [queue.take(), queue.take(), queue.take()] == ["pie", "kiwis", None]
    assert (queue.unread, queue.dropped, queue.taken) == (0, 3, 4)


def test_one_item_is_let_in_however_large() -> None:
    for policy in get_args(Policy):
        queue = queue_of_words(policy, max_bytes=1)
        assert queue.has_room("banana")
        queue.put("banana")
        assert not queue.has_room("a")
        assert queue.take() == "banana"


def test_an_ended_queue_takes_nothing_in_and_a_closed_one_lets_nothing_out() -> None:
    queue = queue_of_words("drop_oldest", max_bytes=99)
    queue.put("banana")
    queue.end()
    queue.put("apple")
    queue.close()
    assert queue.take() is None
    assert (queue.unread, queue.dropped, queue.taken) == (3, 0, 0)


def test_waiting_for_a_queue_ends_when_there_is_something_or_nothing_more_will_come() -> None:
    queue = queue_of_words("drop_oldest", max_bytes=99)
    assert not queue.wait(0.0)
    queue.put("pie")
    assert queue.wait(0.0)
    queue.take()
    assert not queue.wait(0.0)
    queue.end()
    assert queue.wait(0.0)


def test_a_process_ends_with_its_output_though_a_thread_of_it_never_does() -> None:
    program = (
        "import threading, livesnn.__main__ as program\n"
        "def main():\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "    print('said')\n"
        "    return 3\n"
        "program.main = main\n"
        "import atexit; atexit.register(print, 'waited')\n"
        "program.start()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "said\n")


def counted_up_to(number: int) -> Iterator[int]:
    yield from range(number)


def workers_ahead() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("livesnn-prefetch")]


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_worked_on_ahead_comes_in_order(threads: int) -> None:
    numbers = [3, 0, 2, 5, 1] * 20
    assert [*prefetch(counted_up_to, numbers, threads)] == [one for number in numbers for one in range(number)]
    assert not workers_ahead()


def test_work_goes_on_in_other_threads_while_the_results_are_used() -> None:
    begun, begun_by = threading.Event(), ""

    def work(item: int) -> Iterator[str]:
        nonlocal begun_by
        if item == 4:
            begun_by = threading.current_thread().name
            begun.set()
        yield threading.current_thread().name

    found = prefetch(work, range(5), 2)
    assert next(found) == threading.current_thread().name
    assert not begun.is_set()  # a look at the beginning is all that was asked for
    next(found)
    assert begun.wait(PATIENCE_S)
    assert begun_by.startswith("livesnn-prefetch")
    found.close()


@pytest.mark.parametrize(("threads", "most"), [(1, 2), (2, 7)])
def test_no_more_is_worked_on_ahead_than_the_bound(threads: int, most: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    found = prefetch(lambda item: iter([item]), items(), threads)
    assert [next(found), next(found)] == [0, 1]
    assert len(taken) <= most
    found.close()
    assert not workers_ahead()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_comes_after_all_results_before_it(threads: int) -> None:
    def work(item: int) -> Iterator[int]:
        if item == 3:
            raise SourceError("unplugged")
        yield item

    found = prefetch(work, range(10), threads)
    assert [next(found), next(found), next(found)] == [0, 1, 2]
    with pytest.raises(SourceError, match="unplugged"):
        next(found)
    assert not workers_ahead()
