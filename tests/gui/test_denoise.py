"""Noise filtered in the window: a key switches it, the numbers show it, recordings stay raw, a seek begins afresh."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.app.widgets.basics import NOTHING
from livesnn.app.widgets.numbers import NumbersPanel
from livesnn.events.denoise import DenoiseCounts
from livesnn.events.packet import EVENTS_DTYPE, Closing, Events, Packet, SourceCounters
from livesnn.events.recording import open_recording
from livesnn.infer.decide import Percentiles
from livesnn.session.session import Session
from livesnn.session.statistics import Counts, RollingStatistics, Statistics
from livesnn.session.values import Choices

from .synthetic import SENSOR, moving_bar, wait_until, write_recording

MakeWindow = Callable[..., MainWindow]


def noisy_bar(duration_us: int) -> Events:
    """Return a bar that crosses once, and half as many events of noise."""
    bar = moving_bar(duration_us)
    rng = np.random.default_rng(4)
    noise = bar.copy()
    noise["x"], noise["y"] = rng.integers(0, 34, (2, bar.size))
    events = np.concatenate([bar, noise[::2]])
    return events[np.argsort(events["t"], kind="stable")]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("noisy") / "noisy.npz", noisy_bar(20_000_000))


def play(qtbot: QtBot, window: MainWindow, recording: Path) -> None:
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 1, timeout=20_000)


def per_s(text: str) -> float:
    """Return what the numbers mean by "1.50 k/s"."""
    number, unit = text.split()
    return float(number) * {"/s": 1, "k/s": 1e3, "M/s": 1e6}[unit]


def test_a_key_switches_the_filters_and_the_numbers_show_the_events_before_and_after(
    qtbot: QtBot, make_window: MakeWindow, noisy: Path
) -> None:
    window = make_window()
    numbers = window.numbers
    play(qtbot, window, noisy)
    assert "kept" not in numbers.table.rates
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keySequence(window, "N")
    assert window.commands["denoise"].isChecked()
    assert "kept" in numbers.table.rates
    qtbot.waitUntil(lambda: NOTHING not in (numbers.texts["kept"], numbers.texts["events"]), timeout=20_000)
    qtbot.waitUntil(
        lambda: 0 < per_s(numbers.texts["kept"]) < 0.9 * per_s(numbers.texts["events"]), timeout=20_000
    )
    qtbot.keySequence(window, "N")
    assert "kept" not in numbers.table.rates
    assert window.settings.now.choices.denoise is False


def test_the_choice_is_remembered_and_holds_at_the_next_start(
    qtbot: QtBot, make_window: MakeWindow, noisy: Path
) -> None:
    settings = SettingsFile()
    make_window(settings=settings).commands["denoise"].trigger()
    later = make_window(settings=settings)
    play(qtbot, later, noisy)
    assert later.commands["denoise"].isChecked()
    assert later.session is not None
    qtbot.waitUntil(lambda: later.session.statistics.noise.isolated > 0, timeout=20_000)


def test_learning_hot_pixels_again_goes_on_filtering(
    qtbot: QtBot, make_window: MakeWindow, noisy: Path
) -> None:
    window = make_window()
    window.commands["denoise"].trigger()
    play(qtbot, window, noisy)
    window.commands["learn_hot_pixels"].trigger()
    assert window.session is not None
    seen = window.session.statistics.noise.events
    qtbot.waitUntil(lambda: window.session.statistics.noise.events > seen + 1000, timeout=20_000)


def test_learning_hot_pixels_without_a_source_does_nothing(make_window: MakeWindow) -> None:
    make_window().commands["learn_hot_pixels"].trigger()


# The numbers


def test_the_rows_of_the_numbers_come_and_go(qtbot: QtBot) -> None:
    panel = NumbersPanel()
    qtbot.addWidget(panel)
    assert panel.table.rates == ["events", "frames", "density", "synops", "dropped", "skipped"]
    panel.show_denoise(True)
    panel.show_statistics(Statistics(out_of_order=3, out_of_bounds=1), Percentiles())
    assert panel.table.rates == [
        "events",
        "kept",
        "frames",
        "density",
        "synops",
        "dropped",
        "skipped",
        "repaired",
    ]
    assert panel.texts["repaired"] == "4"
    assert "3 out of order" in panel.table.explained("repaired")
    panel.show_statistics(Statistics(), Percentiles())
    assert "repaired" not in panel.table.rates


def test_a_light_that_flickers_is_told_of_and_a_flash_now_and_then_is_not(qtbot: QtBot) -> None:
    panel = NumbersPanel()
    qtbot.addWidget(panel)
    for flicker, shown in ((0.0, False), (12.34, True), (0.04, False)):
        panel.show_statistics(Statistics(light_flicker=flicker), Percentiles())
        assert ("light_flicker" in panel.table.rates) is shown
        assert not shown or panel.texts["light_flicker"] == "12.3 per pixel"


def test_what_was_dropped_as_noise_is_said_with_its_reasons(qtbot: QtBot) -> None:
    panel = NumbersPanel()
    qtbot.addWidget(panel)
    noise = DenoiseCounts(events=1000, hot=10, refractory=20, isolated=300)
    panel.show_statistics(Statistics(noise=noise), Percentiles())
    assert (
        "300 (30.0 %) isolated, 20 (2.0 %) too soon after another, 10 (1.0 %) of hot"
        in panel.table.explained("kept")
    )


def test_the_rate_after_the_filters_is_of_the_same_two_seconds() -> None:
    rolling = RollingStatistics()
    for packet in range(400):
        events = np.zeros(50, EVENTS_DTYPE)
        events["t"] = 10_000 * packet
        rolling.arrived.add(Packet(events))
        rolling.kept.add(Packet(events[:10]))
    found = rolling.snapshot(Counts(), now_s=0.0)
    assert (found.events_per_s, found.kept_per_s) == (pytest.approx(5000.0), pytest.approx(1000.0))


# A session


class LiveBar(Closing):
    """Once told to go, a noisy bar of a second in packets of 10 ms, then nothing; two events were out of order."""

    resolution = SENSOR
    name, live, warnings = "", True, ()

    def __init__(self) -> None:
        self.counters = SourceCounters(out_of_order=2)
        self.go, self.closed = threading.Event(), threading.Event()
        self.given = False

    def __iter__(self) -> Iterator[Packet]:
        self.go.wait()
        for packet in np.array_split(noisy_bar(1_000_000), 100):
            self.counters.events += packet.size
            yield Packet(packet, time.perf_counter())
        self.given = True
        self.closed.wait()

    def close(self) -> None:
        self.go.set()
        self.closed.set()


def test_every_event_of_a_live_source_is_taken_or_dropped_and_its_recording_has_them_all(
    model_folder: Path, tmp_path: Path
) -> None:
    source = LiveBar()
    session = Session(source, model_folder, choices=Choices(denoise=True, speed=1.0))
    session.start()
    wait_until(lambda: session.opened)
    recorder = session.control.record(tmp_path / "raw.aedat4")
    assert recorder is not None
    source.go.set()
    wait_until(lambda: source.given)
    assert session.stop()
    assert recorder.close()
    counts = session.statistics
    assert counts.noise.dropped > 0.1 * source.counters.events
    lost = counts.dropped + counts.skipped + counts.unread
    assert counts.events + lost == source.counters.events
    assert counts.out_of_order == 2
    with open_recording(tmp_path / "raw.aedat4") as raw:
        recorded = sum(packet.events.size for packet in raw)
    assert recorded == recorder.recorded.events == source.counters.events


def test_a_seek_forgets_what_was_active_and_every_pass_is_counted(model_folder: Path, noisy: Path) -> None:
    session = Session(noisy, model_folder, choices=Choices(denoise=True, speed=float("inf")))
    session.start()
    wait_until(lambda: session.control.state == "ended")
    first = session.statistics.noise
    assert first.events == noisy_bar(20_000_000).size
    session.control.seek(0)
    wait_until(lambda: session.statistics.noise.events == 2 * first.events)
    wait_until(lambda: session.control.state == "ended")
    assert session.stop()
    second = session.statistics.noise
    assert second.isolated == 2 * first.isolated
