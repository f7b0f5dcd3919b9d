"""An open source, played once or again and again: `Playback` of a recording, a live source, or a video."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.cameras.sensor_control import SensorControl
from livesnn.events.denoise import DenoiseState
from livesnn.events.filters import Orientation
from livesnn.events.labels import Label, moved, read_labels
from livesnn.events.packet import EventSource, Packet, Resolution
from livesnn.events.picture import Display
from livesnn.events.pipeline import Pipeline, See, Stage, open_pipeline
from livesnn.events.playback_clock import PlaybackClock
from livesnn.events.recorder import RingBuffer
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame, Slicer
from livesnn.files import closed_on_error
from livesnn.progress import Progress, no_progress
from livesnn.session.camera_settings import Mounting
from livesnn.session.statistics import Counts
from livesnn.sources import Source, open_source
from livesnn.video.frame_source import FrameSource

RECORDING_BUFFER_BYTES = 256_000  # what a seek at full speed has to drop, or a pause to hold
PAUSING, RECONNECTING = "pausing", "reconnecting"


class Playback(ABC):
    """An open source, which it owns, played in passes: a recording that is sought or repeated begins another pass.

    `begin` and `frames` are for one thread. The rest may be called from any.
    """

    has_events = True  # False for a video: it can't be recorded or filtered

    def __init__(self, source: Source) -> None:
        self.interrupted = False  # whether the current pass should end
        self.read_to_end = False  # whether it has reached the source's end
        self.start_us = 0  # time of the first event
        self.path: Path | None = None
        self.labels: tuple[Label, ...] = ()  # beside a recording, from its first event on
        self.notes: tuple[str, ...] = ()  # warnings in addition to the source's own
        self.skipped = 0  # events dropped while a live source was paused
        # Why a live source's packets didn't follow on, each time. `Frame.epoch`: how many came before a frame.
        self.breaks: list[str] = []
        self.resolution: Resolution = source.resolution  # of what is played, which is upright
        self.orientation = Orientation()  # what makes it upright
        self.source = source

    @property
    def duration_us(self) -> int | None:
        """Time of a recording, as far as it is known; None for anything else."""
        return None

    @property
    def live(self) -> bool:
        return self.duration_us is None

    @property
    def serial(self) -> str:
        """Serial number of a camera; "" for anything else."""
        return self.source.serial if isinstance(self.source, ReconnectingSource) else ""

    @property
    def sensor(self) -> SensorControl | None:
        """Sets a camera's sensor up; None for anything else."""
        return self.source.sensor if isinstance(self.source, ReconnectingSource) else None

    @property
    def lost(self) -> str:
        """Why a live source yields nothing, in one line that says what to do; "" otherwise."""
        return getattr(self.source, "lost", "")

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.source.warnings, *self.notes)

    @property
    def counts(self) -> Counts:
        return Counts()

    @property
    def last_event_s(self) -> float:
        """When an event came last for the network, by `time.perf_counter`; inf: none ever will."""
        return math.inf

    @abstractmethod
    def set_speed(self, *, speed: float, paused: bool) -> None:
        """Play a recording at this multiple of real time, or hold it. A live source can only be paused."""

    @abstractmethod
    def begin(self, from_us: int, display: Display) -> None:
        """Begin a pass at ``from_us`` after the start, once the one before has ended.

        ``display`` gets what the network gets, in the pipeline's thread.
        """

    @abstractmethod
    def frames(self, spec: InputSpec, see: See) -> Iterator[Frame]:
        """Yield the frames of the pass to the end, or until it is interrupted.

        ``see`` looks at each packet before it is cut into frames, in the thread that iterates.
        """

    def end_pass(self) -> None:  # noqa: B027 (a video has nothing to stop)
        """Stop what the current pass has started."""

    def interrupt(self) -> None:
        """Make the current pass end soon, wherever it waits."""
        self.interrupted = True

    def close(self) -> None:
        """End the current pass and release the source. Safe to call twice."""
        self.interrupt()
        self.end_pass()
        self.source.close()


class EventPlayback(Playback):
    """A source of events, which ``orientation`` makes upright."""

    def __init__(self, source: EventSource, orientation: Orientation) -> None:
        super().__init__(source)
        self.resolution = orientation.resolution(source.resolution)
        self.orientation = orientation
        self.denoise = False  # whether noise is filtered; may be set at any time
        self.noise = DenoiseState(self.resolution)
        self.ring_buffer = RingBuffer(source, orientation)  # the last packets, noise included, to record
        self._events = source
        self._pipeline: Pipeline | None = None
        self._events_before = 0  # of earlier passes

    @property
    def counts(self) -> Counts:
        pipeline = self._pipeline
        counters = replace(self._events.counters, events=0) if pipeline is None else pipeline.counters
        return Counts(
            events=self._events_before + counters.events,
            dropped=counters.dropped,
            skipped=self.skipped,
            unread=0 if pipeline is None else pipeline.unread,
            noise=self.noise.counts,
            out_of_order=counters.out_of_order,
            out_of_bounds=counters.out_of_bounds,
            events_per_s=math.nan if pipeline is None else pipeline.arrived.per_s,
            filtered_per_s=math.nan if pipeline is None else pipeline.filtered.per_s,
        )

    @property
    def last_event_s(self) -> float:
        return math.inf if self._pipeline is None else self._pipeline.filtered.last_s

    def frames(self, spec: InputSpec, see: See) -> Iterator[Frame]:
        assert self._pipeline is not None  # begun
        slicer = Slicer(self.resolution, spec)
        for packet in self._pipeline:
            see(packet)
            yield from slicer.push(packet)
            if self.interrupted:
                return
        self.read_to_end = not self.interrupted

    def _open(self, display: Display, gate: Stage, **more: Any) -> Pipeline:
        return open_pipeline(
            self._events,
            orientation=self.orientation,
            gate=gate,
            noise=self.noise,
            denoise=lambda: self.denoise,
            show=lambda packet: display.add(packet, self.start_us),
            **more,
        )

    def end_pass(self) -> None:
        """Stop the capturing thread. Of a live source this ends the source, too."""
        if self._pipeline is not None:
            self.interrupt()
            self._pipeline.close()


class RecordedPlayback(EventPlayback):
    """A recording: it can be held, played at any speed, and begun anywhere."""

    def __init__(self, recording: Recording, orientation: Orientation) -> None:
        super().__init__(recording, orientation)
        self.start_us, self.path = recording.t_start, recording.path
        self.notes = tuple(recording.streams_left_out())
        try:
            before_s = (recording.labels_start - self.start_us) / 1e6
            self.labels = moved(read_labels(recording.path), before_s)
        except DataError as error:
            self.notes = (*self.notes, f"no labels: {error}")
        self._recording = recording
        self._clock = PlaybackClock()
        self._speed, self._paused = 1.0, False

    @property
    def duration_us(self) -> int:
        return self._recording.duration_us

    def set_speed(self, *, speed: float, paused: bool) -> None:
        self._speed, self._paused = speed, paused
        if not self.interrupted:
            self._clock.play(speed, paused=paused)

    def begin(self, from_us: int, display: Display) -> None:
        events_before = self.counts.events
        self.noise.forget()
        self._recording.seek(self.start_us + from_us)
        block = {"policy": "block", "max_bytes": RECORDING_BUFFER_BYTES, "owns_source": False}
        pipeline = self._open(display, self._until_interrupted, clock=self._clock, **block)
        # Both at once, after the seek: meanwhile counts may be read.
        self._pipeline, self._events_before = pipeline, events_before
        self.interrupted = self.read_to_end = False
        self._clock.restart()
        self.set_speed(speed=self._speed, paused=self._paused)

    def _until_interrupted(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        for packet in packets:
            if self.interrupted:
                return
            yield packet._replace(arrived_s=time.perf_counter())

    def interrupt(self) -> None:
        """End the pass at its next packet, which comes at once and is dropped."""
        super().interrupt()
        self._clock.play(None)


class LivePlayback(EventPlayback):
    """A camera, a stream or a simulation. What comes while it is paused is recorded and counted, but not played."""

    def __init__(self, source: EventSource, orientation: Orientation) -> None:
        super().__init__(source, orientation)
        self._paused = False
        self._pauses = 0
        self._begun = False  # an event has come

    def set_speed(self, *, speed: float, paused: bool) -> None:
        self._pauses += paused and not self._paused
        self._paused = paused

    def begin(self, from_us: int, display: Display) -> None:
        self._pipeline = self._open(display, self._unless_paused, record=self.ring_buffer.put)

    def _unless_paused(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """Yield the packets between the pauses, and note where they don't follow on."""
        epoch, pauses = 0, self._pauses
        for packet in packets:
            if epoch != (epoch := packet.epoch):
                self.breaks.append(RECONNECTING)
            if self._paused:
                self.skipped += packet.events.size
                if self.interrupted:
                    return
                continue
            if pauses != (pauses := self._pauses):
                self.breaks.append(PAUSING)
            if packet.events.size:
                first_us = int(packet.events["t"][0])
                self.start_us = min(self.start_us, first_us) if self._begun else first_us
                self._begun = True
            # Also when the pass is interrupted, so that the packet is counted.
            arrived_s = packet.arrived_s or time.perf_counter()
            yield packet._replace(epoch=len(self.breaks), arrived_s=arrived_s)

    def interrupt(self) -> None:
        """End the pass, even if the source hangs."""
        super().interrupt()
        if self._pipeline is not None:
            self._pipeline.interrupt()


LAST_US = 1_000_000
"""For a place beyond the end, the last frame is first looked for in this time before it, then in the whole video."""


class VideoPlayback(Playback):
    """A video. A recorded one can be held, played at any speed, and begun anywhere; a live one can be paused."""

    has_events = False

    def __init__(self, source: FrameSource) -> None:
        super().__init__(source)
        self._duration_us = source.duration_us  # now: it may take reading all of it
        self.path = None if source.live else Path(source.name)
        self._clock = PlaybackClock()
        self._video = source
        self._from_us = 0

    @property
    def duration_us(self) -> int | None:
        return self._duration_us

    def set_speed(self, *, speed: float, paused: bool) -> None:
        self._clock.play(speed, paused=paused)

    def begin(self, from_us: int, display: Display) -> None:
        self.interrupted = self.read_to_end = False
        self._from_us = from_us

    def frames(self, spec: InputSpec, see: See) -> Iterator[Frame]:
        if self.live:
            yield from self._unless_paused(self._video.frames(spec))
        else:
            yield from self._when_due(self._frames_from(spec))
        self.read_to_end = not self.interrupted

    def interrupt(self) -> None:
        super().interrupt()
        if self.live:
            self._video.close()  # which may be waiting for its next frame
        self._clock.restart()

    def _when_due(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if not self._clock.wait(frame.t, frame.t, lambda: not self.interrupted):
                return
            yield replace(frame, arrived_s=time.perf_counter())

    def _frames_from(self, spec: InputSpec) -> Iterator[Frame]:
        """Yield the frames from ``from_us`` on, or only the last frame where there are none."""
        frames = self._video.frames(spec, self._from_us)
        first = next(frames, None)
        near_us = self._from_us - max(LAST_US, 2 * (spec.slice.delta_t_us or 0))
        for from_us in (near_us, 0):
            if first is None:
                first = self._last(self._video.frames(spec, from_us))
        if first is not None:
            yield replace(first, start=True)
        yield from frames

    def _last(self, frames: Iterator[Frame]) -> Frame | None:
        """Return the last frame, or the newest one when the pass is interrupted; None where there is none."""
        newest = None
        for frame in frames:
            newest = frame
            if self.interrupted:
                break
        return newest

    def _unless_paused(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        missed = False
        for frame in frames:
            if self.interrupted:
                return
            if self._clock.paused:
                missed = True
                continue
            if missed:
                self.breaks.append(PAUSING)
            yield replace(frame, start=frame.start or missed, epoch=len(self.breaks))
            missed = False


def open_playback(
    source: str | Path | Source, mounting: Mounting, progress: Progress = no_progress, *, pictures: bool = False
) -> Playback:
    """Return a playback of a SOURCE of the command line, or of an open source; ``pictures``: see `open_source`.

    Raises what `open_source` raises, and SourceError for a video that should be turned.
    """
    opened = (
        open_source(source, progress=progress, at_once=True, pictures=pictures)
        if isinstance(source, str | Path)
        else source
    )
    orientation = mounting.orientation_of(opened, source)
    with closed_on_error(opened):  # such as a sensor that is too large
        if isinstance(opened, FrameSource):
            opened.require_upright(orientation)
            return VideoPlayback(opened)
        if isinstance(opened, Recording):
            return RecordedPlayback(opened, orientation)
        return LivePlayback(opened, orientation)
