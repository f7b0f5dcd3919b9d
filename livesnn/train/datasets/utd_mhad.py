"""UTD-MHAD (Chen et al. 2015): eight people before a depth camera, as a DVS might have seen them.

    UTD-MHAD/Depth/aA_sS_tT_depth.mat    action A (1 to 27) by subject S (1 to 8), trial T: d_depth, uint16, mm

"UTD-MHAD: A Multimodal Dataset for Human Action Recognition Utilizing a Depth Camera and a Wearable Inertial Sensor",
ICIP. Waves, claps and circles are gestures of DVS-Gesture; the 23 other actions are "other". Each take is used twice:
as it is, which is a mirror's picture of the person, and mirrored. The test part is subjects 2, 4, 6 and 8.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import DataError, FormatError
from livesnn.events.packet import Events, Packet, Resolution
from livesnn.events.slicer import Slicer
from livesnn.simulate.motions import GESTURES, MIRRORED, mirrored
from livesnn.simulate.scene import Scatter, delayed, scattered
from livesnn.train.datasets.clips import Clips, Frames, Parts
from livesnn.train.datasets.gestures_sim import INPUT
from livesnn.train.datasets.layout import Finding, absent, damage
from livesnn.train.datasets.recorded import Recording, load_recordings, windows_of
from livesnn.train.datasets.request import DataRequest, SplitName
from livesnn.train.datasets.split import split_by_group, split_clips
from livesnn.untrusted import DAMAGE
from livesnn.video.dvs_pixel import DvsPixels, DvsPixelSpec, FloatImage

__all__ = ["INPUT", "MIRRORED", "PROTOCOLS", "SENSOR", "TAKES", "check", "load_parts", "load_split"]
TAKES = "UTD-MHAD's depth data from personal.utdallas.edu/~kehtar/UTD-MHAD.html, unpacked in {data}/UTD-MHAD/Depth"
PROTOCOLS = ("",)
VERSION = 1
"""Version of the events made of depth. Raise it with every change of them, so that stale caches are not used."""

PERFORMED = {
    3: "left_hand_wave",
    4: "hand_clapping",
    9: "left_arm_counter_clockwise",
    10: "left_arm_clockwise",
}
"""Actions that are gestures, as the mirror's picture shows them; all others are "other"."""

OTHER = GESTURES[-1]
MIDDLE = 0.6
"""Share of a take, in its middle, in which its gesture is performed: it begins and ends with hanging arms."""

SHOWN = tuple(name for name in GESTURES if name == OTHER or {name, mirrored(name)} & {*PERFORMED.values()})
"""The classes of a model that is trained on it: those of `GESTURES` that somebody performs."""

TEST_SUBJECTS = (2, 4, 6, 8)

Depth = npt.NDArray[np.uint16]


class Look(NamedTuple):
    """Luminances of a wall, of clothes and of bare skin, 0 to 1: a depth camera doesn't see them."""

    wall: float
    clothes: float
    skin: float


SENSOR = Resolution(128, 128)
FRAME_US = 1_000_000 / 30
STEPS = 8  # Pictures for each of the depth camera's, 4.2 ms apart

FOCAL_PX = 285.6  # Focal length of the Kinect's depth camera at 320×240, in pixels

SIDE_M = 1.5
"""Edge of the square that the sensor sees at the person's distance: a person is as large as in DVS-Gesture."""

ABOVE_M = 0.5  # Of that square, above the head

PIXEL = DvsPixelSpec(threshold_on=0.12, threshold_off=0.12, cutoff_hz=100.0)
SCATTER, LATE_US = Scatter(0.15, 9.0), 50.0  # Events of a middling simulated sensor (simulate/scene.py)

STILL = 0.03
"""Change of log luminance in 5 pictures, of a few pixels together, below which nothing moves; twice that does."""

LOOKS = (Look(1.0, 0.6, 0.3), Look(0.2, 0.3, 0.55))
"""Before a bright wall, and before a dark one. As in DVS-Gesture, arms have more contrast than clothes."""

NEAR_MM = 300.0  # Bare is what is at least so much nearer than the trunk; less, in part


class Take(NamedTuple):
    """The recording of one action, once."""

    path: Path
    action: int
    subject: int

    def gesture(self, *, mirrored_too: bool) -> str:
        shown = PERFORMED.get(self.action, OTHER)
        return mirrored(shown) if mirrored_too else shown


def load_parts(request: DataRequest, before: ModelCard | None = None) -> Parts:
    """Return the windows of subjects 1, 3, 5 and 7, some of whom are kept for validation by seed."""
    clips = _load(find_takes(request.data), request.input, test=False)
    return split_clips(_of_classes(clips, SHOWN), request, before)


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    """Return the windows of the test subjects, or of those that the card's split kept or left.

    For a model of another data set, "validation" and "train" are all of subjects 1, 3, 5 and 7.
    """
    clips = _load(find_takes(data), card.input, test=split == "test")
    if card.classes == SHOWN:
        clips = _of_classes(clips, SHOWN)
    if split == "test" or card.dataset != "utd-mhad" or card.split is None:
        return clips
    return split_by_group(clips, card.split)[split == "validation"]


def check(data: Path) -> list[Finding]:
    takes = find_takes(data)
    findings = []
    for subject in sorted({take.subject for take in takes}):
        count = sum(take.subject == subject for take in takes)
        findings.append(Finding("complete", f"subject {subject}: {count} takes", count))
    return findings + [found for take in takes for found in damage(read_depth, take.path)]


def find_takes(data: Path) -> list[Take]:
    """Return the takes in a folder, by name; raises DataError if there are none."""
    found = []
    for root in (data, data / "UTD-MHAD", data / "people" / "UTD-MHAD"):
        for path in sorted((root / "Depth").glob("a*_s*_t*_depth.mat")):
            if name := re.fullmatch(r"a(\d{1,2})_s(\d)_t\d_depth\.mat", path.name, re.ASCII):
                found.append(Take(path, int(name[1]), int(name[2])))
    if not found:
        raise absent("utd-mhad", "UTD-MHAD", data, "UTD-MHAD/Depth/a1_s1_t1_depth.mat …", TAKES)
    return found


def _load(takes: Sequence[Take], spec: InputSpec, *, test: bool) -> Clips:
    wanted = [take for take in takes if (take.subject in TEST_SUBJECTS) == test]
    if not wanted:
        subjects = ", ".join(map(str, sorted({take.subject for take in takes})))
        raise DataError(f"only subjects {subjects} are there: add the others, or choose another --split")
    recordings = [
        Recording(
            take.path,
            GESTURES.index(take.gesture(mirrored_too=mirrored_too)),
            f"{take.path.stem}{'/mirrored' * mirrored_too}",
            f"subject {take.subject}",
            mirrored=mirrored_too,
        )
        for take in wanted
        for mirrored_too in (False, True)
    ]
    return load_recordings(f"utd-mhad-{VERSION}", recordings, GESTURES, spec, read=_windows)


def _of_classes(clips: Clips, classes: tuple[str, ...]) -> Clips:
    labels = np.array([classes.index(clips.classes[label]) for label in clips.labels], np.int64)
    return replace(clips, labels=labels, classes=classes)


def _windows(recording: Recording, spec: InputSpec) -> Frames:
    frames = Slicer(SENSOR, spec).push(Packet(take_events(recording.path)))
    if GESTURES[recording.label] != OTHER:
        aside = round(len(frames) * (1 - MIDDLE) / 2)
        frames = frames[aside : len(frames) - aside]
    return windows_of(frames, spec)


def take_events(path: Path) -> Events:
    cv2.setNumThreads(1)  # several processes do this at a time
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    look = LOOKS[rng.integers(len(LOOKS))]
    return depth_events(read_depth(path), look, rng)


def read_depth(path: Path) -> Depth:
    """Return a take, uint16 [T, H, W] in mm; 0 is the background, which is cut away.

    Raises FormatError if it isn't one.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        depth = np.moveaxis(loadmat(path, variable_names=["d_depth"])["d_depth"], -1, 0)
    except (*DAMAGE, MatReadError) as error:
        raise FormatError(f"{path} can't be read ({error}): unpack it again") from error
    if depth.ndim != 3 or depth.dtype != np.uint16 or len(depth) < 6:
        raise FormatError(f"{path} holds {depth.dtype} {depth.shape}, not depth pictures: unpack it again")
    if not _rows_with_person(_ends(depth)).any(1).all():
        raise FormatError(f"{path} shows nobody at its beginning or end: leave it out")
    return np.ascontiguousarray(depth)


def _ends(depth: Depth) -> Depth:
    return np.concatenate([depth[:3], depth[-3:]])


def _rows_with_person(depth: Depth) -> npt.NDArray[np.bool_]:
    """Return bool [T, H]; a pixel or two are noise."""
    return np.count_nonzero(depth, axis=2) > 2


def seen_square(depth: Depth) -> npt.NDArray[np.float64]:
    """Return the affine map, float64 [2, 3], from the depth camera's pixels to the sensor's.

    The person stands in the middle when the take begins or ends.
    """
    ends = _ends(depth)
    z_mm = float(np.median(ends[ends > 0]))
    tops = _rows_with_person(ends).argmax(axis=1)
    top = min(np.median(tops[:3]), np.median(tops[3:]))  # who sits down or gets up stands at one of them
    middle = float(np.median(np.nonzero(ends)[2]))
    scale = SENSOR.width * z_mm / (FOCAL_PX * SIDE_M * 1000)
    above = ABOVE_M / SIDE_M * SENSOR.width
    return np.array([[scale, 0, SENSOR.width / 2 - scale * middle], [0, scale, above - scale * top]])


def shade(depth: Depth, square: npt.NDArray[np.float64], look: Look) -> FloatImage:
    """Return luminance float32 [T, 128, 128] of people lit from above the camera, before a wall."""
    trunk_mm = float(np.median(depth[depth > 0]))
    per_px = trunk_mm / FOCAL_PX
    pictures = np.empty((len(depth), *SENSOR[::-1]), np.float32)
    for each, out in zip(depth, pictures, strict=True):
        person = (each > 0).astype(np.float32)
        weight = cv2.GaussianBlur(person, (0, 0), 1.2)
        z_mm = cv2.GaussianBlur(each.astype(np.float32), (0, 0), 1.2) / np.maximum(weight, 1e-3)
        z_mm = np.where(weight > 0.05, z_mm, trunk_mm).astype(np.float32)
        slope_x, slope_y = (
            np.clip(cv2.Sobel(z_mm, cv2.CV_32F, *axes, scale=0.125 / per_px), -2, 2) for axes in ((1, 0), (0, 1))
        )
        facing = (1 + 0.4 * slope_y) / np.sqrt((1 + slope_x**2 + slope_y**2) * 1.16)
        bare = np.clip((trunk_mm - z_mm) / NEAR_MM, 0, 1)
        light = look.clothes * (look.skin / look.clothes) ** bare * (0.4 + 0.6 * np.clip(facing, 0, 1))
        picture = look.wall + cv2.GaussianBlur(person, (0, 0), 0.7) * (light - look.wall)
        cv2.warpAffine(picture, square, SENSOR, out, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT, look.wall)
    return pictures


def steady(pictures: FloatImage) -> FloatImage:
    """Return pictures with medians of nine in place of what hardly moves: the depth camera flickers, at edges."""
    calm = np.median(_around(pictures, 4), axis=-1)
    near = _around(np.stack([cv2.GaussianBlur(each, (0, 0), 2.5) for each in np.log(pictures)]), 2)
    moving = np.clip((near.max(-1) - near.min(-1) - STILL) / STILL, 0, 1)
    for each in moving:
        each[:] = cv2.GaussianBlur(cv2.dilate(each, np.ones((5, 5))), (0, 0), 1.5)
    return np.asarray(calm + moving * (pictures - calm), np.float32)


def _around(pictures: FloatImage, frames: int) -> FloatImage:
    """Return [T, H, W, 2 · frames + 1]: each pixel from so many frames before to so many after."""
    padded = np.pad(pictures, ((frames, frames), (0, 0), (0, 0)), "edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * frames + 1, axis=0)


def between(pictures: FloatImage) -> FloatImage:
    """Return `STEPS` pictures for each but the first, moved along the dense optical flow from one to the next.

    Source of how the flows at a moment in between are estimated: Super SloMo (Jiang et al. 2018, CVPR).
    """
    grey = (255 / pictures.max() * pictures).astype(np.uint8)
    rows, columns = np.mgrid[: SENSOR.height, : SENSOR.width].astype(np.float32)

    def flow(first: int, last: int) -> FloatImage:
        found = np.empty((SENSOR.height, SENSOR.width, 2), np.float32)
        cv2.calcOpticalFlowFarneback(grey[first], grey[last], found, 0.5, 4, 9, 3, 5, 1.2, 0)
        return found

    def moved(picture: FloatImage, by: FloatImage) -> FloatImage:
        x, y = columns + by[..., 0], rows + by[..., 1]
        return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)

    moments = np.empty((len(pictures) - 1, STEPS, *pictures.shape[1:]), np.float32)
    for number in range(len(pictures) - 1):
        there, back = flow(number, number + 1), flow(number + 1, number)
        for step in range(STEPS):
            s = (step + 1) / STEPS
            before = moved(pictures[number], s * s * back - (1 - s) * s * there)
            after = moved(pictures[number + 1], (1 - s) * (1 - s) * there - s * (1 - s) * back)
            moments[number, step] = (1 - s) * before + s * after
    return moments.reshape(-1, *pictures.shape[1:])


def depth_events(depth: Depth, look: Look, rng: np.random.Generator) -> Events:
    """Return what a DVS would have seen in the place of the depth camera, from time 0 on.

    ``rng`` draws the sensor's mismatch and noise.
    """
    pictures = steady(shade(depth, seen_square(depth), look))
    pixels = DvsPixels(PIXEL, SENSOR, rng)
    state = pixels.initial_state(pictures[0], 0, rng)
    moments = between(pictures)
    times_us = np.rint(np.arange(1, len(moments) + 1) * (FRAME_US / STEPS)).astype(np.int64)
    events, _ = pixels.sequence(moments, times_us, state)
    return delayed(scattered(events, SCATTER, SENSOR, rng), LATE_US, rng)
