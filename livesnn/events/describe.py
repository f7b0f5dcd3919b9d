"""What is in a recording, for `livesnn info`. Not here: playing it (recording.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from livesnn.errors import DataError, FormatError
from livesnn.events import Events, Resolution, SourceCounters
from livesnn.events.formats import EventStream, Reader, open_reader
from livesnn.events.formats.tidy import notes_on
from livesnn.events.labels import Label, read_labels
from livesnn.progress import Progress, share_of_time, untold

if TYPE_CHECKING:
    from livesnn.video import Video


@dataclass(frozen=True)
class StreamSummary:
    """One event stream. Times in µs; times and extents are None where there is no event.

    Of the ``n`` events, ``out_of_order`` were put in order of time; ``out_of_bounds`` others lie outside the sensor.
    """

    n: int
    on: int
    sumx: int
    sumy: int
    t0: int | None
    t1: int | None
    xmin: int | None
    xmax: int | None
    ymin: int | None
    ymax: int | None
    out_of_order: int
    out_of_bounds: int
    type: Literal["events"] = "events"


@dataclass(frozen=True)
class RecordingInfo:
    """What is in a recording: the fields of ``livesnn info --json``.

    ``resolution`` is [width, height], or None where the file doesn't say; ``duration_us`` is from the first
    event of any stream to the last; sums are in the file's own orientation, which ``orientation`` describes;
    ``labels`` are those beside the file.
    """

    format: str
    camera: str
    resolution: tuple[int, int] | None
    duration_us: int
    streams: dict[str, StreamSummary]
    orientation: str
    frames: int
    imu: int
    triggers: int
    labels: tuple[Label, ...]
    warnings: list[str]


@dataclass(frozen=True)
class VideoInfo(RecordingInfo):
    """What is in a video: no streams, ``frames`` at ``fps`` a second, which together last ``duration_us``."""

    fps: float


def describe(path: str | Path, progress: Progress = untold) -> RecordingInfo:
    """Read a whole recording or video and say what is in it; raises as `open_source` does, and as ``progress``."""
    try:
        reader = open_reader(Path(path), progress)
    except FormatError:
        from livesnn.video import is_video, open_video

        if not is_video(Path(path)):
            raise
        return _describe_video(open_video(path), progress)
    try:
        notes: list[str] = []
        streams = {stream.name: _summarise(reader, stream, notes, progress) for stream in reader.streams}
        other = reader.other_content()
        starts = [summary.t0 for summary in streams.values() if summary.t0 is not None]
        ends = [summary.t1 for summary in streams.values() if summary.t1 is not None]
        size = reader.resolution
        return RecordingInfo(
            format=reader.format,
            camera=reader.camera,
            resolution=None if size is None else (size.width, size.height),
            duration_us=max(ends) - min(starts) if ends else 0,
            streams=streams,
            orientation=reader.orientation,
            frames=other.frames,
            imu=other.imu,
            triggers=other.triggers,
            labels=_labels(Path(path), notes),
            warnings=[*reader.warnings, *notes],
        )
    finally:
        reader.close()


def _describe_video(video: Video, progress: Progress) -> VideoInfo:
    count = video.count_frames(progress)
    return VideoInfo(
        format=video.format,
        camera="",
        resolution=(video.width, video.height),
        duration_us=video.time_us(count),
        streams={},
        orientation="upright: x to the right, y down",
        frames=count,
        imu=0,
        triggers=0,
        labels=(),
        warnings=list(video.warnings),
        fps=float(video.fps),
    )


def _labels(recording: Path, notes: list[str]) -> tuple[Label, ...]:
    try:
        return read_labels(recording)
    except DataError as error:
        notes.append(str(error))
        return ()


def _summarise(reader: Reader, stream: EventStream, notes: list[str], progress: Progress) -> StreamSummary:
    counters = SourceCounters()
    n = on = 0
    sums = np.zeros(2, np.int64)
    low = np.full(3, np.iinfo(np.int64).max)
    high = np.full(3, np.iinfo(np.int64).min)
    for packet in _packets(reader, stream.name, counters, progress):
        n += packet.size
        on += int(np.count_nonzero(packet["p"]))
        sums += (packet["x"].sum(dtype=np.int64), packet["y"].sum(dtype=np.int64))
        low = np.minimum(low, [packet[axis].min() for axis in ("t", "x", "y")])
        high = np.maximum(high, [packet[axis].max() for axis in ("t", "x", "y")])
    notes.extend(notes_on(stream.name, counters, SourceCounters()))
    for axis, mirrored in enumerate(stream.mirrored):
        if n and mirrored and stream.resolution is not None:  # back to the file's own orientation
            last = stream.resolution[axis] - 1
            sums[axis] = last * n - sums[axis]
            low[axis + 1], high[axis + 1] = last - high[axis + 1], last - low[axis + 1]
    (t0, xmin, ymin), (t1, xmax, ymax) = ((int(v) if n else None for v in ends) for ends in (low, high))
    return StreamSummary(
        n=n, on=on, sumx=int(sums[0]), sumy=int(sums[1]),
        t0=t0, t1=t1, xmin=xmin, xmax=xmax, ymin=ymin, ymax=ymax,
        out_of_order=counters.out_of_order, out_of_bounds=counters.out_of_bounds,
    )  # fmt: skip


def _packets(reader: Reader, stream: str, counters: SourceCounters, progress: Progress) -> Iterator[Events]:
    """Yield a stream's packets, and tell how much of its time has passed."""
    start_us, end_us = reader.time_range(stream) or (0, 0)
    for packet in reader.packets(stream, None, counters):
        progress(share_of_time(int(packet["t"][-1]), start_us, end_us))
        yield packet


def extent(reader: Reader, stream: str, progress: Progress = untold) -> Resolution:
    """Return the smallest sensor that holds a stream's events; reads all of it."""
    width = height = 1
    for packet in _packets(reader, stream, SourceCounters(), progress):
        width = max(width, int(packet["x"].max()) + 1)
        height = max(height, int(packet["y"].max()) + 1)
    return Resolution(width, height)
