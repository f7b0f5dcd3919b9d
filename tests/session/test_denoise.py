"""Noise filtered in a session: every event is counted, recordings stay raw, and a seek begins afresh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from livesnn.events.packet import SourceCounters
from livesnn.events.recording import open_recording
from livesnn.session.session import Session
from tests.fake_source import FakeSource
from tests.synthetic import noisy_bar, write_recording
from tests.waiting import eventually

LONG_US = 20_000_000


def test_every_event_of_a_live_source_is_counted_once_and_its_recording_has_them_all(
    play: Callable[..., Session], tmp_path: Path
) -> None:
    packets = np.array_split(noisy_bar(1_000_000), 100)
    source = FakeSource(packets, counters=SourceCounters(out_of_order=2), on_demand=True, then="wait")
    session = play(source, denoise=True)
    eventually(lambda: session.opened)
    recorder = session.control.record(tmp_path / "raw.aedat4")
    assert recorder is not None
    source.give(len(packets))
    eventually(source.exhausted.is_set)
    assert session.stop()
    assert recorder.close()
    counts = session.statistics
    assert counts.noise.events == source.counters.events
    assert counts.noise.dropped > 0.1 * source.counters.events
    assert counts.events + counts.dropped + counts.skipped + counts.unread == source.counters.events
    assert counts.out_of_order == 2
    with open_recording(tmp_path / "raw.aedat4") as raw:
        recorded = sum(packet.events.size for packet in raw)
    assert recorded == recorder.recorded.events == source.counters.events


def test_a_seek_forgets_what_was_active_and_every_pass_is_counted(
    play: Callable[..., Session], tmp_path: Path
) -> None:
    noisy = noisy_bar(LONG_US)
    session = play(write_recording(tmp_path / "noisy.npz", noisy), denoise=True, speed=float("inf"))
    eventually(lambda: session.control.state == "ended")
    first = session.statistics
    assert first.noise.events == first.events == noisy.size
    session.control.seek(0)
    eventually(lambda: session.statistics.noise.events == 2 * noisy.size)
    eventually(lambda: session.control.state == "ended")
    assert session.stop()
    assert session.statistics.noise.isolated == 2 * first.noise.isolated
    assert session.statistics.events == 2 * noisy.size
