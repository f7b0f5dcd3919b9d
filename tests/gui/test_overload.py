"""A camera that gives more than anybody can take: the view stays fresh, the network drops, nothing goes uncounted.

LIVESNN_OVERLOAD_S=60 plays as long as the promise, and measures from the event itself rather than from its arrival:
for a machine that does nothing else.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pytest
from PySide6.QtCore import Qt, QTimer
from pytestqt.qtbot import QtBot

from livesnn.app.widgets.event_view import EventView
from livesnn.card import InputSpec, SliceRule
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.session.session import Session
from tests.fake_source import FakeSource
from tests.synthetic import CARD, write_model

SECONDS = float(os.environ.get("LIVESNN_OVERLOAD_S", "1"))
STRICT = "LIVESNN_OVERLOAD_S" in os.environ
VGA = Resolution(640, 480)
PACKET_US = 5_000
POLL_MS = 16  # as the window
FRESH_MS = 100.0
SWITCH_S = 0.001  # larger than app/application.py sets


class Flood(FakeSource):
    """A camera of so many events a second, each packet when its last event is due, until it is closed.

    Event time and `time.perf_counter` go together from ``begun_s`` on, whoever is late.
    """

    def __init__(self, events_per_s: float) -> None:
        super().__init__(self.flood(round(events_per_s * PACKET_US / 1e6)), resolution=VGA)
        self.begun_s = 0.0

    @staticmethod
    def random_packet(rng: np.random.Generator, size: int) -> Events:
        events = np.empty(size, EVENTS_DTYPE)
        events["t"] = np.arange(size) * PACKET_US // size
        events["x"] = np.clip(rng.normal(320, 120, size), 0, 639)
        events["y"] = rng.integers(0, 480, size)
        events["p"] = rng.integers(0, 2, size)
        return events

    def flood(self, packet_events: int) -> Iterator[Events]:
        """Yield packets until the source is closed."""
        rng = np.random.default_rng(1)
        packets = [self.random_packet(rng, packet_events) for _ in range(8)]
        self.begun_s = time.perf_counter()
        for index in count():
            packet = packets[index % len(packets)].copy()
            packet["t"] += index * PACKET_US
            due_s = self.begun_s + (index + 1) * PACKET_US / 1e6
            if self.closed.wait(max(due_s - time.perf_counter(), 0.0)):
                return
            yield packet


class Watched:
    """A session in an event view polled as the window's, with what was measured while it played."""

    def __init__(self, qtbot: QtBot, session: Session, flood: Flood) -> None:
        self.latencies_ms: list[float] = []  # a picture each
        self.frames_per_s = 0.0  # of the last second
        self._session = session
        self._flood = flood
        self._view = EventView()
        qtbot.addWidget(self._view)
        self._view.resize(900, 650)
        self._view.show()
        self._view.canvas.painted.connect(self._note)
        self._timer = QTimer(self._view)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._poll)
        self._timer.start(POLL_MS)

    def _poll(self) -> None:
        picture = self._session.pictures.take()
        if picture is not None:
            happened_s = self._flood.begun_s + picture.t_us / 1e6
            self._view.show_picture(picture.rgb, happened_s if STRICT else picture.arrived_s)

    def _note(self, since_s: float) -> None:
        self.latencies_ms.append((time.perf_counter() - since_s) * 1e3)


def watch(qtbot: QtBot, model: Path, events_per_s: float) -> tuple[Watched, Session, Flood, int]:
    """Play a flood for SECONDS; return what was seen, the stopped session, and how much memory grew, bytes."""
    flood = Flood(events_per_s)
    session = Session(flood)
    watched = Watched(qtbot, session, flood)
    process = psutil.Process()
    session.start()
    session.go_on(model)
    qtbot.waitUntil(lambda: len(watched.latencies_ms) > 30, timeout=30_000)
    begun_s, before = time.perf_counter(), process.memory_info().rss
    watched.latencies_ms.clear()
    qtbot.waitUntil(lambda: time.perf_counter() - begun_s >= SECONDS, timeout=round(2000 * SECONDS) + 20_000)
    grown = process.memory_info().rss - before
    watched.frames_per_s = session.statistics.frames_per_s
    assert session.stop()
    return watched, session, flood, grown


@pytest.fixture(autouse=True)
def _threads_switch_as_in_the_app() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def greedy_model(tmp_path: Path) -> Path:
    """Write a model of 1,000 events a frame: 20,000 frames a second of a flood."""
    spec = InputSpec(width=34, height=34, slice=SliceRule(n_events=1000), window=10)
    return write_model(tmp_path / "greedy", replace(CARD, input=spec))


def test_at_20_mev_a_second_the_view_stays_fresh_while_the_network_drops_and_counts(
    qtbot: QtBot, greedy_model: Path
) -> None:
    watched, session, flood, grown = watch(qtbot, greedy_model, 20e6)
    counts = session.statistics
    assert counts.events + counts.dropped + counts.skipped + counts.unread == flood.counters.events
    assert counts.dropped > counts.events > 0
    assert watched.latencies_ms
    assert not STRICT or np.percentile(watched.latencies_ms, 99) < FRESH_MS
    assert grown < 100e6


@pytest.mark.release
def test_at_5_mev_a_second_there_are_60_pictures_a_second_while_the_network_runs(
    qtbot: QtBot, model_folder: Path
) -> None:
    watched, session, flood, _ = watch(qtbot, model_folder, 5e6)
    counts = session.statistics
    assert counts.events + counts.dropped + counts.skipped + counts.unread == flood.counters.events
    assert len(watched.latencies_ms) / SECONDS > (57 if STRICT else 30)
    assert watched.frames_per_s > 50
    assert np.percentile(watched.latencies_ms, 99 if STRICT else 90) < FRESH_MS
