"""The window on a live source: it has no timeline, can be lost, comes back, and is let go of."""

from __future__ import annotations

import threading
import time

import numpy as np
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.errors import SourceError
from livesnn.events.cameras.reconnecting import Connection, ReconnectingSource, SourceLost
from livesnn.events.packet import Events, Resolution, SourceCounters
from tests.fake_source import FakeSource
from tests.synthetic import SENSOR, livesnn_threads, moving_bar

from .conftest import MakeWindow

PACKET_US = 10_000


class Plug:
    """A camera that gives a moving bar in real time while it is plugged in."""

    def __init__(self) -> None:
        self.plugged = threading.Event()
        self.plugged.set()
        bar = moving_bar(1_000_000, start_us=0)
        self.packets = np.split(bar, np.searchsorted(bar["t"], np.arange(PACKET_US, 1_000_000, PACKET_US)))
        self.given = self.tries = 0

    def connect(self) -> Connection:
        if not self.plugged.is_set():
            self.tries += 1
            raise SourceError(f"no camera is plugged in at try {self.tries}: plug it in")
        return _Connection(self)


class _Connection:
    name = "camera PLUG"
    resolution: Resolution = SENSOR

    def __init__(self, plug: Plug) -> None:
        self._plug = plug
        self._pace = threading.Event()
        self.counters = SourceCounters()

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        self._pace.wait(PACKET_US / 1e6)
        if not self._plug.plugged.is_set():
            raise SourceLost(f"{self.name} was unplugged: plug it in again")
        number, self._plug.given = self._plug.given, self._plug.given + 1
        packet = self._plug.packets[number % len(self._plug.packets)].copy()
        packet["t"] += 1_000_000 * (number // len(self._plug.packets))
        return packet, None

    def close(self) -> None:
        self._pace.set()


def stream(qtbot: QtBot, window: MainWindow) -> Plug:
    plug = Plug()
    window.open(ReconnectingSource(plug.connect, retry_s=0.05))
    qtbot.waitUntil(lambda: window.view.shown > 3)
    return plug


def test_a_live_source_has_no_time_line_and_cannot_be_sought_in(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    stream(qtbot, window)
    assert window.transport.live.isVisible()
    assert not window.transport.line.isVisible()
    for name in ("back", "on", "frame_back", "frame_on"):
        window.commands[name].trigger()
    shown = window.view.shown
    qtbot.waitUntil(lambda: window.view.shown > shown + 3)
    assert window.header.state.text() == "Playing"


def test_an_unplugged_camera_is_waited_for_and_goes_on_with_the_state_reset(
    qtbot: QtBot, make_window: MakeWindow
) -> None:
    window = make_window()
    plug = stream(qtbot, window)
    qtbot.waitUntil(lambda: window.readout.decision.said.confidence > 0)
    plug.plugged.clear()
    qtbot.waitUntil(window.banner.isVisible)
    assert "camera PLUG was unplugged" in window.banner.message.text()
    assert window.banner.kind == "waiting"
    assert window.header.state.text() == "Waiting for events"
    assert window.view.has_picture
    shown = window.view.shown
    plug.plugged.set()
    qtbot.waitUntil(lambda: not window.banner.isVisible())
    qtbot.waitUntil(lambda: window.view.shown > shown + 3)
    assert window.header.state.text() == "Playing"
    qtbot.waitUntil(lambda: window.state_panel.caption.remark.startswith("reset by"))


def test_what_is_waited_for_is_not_said_again_once_it_was_closed(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    plug = stream(qtbot, window)
    plug.plugged.clear()
    qtbot.waitUntil(lambda: "at try 2" in window.banner.message.text())
    window.banner.hide()
    tries = plug.tries
    qtbot.waitUntil(lambda: plug.tries > tries + 3)
    assert window.banner.isHidden()
    plug.plugged.set()
    qtbot.waitUntil(lambda: window.header.state.text() == "Playing")
    plug.plugged.clear()
    qtbot.waitUntil(window.banner.isVisible)


def test_another_source_is_opened_while_one_is_waited_for(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    stream(qtbot, window).plugged.clear()
    qtbot.waitUntil(window.banner.isVisible)
    stream(qtbot, window)
    assert not window.banner.isVisible()
    assert livesnn_threads().count("livesnn-pipeline") == 1


def hanging() -> FakeSource:
    """Return a source whose driver never comes back after the first packet, even when it is closed."""
    return FakeSource([moving_bar(20_000)], then="wait", deaf=True)


def test_a_source_that_hangs_does_not_keep_a_person_from_another(qtbot: QtBot, make_window: MakeWindow) -> None:
    window, source = make_window(), hanging()
    window.open(source)
    qtbot.waitUntil(lambda: window.view.shown > 0)
    begun_s = time.perf_counter()
    window.open(ReconnectingSource(Plug().connect))
    assert time.perf_counter() - begun_s < 1.0
    source.release()
    qtbot.waitUntil(lambda: window.view.shown > 3)


def test_beside_a_session_that_hangs_the_next_one_has_a_model_of_its_own(
    qtbot: QtBot, make_window: MakeWindow
) -> None:
    window, source = make_window(), hanging()
    window.open(source)
    qtbot.waitUntil(lambda: window.player.opened is not None and source.exhausted.is_set())
    first = window.player.opened
    stream(qtbot, window)
    second = window.player.opened
    assert first is not None
    assert second is not None
    assert second.model is not first.model
    source.release()
    stream(qtbot, window)  # nothing hangs by now
    qtbot.waitUntil(lambda: window.player.opened is not None)
    assert window.player.opened is not None
    assert window.player.opened.model is second.model


def test_closing_while_streaming_or_waiting_leaves_no_thread(qtbot: QtBot, make_window: MakeWindow) -> None:
    for unplug in (False, True):
        window = make_window()
        plug = stream(qtbot, window)
        if unplug:
            plug.plugged.clear()
            qtbot.waitUntil(window.banner.isVisible)
        window.close()
        assert livesnn_threads() == []


def test_pausing_freezes_the_picture_and_counts_what_is_thrown_away(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    stream(qtbot, window)
    window.commands["play"].trigger()
    session = window.session
    assert session is not None
    qtbot.waitUntil(lambda: session.statistics.skipped > 0)
    window.poll()
    shown = window.view.shown
    skipped = session.statistics.skipped
    qtbot.waitUntil(lambda: session.statistics.skipped > 3 * skipped)
    assert window.view.shown == shown
    window.commands["play"].trigger()
    qtbot.waitUntil(lambda: window.view.shown > shown + 2)
