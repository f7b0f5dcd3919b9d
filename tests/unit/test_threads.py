"""Latest, Worker, PacketQueue, Ctrl-C and Buffered, one behaviour each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.packet import EVENTS_DTYPE, Events, EventSource, Resolution, SourceCounters
from livesnn.events.pipeline import Buffered
from livesnn.threads import Latest, PacketQueue, Worker, ending_sets, usable_processors

PATIENCE_S = 20.0  # of waits that end at once unless something is broken
THREE_PACKETS = 3 * (10 * EVENTS_DTYPE.itemsize + 256)  # bytes: of ten events each, with the queue's overhead


def packet(first: int, length: int) -> Events:
    events = np.zeros(length, EVENTS_DTYPE)
    events["t"] = np.arange(first, first + length)
    return events


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the system lets no process choose its processors"
)
def test_only_the_processors_a_process_may_use_count() -> None:
    usable = os.sched_getaffinity(0)
    assert usable_processors() == len(usable)
    try:
        os.sched_setaffinity(0, {min(usable)})
        assert usable_processors() == 1
    finally:
        os.sched_setaffinity(0, usable)


class Packets(EventSource):
    """A source that yields given packets, then raises ``error`` if there is one."""

    def __init__(self, packets: Sequence[Events], error: BaseException | None = None) -> None:
        self.resolution = Resolution(34, 34)
        self.counters = SourceCounters()
        self.packets = packets
        self.error = error
        self.go_on = threading.Event()  # past the first packet
        self.go_on.set()
        self.exhausted = threading.Event()
        self.closed = 0
        self.now_us = 0

    def __iter__(self) -> Iterator[Events]:
        for events in self.packets:
            self.counters.events += len(events)
            self.now_us += 1000
            yield events
            self.go_on.wait(PATIENCE_S)
        self.exhausted.set()
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1


def capture_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "livesnn-capture"]


def times(packets: Sequence[Events]) -> list[int]:
    return [int(t) for events in packets for t in events["t"]]


def test_latest_hands_out_the_newest_value_once() -> None:
    box: Latest[int] = Latest()
    assert box.take() is None
    box.put(1)
    box.put(2)
    assert box.take() == 2
    assert box.take() is None


def test_latest_carries_an_error_as_a_value() -> None:
    box: Latest[int | BaseException] = Latest()
    error = SourceError("camera unplugged")
    box.put(error)
    assert box.take() is error


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


def test_nobody_waits_for_room_in_a_queue_that_has_ended() -> None:
    queue = PacketQueue(policy="block", max_bytes=1)
    queue.put(packet(0, 10))
    waiting = Worker("producer", lambda stop: queue.put(packet(10, 10))).start()
    assert waiting.running
    queue.end()
    assert waiting.close(PATIENCE_S)
    assert queue.unread == 10


def test_a_recording_comes_through_whole_and_in_order() -> None:
    packets = [packet(10 * i, 10) for i in range(50)]
    source = Buffered(Packets(packets), policy="block", max_bytes=400)
    assert times(list(source)) == list(range(500))
    assert source.counters == SourceCounters(events=500)
    assert source.resolution == Resolution(34, 34)
    source.close()


def test_blocking_never_reads_ahead_more_than_the_bound() -> None:
    packets = [packet(10 * i, 10) for i in range(50)]
    source = Packets(packets)
    # Three packets in the queue; one more is in the capture thread's hand.
    buffered = Buffered(source, policy="block", max_bytes=THREE_PACKETS)
    ahead = [source.counters.events - buffered.counters.events for _ in buffered]
    assert max(ahead) <= 40
    buffered.close()


def test_a_packet_larger_than_the_bound_still_comes_through() -> None:
    for policy in ("block", "drop_oldest"):
        buffered = Buffered(Packets([packet(0, 1000)]), policy=policy, max_bytes=10)
        assert times(list(buffered)) == list(range(1000))
        buffered.close()


def test_a_camera_read_too_slowly_loses_its_oldest_packets_and_counts_them() -> None:
    source = Packets([packet(10 * i, 10) for i in range(50)])
    buffered = Buffered(source, policy="drop_oldest", max_bytes=THREE_PACKETS, max_age_s=PATIENCE_S)
    source.go_on.clear()
    iterator = iter(buffered)
    assert times([next(iterator)]) == list(range(10))
    source.go_on.set()
    assert source.exhausted.wait(PATIENCE_S)
    assert times(list(iterator)) == list(range(470, 500))
    assert buffered.counters == SourceCounters(events=40, dropped=460)
    buffered.close()


def test_drops_of_the_source_and_of_the_buffer_are_added() -> None:
    source = Packets([packet(0, 10)])
    source.counters.dropped = 7
    buffered = Buffered(source, policy="block")
    list(buffered)
    assert buffered.counters == SourceCounters(events=10, dropped=7)
    buffered.close()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system knows no terminals that are closed")
def test_a_closed_terminal_that_is_ignored_stays_so() -> None:
    stop = threading.Event()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with ending_sets(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.is_set()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_packets_that_waited_too_long_are_dropped_and_counted() -> None:
    class Late(Packets):
        """Its second packet has been on its way for a while."""

        @property
        def arrived_s(self) -> float:
            return begun_s - 100 if self.now_us == 2000 else begun_s

    begun_s = time.perf_counter()
    source = Late([packet(0, 1), packet(1, 2), packet(3, 4)])
    buffered = Buffered(source, policy="drop_oldest", max_age_s=50.0)
    assert times(list(buffered)) == [0, 3, 4, 5, 6]
    assert buffered.arrived_s == begun_s
    assert buffered.counters.dropped == 2
    buffered.close()


def test_each_packet_carries_its_arrival_and_the_sources_time() -> None:
    begun_s = time.perf_counter()
    buffered = Buffered(Packets([packet(0, 1), packet(1, 1)]), policy="block")
    assert buffered.arrived_s == 0.0
    assert buffered.now_us is None
    stamps = [(buffered.arrived_s, buffered.now_us) for _ in buffered]
    assert [now_us for _, now_us in stamps] == [1000, 2000]
    assert begun_s < stamps[0][0] < stamps[1][0] < time.perf_counter()
    buffered.close()


def test_each_packet_carries_the_connection_it_came_by() -> None:
    class Reconnecting(Packets):
        connection = 0

        def __iter__(self) -> Iterator[Events]:
            for events in super().__iter__():
                self.connection += 1
                yield events

    source = Reconnecting([packet(0, 1), packet(1, 1), packet(2, 1)])
    buffered = Buffered(source, policy="block")
    assert buffered.connection == 0
    iterator = iter(buffered)
    found = [(int(next(iterator)["t"][0]), buffered.connection)]
    assert source.exhausted.wait(PATIENCE_S)  # the source is ahead by now
    found += [(int(events["t"][0]), buffered.connection) for events in iterator]
    assert found == [(0, 1), (1, 2), (2, 3)]
    buffered.close()


def test_an_error_of_the_source_is_raised_after_the_packets_before_it_and_again() -> None:
    error = SourceError("camera unplugged")
    buffered = Buffered(Packets([packet(0, 3), packet(3, 3)], error), policy="block")
    seen: list[Events] = []
    with pytest.raises(SourceError, match="camera unplugged") as caught:
        seen.extend(buffered)
    assert caught.value is error
    assert times(seen) == list(range(6))
    with pytest.raises(SourceError, match="camera unplugged"):
        next(iter(buffered))
    buffered.close()


def test_closing_early_ends_the_thread_and_counts_what_was_left_unread() -> None:
    source = Packets([packet(10 * i, 10) for i in range(50)])
    buffered = Buffered(source, policy="block", max_bytes=1000)
    next(iter(buffered))
    buffered.close()
    assert capture_threads() == []
    assert source.counters.events == buffered.counters.events + buffered.unread
    assert buffered.counters.dropped == 0
    assert list(buffered) == []


def test_closing_twice_or_before_reading_is_fine() -> None:
    source = Packets([packet(0, 10)])
    buffered = Buffered(source, policy="block")
    buffered.close()
    buffered.close()
    assert source.closed == 2
    assert list(buffered) == []
    assert source.counters.events == 0


class Silent(Packets):
    """A camera in the dark: waits in its driver until closed."""

    def __init__(self) -> None:
        super().__init__([])
        self.waiting = threading.Event()
        self.unblocked = threading.Event()

    def __iter__(self) -> Iterator[Events]:
        self.waiting.set()
        self.unblocked.wait(PATIENCE_S)
        yield from ()

    def close(self) -> None:
        self.unblocked.set()


class Deaf(Silent):
    """A driver that doesn't come back when closed."""

    def close(self) -> None:
        pass


def test_closing_wakes_a_waiting_consumer_and_a_waiting_source() -> None:
    source = Silent()
    buffered = Buffered(source, policy="drop_oldest")
    got: Latest[list[Events]] = Latest()
    consumer = Worker("consumer", lambda stop: got.put(list(buffered))).start()
    assert source.waiting.wait(PATIENCE_S)
    buffered.close(timeout_s=0.1)
    assert consumer.close(PATIENCE_S)
    assert got.take() == []
    assert capture_threads() == []


def test_a_source_that_does_not_let_go_is_reported_in_bounded_time() -> None:
    source = Deaf()
    buffered = Buffered(source, policy="drop_oldest")
    got: Latest[list[Events]] = Latest()
    consumer = Worker("consumer", lambda stop: got.put(list(buffered))).start()
    assert source.waiting.wait(PATIENCE_S)
    with pytest.raises(SourceError, match=r"didn't stop within 0\.02 s"):
        buffered.close(timeout_s=0.02)
    source.unblocked.set()
    buffered.close(timeout_s=PATIENCE_S)
    assert consumer.close(PATIENCE_S)
    assert capture_threads() == []


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
