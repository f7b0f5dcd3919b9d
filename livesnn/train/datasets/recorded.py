"""Clips of recordings or videos on disk, read by all processors and kept in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.card import BY_TABLE, InputSpec, ModelCard, Split
from livesnn.errors import DataError, LivesnnError, reason_of
from livesnn.events.packet import TIME_LIMIT_US
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Frame, frames
from livesnn.sources import open_source
from livesnn.teach.lesson import clips_of
from livesnn.train.datasets.cache import cache_file, in_processes, keep
from livesnn.train.datasets.clips import Clips, Frames, Index, OnDisk, Stack
from livesnn.train.datasets.request import SplitName
from livesnn.train.datasets.split import validation_groups
from livesnn.untrusted import DAMAGE

VERSION = 3
"""Version of what is made of a file: raise it with every change, so that nothing outdated is taken from the cache."""

MOST_BYTES = 2 * 10**9  # of the frames of a recording, which are in memory before they are in the cache

FEW = 8  # fewer files than this are read without starting other processes


class Recording(NamedTuple):
    """A file, or a part of one, that shows one class."""

    path: Path
    label: int
    name: str
    group: str  # The person, session or group of videos it belongs to; see `Clips`
    # Its beginning and end, counted from the first event; None: all of it
    part_us: tuple[int, int] | None = None
    use: SplitName | None = None  # Its part of the data set, if a table says so
    mirrored: bool = False  # Whether its frames are mirrored left to right


def labels_of(recordings: Iterable[Recording]) -> Index:
    return np.array([recording.label for recording in recordings], np.int64)


Read = Callable[[Recording, InputSpec], Frames]
"""Returns uint8 [N, T, C, H, W]; raises LivesnnError if the file can't be read. It must be importable by name."""


def read_windows(recording: Recording, spec: InputSpec) -> Frames:
    """Return all whole windows of the frames in a recording's part, as a stream has them; raises LivesnnError.

    A frame of a fixed number of events begins where the one before it ends.
    """
    part_us = recording.part_us or (-TIME_LIMIT_US, TIME_LIMIT_US)
    kept: list[Frame] = []
    with open_recording(recording.path) as source:
        begins_us = source.labels_start
        first_us, last_us = (begins_us + moment_us for moment_us in part_us)
        for frame in frames(source, spec):
            if spec.slice.delta_t_us is not None:
                begins_us = frame.t - spec.slice.delta_t_us
            if frame.t > last_us:
                break
            if begins_us >= first_us:
                kept.append(frame)
            if len(kept) * frame.data.nbytes > MOST_BYTES:
                raise DataError(
                    f"{recording.path}: its frames take more than {MOST_BYTES / 1e9:g} GB: "
                    "give longer ones (--delta-t-us, --n-events), or split the recording"
                )
            begins_us = frame.t
    return windows_of(kept, spec)


def windows_of(kept: Sequence[Frame], spec: InputSpec) -> Frames:
    """Return the whole windows in the frames, uint8 [N, T, C, H, W]; as in a live stream, none spans a gap."""
    shape = (spec.window, spec.channels, spec.height, spec.width)
    whole = [clip[: len(clip) // spec.window * spec.window] for clip in clips_of(kept)]
    return np.concatenate([np.empty((0, *shape), np.uint8), *(clip.reshape(-1, *shape) for clip in whole)])


def load_recordings(
    cache: str,
    recordings: Sequence[Recording],
    classes: tuple[str, ...],
    spec: InputSpec,
    *,
    read: Read = read_windows,
    most: int | None = None,
) -> Clips:
    """Return the windows of recordings as clips; each file is cached by itself, so that a stopped reading goes on.

    ``cache`` is the name of the data set, ``most`` the largest number of windows from a recording, evenly spread.
    Raises DataError if nothing can be read, or the cache can't be written.
    """
    if not recordings:
        raise DataError(f"no recordings of {cache} to use: add some to the lists or tables for this part")
    arrays, order, names, owners, skipped = [], [], [], [], []
    count = 0
    for recording, file in zip(recordings, _cached_files(cache, recordings, spec, read), strict=True):
        if isinstance(file, str):
            skipped.append(f"{recording.name}: {file}")
            continue
        array = OnDisk(file, mirrored=recording.mirrored)
        if not len(array):
            skipped.append(f"{recording.name}: {_too_short(recording, spec)}")
            continue
        chosen = spread(len(array), most)
        arrays.append(array)
        order.append(count + chosen)
        count += len(array)
        names += [f"{recording.name}/{number}" for number in chosen]
        owners += [recording] * len(chosen)
    if not arrays:
        raise DataError(f"none of {len(recordings)} recordings can be used; the first: {skipped[0]}")
    return Clips(
        Stack(arrays, np.concatenate(order)),
        labels_of(owners),
        tuple(names),
        classes,
        tuple(owner.name for owner in owners),
        tuple(owner.group for owner in owners),
        tuple(skipped),
    )


def whole_side(
    recordings: Sequence[Recording], card: ModelCard, split: Split, *, validation: bool
) -> list[Recording]:
    """Return the recordings, or stretches of them, that a split kept for validation, or those that it left.

    Raises DataError if the split kept the ends of recordings, or no recording is there.
    """
    if split.clips:
        raise DataError(
            f"{card.name} was validated on the ends of recordings that it trained on, so no whole recording is left: "
            "add --split test, for separate recordings"
        )
    groups = [recording.group for recording in recordings]
    if split.protocol == BY_TABLE:
        kept = [recording.use == "validation" for recording in recordings]
    else:
        drawn = split.groups or validation_groups(groups, labels_of(recordings), split.fraction, split.seed)
        kept = [group in drawn for group in groups]
    side = [recording for recording, held_out in zip(recordings, kept, strict=True) if held_out == validation]
    if not side:
        raise DataError(
            f"no recordings are there that {card.name} {'was validated' if validation else 'trained'} on: give their "
            "folder, or add --split test"
        )
    return side


def left_out(cache: str, recordings: Sequence[Recording], spec: InputSpec) -> list[tuple[Recording, str, bool]]:
    """Return the recordings without a clip, the reason, and whether it is that they can't be read."""
    found = []
    for recording, file in zip(recordings, _cached_files(cache, recordings, spec, read_windows), strict=True):
        if isinstance(file, str):
            found.append((recording, file, True))
        elif not len(OnDisk(file)):
            found.append((recording, _too_short(recording, spec), False))
    return found


def _too_short(recording: Recording, spec: InputSpec) -> str:
    if recording.part_us is None:
        return f"shorter than one window of {spec.window} frames"
    first_s, last_s = (moment_us / 1e6 for moment_us in recording.part_us)
    return (
        f"no window of {spec.window} frames lies between {first_s:g} and {last_s:g} s: "
        "it is too short, or start and end aren't seconds from the recording's first event"
    )


def as_opened(recordings: Sequence[Recording]) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
    """Open recordings; return the size of their sensors, None if they differ, and the warnings of their sources.

    Files that can't be opened, and damage that is found only while reading, are left out.
    """
    sensors, warnings = set(), []
    for path, name in {recording.path: recording.name for recording in recordings}.items():
        with suppress(LivesnnError, OSError), closing(open_source(str(path))) as source:
            sensors.add((source.resolution.width, source.resolution.height))
            warnings += [f"{name}: {line}" for line in source.warnings]
    return sensors.pop() if len(sensors) == 1 else None, tuple(warnings)


def spread(count: int, most: int | None) -> Index:
    kept = count if most is None else min(count, most)
    return (np.arange(kept) * 2 + 1) * count // (2 * max(kept, 1))


def _cached_files(cache: str, recordings: Sequence[Recording], spec: InputSpec, read: Read) -> list[Path | str]:
    """Return the cached file of each recording, or why there is none; many missing ones are read in processes."""
    parts = {(recording.path, recording.part_us): recording for recording in recordings}
    kept = {part: file for part, recording in parts.items() if (file := _cached(recording, cache, spec))}
    missing = {part: recording for part, recording in parts.items() if part not in kept}
    make, lacking = partial(_read_into_cache, cache=cache, spec=spec, read=read), [*missing.values()]
    if len(missing) < FEW:
        made = [make(recording) for recording in lacking]
    else:
        made = in_processes(make, lacking, f"reading recordings of {cache}", at_once=4)
    files = kept | dict(zip(missing, made, strict=True))
    return [files[recording.path, recording.part_us] for recording in recordings]


def _read_into_cache(recording: Recording, *, cache: str, spec: InputSpec, read: Read) -> Path | str:
    try:
        file = _file(recording, cache, spec)
        keep(file, read(recording, spec))
    except DataError:
        raise
    except LivesnnError as error:
        return str(error)
    except OSError as error:
        return f"{recording.path}: {reason_of(error)}"
    return file


def _cached(recording: Recording, cache: str, spec: InputSpec) -> Path | None:
    with suppress(*DAMAGE):  # or there is no file
        file = _file(recording, cache, spec)
        count, *shape = OnDisk(file).shape
        if count and shape == [spec.window, spec.channels, spec.height, spec.width]:
            return file
    return None


def _file(recording: Recording, cache: str, spec: InputSpec) -> Path:
    """Return the file in which the cache keeps a recording's windows; raises OSError without such a recording."""
    path, stat = recording.path, recording.path.stat()
    lifted = () if spec.lift_to is None else (f"lifted to {spec.lift_to}",)
    settings = (
        VERSION,
        spec.kind, spec.width, spec.height, spec.channels, spec.slice, spec.window, spec.crop, spec.cell_pixels,
        str(path.resolve()), stat.st_size, stat.st_mtime_ns, recording.part_us,
        *("without flicker",) * spec.without_flicker, *lifted,
    )  # fmt: skip
    return cache_file(cache, settings)
