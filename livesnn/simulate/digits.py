"""Handwritten digits drawn stroke by stroke, their simulated recordings, and a live source of digits that turn.

They stand in for MNIST, which may not be shipped: the digits in recordings/ are made of them. The sequences that a
network is trained on are made of MNIST's digits, in train/datasets/mnist_frames.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, cos, radians, sin
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events.packet import Events, Resolution
from livesnn.events.slicer import Frame
from livesnn.simulate import DIGITS_URI
from livesnn.simulate.saccades import CYCLE_US, saccade_recording
from livesnn.video.frame_source import NO_LIMIT, FrameSource, Limit
from livesnn.video.video_file import check_takes_video, fit

FloatArray = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

SIZE, BOX = 28, 20.0  # as in MNIST: a digit fills 20 pixels, its centre of mass in the middle of 28

STYLES: dict[int, tuple[str, ...]] = {
    0: (
        "50,0 22,12 10,50 24,90 50,100 76,88 90,50 78,12 50,0",
        "66,4 30,10 8,52 28,96 64,92 88,50 78,14 52,2 40,10",
    ),
    1: (
        "50,0 50,50 50,100",
        "34,20 54,0 | 54,0 52,50 50,100",
        "30,22 50,0 | 50,0 50,100 | 28,100 74,99",
    ),
    2: (
        "14,24 26,4 56,0 80,16 76,42 46,72 12,99 | 12,99 50,97 90,98",
        "16,20 44,0 76,14 74,46 44,84 16,96 9,82 34,78 60,94 92,90",
    ),
    3: (
        "16,12 46,0 78,12 74,36 42,48 | 42,48 78,56 86,80 56,100 14,90",
        "16,2 50,2 82,1 | 82,1 46,42 | 46,42 80,52 84,82 54,100 14,92",
    ),
    4: (
        "20,0 14,30 16,50 | 16,50 50,54 88,46 | 80,2 74,50 66,100",
        "62,0 36,30 8,62 | 8,62 50,64 94,62 | 64,0 66,50 64,100",
    ),
    5: (
        "26,2 22,42 | 22,42 54,36 84,56 76,88 44,100 12,90 | 26,2 84,0",
        "84,4 40,4 | 40,4 30,40 | 30,40 60,42 80,62 68,92 36,100 10,92",
    ),
    6: (
        "70,0 40,18 18,56 24,90 52,100 80,84 78,60 52,52 24,70",
        "46,0 26,40 18,76 38,100 72,92 76,68 52,58 26,78",
    ),
    7: (
        "10,6 50,4 88,2 | 88,2 66,40 46,100",
        "10,6 50,4 88,2 | 88,2 62,46 48,100 | 38,52 84,48",
        "10,22 14,4 | 14,4 50,6 86,2 | 86,2 74,44 70,100",
    ),
    8: (
        "78,12 50,0 24,16 50,46 80,80 50,100 22,84 46,52 78,12",
        "50,46 26,32 28,10 52,0 76,12 72,34 50,46 | 50,46 20,64 22,92 50,100 80,90 78,62 50,46",
    ),
    9: (
        "78,10 46,0 18,22 30,46 60,44 78,12 | 78,10 76,50 70,100",
        "76,20 52,2 22,14 24,42 56,44 76,18 | 76,18 74,70 54,98 22,94",
    ),
}
"""The ways of writing each digit: smooth strokes, parted by |, through points x,y in percent of the box, y down."""


@dataclass(frozen=True)
class HandSpec:
    """Distributions of a handwriting. A pair gives the limits of a uniform distribution."""

    slant: tuple[float, float] = (-0.1, 0.4)  # How far the top leans to the right, in heights
    rotation_degrees: tuple[float, float] = (-6.0, 6.0)  # Rotation of the whole digit
    width: tuple[float, float] = (0.6, 0.95)  # Width of the box divided by its height
    pen_pixels: tuple[float, float] = (1.8, 3.2)  # Diameter of the pen
    bend: float = 0.04  # Standard deviation of a smooth warp of the paper, in heights
    tremor: float = 0.012  # Standard deviation of each point, in heights


USUAL_HAND = HandSpec()


def draw_digit(digit: int, rng: np.random.Generator, hand: HandSpec = USUAL_HAND) -> npt.NDArray[np.uint8]:
    """Return one handwritten ``digit`` as in MNIST: uint8 [28, 28], bright on black, centred by mass.

    Raises DataError if ``digit`` isn't 0 to 9.
    """
    if digit not in STYLES:
        raise DataError(f"digit {digit!r} can't be drawn: choose 0 to 9")
    style = STYLES[digit][rng.integers(len(STYLES[digit]))].split(" | ")
    bend = rng.standard_normal((2, 3, 2)) * hand.bend  # [axis, sine or cosine or both, of x and y]
    strokes = [_warp(_smooth(_tremble(stroke, hand, rng)), bend) for stroke in style]
    placed = _place(strokes, _lean(hand, rng))
    ink = _ink(placed, rng.uniform(*hand.pen_pixels))
    return np.rint(255 * _centre(ink)).astype(np.uint8)


def digit_recording(digit: int, rng: np.random.Generator, seconds: float) -> Events:
    """Return the simulated 34×34 recording of one drawn digit, with saccades for ``seconds``."""
    repeat = max(1, ceil(seconds * 1e6 / CYCLE_US))
    events = saccade_recording(draw_digit(digit, rng), rng, repeat=repeat)
    return events[events["t"] < seconds * 1e6]


def _tremble(stroke: str, hand: HandSpec, rng: np.random.Generator) -> FloatArray:
    """Return the points [n, 2] in heights, all but the end points moved a little."""
    points = np.array([point.split(",") for point in stroke.split()], np.float64) / 100
    points[1:-1] += rng.standard_normal(points[1:-1].shape) * hand.tremor
    return points


def _smooth(points: FloatArray) -> FloatArray:
    """Return a Catmull-Rom spline through ``points``, eight pieces from each to the next."""
    before, after = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    if np.array_equal(points[0], points[-1]):  # a closed loop
        before, after = points[-2], points[1]
    p = np.vstack([before, points, after])
    p0, p1, p2, p3 = (p[k : len(p) - 3 + k, None] for k in range(4))
    u = (np.arange(8) / 8)[None, :, None]
    curve = p1 + 0.5 * u * (p2 - p0 + u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * (3 * (p1 - p2) + p3 - p0)))
    return np.vstack([curve.reshape(-1, 2), points[-1:]])


def _warp(points: FloatArray, bend: FloatArray) -> FloatArray:
    """Return the points moved by a smooth field. Strokes that meet still meet."""
    turn = np.pi * points
    waves = np.stack([np.sin(turn), np.cos(turn), np.sin(turn) * np.cos(turn[:, ::-1])])
    return points + np.einsum("akc,knc->na", bend, waves)


def _lean(hand: HandSpec, rng: np.random.Generator) -> FloatArray:
    """Return a random linear map [2, 2] of width, slant and rotation."""
    angle = radians(rng.uniform(*hand.rotation_degrees))
    rotation = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    return rotation @ np.array([[rng.uniform(*hand.width), -rng.uniform(*hand.slant)], [0.0, 1.0]])


def _place(strokes: list[FloatArray], lean: FloatArray) -> list[FloatArray]:
    """Return the strokes in pixels, scaled to fill the box in the middle of the image."""
    leant = [points @ lean.T for points in strokes]
    low, high = np.vstack(leant).min(0), np.vstack(leant).max(0)
    scale = (BOX - 2) / max(high - low)  # the pen's own width fills the rest
    return [(points - (low + high) / 2) * scale + (SIZE - 1) / 2 for points in leant]


def _ink(strokes: list[FloatArray], pen_pixels: float) -> FloatArray:
    """Return the ink [28, 28], 0..1, of a round pen along the strokes, with an edge one pixel soft."""
    start = np.vstack([points[:-1] for points in strokes])
    along = np.vstack([points[1:] for points in strokes]) - start
    y, x = np.mgrid[:SIZE, :SIZE]
    from_start = np.stack([x, y], -1)[:, :, None] - start
    share = (from_start * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-12)
    gap = from_start - np.clip(share, 0, 1)[..., None] * along
    distance = np.sqrt((gap * gap).sum(-1).min(-1))
    return np.clip(pen_pixels / 2 + 0.5 - distance, 0, 1)


def _centre(ink: FloatArray) -> FloatArray:
    """Return the image shifted by whole pixels so that its centre of mass is in the middle; a border is kept."""
    shift = []
    for axis in (0, 1):
        profile = ink.sum(1 - axis)
        used = np.flatnonzero(profile)
        wanted = round((SIZE - 1) / 2 - float(profile @ np.arange(SIZE) / profile.sum()))
        shift.append(int(np.clip(wanted, 1 - used[0], SIZE - 2 - used[-1])))
    return np.roll(ink, shift, (0, 1))


STEPS = 10  # Frames of a whole turn
TURNS = 3  # Turns of one digit before the next digit comes
WAYS = ("clockwise", "counter-clockwise")


class Turn(NamedTuple):
    """From ``begun_us`` on a digit is shown; ``label`` says which, and which way it turns."""

    begun_us: int
    label: str


class TurningDigits(FrameSource):
    """One digit after another, each turning three times about its middle: the paper's task Seq 2 as a live source.

    ``seed`` draws the digits, their handwriting and directions. Where it is ``paced``, by the monotonic seconds of
    ``clock``, a late reader gets the waiting frames at once; otherwise frames come as fast as they are asked for.
    """

    resolution = Resolution(SIZE, SIZE)
    name = DIGITS_URI

    def __init__(self, seed: int, *, paced: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.turns: list[Turn] = []  # shown so far, the current one last
        self._seed = seed
        self._paced = paced
        self._clock = clock
        self._closed = threading.Event()

    def frames(self, input: InputSpec, from_us: int = 0, limit: Limit = NO_LIMIT) -> Iterator[Frame]:  # noqa: A002
        """Yield a frame each Δt until `close`, each turned by a tenth; a turn begins or ends upright."""
        delta_t_us = check_takes_video(input, self.name, "choose mnist-seq2")
        ended = limit.stop or self._closed
        begun_s = self._clock()
        t_us = 0
        for label, images in self._digits():
            self.turns.append(Turn(t_us, label))
            for image in images:
                left_s = begun_s + t_us * 1e-6 - self._clock() if self._paced else 0.0
                if t_us >= limit.end_us or ended.wait(max(left_s, 0.0)):
                    return
                picture = fit(np.repeat(image[..., None], 3, axis=2), input)
                yield Frame(t_us, picture, 0, time.perf_counter(), start=t_us == 0)
                t_us += delta_t_us

    def _digits(self) -> Iterator[tuple[str, list[Bytes]]]:
        """Yield digits for ever, never one twice in a row: its label, and its pictures uint8 [28, 28]."""
        rng = np.random.default_rng(self._seed)
        digit = int(rng.integers(10))
        while True:
            way = int(rng.integers(2))
            drawn = draw_digit(digit, rng)
            turn = [turned(drawn, 360 / STEPS * step) for step in range(STEPS)]
            yield f"{digit} {WAYS[way]}", (turn[::-1] if way else turn) * TURNS
            digit = (digit + int(rng.integers(1, 10))) % 10

    def close(self) -> None:
        self._closed.set()


def turned(image: Bytes, degrees: float) -> Bytes:
    """Return a picture uint8 [H, W] turned clockwise about its middle, bilinear, zero outside.

    `train.datasets.mnist_frames` does the same with torch.
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
