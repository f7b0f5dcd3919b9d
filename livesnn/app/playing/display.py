"""Packets become pictures in a mailbox, at most so many a second. Not here: how they look (accumulator.py)."""

from __future__ import annotations

import threading

import numpy as np

from livesnn.app.playing.accumulator import Accumulator, ViewSpec
from livesnn.app.playing.values import Picture
from livesnn.events import Events, Resolution
from livesnn.events.frames import Frame
from livesnn.threads import Latest


class Display:
    """Shows what arrives, whatever the network does.

    `add` is for the thread that captures, `begin` for before it does. The rest may be called from any thread; a
    picture that is half of the one packet and half of the next does no harm.

    Parameters
    ----------
    pictures
        Gets them.
    every_s
        Least real time between two pictures; 0: one a packet.
    """

    def __init__(self, resolution: Resolution, pictures: Latest[Picture], *, every_s: float) -> None:
        self._accumulator = Accumulator(resolution)
        self._pictures = pictures
        self._every_s = every_s
        self._showing = threading.Lock()
        self._shown_s = 0.0
        self._jumps = 0
        self._start_us = self._newest_us = 0
        self._arrived_s = 0.0  # of the newest event; 0: there is none yet

    def begin(self, jumps: int = 0) -> None:
        """Forget every event: what comes doesn't follow on, after so many jumps of a person's."""
        self._jumps = jumps
        self._forget()

    def _forget(self) -> None:
        self._accumulator.clear()
        self._arrived_s = 0.0

    def add(self, packet: Events, arrived_s: float, start_us: int) -> None:
        """Take in a packet, in microseconds, and show it when it is time, in milliseconds.

        An empty one says that nothing came: what there is fades by the clock. Where time jumps back it begins
        again. ``arrived_s`` is by `time.perf_counter`; pictures count from ``start_us``.
        """
        self._start_us = start_us
        if packet.size:
            newest_us = int(packet["t"][-1])
            if self._arrived_s and newest_us < self._newest_us:
                self._forget()
            self._accumulator.add(packet)
            self._newest_us, self._arrived_s = newest_us, arrived_s
        if arrived_s - self._shown_s >= self._every_s:
            self._shown_s = arrived_s
            quiet_us = 0 if packet.size else round(1e6 * (arrived_s - self._arrived_s))
            self._show(self._newest_us + quiet_us, arrived_s if packet.size else 0.0)

    def show_frame(self, frame: Frame, start_us: int) -> None:
        """Show a video's frame, uint8 [1 or 3, H, W], as the network sees it."""
        rgb = np.broadcast_to(frame.data, (3, *frame.data.shape[1:])).transpose(1, 2, 0)
        self._pictures.put(
            Picture(np.ascontiguousarray(rgb), frame.t - start_us, frame.arrived_s, self._jumps)
        )

    def show(self) -> None:
        """Show what there is at once, if there is anything: where a recording stops, or looks another way."""
        self._show(self._newest_us, 0.0)

    def set_view(self, view: ViewSpec) -> None:
        """Show it another way from now on, at once."""
        self._accumulator.set_view(view)
        self.show()

    def _show(self, t_us: int, arrived_s: float) -> None:
        if not self._arrived_s:
            return
        with self._showing:
            self._pictures.put(
                Picture(self._accumulator.picture(t_us), t_us - self._start_us, arrived_s, self._jumps)
            )
