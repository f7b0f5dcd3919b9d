"""Still images that move before a sensor: N-MNIST's three saccades and CIFAR10-DVS's closed loop, simulated.

N-MNIST: Orchard et al. 2015, "Converting static image datasets to spiking neuromorphic datasets using saccades"
(Frontiers in Neuroscience 9:437): an ATIS sensor on a pan-tilt head looks at MNIST digits on a monitor. All numbers
here were fitted to 28 training recordings and the simulated recordings of the same digits. On the first 1,000
recordings, frames of 30 ms then correlate at 0.91, and counts of events at 0.997. Images stand upright (x right, y
down, as in MNIST), and digits are dark on bright. The image's path starts at the upper left, goes down, then up to
the right, then left to its start.

CIFAR10-DVS: Li et al. 2017, "CIFAR10-DVS: An Event-Stream Dataset for Object Classification" (Frontiers in
Neuroscience 11:309). A DVS128 looks at an LCD of 60 Hz, which shows the image enlarged to 512×512 by bicubic
interpolation. The image moves along four diagonals, 10 pixels along x and y in 50 ms each, back to its start, again
and again (as programs that repeat the recording give it). The real set's 10,000 recordings have 205,071 events in
1.298 s on average (github.com/jackd/stsc, dataset-info.py); the thresholds here were chosen to make as many. What
isn't published is assumed: the lens, the screen's black, and that the camera never sees the image's border.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import DataError, SourceError
from livesnn.events.packet import Events, Resolution
from livesnn.simulate.body import minimum_jerk
from livesnn.video.dvs_pixel import SRGB_LIGHT, DvsPixels, DvsPixelSpec, FloatImage

Range = tuple[float, float]  # Lowest and highest value of a uniform distribution

RESOLUTION = Resolution(34, 34)
CYCLE_US = 315_000
LEAD_US = 102_000  # the saccade before a recording begins, whose events are not kept
FRAME_US = 3000


class Move(NamedTuple):
    """A minimum-jerk move of the image: its start, duration and length in pixels."""

    start_ms: float
    duration_ms: float
    dx: float
    dy: float


MOVES = (
    Move(3.4, 75, 0, 5.37),
    Move(40.6, 41.1, 1.79, -0.05),
    Move(76.8, 44.9, 0.25, -0.05),
    Move(99, 80.6, 2.45, -0.15),
    Move(114.4, 73.6, 0.11, -5.2),
    Move(153.5, 65.5, 0.81, 0.17),
    Move(214.9, 47.7, -2.24, 0.08),
    Move(237.8, 42.6, -2.29, -0.17),
    Move(259.8, 40.7, -0.88, 0),
)
"""One cycle of three saccades, which ends at its start. Pan and tilt lag differently, so each has its moves."""


_ATIS = DvsPixelSpec(
    threshold_on=0.248,
    threshold_off=0.229,
    mismatch=0.02,
    leak_hz=0.39,
    noise_hz=0.03,
    hot_fraction=0.002,
    hot_hz=20.0,
    refractory_us=190.0,
    cutoff_hz=43.0,
    dark_luminance=0.01,
)


@dataclass(frozen=True)
class SaccadeSpec:
    """Distributions of one recording's settings.

    The means are N-MNIST's. Its measured spread is 1.7 ms in start, 0.1 pixels in shift, 0.03 in amplitude and 4 % in
    the number of events of the same digit. The defaults are somewhat wider.
    """

    black: Range = (0.14, 0.165)  # Luminance of full ink; the paper has 1
    threshold: Range = (0.92, 1.08)  # Factor on both thresholds of the pixels
    pixel: DvsPixelSpec = _ATIS  # The sensor's pixels
    blur: float = 0.075  # Share of its light that a point gives to each horizontal and vertical neighbour
    # Sensor position (x, y) of the upper left pixel of a 28×28 image at rest
    corner: tuple[float, float] = (0.43, 1.36)
    shift: Range = (-0.25, 0.25)  # Added to each of ``corner``'s coordinates
    amplitude: Range = (0.95, 1.05)  # Factor on all moves
    start_ms: Range = (-3.0, 3.0)  # Delay of the whole cycle
    speed: Range = (0.98, 1.02)  # Factor on speed: with 1.1 all moves come a tenth earlier and faster
    scale: Range = (0.99, 1.04)  # Sensor pixels per image pixel
    rotation_degrees: Range = (-1.1, 2.9)  # Clockwise rotation of the image about its middle


NMNIST = SaccadeSpec()


def saccade_recording(
    image: npt.NDArray[np.uint8], rng: np.random.Generator, spec: SaccadeSpec = NMNIST, *, repeat: int = 1
) -> Events:
    """Return the events of an image seen in ``repeat`` cycles of three saccades, of 315 ms each, without a pause.

    ``image`` is uint8 [h, w], bright on black as in MNIST; 28×28 fills the 34×34 sensor as in N-MNIST. ``rng`` draws
    the settings and the noise: the same state gives the same events, 0 < t < 315,000 × ``repeat``. Raises DataError
    if the image is anything else, or ``repeat`` < 1.
    """
    if image.ndim != 2 or image.dtype != np.uint8 or repeat < 1:
        raise DataError(f"image {image.dtype} {image.shape} × {repeat}: give one grey uint8 [h, w] image, repeat ≥ 1")
    pixels = DvsPixels(_draw_pixel(spec, rng), RESOLUTION, rng)
    luminance = _blur(1 - image * ((1 - rng.uniform(*spec.black)) / 255), spec.blur).astype(np.float32)
    times = np.arange(-LEAD_US, repeat * CYCLE_US, FRAME_US)
    phase_ms = (times / 1000 - rng.uniform(*spec.start_ms)) * rng.uniform(*spec.speed)
    path = _path(phase_ms) * rng.uniform(*spec.amplitude) + spec.corner + rng.uniform(*spec.shift, 2)
    frames: FloatImage = _render(luminance, path, _turn(spec, rng), RESOLUTION.height, RESOLUTION.width)
    return _seen(frames, times, pixels, rng)


DVS128 = Resolution(128, 128)
SCREEN_PIXELS = 512  # Side of the image on the screen
LOOP_US, REFRESHES = 200_000, 12  # A loop, and the pictures of the screen in it
LOOP_PIXELS = 10
"""Length of each of the four moves along x and along y, in screen pixels."""

_DVS128 = DvsPixelSpec(
    threshold_on=0.215,
    threshold_off=0.215,
    mismatch=0.02,
    leak_hz=0.1,
    noise_hz=0.1,
    hot_fraction=0.0005,
    refractory_us=500.0,
    cutoff_hz=150.0,
    dark_luminance=0.03,
)


@dataclass(frozen=True)
class LoopSpec:
    """Distributions of the settings of one recording before the screen."""

    threshold: Range = (0.9, 1.1)  # Factor on both thresholds of the pixels
    pixel: DvsPixelSpec = _DVS128  # The sensor's pixels
    blur: float = 0.1  # As in `SaccadeSpec`
    response_ms: Range = (4.0, 10.0)  # Time in which the screen goes from one picture to the next
    shift: Range = (-1.0, 1.0)  # Offset of the image's middle, in sensor pixels
    # Sensor pixels for four of the screen's. At 1 the image would be as large as the view, and its border seen.
    scale: Range = (1.07, 1.1)
    rotation_degrees: Range = (-1.0, 1.0)


CIFAR10_DVS = LoopSpec()


def loop_recording(
    image: npt.NDArray[np.uint8],
    rng: np.random.Generator,
    spec: LoopSpec = CIFAR10_DVS,
    *,
    duration_us: int = 1_300_000,
) -> Events:
    """Return the events of an image that moves in a closed loop on a screen before a DVS128.

    ``image`` is uint8 [h, w, 3], RGB, gamma-coded as sRGB. ``rng`` draws the settings, the loop's phase and the
    noise: the same state gives the same events, 0 < t < ``duration_us``. Raises DataError for another image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise DataError(f"image {image.dtype} {image.shape}: give one uint8 [h, w, 3] image")
    pixels = DvsPixels(_draw_pixel(spec, rng), DVS128, rng)
    luminance = _blur(_on_screen(image), spec.blur).astype(np.float32)
    path = _loop_path() * (DVS128.width / SCREEN_PIXELS) + rng.uniform(*spec.shift, 2)
    shown: FloatImage = _render(luminance, path, _turn(spec, rng), DVS128.height, DVS128.width)
    refresh_us = LOOP_US / REFRESHES
    count = int(duration_us / refresh_us) + 2
    begins_us = (np.arange(count) - rng.uniform(0, 1)) * refresh_us  # of each picture; the second is after 0
    changed_us = begins_us + 1000 * rng.uniform(*spec.response_ms)
    # The screen is still from when it has changed until the next picture begins
    times = np.stack([changed_us, begins_us + refresh_us], 1).reshape(-1).astype(np.int64)
    order = np.repeat((np.arange(count) + rng.integers(REFRESHES)) % REFRESHES, 2)
    events = _seen(shown[order], times, pixels, rng)
    return events[: np.searchsorted(events["t"], duration_us)]


def recording_of_file(path: Path, *, seed: int, seconds: float) -> Events:
    """Return the `loop_recording` of the centre of a picture file, reduced to the size of CIFAR-10's images.

    Raises SourceError if it isn't a picture that OpenCV can read.
    """
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is empty or damaged"
        raise SourceError(f"{path} can't be read ({reason}): give a PNG or JPEG file") from error
    if picture is None:
        raise SourceError(f"{path} isn't a picture that livesnn reads: give a PNG or JPEG file")
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = cv2.resize(picture[top : top + side, left : left + side], (32, 32), interpolation=cv2.INTER_AREA)
    image = np.asarray(cv2.cvtColor(square, cv2.COLOR_BGR2RGB), np.uint8)
    return loop_recording(image, np.random.default_rng(seed), duration_us=round(seconds * 1e6))


def _on_screen(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the luminance [128, 128], 0 to 1, of an RGB image that a screen shows enlarged (IEC 61966-2-1)."""
    side = (SCREEN_PIXELS, SCREEN_PIXELS)
    shown = cv2.resize(image, side, interpolation=cv2.INTER_CUBIC)
    light = cv2.cvtColor(SRGB_LIGHT[shown], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(light, DVS128, interpolation=cv2.INTER_AREA), np.float32)


def _loop_path() -> npt.NDArray[np.float64]:
    """Return the offset of each picture of a loop from the loop's middle, in screen pixels, [`REFRESHES`, 2]."""
    corners = np.array([[-1, 0], [0, -1], [1, 0], [0, 1], [-1, 0]]) * LOOP_PIXELS
    along = np.arange(REFRESHES) * 4 / REFRESHES
    return np.stack([np.interp(along, np.arange(5), corners[:, axis]) for axis in (0, 1)], 1).round()


def _seen(frames: FloatImage, times: npt.NDArray[np.int64], pixels: DvsPixels, rng: np.random.Generator) -> Events:
    """Return the events of frames at rising times after 0 µs, of pixels that have seen the first one for long."""
    state = pixels.initial_state(frames[0], int(times[0]), rng)
    events, _ = pixels.sequence(frames[1:], times[1:], state)
    return events[np.searchsorted(events["t"], 1) :]


def _turn(spec: SaccadeSpec | LoopSpec, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw the map [2, 2] from sensor pixels to the image's."""
    angle, scale = np.deg2rad(rng.uniform(*spec.rotation_degrees)), rng.uniform(*spec.scale)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale


def _draw_pixel(spec: SaccadeSpec | LoopSpec, rng: np.random.Generator) -> DvsPixelSpec:
    factor, pixel = rng.uniform(*spec.threshold), spec.pixel
    on, off = factor * pixel.threshold_on, factor * pixel.threshold_off
    return replace(pixel, threshold_on=on, threshold_off=off)


def _path(phase_ms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the image's offset from its start in pixels, [T, 2]. The cycle repeats before and after."""
    moves = np.array(MOVES)
    s = np.clip((phase_ms[:, None] % (CYCLE_US / 1000) - moves[:, 0]) / moves[:, 1], 0, 1)
    return minimum_jerk(s) @ moves[:, 2:]


def _blur(luminance: npt.NDArray[np.floating], share: float) -> npt.NDArray[np.floating]:
    """Return the image blurred by three points each way, with paper around it."""
    padded = np.pad(luminance, 1, constant_values=1.0)
    rows = share * (padded[:-2] + padded[2:]) + (1 - 2 * share) * padded[1:-1]
    return share * (rows[:, :-2] + rows[:, 2:]) + (1 - 2 * share) * rows[:, 1:-1]


@njit(nogil=True, cache=True)
def _bilinear(padded, u, v):  # type: ignore[no-untyped-def]
    """Return the luminance at column u, row v of the image padded by one pixel of paper; 1 outside."""
    one = np.float32(1)
    if u < 0 or v < 0 or u >= padded.shape[1] - 1 or v >= padded.shape[0] - 1:
        return one
    column, row = int(u), int(v)
    a, b = np.float32(u - column), np.float32(v - row)
    upper = padded[row, column] * (one - a) + padded[row, column + 1] * a
    lower = padded[row + 1, column] * (one - a) + padded[row + 1, column + 1] * a
    return upper * (one - b) + lower * b


@njit(nogil=True, cache=True)
def _render(image, path, turn, height, width):  # type: ignore[no-untyped-def]
    """Return float32 [T, height, width]: the image with its upper left corner at each point of ``path``.

    The paper around the image has luminance 1. ``turn`` [2, 2] maps sensor to image, about the middle.
    """
    h, w = image.shape
    frames = np.empty((len(path), height, width), np.float32)
    padded = np.full((h + 2, w + 2), np.float32(1))
    padded[1:-1, 1:-1] = image
    middle_x, middle_y = (w - 1) / 2, (h - 1) / 2
    for k in range(len(path)):
        for y in range(height):
            from_x, from_y = -path[k, 0] - middle_x, y - path[k, 1] - middle_y
            u0 = turn[0, 0] * from_x + turn[0, 1] * from_y + middle_x + 1
            v0 = turn[1, 0] * from_x + turn[1, 1] * from_y + middle_y + 1
            for x in range(width):
                frames[k, y, x] = _bilinear(padded, u0 + turn[0, 0] * x, v0 + turn[1, 0] * x)
    return frames
