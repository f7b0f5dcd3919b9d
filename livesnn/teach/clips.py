"""Clips of frames from a source that shows a gesture, their movement, and shifted copies of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events.cameras.sensitivity import SensorSettings
from livesnn.events.filters import Orientation
from livesnn.events.labels import Label, has_labels, read_labels
from livesnn.events.packet import Packet
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame
from livesnn.infer.run import FrameStream
from livesnn.sources import is_live, open_source

Clip = npt.NDArray[np.uint8]  # Frames uint8 [T, C, H, W] without a gap in time between them

MOVES = ((0.08, 0.0, 1.15), (-0.08, 0.0, 0.87), (0.0, 0.08, 0.87), (0.0, -0.08, 1.15))
"""Shift right and down, as parts of the picture, and size of the copies that are learned with a clip, since nobody
stands in the same place twice."""

PARTS = 8  # Parts along each side of the picture in which events are counted, to measure movement

READY_S = 3.0  # Time to get ready in front of a live source


def read_clips(
    source: str,
    spec: InputSpec,
    *,
    seconds: float | None = None,
    label: str = "",
    unless: str = "",
    orientation: Orientation | None = None,
    sensor: SensorSettings | None = None,
    denoise: bool = False,
    ready_s: float = READY_S,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Clip]:
    """Return a source's frames for the input ``spec``, as clips.

    Raises LivesnnError if it can't be read, none of its labels is ``label``, or that holds for no whole window.

    Parameters
    ----------
    seconds
        End after so long: of a live source by the clock, from when it begins (`once_ready`).
    label, unless
        Of a recording that has labels, whatever its length: only where this one holds, and that one doesn't.
    sensor
        As for `livesnn.open_source`, of a camera; ignored for anything else.
    ready_s
        Time to get ready in front of a live source.
    tell
        Told when to get ready for a live source, when it begins, and when it is lost and back; afterwards of what
        was damaged or lost.
    """
    sensor = sensor if is_live(source) else None
    with closing(open_source(source, notify=tell, sensor=sensor)) as opened:
        labelled = isinstance(opened, Recording) and bool(label) and has_labels(opened.path)
        stream = FrameStream(
            opened,
            spec,
            seconds=None if labelled or seconds is None else ready_s * opened.live + seconds,
            orientation=orientation or Orientation(),
            gate=partial(once_ready, tell=tell, ready_s=ready_s) if opened.live else None,
            denoise=denoise,
        )
        clips = clips_of(
            _labelled(stream, spec, opened, label, unless) if isinstance(opened, Recording) else stream
        )
        for warning in stream.warnings:
            tell(f"{source}: {warning}")
    if labelled and not any(len(clip) >= spec.window for clip in clips):
        raise DataError(
            f"{source}: no label {label} is as long as a window of {spec.window} frames: label a longer stretch"
        )
    return clips


def once_ready(
    packets: Iterable[Packet],
    tell: Callable[[str], None],
    *,
    ready_s: float = READY_S,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Packet]:
    """Yield the packets of a live source from ``ready_s`` after the first one on.

    ``tell`` gets a line when to get ready, and one when to perform. ``clock`` returns seconds.
    """
    begins_s, begun = math.inf, False
    for packet in packets:  # empty ones come too
        if begins_s == math.inf:
            begins_s = clock() + ready_s
            tell(f"get ready: begin in {ready_s:g} s")
        if not begun and clock() >= begins_s:
            begun = True
            tell("perform the gesture now, again and again")
        if begun:
            yield packet


def clips_of(stream: Iterable[Frame]) -> list[Clip]:
    """Return a stream's frames as clips, with a new one after each gap in time."""
    clips: list[list[Clip]] = []
    for frame in stream:
        if frame.start or not clips:
            clips.append([])
        clips[-1].append(frame.data)
    return [np.stack(clip) for clip in clips]


def _labelled(
    stream: Iterable[Frame], spec: InputSpec, recording: Recording, label: str, unless: str
) -> Iterator[Frame]:
    """Yield the frames within the labels ``label``, if there are any labels, and outside the labels ``unless``."""
    labels = read_labels(recording.path)
    names = sorted({one.label for one in labels})
    if label and labels and label not in names:
        raise DataError(
            f"{recording.path} has labels, but none is {label}: name the gesture as one of {', '.join(names)}"
        )
    included = _parts(recording, labels, label) if label and labels else [(-math.inf, math.inf)]
    excluded = _parts(recording, labels, unless)
    before_us, last = recording.labels_start, -1
    for frame in stream:
        begins_us = before_us if spec.slice.delta_t_us is None else frame.t - spec.slice.delta_t_us
        before_us = frame.t
        within = (i for i, (begin, end) in enumerate(included) if begin <= begins_us and frame.t <= end)
        part = -1 if any(begins_us < end and begin < frame.t for begin, end in excluded) else next(within, -1)
        if part >= 0:
            yield replace(frame, start=frame.start or part != last)
        last = part


def _parts(recording: Recording, labels: Iterable[Label], name: str) -> list[tuple[float, float]]:
    zero_us = recording.labels_start
    return [(zero_us + 1e6 * one.start, zero_us + 1e6 * one.end) for one in labels if one.label == name]


def movement(clip: Clip, window: int) -> npt.NDArray[np.float64]:
    """Return for each whole window of a clip how unevenly its events lie in the picture, float64 [N].

    It is the variance of the counts in 8×8 parts of the picture, divided by their mean: 1 for noise, which is the
    same everywhere, and hundreds where something moves. The count of the busiest half percent of pixels is limited,
    since these may be hot.
    """
    height, width = (max(size // PARTS, 1) * PARTS for size in clip.shape[-2:])  # the rest is ignored
    uneven = []
    for first in range(0, len(clip) - window + 1, window):
        counts = clip[first : first + window].sum((0, 1), dtype=np.float64)[:height, :width]
        most = np.quantile(counts[counts > 0], 0.995) if counts.any() else 0
        rows, columns = (np.array_split(np.arange(size), PARTS) for size in counts.shape)
        parts = [np.minimum(counts[np.ix_(row, column)], most).sum() for row in rows for column in columns]
        uneven.append(np.var(parts) / np.mean(parts) if most else 0.0)
    return np.array(uneven)


def moved(clip: Clip) -> list[Clip]:
    """Return a copy of a clip for each of `MOVES`; counts are rounded at random, in proportion to their fraction."""
    import cv2  # half a second

    random = np.random.default_rng(0)
    height, width = clip.shape[-2:]
    copies = []
    for right, down, size in MOVES:
        across, along = (right + (1 - size) / 2) * width, (down + (1 - size) / 2) * height
        matrix = np.array([[size, 0, across], [0, size, along]])
        pictures = clip.reshape(-1, height, width).astype(np.float32)
        warped = np.stack([cv2.warpAffine(picture, matrix, (width, height)) for picture in pictures])
        rounded = np.floor(warped + random.random(warped.shape, np.float32))
        copies.append(rounded.clip(0, 255).astype(np.uint8).reshape(clip.shape))
    return copies
