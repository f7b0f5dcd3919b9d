"""Pass: one run through a part of a source. Not here: when it begins and is cut short (playback.py, control.py)."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from livesnn.card import InputSpec, SliceRule
from livesnn.errors import DataError, SourceError
from livesnn.events.denoise import DenoiseState
from livesnn.events.filters import Orientation
from livesnn.events.labels import Label, moved, read_labels
from livesnn.events.packet import Events, EventSource, Relay, Resolution
from livesnn.events.pipeline import Buffered
from livesnn.events.playback_clock import Pace, Replay
from livesnn.events.recorder import PreRoll, Tape
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame, frames
from livesnn.infer.model import Model
from livesnn.progress import Progress, untold
from livesnn.session.statistics import Counts
from livesnn.session.tap import See, Tap
from livesnn.session.values import Opened
from livesnn.sources import is_live, open_source
from livesnn.video.frame_source import RecordedVideo, VideoSource


class Pass(Relay):
    """One run through a part of the source.

    Attributes
    ----------
    cut
        Whether whoever pulls should stop pulling.
    read_to_end
        Whether it has ended, and nobody has cut it short.
    events_before
        How many the passes before have taken.
    """

    def __init__(self, source: EventSource, events_before: int = 0) -> None:
        super().__init__(source)
        self.cut = False
        self.read_to_end = False
        self.events_before = events_before

    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002 (the card's name)
        """Yield its frames to the end, or until the pass is cut."""
        return frames(self, rule, input)

    @property
    def unread(self) -> int:
        """Events that wait to be pulled."""
        return 0

    def wake(self) -> None:
        """Make whoever pulls look at `cut`, whatever the source does."""


class BufferedPass(Pass):
    """One that is captured in a thread of its own.

    Parameters
    ----------
    buffer
        Owned by the pass.
    events_before
        How many the passes before have taken.
    interrupt
        Makes the buffer's thread end soon, wherever it waits.
    """

    def __init__(self, buffer: Buffered, events_before: int, interrupt: Callable[[], None]) -> None:
        super().__init__(buffer, events_before)
        self._buffer = buffer
        self._interrupt = interrupt

    @property
    def unread(self) -> int:
        """Events in the buffer."""
        return self._buffer.unread

    def __iter__(self) -> Iterator[Events]:
        """Yield packets to the end, or until the pass is cut."""
        for packet in self._buffer:
            yield packet
            if self.cut:
                return
        self.read_to_end = not self.cut

    def wake(self) -> None:
        """End the buffer."""
        self._buffer.interrupt()

    def close(self) -> None:
        """End the buffer's thread."""
        self._interrupt()
        self._buffer.close()


RECORDING_BUFFER_BYTES = 256_000  # what a pause or a seek at full speed has to throw away or hold back
PAUSING, RECONNECTING = "pausing", "reconnecting"
NO_SENSOR = Resolution(1, 1)
"""Of a video's events, which there are none of: it may be larger than any sensor."""


class Playback(ABC):
    """An open source. A `Pass` is for one thread; the rest may be called from any.

    Parameters
    ----------
    source
        Owned by the playback from now on.
    orientation
        What makes its events upright.

    Attributes
    ----------
    resolution
        Upright, as all that is played.
    start_us
        Time of the recording's first event, or of the first event that has come.
    duration_us, path
        Of a recording; None for anything else.
    has_events
        Whether it can be recorded and filtered: a video can't.
    labels
        Beside a recording, from its first event on.
    notes
        What is to be said beside the source's warnings.
    skipped
        Events thrown away.
    breaks
        Why a live source's packets didn't follow on, one after another; `Pass.connection` says how many of these
        came before a packet.
    denoise
        Whether noise is filtered; may be set at any time.
    noise
        What the filters have learned and dropped.
    """

    has_events = True

    def __init__(self, source: EventSource, orientation: Orientation) -> None:
        self.resolution = orientation.resolution(source.resolution)
        self.orientation = orientation
        self.start_us = 0
        self.duration_us: int | None = None
        self.path: Path | None = None
        self.labels: tuple[Label, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.skipped = 0
        self.breaks: list[str] = []
        self.denoise = False
        self.noise = DenoiseState(source.resolution if self.has_events else NO_SENSOR)
        self._source = source
        self._pre_roll = PreRoll(source, orientation)
        self._current: Pass | None = None

    @property
    def live(self) -> bool:
        """Whether it is anything but a recording."""
        return self.duration_us is None

    @property
    def serial(self) -> str:
        """See `EventSource.serial`."""
        return self._source.serial

    @property
    def lost(self) -> str:
        """Why nothing comes, see `EventSource.lost`."""
        return self._source.lost

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `EventSource.warnings`; with the notes."""
        return (*self._source.warnings, *self.notes)

    @property
    def counts(self) -> Counts:
        """Where the events went."""
        current = self._current
        if current is None:
            return Counts(dropped=self._source.counters.dropped)
        counters = current.counters
        return Counts(
            events=current.events_before + counters.events,
            dropped=counters.dropped,
            skipped=self.skipped,
            unread=current.unread,
            noise=self.noise.counts,
            out_of_order=counters.out_of_order,
            out_of_bounds=counters.out_of_bounds,
        )

    def opened(self, name: str, model: Model) -> Opened:
        """Return what is known of it, as it is called, and played to this model."""
        return Opened(
            name=name,
            model=model,
            sensor=self.resolution,
            duration_us=self.duration_us,
            path=self.path,
            labels=self.labels,
            has_events=self.has_events,
            orientation=self.orientation,
            serial=self.serial,
        )

    @property
    def cut(self) -> bool:
        """Whether the current pass should end."""
        return self._current is not None and self._current.cut

    @abstractmethod
    def follow(self, *, speed: float, paused: bool) -> None:
        """Play a recording at this multiple of real time, or hold it; listen to a live source or not."""

    @abstractmethod
    def begin(self, from_us: int, see: See) -> Pass:
        """Return the pass from ``from_us`` after the start, once the one before is closed.

        ``see`` is called in the capturing thread with each packet as it arrives.
        """

    def heard(self, packets: EventSource) -> Iterator[Events]:
        """Yield those packets that somebody wants; for the capturing thread."""
        raise NotImplementedError  # of a source without packets

    def interrupt(self) -> None:
        """Make the current pass end soon, wherever it waits."""
        if self._current is not None:
            self._current.cut = True

    def record(self, *, tape: Tape | None, pre_roll_s: float) -> None:
        """Put a live source's events on this tape, if there is one, and keep those of the last seconds."""
        self._pre_roll.use(tape)
        self._pre_roll.keep(pre_roll_s)

    def new_tape(self, path: Path) -> Tape:
        """Return a tape with the events that are kept, on which those that come go: upright, with their noise."""
        return self._pre_roll.new_tape(path)

    def close(self) -> None:
        """End the current pass and release the source. Safe to call twice."""
        self.interrupt()
        if self._current is not None:
            self._current.close()
        self._source.close()


class RecordedPlayback(Playback):
    """A recording: it waits, goes at any speed, and begins anywhere."""

    def __init__(self, recording: Recording, orientation: Orientation) -> None:
        self._replay = Replay(recording)
        super().__init__(self._replay, orientation)
        self.start_us, self.duration_us, self.path = recording.t_start, recording.duration_us, recording.path
        self.notes = tuple(recording.streams_left_out())
        try:
            before_s = (recording.labels_start - self.start_us) / 1e6
            self.labels = moved(read_labels(recording.path), before_s)
        except DataError as error:
            self.notes = (*self.notes, f"no labels: {error}")
        self._speed, self._paused = 1.0, False

    def follow(self, *, speed: float, paused: bool) -> None:
        """Play at this multiple of real time, inf being as fast as possible, or hold it."""
        self._speed, self._paused = speed, paused
        if not self.cut:
            self._replay.pace.set_speed(speed)
            (self._replay.pace.pause if paused else self._replay.pace.resume)()

    def begin(self, from_us: int, see: See) -> Pass:
        """Return the pass from ``from_us`` after the start."""
        before = self.counts.events
        self.noise.forget()
        self._replay.seek(self.start_us + from_us)
        buffer = Buffered(Tap(self._replay, self, see), policy="block", max_bytes=RECORDING_BUFFER_BYTES)
        self._current = BufferedPass(buffer, before, self.interrupt)
        self.follow(speed=self._speed, paused=self._paused)
        return self._current

    def heard(self, packets: EventSource) -> Iterator[Events]:
        """Yield the packets until the pass is cut."""
        for packet in packets:
            if self.cut:
                return
            yield packet

    def interrupt(self) -> None:
        """Let the next packet come at once; nobody sees it."""
        super().interrupt()
        self._replay.pace.set_speed(None)
        self._replay.pace.resume()


class LivePlayback(Playback):
    """A camera, a stream, a simulation: while it is paused, what comes is recorded and counted, and nothing else."""

    def __init__(self, source: EventSource, orientation: Orientation) -> None:
        super().__init__(source, orientation)
        self._paused = False
        self._pauses = 0
        self._begun = False  # an event has come

    def follow(self, *, speed: float, paused: bool) -> None:
        """Listen, or not; what comes is recorded, heard or not. The speed is the source's own."""
        self._pauses += paused and not self._paused
        self._paused = paused

    def begin(self, from_us: int, see: See) -> Pass:
        """Return the one pass there is."""
        buffer = Buffered(Tap(self._source, self, see), policy="drop_oldest")
        self._current = BufferedPass(buffer, 0, self.interrupt)
        return self._current

    def heard(self, packets: EventSource) -> Iterator[Events]:
        """Yield the packets between the pauses, and note where they don't follow on."""
        connection, pauses = packets.connection, self._pauses
        for packet in packets:
            self._pre_roll.put(packet)
            if connection != (connection := packets.connection):
                self.breaks.append(RECONNECTING)
            if not self._paused:
                if pauses != (pauses := self._pauses):
                    self.breaks.append(PAUSING)
                self._note_start(packet)
                yield packet  # even when the pass is cut: it is counted
            elif not self._skip(packet):
                return

    def _skip(self, packet: Events) -> bool:
        """Throw a packet away; return whether the pass goes on."""
        self.skipped += packet.size
        return not self.cut

    def _note_start(self, packet: Events) -> None:
        if packet.size:
            first_us = int(packet["t"][0])
            self.start_us = min(self.start_us, first_us) if self._begun else first_us
            self._begun = True

    def interrupt(self) -> None:
        """End the buffer, whatever the source does."""
        super().interrupt()
        if self._current is not None:
            self._current.wake()


LAST_US = 1_000_000
"""Before a place beyond the end: here the last frame is looked for, before all of the video is read for it."""


class VideoPlayback(Playback):
    """A recorded video waits, goes at any speed, begins anywhere; of a live one, what comes in a pause is lost."""

    has_events = False

    def __init__(self, source: VideoSource) -> None:
        super().__init__(source, Orientation())
        self.duration_us = source.duration_us
        self.path = source.file.path if isinstance(source, RecordedVideo) else None
        self.pace = Pace()
        self._video = source

    def follow(self, *, speed: float, paused: bool) -> None:
        """Play a recorded video at this multiple of real time, or hold it; look at another or not."""
        self.pace.set_speed(speed)
        (self.pace.pause if paused else self.pace.resume)()

    def begin(self, from_us: int, see: See) -> Pass:
        """Return the pass from ``from_us`` on; nothing is seen but its frames."""
        self._current = VideoPass(self._video, self, from_us)
        return self._current

    def interrupt(self) -> None:
        """Make the current pass end before its next frame."""
        super().interrupt()
        if self.live:
            self._video.close()  # which may be waiting for its next frame
        self.pace.restart()


class VideoPass(Pass):
    """The frames from ``from_us`` on, each when it is due."""

    def __init__(self, video: VideoSource, playback: VideoPlayback, from_us: int) -> None:
        super().__init__(video)
        self._video = video
        self._playback = playback
        self._from_us = from_us

    @property
    def connection(self) -> int:
        """How often it has been paused, where what came then is lost."""
        return len(self._playback.breaks)

    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002 (the card's name)
        """Yield the frames to the end, or until the pass is cut."""
        if isinstance(self._video, RecordedVideo):
            yield from self._due(self._sought(self._video, rule, input))
        else:
            yield from self._heard(self._video.frames(rule, input))
        self.read_to_end = not self.cut

    def _due(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if not self._playback.pace.wait(frame.t, frame.t, lambda: not self.cut):
                return
            yield replace(frame, arrived_s=time.perf_counter())

    def _sought(self, video: RecordedVideo, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002
        """Yield the frames from ``from_us`` on; where there are none, the last one."""
        frames = video.frames(rule, input, self._from_us)
        first = next(frames, None)
        near_us = self._from_us - max(LAST_US, 2 * (rule.delta_t_us or 0))
        for from_us in (near_us, 0):
            if first is None:
                first = self._last(video.frames(rule, input, from_us))
        if first is not None:
            yield replace(first, start=True)
        yield from frames

    def _last(self, frames: Iterator[Frame]) -> Frame | None:
        """Return the last frame, or where the pass is cut, the newest by then; None where there is none."""
        newest = None
        for frame in frames:
            newest = frame
            if self.cut:
                break
        return newest

    def _heard(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        missed = False
        for frame in frames:
            if self.cut:
                return
            if self._playback.pace.paused:
                missed = True
                continue
            if missed:
                self._playback.breaks.append(PAUSING)
            yield replace(frame, start=frame.start or missed)
            missed = False

    def close(self) -> None:
        """Do nothing: the video is still needed."""


def open_playback(
    source: str | Path | EventSource, mounting: Mounting, progress: Progress = untold
) -> Playback:
    """Open a SOURCE (sources.open_source, which says what it raises), or take over an open one.

    A video that a person wants turned raises SourceError.
    """
    opened = open_source(source, progress=progress) if isinstance(source, str | Path) else source
    orientation = mounting.of(opened, source)
    if opened.video is not None:
        if orientation != Orientation():
            opened.close()
            raise opened.video.not_turned()
        pass

        return VideoPlayback(opened.video)
    try:
        if isinstance(opened, Recording):
            return RecordedPlayback(opened, orientation)
        return LivePlayback(opened, orientation)
    except SourceError:  # a sensor larger than any
        opened.close()
        raise


SIMULATED = "simulate:"


@dataclass(frozen=True)
class Mounting:
    """What makes a source upright that isn't open yet.

    Attributes
    ----------
    wanted
        By a person, for this opening; None: what is remembered of a camera or a stream, anything else as it comes.
    remembered
        By the name of `camera_name`.
    """

    wanted: Orientation | None = None
    remembered: Mapping[str, Orientation] = field(default_factory=dict)

    def of(self, opened: EventSource, source: object) -> Orientation:
        """Return it once the source is open; ``source`` is what a person called it."""
        if self.wanted is not None:
            return self.wanted
        return self.remembered.get(camera_name(source, opened.serial), Orientation())


def camera_name(source: object, serial: str) -> str:
    """Return what a camera or a stream is remembered by: serial number or address; "" for anything else."""
    if serial or not isinstance(source, str) or source.startswith(SIMULATED):
        return serial
    return source if is_live(source) else ""


def with_mounted(
    mounted: Mapping[str, Orientation], camera: str, orientation: Orientation
) -> dict[str, Orientation]:
    """Return what is remembered with this camera mounted so; one that is upright isn't in it."""
    others = {name: how for name, how in mounted.items() if name != camera}
    return others if orientation == Orientation() else {**others, camera: orientation}
