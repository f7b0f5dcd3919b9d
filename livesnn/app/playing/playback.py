"""A source as a row of passes, each through its own buffer, that another thread can cut short.

A recording is played, sought and looped pass by pass. A live source has one pass; it can't be held, only not
be listened to. Every packet is seen as it arrives, before the buffer, so that the view never waits; and a live
source's can be recorded, even those that nobody listens to; noise is filtered after that, before the view. Not here:
when a pass begins (control.py), videos (video_playback.py), which of them a source is (opening.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from livesnn.app.playing.passes import BufferedPass, Pass
from livesnn.app.playing.statistics import Counts
from livesnn.app.playing.tap import See, Tap
from livesnn.app.playing.values import Opened
from livesnn.errors import DataError
from livesnn.events import Events, EventSource, Resolution
from livesnn.events.buffered import Buffered
from livesnn.events.denoise import DenoiseState
from livesnn.events.labels import Label, moved, read_labels
from livesnn.events.orientation import Orientation
from livesnn.events.preroll import PreRoll
from livesnn.events.recording import Recording
from livesnn.events.replay import Replay
from livesnn.events.tape import Tape
from livesnn.infer import Model

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
