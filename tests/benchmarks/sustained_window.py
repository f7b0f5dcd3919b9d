"""Measures the window while events come at a given rate: the process that sustained.py starts.

python -m tests.benchmarks.sustained_window ORDER.json REPORT.json
"""

from __future__ import annotations

import os
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import psutil

from livesnn.app.application import make_application
from livesnn.app.screen import check_screen
from livesnn.app.settings import SettingsFile
from livesnn.errors import LivesnnError
from livesnn.events.cameras.discovery import open_camera
from livesnn.events.cameras.driver import Device, Driver
from livesnn.events.cameras.prophesee import WAIT_S, PropheseeDriver
from livesnn.events.packet import Events, EventSource, Resolution
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.model import Model, State
from livesnn.infer.statistics import Percentiles
from livesnn.sources import Source

if TYPE_CHECKING:
    from livesnn.app.main_window import MainWindow

POLL_MS = 5

HD = Resolution(1280, 720)
HD_PERIOD_US = 25 * 4096
"""Of the events that repeat: whole steps of EVT 3.0's higher time, so that only these words change."""


@dataclass(frozen=True)
class Order:
    """What to measure.

    ``events``: a .npy file, EVENTS_DTYPE, of events that a simulated camera gives every `HD_PERIOD_US`; or a
    recording, which is played once. The window plays for ``warm_up_s`` before it is measured for ``seconds``, on so
    many logical processors, where the system lets a process choose.
    """

    events: str
    events_per_s: float
    model: str
    warm_up_s: float
    seconds: float
    cores: int


@dataclass(frozen=True)
class Measured:
    """What was measured in ``seconds``; None or nan where there was nothing to measure."""

    asked_events_per_s: float
    events_per_s: float
    frames_per_s: float
    dropped: int  # dropped, dropped_in_warm_up: events dropped while it was measured, and before
    dropped_in_warm_up: int
    step_ms: dict[str, float | None]  # percentiles of the time of the network only
    # Percentiles of the time from the arrival of a frame's last packet to the end of its step.
    latency_ms: dict[str, float | None]
    pictures_per_s: float
    engine_steps: dict[str, int]  # steps of each engine, those of the warm-up included
    cores: int | None  # number of processors on which it ran; None: unknown
    seconds: float
    memory_growth_mb: float
    processor_s_per_mev: float  # of all threads, per million events that came
    driver_ms: dict[str, float]  # percentiles of the time that packets waited in the camera's driver, and the longest


class TimedModel:
    """A `Model` that runs another one, and notes when each step ran, and on which engine."""

    def __init__(self, model: Model) -> None:
        self.card = model.card
        self.engines: Counter[str] = Counter()
        self._model = model
        self._notes = array("d")  # not a list of tuples: nothing for the garbage collector to go through

    @property
    def engine(self) -> str:
        return self._model.engine

    def initial_state(self) -> State:
        return self._model.initial_state()

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        begun_s = time.perf_counter()
        stepped = self._model.step(frame, state)
        self._notes.extend((frame.arrived_s, begun_s, time.perf_counter()))
        self.engines[self._model.engine] += 1
        return stepped

    def steps(self, from_s: float, to_s: float) -> npt.NDArray[np.float64]:
        """Return the steps that ended in this time, [N, 3]: arrival of the frame, start, end, all in s."""
        notes = np.array(self._notes).reshape(-1, 3)
        return notes[(notes[:, 2] >= from_s) & (notes[:, 2] < to_s)]


class Look(NamedTuple):
    """What had arrived, been dropped and been shown at a moment."""

    at_s: float
    events: int
    dropped: int
    pictures: int
    memory_bytes: int
    processor_s: float


STORED_DTYPE = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
"""Of neuromorphic_drivers.Evt3Packet.polarity_events."""

USB_US = 4_000
"""Events that the simulated driver gives at once."""


class SimulatedEvk4:
    """A neuromorphic_drivers.device.Device in real time, and the `Cameras` that find it.

    It gives the same events again and again. What nobody takes waits, as in the driver's queue of 512 MB.
    """

    def __init__(self, events: Events, duration_us: int, resolution: Resolution) -> None:
        stored = np.empty(events.size, STORED_DTYPE)
        for ours, theirs in zip(("t", "x", "y", "p"), STORED_DTYPE.names or (), strict=True):
            stored[theirs] = events[ours]
        ends = np.append(np.arange(USB_US, duration_us, USB_US), duration_us)
        cuts = np.searchsorted(events["t"], ends[:-1])
        self._packets = list(zip(np.split(stored, cuts), ends.tolist(), strict=True))
        self._duration_us, self._resolution = duration_us, resolution
        self._index = 0  # of the next packet
        self._begun_s: float | None = None
        self.waited_s = array("d")  # time, and for how long what it gives then has waited

    def __next__(self) -> tuple[Any, Any]:
        """Return a status, and a packet or, after `WAIT_S`, None."""
        if self._begun_s is None:
            self._begun_s = time.perf_counter()
        stored, begun_us, end_us = self._at(self._index)
        left_s = self._due_s(end_us) - time.perf_counter()
        if left_s > 0:
            time.sleep(min(left_s, WAIT_S))
            if left_s > WAIT_S:
                return SimpleNamespace(ring=None), None
        self._index += 1
        now_s, unix_s = time.perf_counter(), time.time()
        waited_s = now_s - self._due_s(end_us)
        self.waited_s.extend((now_s, waited_s))
        events = stored.view(np.uint8).copy().view(STORED_DTYPE)  # 20 times as fast as a copy of structures
        events["t"] += np.uint64(begun_us)
        ring = SimpleNamespace(
            system_time=unix_s - waited_s, current_t=end_us, raw_packets=1, backlog=self._waiting()
        )
        return SimpleNamespace(ring=ring, system_time=unix_s), SimpleNamespace(polarity_events=events)

    def clear_backlog(self, until: int) -> None:
        """Leave what is due out, up to so many packets."""
        self._index += max(self._waiting() - until, 0)

    def _at(self, index: int) -> tuple[npt.NDArray[np.void], int, int]:
        """Return a packet's events, the time that is added to theirs, and the end of the packet, in µs."""
        number, of_these = divmod(index, len(self._packets))
        stored, end_us = self._packets[of_these]
        return stored, number * self._duration_us, number * self._duration_us + end_us

    def _due_s(self, end_us: int) -> float:
        return (self._begun_s or 0.0) + end_us / 1e6

    def _waiting(self) -> int:
        """Return how many packets are due."""
        passed_us = round((time.perf_counter() - (self._begun_s or 0.0)) * 1e6)
        number, within_us = divmod(passed_us, self._duration_us)
        of_these = sum(end_us <= within_us for _, end_us in self._packets)
        return max(number * len(self._packets) + of_these - self._index, 0)

    def close(self) -> None:
        """Do nothing."""

    def discover(self) -> list[Device]:
        return [Device("camera", "camera:HD", "simulated EVK4", "HD", self._resolution)]

    def open(self, serial: str) -> Driver:
        return PropheseeDriver(f"simulated EVK4 {serial}", self._resolution, self)  # type: ignore[arg-type]

    def waited_ms(self, from_s: float, to_s: float) -> dict[str, float]:
        """Return percentiles of the time that packets waited, and the longest."""
        at_s, waited_s = np.array(self.waited_s).reshape(-1, 2).T
        waited_ms = 1e3 * waited_s[(at_s >= from_s) & (at_s < to_s)]
        return Percentiles.of(waited_ms)._asdict() | {"longest": float(waited_ms.max(initial=0.0))}


def measure_window(order: Order) -> Measured:
    """Show the window until it has been measured.

    Raises LivesnnError if there is no screen, the model can't be loaded, or nothing was shown.
    """
    check_screen()
    cores = _use_cores(order.cores)
    from livesnn.app.main_window import MainWindow  # not before: without Qt's libraries it can't be imported

    settings = SettingsFile()
    application = make_application(settings)
    camera = None
    source: str | Source = order.events
    if order.events.endswith(".npy"):
        camera = SimulatedEvk4(np.load(order.events), HD_PERIOD_US, HD)
        source = open_camera("camera", cameras=camera)
    model = TimedModel(load_model(order.model))
    window = MainWindow(model, settings=settings)
    window.show()
    window.open(source)
    looks: list[Look] = []
    _look_and_close(window, source, order, looks)
    application.exec()
    window.close()
    if len(looks) < 2:
        raise LivesnnError(window.player.last_error or "the window was closed before it was measured")
    first, last = looks
    seconds = last.at_s - first.at_s
    arrived = last.events - first.events
    arrived_s, begun_s, ended_s = model.steps(first.at_s, last.at_s).T
    return Measured(
        asked_events_per_s=order.events_per_s,
        events_per_s=arrived / seconds,
        frames_per_s=len(ended_s) / seconds,
        dropped=last.dropped - first.dropped,
        dropped_in_warm_up=first.dropped,
        step_ms=Percentiles.of(1e3 * (ended_s - begun_s))._asdict(),
        latency_ms=Percentiles.of(1e3 * (ended_s - arrived_s))._asdict(),
        pictures_per_s=(last.pictures - first.pictures) / seconds,
        engine_steps=dict(model.engines),
        cores=cores,
        seconds=seconds,
        memory_growth_mb=(last.memory_bytes - first.memory_bytes) / 1e6,
        processor_s_per_mev=1e6 * (last.processor_s - first.processor_s) / max(arrived, 1),
        driver_ms={} if camera is None else camera.waited_ms(first.at_s, last.at_s),
    )


def _use_cores(number: int) -> int | None:
    """Use at most so many processors; return how many are used, None if that isn't known."""
    if sys.platform != "linux":
        return None
    usable = sorted(os.sched_getaffinity(0))[:number]
    os.sched_setaffinity(0, usable)
    return len(usable)


def _look_and_close(window: MainWindow, source: str | Source, order: Order, looks: list[Look]) -> None:
    """Append a look after the warm-up, which begins with the first picture, and one at the end; then close."""
    from PySide6.QtCore import QTimer

    def look() -> None:
        if window.session is not None:
            counts, pictures = window.session.statistics, window.view.shown
            if isinstance(source, EventSource):
                came = source.counters.events
            else:
                came = counts.events + counts.dropped + counts.skipped + counts.unread
            at_s, processor_s = time.perf_counter(), time.process_time()
            memory_bytes = psutil.Process().memory_info().rss
            looks.append(Look(at_s, came, counts.dropped, pictures, memory_bytes, processor_s))

    def end() -> None:
        look()
        window.close()

    def wait() -> None:
        if window.session is None or window.session.error is not None:
            window.close()
        elif window.view.shown:
            watch.stop()
            QTimer.singleShot(round(1000 * order.warm_up_s), window, look)
            QTimer.singleShot(round(1000 * (order.warm_up_s + order.seconds)), window, end)

    watch = QTimer(window)
    watch.timeout.connect(wait)
    watch.start(POLL_MS)


def main(order_file: str, report_file: str) -> None:
    """Measure what a JSON file orders, and write the report to another: `Measured`, or {"error": why}."""
    order = msgspec.json.decode(Path(order_file).read_bytes(), type=Order)
    try:
        report: object = measure_window(order)
    except LivesnnError as error:
        report = {"error": str(error)}
    Path(report_file).write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
