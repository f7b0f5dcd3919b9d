"""Converting a recording, or a stretch of it, to .aedat4 or .npz, with its labels. Films are in session/export.py."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from livesnn.errors import DataError, FormatError, SourceError
from livesnn.events.denoise import DenoiseCounts, DenoiseState, denoise_packets
from livesnn.events.filters import Stretch, between
from livesnn.events.formats.aedat4_writer import Aedat4Writer, storable
from livesnn.events.formats.npz import write_npz
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.labels import SUFFIX, Label, has_labels, keep_labels, labels_file, moved, read_labels
from livesnn.events.packet import Events, Packet
from livesnn.events.recording import Recording, open_recording
from livesnn.files import cannot_write, replacing
from livesnn.progress import Progress, no_progress, share_of_time


@dataclass(frozen=True)
class Converted:
    """What was written: ``duration_us`` is from the earliest event to the latest, ``format`` aedat4 or npz.

    ``denoise``: what became of the recording's events where noise was to be left out; ``labels``: how many are
    beside ``out`` now as they were beside the recording.
    """

    events: int
    duration_us: int
    format: str
    out: Path
    warnings: tuple[str, ...]
    denoise: DenoiseCounts | None = None
    labels: int = 0


def convert(
    source: Path,
    out: Path,
    *,
    stream: str | None = None,
    overwrite: bool = False,
    denoise: bool = False,
    stretch: Stretch = Stretch(),  # noqa: B008 (frozen)
    progress: Progress = no_progress,
    opener: Callable[..., Recording] = open_recording,
) -> Converted:
    """Write one event stream of a recording to ``out``, .aedat4 or .npz: its events in their order, and its labels.

    Times stay as they are. Memory is bounded. ``out`` appears when it is complete, and not at all after an error or
    Ctrl-C; until then a file beside it, .livesnn-…, is written; see `write_npz` for its need of space. ``progress``
    reports the reading, where opening takes it, and then the writing. ``opener`` opens ``source``, as
    `open_recording`; `sources.open_events` also makes events of a video.

    Raises SourceError when ``source`` can't be read or has nothing in ``stretch``, or ``out`` or its labels can't be
    written, exist, or ``out`` is the source; DataError when the labels beside ``out`` can't be read; and FormatError
    when ``source`` isn't a recording, is damaged beyond use, or its sensor too large for the format.
    """
    suffix = out.suffix.lower()
    if suffix not in (".aedat4", ".npz"):
        raise SourceError(f"{out}: the name doesn't say the format: choose one that ends in .aedat4 or .npz")
    kept: tuple[Label, ...] = ()
    with contextlib.ExitStack() as opened:
        part = opened.enter_context(written_whole(out, source, overwrite=overwrite))
        labels, notes = _labels(source, out, overwrite=overwrite)
        recording = opened.enter_context(opener(source, stream=stream, progress=progress))
        noise = DenoiseState(recording.resolution) if denoise else None
        packets, from_us, to_us = _in_stretch(recording, stretch)
        filtered = packets if noise is None else denoise_packets(packets, noise)
        tally = _Tally(filtered, from_us, to_us, progress)
        _write(part, tally, recording)
        if not tally.events and stretch != Stretch():
            raise SourceError(f"{source}: it has no event {stretch.words}: choose another section")
        notes += _warnings(recording, tally.jumps if suffix == ".npz" else 0)
        check_free(source, out, overwrite=overwrite)  # again: that may have taken an hour
        if labels:
            offset_us = recording.labels_start - tally.first_us if tally.events else 0
            lasts_us = math.inf if stretch == Stretch() else to_us - tally.first_us
            kept = _keep_labels(out, moved(labels, offset_us / 1e6, lasts_us / 1e6), len(labels), notes)
    counts = None if noise is None else noise.counts
    duration_us = tally.last_us - tally.first_us
    return Converted(tally.events, duration_us, suffix[1:], out, tuple(notes), counts, len(kept))


@contextlib.contextmanager
def written_whole(out: Path, source: Path | None, *, overwrite: bool) -> Iterator[Path]:
    """Yield the file to write, as `replacing`, and wait until the disk has it.

    Raises SourceError if ``out`` can't be written, exists, or is the source.
    """
    check_free(source, out, overwrite=overwrite)
    part = out
    try:
        with replacing(out) as part:
            yield part
            check_free(source, out, overwrite=overwrite)
            with open(part, "rb+") as file:
                os.fsync(file.fileno())  # a power failure leaves what was there before, or all of this
    except OSError as error:
        raise cannot_write(out, error) from error
    except (SourceError, FormatError) as error:  # of the writer, which knows the other name only
        raise type(error)(str(error).replace(str(part), str(out))) from error


def _in_stretch(recording: Recording, stretch: Stretch) -> tuple[Iterable[Packet], int, int]:
    """Return a stretch's packets, and when it begins and ends, µs."""
    if stretch == Stretch():  # all of it, wherever time jumps back to
        return recording, recording.t_start, recording.t_end
    from_us, to_us = stretch.times_us(recording.t_start, recording.t_end)
    recording.seek(from_us)
    return between(recording, from_us, to_us), from_us, to_us


def _labels(source: Path, out: Path, *, overwrite: bool) -> tuple[tuple[Label, ...], list[str]]:
    """Return the recording's labels and warnings about them; a label without a session gets the recording's name."""
    table = labels_file(out)
    if not overwrite and has_labels(out):
        raise SourceError(f"{table} has labels of {out.name} already: choose another name, or add --overwrite")
    stays = [f"{table} stays as it was"] if overwrite and os.path.lexists(table) else []
    try:
        labels = read_labels(source)
    except DataError as error:
        return (), [f"its labels are left out: {error}", *stays]
    name = parse_recording_path(source).file.name
    return tuple(replace(label, session=label.session or name) for label in labels), [] if labels else stays


def _keep_labels(out: Path, kept: tuple[Label, ...], known: int, notes: list[str]) -> tuple[Label, ...]:
    """Write the labels that are left of so many, and note how many aren't."""
    if kept or labels_file(out).exists():
        keep_labels(out, kept)
    if lost := known - len(kept):
        notes.append(f"labels outside the events are left out: {lost:,}")
    return kept


def check_free(source: Path | None, out: Path, *, overwrite: bool) -> None:
    if out.name.lower().endswith(SUFFIX):
        raise SourceError(f"{out}: this is the name of a table of labels: choose another name")
    if not os.path.lexists(out):
        if not out.parent.is_dir():
            raise SourceError(f"{out}: there is no folder {out.parent}: make it first")
        return
    with contextlib.suppress(OSError):  # a link that points nowhere, or no source: opening it will say so
        if source is not None and os.path.samefile(parse_recording_path(source).file, out):
            raise SourceError(f"{out}: this is the recording itself: choose another name")
    if out.is_dir():
        raise SourceError(f"{out}: this is a folder: add the name of a file")
    if out.is_symlink():
        raise SourceError(f"{out}: this is a link: give the file that it points to")
    if not out.is_file():
        raise SourceError(f"{out}: this is a pipe or device, which can't be replaced: choose another name")
    if not overwrite:
        raise SourceError(f"{out} exists already: choose another name, or add --overwrite")


class _Tally:
    """The packets between two times, one iteration; what has passed is added up."""

    def __init__(self, packets: Iterable[Packet], from_us: int, to_us: int, progress: Progress) -> None:
        self.events = 0
        self.first_us = self.last_us = 0
        self.jumps = 0
        self._from_us, self._to_us = from_us, to_us
        self._packets = packets
        self._progress = progress

    def __iter__(self) -> Iterator[Events]:
        newest_us: int | None = None
        for packet in self._packets:
            events = packet.events
            if not events.size:
                continue
            first_us, last_us = int(events["t"][0]), int(events["t"][-1])
            if newest_us is None:
                newest_us = self.first_us = self.last_us = first_us
            self.jumps += first_us < newest_us
            self.first_us, self.last_us = min(self.first_us, first_us), max(self.last_us, last_us)
            self.events += events.size
            newest_us = last_us
            yield events
            self._progress(share_of_time(last_us, self._from_us, self._to_us))


def _warnings(recording: Recording, jumps: int) -> Iterator[str]:
    counts = zip(("frames", "IMU samples", "triggers"), recording.other_content(), strict=True)
    if other := [f"{kind} ({count:,})" for kind, count in counts if count]:
        yield f"only events are converted, so these are left out: {', '.join(other)}"
    yield from recording.streams_left_out()
    if jumps:
        yield "time jumps back, and programs that read .npz may sort the events: .aedat4 keeps their order"
    yield from recording.warnings


def _write(part: Path, packets: Iterable[Events], recording: Recording) -> None:
    if part.suffix.lower() == ".npz":
        return write_npz(part, packets, recording.resolution, storable(recording.name))
    with Aedat4Writer(part, recording.resolution, recording.name) as writer:
        for packet in packets:
            writer.write(packet)
