"""A lesson: a gesture as somebody shows it. It is recorded or read, measured, and copied elsewhere and otherwise."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import DataError, ModelError, SourceError, error_message
from livesnn.events.filters import Orientation, check_seconds, orient_packets
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.labels import Label, has_labels, labels_file, read_labels
from livesnn.events.packet import EventSource
from livesnn.events.recorder import Recorder
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame
from livesnn.files import proposed_name
from livesnn.infer.run import FrameStream
from livesnn.json_text import decode_json
from livesnn.paths import own_models_dir
from livesnn.progress import Notify, no_notice
from livesnn.sources import open_source
from livesnn.untrusted import STRUCTURE_BYTES

RECORDINGS = "lessons.json"
"""File of a taught model that names the recordings which each class was learned from."""


def lessons_dir() -> Path:
    """Return the folder of recorded lessons, beside the taught models; what these recordings show is upright."""
    return own_models_dir() / "lessons"


def new_recording(gesture: str) -> Path:
    """Return where the next lesson of a gesture is recorded; raises SourceError if its folder can't be made."""
    folder = lessons_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"{folder} can't be made ({error.strerror}): set LIVESNN_MODELS to another folder"
        ) from error
    first = folder / proposed_name(gesture, datetime.now())
    names = (first.with_stem(f"{first.stem}-{number}") if number > 1 else first for number in count(1))
    return next(path for path in names if not path.exists())


def forget(recording: Path) -> None:
    for file in (recording, labels_file(recording)):
        file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Recordings:
    """What a class was learned from: recordings of it, and others that don't show it."""

    shown: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    denoise: bool = False  # whether noise was filtered first

    def __add__(self, more: Recordings) -> Recordings:
        shown, others = (tuple(dict.fromkeys(part)) for part in (self.shown + more.shown, self.others + more.others))
        return Recordings(shown, others, self.denoise or more.denoise)

    def each(self, named: Callable[[str], str | None]) -> Recordings:
        """Return all files by other names, without those that have none."""
        shown, others = (
            tuple(name for file in part if (name := named(file)) is not None) for part in (self.shown, self.others)
        )
        return replace(self, shown=shown, others=others)

    @property
    def there(self) -> Recordings:
        """Without the files that have gone."""
        return self.each(lambda file: file if os.path.isfile(parse_recording_path(Path(file)).file) else None)


def recordings_of(folder: Path) -> dict[str, Recordings]:
    """Return the recordings of each class, which may have gone since; raises ModelError if the list can't be read."""
    file = folder / RECORDINGS
    try:
        if file.exists() and (not file.is_file() or file.stat().st_size > STRUCTURE_BYTES):
            raise ModelError(f"{file} is no list of recordings: remove it, or copy the model again")
        kept = decode_json(file.read_bytes(), dict[str, Recordings]) if file.exists() else {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{file} can't be read ({error}): remove it, or copy the model again") from error
    beside = folder.resolve().parent
    return {name: each.each(lambda file: str(beside / file)) for name, each in kept.items()}


def recordings_file(kept: Mapping[str, Recordings], beside: Path) -> bytes:
    """Return the content of `RECORDINGS`; what is below the folder ``beside`` the model is named from there."""
    begins = f"{beside.resolve()}{os.sep}"
    return msgspec.json.encode(
        {name: each.each(lambda file: file.removeprefix(begins)) for name, each in kept.items()}
    )


Clip = npt.NDArray[np.uint8]  # Frames uint8 [T, C, H, W] without a gap in time between them

READY_S = 3.0  # Time to get ready in front of a live source

RESTING = 40  # At most so many frames before a performance are kept: two seconds, at 50 ms a frame


class Take(NamedTuple):
    """A gesture as somebody showed it."""

    clip: Clip
    before: (
        Clip  # The last frames before it in which nothing is performed, or before an earlier take if more are there
    )


def record_lesson(
    source: EventSource,
    path: Path,
    gesture: str,
    *,
    seconds: float,
    ready_s: float = READY_S,
    orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
    tell: Notify = no_notice,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Record someone in front of a live source, who stands still for ``ready_s`` and then performs a gesture.

    A label in the new file ``path`` says when it is performed. Seconds are those of ``clock``, from the first packet
    on, which may be empty. ``tell`` is told what to do, and afterwards what was lost. The source is closed at the
    end. Raises LivesnnError, and leaves no file, if the source is lost meanwhile, or if the file can't be written.
    """
    check_seconds(seconds)
    with closing(source):
        recorder = Recorder(path, orientation.resolution(source.resolution), source.name)
        first, begins_s, begun = None, 0.0, False
        try:
            for packet in orient_packets(source, source.resolution, orientation):
                now_s = clock()
                if first is None:
                    first, begins_s = packet, now_s + ready_s
                    tell(f"stand still: begin in {ready_s:g} s")
                if packet.epoch != first.epoch:
                    raise SourceError(
                        f"the source was lost before {gesture} was recorded: start over once it is back"
                    )
                if not begun and now_s >= begins_s:
                    begun = True
                    recorder.label(gesture)
                    tell(f"perform the gesture now, again and again for {seconds:g} s")
                recorder.put(packet)
                if recorder.finished or now_s >= begins_s + seconds:
                    break
            else:
                raise SourceError(f"the source ended before {gesture} was recorded: open it again and start over")
            complete = recorder.close()
            if recorder.error is not None:
                raise SourceError(error_message(recorder.error))
            if not complete:
                raise SourceError(f"{path}: its disk is too slow: free it, or choose another one")
        except BaseException:
            recorder.close()
            if recorder.file_bytes:  # otherwise the file is somebody else's
                forget(path)
            raise
        tell("you can stop now")
        lost = recorder.dropped + source.counters.dropped
        for warning in (*source.warnings, *[f"{lost:,} events were lost"] * (lost > 0)):
            tell(warning)


def read_takes(
    source: str,
    spec: InputSpec,
    *,
    seconds: float | None = None,
    label: str = "",
    unless: str = "",
    orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
    denoise: bool = False,
    tell: Notify = no_notice,
) -> list[Take]:
    """Return a recording's frames for the input ``spec``, in parts without a gap in time.

    ``label``, ``unless``: of a recording that has labels, only where this one holds, and that one doesn't, instead of
    the first ``seconds``. ``tell`` is told what was damaged or lost. Raises LivesnnError if it can't be read, none of
    its labels is ``label``, or that holds for no whole window.
    """
    check_seconds(seconds)
    with closing(open_source(source, notify=tell)) as opened:
        labelled = isinstance(opened, Recording) and bool(label) and has_labels(opened.path)
        stream = FrameStream(
            opened, spec, seconds=None if labelled else seconds, orientation=orientation, denoise=denoise
        )
        takes = takes_of(
            _labelled(stream, spec, opened, label, unless)
            if isinstance(opened, Recording)
            else ((0, frame) for frame in stream)
        )
        for warning in stream.warnings:
            tell(f"{source}: {warning}")
    if labelled and not any(len(take.clip) >= spec.window for take in takes):
        raise DataError(
            f"{source}: no label {label} is as long as a window of {spec.window} frames: label a longer stretch"
        )
    return takes


Parts = Iterator[tuple[int | None, Frame]]
"""Frames, each with the number of its part of the source. None: it is between them, where nothing is performed."""


def takes_of(parts: Parts) -> list[Take]:
    """Return each part of a stream, in pieces where there is a gap in time."""
    takes: list[tuple[list[Clip], list[Clip]]] = []  # clips of one frame each
    before: deque[Clip] = deque(maxlen=RESTING)
    rest: list[Clip] = []
    last = None
    for part, frame in parts:
        if frame.start:
            before.clear()
        if part is None:
            before.append(frame.data[None])
        else:
            if frame.start or part != last:
                rest = [*before] if len(before) >= len(rest) else rest
                takes.append(([], rest))
                before.clear()
            takes[-1][0].append(frame.data[None])
        last = part
    return [Take(np.concatenate(clip), np.concatenate([clip[0][:0], *rest])) for clip, rest in takes]


def clips_of(stream: Iterable[Frame]) -> list[Clip]:
    """Return a stream's frames as clips, with a new one after each gap in time."""
    return [take.clip for take in takes_of((0, frame) for frame in stream)]


def _labelled(stream: Iterable[Frame], spec: InputSpec, recording: Recording, label: str, unless: str) -> Parts:
    """Yield the frames but those of other labels.

    A part is a stretch that ``label`` holds for, or the whole recording if it has no labels, except where ``unless``
    holds. A frame belongs to a part if most of it does.
    """
    labels = read_labels(recording.path)
    names = sorted({one.label for one in labels})
    if label and labels and label not in names:
        raise DataError(
            f"{recording.path} has labels, but none is {label}: name the gesture as one of {', '.join(names)}"
        )
    included = _parts(recording, labels, {label}) if label and labels else [(-math.inf, math.inf)]
    others = _parts(recording, labels, {*names} - {label} if label else {unless})
    before_us, left_out = recording.labels_start, False
    for frame in stream:
        begins_us = before_us if spec.slice.delta_t_us is None else frame.t - spec.slice.delta_t_us
        before_us = frame.t
        middle_us = (begins_us + frame.t) / 2
        part = next((i for i, (begin, end) in enumerate(included) if begin <= middle_us < end), None)
        if (unless or part is None) and any(begins_us < end and begin < frame.t for begin, end in others):
            left_out = True
            continue
        yield part, replace(frame, start=frame.start or left_out)
        left_out = False


def _parts(recording: Recording, labels: Iterable[Label], names: Collection[str]) -> list[tuple[float, float]]:
    zero_us = recording.labels_start
    return [(zero_us + 1e6 * one.start, zero_us + 1e6 * one.end) for one in labels if one.label in names]


PARTS = 8  # Parts along each side of the picture in which events are counted, to measure movement


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


Move = tuple[float, float, float]  # Like each of `MOVES`

MOVES = ((0.08, 0.0, 1.15), (-0.08, 0.0, 0.87), (0.0, 0.08, 0.87), (0.0, -0.08, 1.15))
"""Shift right and down, as parts of the picture, and size of the copies that are learned with a clip, since nobody
stands in the same place twice."""

OTHERWISE: dict[str, tuple[tuple[Move, ...], float]] = {
    "more slowly": (((0.0, 0.0, 1.0),), 0.7),
    "faster": (((0.0, 0.0, 1.0),), 1.4),
    "nearer to the camera": (((0.0, 0.0, 1.3),), 1.0),
    "farther from the camera": (((0.0, 0.0, 0.75),), 1.0),
    "more to the left and to the right": (((0.15, 0.0, 1.0), (-0.15, 0.0, 1.0)), 1.0),
}
"""How someone may perform a gesture otherwise than in the lesson: moves of the picture, and a tempo."""


def at_tempo(clip: Clip, tempo: float) -> Clip:
    """Return a clip as if its movements were so many times as fast, in frames of the same duration.

    Events are spread evenly over their frame, and numbers of them rounded at random.
    """
    ends = np.arange(int(len(clip) / tempo) + 1) * tempo
    whole = np.minimum(ends.astype(int), len(clip) - 1)
    counts = np.concatenate([np.zeros_like(clip[:1], np.float32), clip.cumsum(0, dtype=np.float32)])
    until = counts[whole] + (ends - whole).astype(np.float32)[:, None, None, None] * clip[whole]
    frames = np.diff(until, axis=0)
    random = np.random.default_rng(0).random(frames.shape, np.float32)
    return np.floor(frames + random).clip(0, 255).astype(np.uint8)


def moved(clip: Clip, moves: Sequence[Move] = MOVES) -> list[Clip]:
    """Return a copy of a clip for each move; counts are rounded at random, in proportion to their fraction."""
    import cv2  # half a second

    random = np.random.default_rng(0)
    height, width = clip.shape[-2:]
    copies = []
    for right, down, size in moves:
        across, along = (right + (1 - size) / 2) * width, (down + (1 - size) / 2) * height
        matrix = np.array([[size, 0, across], [0, size, along]])
        pictures = clip.reshape(-1, height, width).astype(np.float32)
        warped = np.stack([cv2.warpAffine(picture, matrix, (width, height)) for picture in pictures])
        rounded = np.floor(warped + random.random(warped.shape, np.float32))
        copies.append(rounded.clip(0, 255).astype(np.uint8).reshape(clip.shape))
    return copies


STILL = 0.5  # Somebody stands still if they move at most this share as much as in the take


def still_before(take: Take, window: int) -> npt.NDArray[np.bool_]:
    """Return in which windows before a take somebody stands still, bool [N]; the network settles in the first one."""
    before, moves = take.before[len(take.before) % window :], movement(take.clip, window)
    return movement(before, window)[1:] <= STILL * (np.median(moves) if len(moves) else 0)
