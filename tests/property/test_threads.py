"""The law of the pipeline's buffer: events put = yielded + dropped, in order, however threads interleave."""

from __future__ import annotations

import itertools
import threading
from typing import Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livesnn.events.pipeline import open_pipeline
from livesnn.threads import Latest, Worker
from tests.fake_source import PATIENCE_S, FakeSource, at


def numbered(lengths: list[int]) -> FakeSource:
    """Return a source of packets of these lengths, whose events are numbered by their t."""
    ends = np.cumsum([0, *lengths])
    return FakeSource([at(*range(first, last)) for first, last in itertools.pairwise(ends)])


lengths = st.lists(st.integers(0, 40), max_size=60)
bounds = st.integers(0, 5000)
policies = st.sampled_from(["drop_oldest", "block"])


@settings(max_examples=200)
@given(lengths=lengths, max_bytes=bounds, policy=policies, pause_after=st.integers(0, 60))
def test_put_is_yielded_plus_dropped_and_order_is_kept(
    lengths: list[int], max_bytes: int, policy: Literal["drop_oldest", "block"], pause_after: int
) -> None:
    clip = numbered(lengths)
    pipeline = open_pipeline(clip, policy=policy, max_bytes=max_bytes, max_age_s=PATIENCE_S)
    seen: list[int] = []
    for i, packet in enumerate(pipeline):
        seen += packet.events["t"].tolist()
        if policy == "drop_oldest" and i == pause_after:
            assert clip.exhausted.wait(PATIENCE_S)  # a consumer that stands still while the camera goes on
    pipeline.close()
    counters = pipeline.counters
    assert len(seen) == counters.events
    assert counters.events + counters.dropped == sum(lengths)
    assert pipeline.unread == 0
    assert seen == sorted(set(seen))
    if policy == "block":
        assert seen == list(range(sum(lengths)))
    elif lengths:  # the newest packet is never lost
        assert seen[len(seen) - lengths[-1] :] == list(range(sum(lengths) - lengths[-1], sum(lengths)))


@settings(max_examples=100)
@given(lengths=lengths, max_bytes=bounds, policy=policies, read=st.integers(0, 60))
def test_closing_early_leaves_nothing_uncounted(
    lengths: list[int], max_bytes: int, policy: Literal["drop_oldest", "block"], read: int
) -> None:
    clip = numbered(lengths)
    pipeline = open_pipeline(clip, policy=policy, max_bytes=max_bytes, max_age_s=PATIENCE_S)
    yielded = sum(packet.events.size for packet, _ in zip(pipeline, range(read), strict=False))
    pipeline.close()
    counters = pipeline.counters
    # zip pulls one packet more than it hands out when ``read`` comes first to its end.
    assert yielded <= counters.events
    assert clip.counters.events == counters.events + counters.dropped + pipeline.unread


@settings(max_examples=100)
@given(values=st.integers(0, 200))
def test_a_mailbox_hands_out_values_in_order_and_the_last_in_any_case(values: int) -> None:
    box: Latest[int] = Latest()
    ended = threading.Event()

    def put_all(stop: threading.Event) -> None:
        for value in range(1, values + 1):
            box.put(value)
        ended.set()

    taken: list[int] = []
    worker = Worker("producer", put_all).start()
    while not ended.is_set():
        taken += [value for value in [box.take()] if value is not None]
    taken += [value for value in [box.take()] if value is not None]
    assert worker.close(PATIENCE_S)
    assert taken == sorted(set(taken))
    assert taken[-1:] == list(range(1, values + 1))[-1:]
