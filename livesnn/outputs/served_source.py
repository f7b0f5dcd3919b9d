"""An open source as the page and ROS see it: its newest picture, how many events came, a recording, a reset."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from livesnn.errors import SourceError, error_message
from livesnn.events.filters import Orientation
from livesnn.events.packet import Closing, Packet, Resolution
from livesnn.events.picture import Display, Picture
from livesnn.events.recorder import Recorder, RingBuffer, with_kept
from livesnn.events.slicer import Frame
from livesnn.infer.run import Result
from livesnn.progress import Notify
from livesnn.sources import Source
from livesnn.threads import Latest
from livesnn.video.frame_source import FrameSource

PICTURES_PER_S = 30


class ServedSource(Closing):
    """Sees what goes through an open source, for as long as it is served; whoever opened the source closes it.

    ``notify`` gets a line when a recording in ``folder`` is complete, or has failed.
    """

    def __init__(self, source: Source, orientation: Orientation, folder: Path, notify: Notify) -> None:
        self.events = 0  # that have come
        self._source = source
        self._folder, self._notify = folder, notify
        self._ring_buffer: RingBuffer | None = None
        self._size = Resolution(1, 1)  # a video's pictures are its frames
        if not isinstance(source, FrameSource):
            self._size = orientation.resolution(source.resolution)
            self._ring_buffer = RingBuffer(source, orientation)
        self._views: list[View] = []
        self._lock = threading.RLock()  # of the recording
        self._recorder: Recorder | None = None
        self._reset = threading.Event()

    @property
    def sees_events(self) -> bool:
        return self._ring_buffer is not None

    @property
    def lost(self) -> str:
        """Why nothing comes, in one line that says what to do; "" while the source is connected."""
        return getattr(self._source, "lost", "")

    def view(self, notify: Callable[[], None]) -> View:
        self._views.append(View(self._size, notify))
        return self._views[-1]

    def see_packet(self, packet: Packet) -> None:
        """Look at an upright packet, noise included, in the thread that reads the source."""
        self.events += packet.events.size
        if self._ring_buffer is not None:
            self._ring_buffer.put(packet)
        for view in self._views:
            view.see_packet(packet)

    def see_result(self, result: Result) -> None:
        if not self.sees_events:
            for view in self._views:
                view.see_frame(result.frame)

    def reset(self) -> None:
        self._reset.set()

    def take_reset(self) -> bool:
        asked = self._reset.is_set()
        self._reset.clear()
        return asked

    def record(self) -> None:
        """Record what arrives from now on to a new file.

        Raises SourceError where there are no live events, or something is being recorded.
        """
        if self._ring_buffer is None or not self._source.live:
            raise SourceError("only live events can be recorded: serve a camera or a stream")
        with self._lock:
            if (recording := self.recording()) is not None:
                raise SourceError(f"{recording['path']} is being recorded: stop it first")
            name = datetime.now().strftime("livesnn-%Y%m%d-%H%M%S")
            self._recorder = self._ring_buffer.record(self._folder / f"{name}.aedat4")

    def stop_recording(self) -> None:
        """End the recording; what came until now is still written."""
        with self._lock:
            if self._ring_buffer is not None and self._recorder is not None:
                self._ring_buffer.use(None)
                self._recorder.stop()

    def recording(self) -> dict[str, object] | None:
        """Return how the recording goes; None: there is none. Asked once a second, it tells of the end."""
        with self._lock:
            recorder = self._recorder
            if recorder is None:
                return None
            if recorder.finished:
                self._recorder = None
                self._notify(_outcome(recorder))
                return None
        return asdict(recorder.recorded) | {"path": recorder.path.name, "seconds": recorder.seconds}

    def close(self) -> None:
        self.stop_recording()
        if self._recorder is not None:
            self._recorder.close()
            self.recording()


class View(Latest[Picture]):
    """The newest picture for one output, `PICTURES_PER_S` at most, as long as ``watched`` is set.

    ``notify`` is called after each picture, in the thread that reads the source.
    """

    def __init__(self, size: Resolution, notify: Callable[[], None]) -> None:
        super().__init__()
        self.watched = False
        self._notify = notify
        self._display = Display(size, self, every_s=1 / PICTURES_PER_S)

    def put(self, value: Picture) -> None:
        super().put(value)
        self._notify()

    def see_packet(self, packet: Packet) -> None:
        if self.watched:
            self._display.add(packet, 0)

    def see_frame(self, frame: Frame) -> None:
        if self.watched:
            self._display.show_frame(frame, 0)


def _outcome(recorder: Recorder) -> str:
    if recorder.error is not None:
        return with_kept(error_message(recorder.error), recorder)
    done = recorder.recorded
    return f"{done.events:,} events in {done.seconds:.1f} s written to {done.path}, {done.dropped:,} dropped"
