"""Digits that turn about their middle, drawn by ourselves frame by frame: Seq 2 of the paper as a live source.

Not here: drawing a digit (digits.py), the data set of that name (train/datasets/sequences.py).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, SliceRule
from livesnn.events.packet import Resolution
from livesnn.events.slicer import Frame
from livesnn.simulate.digits import SIZE, draw_digit
from livesnn.video.frame_source import FrameSource
from livesnn.video.video_file import check_takes_video, fit

STEPS = 10
"""Frames of a whole turn."""
TURNS = 3
"""Of a digit, before the next one comes."""
WAYS = ("clockwise", "counter-clockwise")

Bytes = npt.NDArray[np.uint8]


class Turn(NamedTuple):
    """What is to be seen from ``begun_us`` on: a digit, and which way it turns."""

    begun_us: int
    label: str


class TurningDigits(FrameSource):
    """One digit after another, each three times around, in real time: who is late gets the frames one after another.

    Parameters
    ----------
    seed
        Of digits, hands and directions.
    seconds
        After how much of its own time it ends.
    paced
        In real time; else as fast as its frames are asked for.
    clock
        Monotonic seconds.
    closed
        Ends it once it is set, as `close` does.

    Attributes
    ----------
    turns
        What has been shown so far, and what is now.
    """

    resolution = Resolution(SIZE, SIZE)

    def __init__(
        self,
        seed: int,
        *,
        seconds: float = math.inf,
        paced: bool = True,
        clock: Callable[[], float] = time.monotonic,
        closed: threading.Event | None = None,
    ) -> None:
        self.name = "simulate:digits"
        self.turns: list[Turn] = []
        self._seed = seed
        self._seconds = seconds
        self._paced = paced
        self._clock = clock
        self._closed = closed or threading.Event()

    def frames(self, rule: SliceRule, input: InputSpec, from_us: int = 0) -> Iterator[Frame]:  # noqa: A002
        """Yield a frame each Δt, a tenth of a turn on each time; each turn begins or ends upright. Until `close`."""
        delta_t_us = check_takes_video(input, self.name, "choose mnist-seq2")
        begun_s = self._clock()
        t_us = 0
        for label, images in self._digits():
            self.turns.append(Turn(t_us, label))
            for image in images:
                left_s = begun_s + t_us * 1e-6 - self._clock() if self._paced else 0.0
                if t_us * 1e-6 >= self._seconds or self._closed.wait(max(left_s, 0.0)):
                    return
                picture = fit(np.repeat(image[..., None], 3, axis=2), input)
                yield Frame(t_us, picture, 0, time.perf_counter(), start=t_us == 0)
                t_us += delta_t_us

    def _digits(self) -> Iterator[tuple[str, list[Bytes]]]:
        """Yield digits for ever, no one after itself, with what is to be seen of each, uint8 [28, 28] a frame."""
        rng = np.random.default_rng(self._seed)
        digit = int(rng.integers(10))
        while True:
            way = int(rng.integers(2))
            drawn = draw_digit(digit, rng)
            turn = [turned(drawn, 360 / STEPS * step) for step in range(STEPS)]
            yield f"{digit} {WAYS[way]}", (turn[::-1] if way else turn) * TURNS
            digit = (digit + int(rng.integers(1, 10))) % 10

    def limited(self, seconds: float, stop: threading.Event) -> TurningDigits:
        """Return the first seconds of it, or what comes until ``stop`` is set."""
        return TurningDigits(self._seed, seconds=seconds, paced=self._paced, clock=self._clock, closed=stop)

    def close(self) -> None:
        """End the iteration, from any thread; safe to call twice."""
        self._closed.set()


def turned(image: Bytes, degrees: float) -> Bytes:
    """Return a picture uint8 [H, W] turned clockwise about its middle: bilinear, zero outside, of the same size.

    As `train.datasets.sequences` has it, which needs torch.
    """
    height, width = image.shape
    across, down = np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2
    place = across[None, :] + 1j * down[:, None]
    source = place * np.exp(-1j * np.deg2rad(degrees)) + complex(width - 1, height - 1) / 2
    x, y = source.real, source.imag
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    padded = np.pad(image.astype(np.float64), 2)
    total = np.zeros(image.shape)
    for right, below in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = left + right, top + below
        weight = (1 - abs(x - column)) * (1 - abs(y - row))
        total += weight * padded[np.clip(row + 2, 0, height + 3), np.clip(column + 2, 0, width + 3)]
    return np.round(total + 1e-6).astype(np.uint8)
