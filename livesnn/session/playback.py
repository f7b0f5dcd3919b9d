"""An open source, played in passes: a recording, a live source, or a video."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from livesnn.card import InputSpec, SliceRule
from livesnn.errors import DataError, SourceError
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.denoise import DenoiseState
from livesnn.events.filters import Orientation
from livesnn.events.labels import Label, moved, read_labels
from livesnn.events.packet import EventSource, Packet, Resolution, SourceCounters
from livesnn.events.pipeline import Pipeline, See, open_pipeline
from livesnn.events.playback_clock import PlaybackClock
from livesnn.events.recorder import RingBuffer
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.model import Model
from livesnn.progress import Progress, untold
from livesnn.session.statistics import Counts
from livesnn.session.values import Opened
from livesnn.sources import Source, is_live, open_source
from livesnn.video.frame_source import FrameSource

RECORDING_BUFFER_BYTES = 256_000  # what a pause or a seek at full speed has to throw away or hold back
PAUSING, RECONNECTING = "pausing", "reconnecting"


class Playback(ABC):
    """An open source, played in passes.

    `begin` and `frames` are for one thread. The rest may be called from any.

    Parameters
    ----------
    source
        Owned by the playback from now on.

    Attributes
    ----------
    cut
        Whether the current pass is to end.
    read_to_end
        Whether the current pass has come to the source's end.
    start_us
        Time of the recording's first event, or of the first event that has come.
    duration_us, path
        Of a recording; None for anything else.
    has_events
        Whether it can be recorded and filtered: a video can't.
    labels
        Beside a recording, from its first event on.
    notes
        Warnings beside the source's own.
    skipped
        Events thrown away while a live source was paused.
    breaks
        Why a live source's packets didn't follow on, one after another. `Frame.epoch` says how many of these came
        before a frame.
    """

    has_events = True

    def __init__(self, source: Source) -> None:
        self.cut = self.read_to_end = False
        self.start_us = 0
        self.duration_us: int | None = None
        self.path: Path | None = None
        self.labels: tuple[Label, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.skipped = 0
        self.breaks: list[str] = []
        self.resolution: Resolution = source.resolution
        self.orientation = Orientation()
        self.source = source

    @property
    def live(self) -> bool:
        """Whether it is anything but a recording."""
        return self.duration_us is None

    @property
    def serial(self) -> str:
        """Serial number of a camera; "" of anything else."""
        return self.source.serial if isinstance(self.source, ReconnectingSource) else ""

    @property
    def lost(self) -> str:
        """Why nothing comes from a live source, in one line that says what to do; "" otherwise."""
        return self.source.lost if isinstance(self.source, ReconnectingSource) else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """The source's, and the notes."""
        return (*self.source.warnings, *self.notes)

    @property
    def counts(self) -> Counts:
        """Where the events went."""
        return Counts()

    def opened(self, name: str, model: Model) -> Opened:
        """Return what is known of it, under a name, and played to this model."""
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

    @abstractmethod
    def follow(self, *, speed: float, paused: bool) -> None:
        """Play a recording at this multiple of real time, or hold it; listen to a live source or not."""

    @abstractmethod
    def begin(self, from_us: int, arrived: See, show: See) -> None:
        """Begin a pass from ``from_us`` after the start, once the one before has ended.

        ``arrived`` and ``show`` are called in the capturing thread, as `open_pipeline` says.
        """

    @abstractmethod
    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002 (the card's name)
        """Yield the pass's frames to the end, or until it is cut."""

    def end_pass(self) -> None:  # noqa: B027 (a video has nothing to stop)
        """Stop what the current pass has begun."""

    def interrupt(self) -> None:
        """Make the current pass end soon, wherever it waits."""
        self.cut = True

    def close(self) -> None:
        """End the current pass and release the source. Safe to call twice."""
        self.interrupt()
        self.end_pass()
        self.source.close()


class EventPlayback(Playback):
    """A source of events.

    Parameters
    ----------
    orientation
        What makes its events upright.

    Attributes
    ----------
    resolution
        Upright, as all that is played.
    denoise
        Whether noise is filtered; may be set at any time.
    noise
        What the filter has learned and dropped.
    """

    def __init__(self, source: EventSource, orientation: Orientation) -> None:
        super().__init__(source)
        self.resolution = orientation.resolution(source.resolution)
        self.orientation = orientation
        self.denoise = False
        self.noise = DenoiseState(self.resolution)
        self.ring_buffer = RingBuffer(source, orientation)
        self._events = source
        self._pipeline: Pipeline | None = None
        self._events_before = 0  # of earlier passes

    @property
    def counts(self) -> Counts:
        """Where the events went."""
        pipeline = self._pipeline
        counters = self._counters()
        return Counts(
            events=self._events_before + counters.events,
            dropped=counters.dropped,
            skipped=self.skipped,
            unread=0 if pipeline is None else pipeline.unread,
            noise=self.noise.counts,
            out_of_order=counters.out_of_order,
            out_of_bounds=counters.out_of_bounds,
        )

    def _counters(self) -> SourceCounters:
        if self._pipeline is None:
            return replace(self._events.counters, events=0)
        return self._pipeline.counters

    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002
        """Yield the pass's frames to the end, or until it is cut."""
        assert self._pipeline is not None  # begun
        slicer = Slicer(rule, self.resolution, input)
        for packet in self._pipeline:
            yield from slicer.push(packet)
            if self.cut:
                return
        self.read_to_end = not self.cut

    def end_pass(self) -> None:
        """Stop the capturing thread. Of a live source this ends the source, too."""
        if self._pipeline is not None:
            self.interrupt()
            self._pipeline.close()


class RecordedPlayback(EventPlayback):
    """A recording: it waits, goes at any speed, and begins anywhere."""

    def __init__(self, recording: Recording, orientation: Orientation) -> None:
        super().__init__(recording, orientation)
        self.start_us, self.duration_us, self.path = recording.t_start, recording.duration_us, recording.path
        self.notes = tuple(recording.streams_left_out())
        try:
            before_s = (recording.labels_start - self.start_us) / 1e6
            self.labels = moved(read_labels(recording.path), before_s)
        except DataError as error:
            self.notes = (*self.notes, f"no labels: {error}")
        self._recording = recording
        self._clock = PlaybackClock()
        self._speed, self._paused = 1.0, False

    def follow(self, *, speed: float, paused: bool) -> None:
        """Play at this multiple of real time, inf being as fast as possible, or hold it."""
        self._speed, self._paused = speed, paused
        if not self.cut:
            self._clock.set_speed(speed)
            (self._clock.pause if paused else self._clock.resume)()

    def begin(self, from_us: int, arrived: See, show: See) -> None:
        """Begin a pass from ``from_us`` after the start."""
        self._events_before = self.counts.events
        self.noise.forget()
        self._recording.seek(self.start_us + from_us)
        self._pipeline = open_pipeline(
            self._recording,
            clock=self._clock,
            orientation=self.orientation,
            gate=self._until_cut,
            arrived=arrived,
            noise=self.noise,
            denoise=lambda: self.denoise,
            show=show,
            policy="block",
            max_bytes=RECORDING_BUFFER_BYTES,
            owns_source=False,
        )
        self.cut = self.read_to_end = False
        self._clock.restart()
        self.follow(speed=self._speed, paused=self._paused)

    def _until_cut(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        for packet in packets:
            if self.cut:
                return
            yield packet._replace(arrived_s=time.perf_counter())

    def interrupt(self) -> None:
        """Let the next packet come at once; nobody sees it."""
        super().interrupt()
        self._clock.set_speed(None)
        self._clock.resume()


class LivePlayback(EventPlayback):
    """A camera, a stream, a simulation: while it is paused, what comes is recorded and counted, and nothing else."""

    def __init__(self, source: EventSource, orientation: Orientation) -> None:
        super().__init__(source, orientation)
        self._paused = False
        self._pauses = 0
        self._begun = False  # an event has come

    def follow(self, *, speed: float, paused: bool) -> None:
        """Listen, or not; what comes is recorded either way. The speed is the source's own."""
        self._pauses += paused and not self._paused
        self._paused = paused

    def begin(self, from_us: int, arrived: See, show: See) -> None:
        """Begin the one pass there is."""
        self._pipeline = open_pipeline(
            self._events,
            orientation=self.orientation,
            record=self.ring_buffer.put,
            gate=self._unless_paused,
            arrived=arrived,
            noise=self.noise,
            denoise=lambda: self.denoise,
            show=show,
        )

    def _unless_paused(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """Yield the packets between the pauses, and note where they don't follow on."""
        epoch, pauses = 0, self._pauses
        for packet in packets:
            if epoch != (epoch := packet.epoch):
                self.breaks.append(RECONNECTING)
            if self._paused:
                self.skipped += packet.events.size
                if self.cut:
                    return
                continue
            if pauses != (pauses := self._pauses):
                self.breaks.append(PAUSING)
            self._note_start(packet)
            # Even when the pass is cut: it is counted.
            arrived_s = packet.arrived_s or time.perf_counter()
            yield packet._replace(epoch=len(self.breaks), arrived_s=arrived_s)

    def _note_start(self, packet: Packet) -> None:
        if packet.events.size:
            first_us = int(packet.events["t"][0])
            self.start_us = min(self.start_us, first_us) if self._begun else first_us
            self._begun = True

    def interrupt(self) -> None:
        """End the pass, whatever the source does."""
        super().interrupt()
        if self._pipeline is not None:
            self._pipeline.interrupt()


LAST_US = 1_000_000
"""Before a place beyond the end: here the last frame is looked for, before all of the video is read for it."""


class VideoPlayback(Playback):
    """A recorded video waits, goes at any speed, begins anywhere; of a live one, what comes in a pause is lost."""

    has_events = False

    def __init__(self, source: FrameSource) -> None:
        super().__init__(source)
        self.duration_us = source.duration_us
        self.path = None if source.live else Path(source.name)
        self._clock = PlaybackClock()
        self._video = source
        self._from_us = 0

    def follow(self, *, speed: float, paused: bool) -> None:
        """Play a recorded video at this multiple of real time, or hold it; look at another or not."""
        self._clock.set_speed(speed)
        (self._clock.pause if paused else self._clock.resume)()

    def begin(self, from_us: int, arrived: See, show: See) -> None:
        """Begin a pass from ``from_us`` on; nothing is seen but its frames."""
        self.cut = self.read_to_end = False
        self._from_us = from_us

    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002
        """Yield the frames to the end, or until the pass is cut, each when it is due."""
        if self.live:
            yield from self._unless_paused(self._video.frames(rule, input))
        else:
            yield from self._due(self._sought(rule, input))
        self.read_to_end = not self.cut

    def interrupt(self) -> None:
        """Make the current pass end before its next frame."""
        super().interrupt()
        if self.live:
            self._video.close()  # which may be waiting for its next frame
        self._clock.restart()

    def _due(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if not self._clock.wait(frame.t, frame.t, lambda: not self.cut):
                return
            yield replace(frame, arrived_s=time.perf_counter())

    def _sought(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002
        """Yield the frames from ``from_us`` on; where there are none, the last one."""
        frames = self._video.frames(rule, input, self._from_us)
        first = next(frames, None)
        near_us = self._from_us - max(LAST_US, 2 * (rule.delta_t_us or 0))
        for from_us in (near_us, 0):
            if first is None:
                first = self._last(self._video.frames(rule, input, from_us))
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

    def _unless_paused(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        missed = False
        for frame in frames:
            if self.cut:
                return
            if self._clock.paused:
                missed = True
                continue
            if missed:
                self.breaks.append(PAUSING)
            yield replace(frame, start=frame.start or missed, epoch=len(self.breaks))
            missed = False


def open_playback(source: str | Path | Source, mounting: Mounting, progress: Progress = untold) -> Playback:
    """Open a SOURCE (`open_source` says what it raises), or take over an open one.

    A video that a person wants turned raises SourceError.
    """
    opened = open_source(source, progress=progress) if isinstance(source, str | Path) else source
    orientation = mounting.of(opened, source)
    try:
        if isinstance(opened, FrameSource):
            if orientation != Orientation():
                raise opened.not_turned()
            return VideoPlayback(opened)
        if isinstance(opened, Recording):
            return RecordedPlayback(opened, orientation)
        return LivePlayback(opened, orientation)
    except SourceError:  # such as a sensor larger than any
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

    def of(self, opened: Source, source: object) -> Orientation:
        """Return it once the source is open; ``source`` is what a person called it."""
        if self.wanted is not None:
            return self.wanted
        serial = opened.serial if isinstance(opened, ReconnectingSource) else ""
        return self.remembered.get(camera_name(source, serial), Orientation())


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
