"""`open_source`: what a SOURCE of the command line names, opened by the module that reads its kind.

Those are events/recording.py, events/cameras/ (one module for each kind of live source), video/ and simulate/.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device
from livesnn.events.cameras.sensitivity import SensorSettings
from livesnn.events.packet import EventSource
from livesnn.files import expanded
from livesnn.paths import recordings_dir
from livesnn.progress import Notify, Progress, no_notice, no_progress
from livesnn.video.frame_source import FrameSource, is_video

if TYPE_CHECKING:  # modules that take long to import
    from livesnn.events.recording import Recording, RecordingInfo

Source = EventSource | FrameSource

_LIVE = ("camera:", "webcam:", "tcp://", "ros2:", "simulate:")
_FIRST = ("camera", "webcam")


def is_live(uri: str) -> bool:
    """Whether ``uri`` names a camera, a webcam, a stream or the simulator, and no file of that name is there."""
    return (uri in _FIRST or uri.startswith(_LIVE)) and not os.path.isfile(expanded(uri))


def is_webcam(source: object) -> bool:
    """Whether a SOURCE of the command line is a webcam, which can give events or pictures."""
    return isinstance(source, str) and source.startswith("webcam") and is_live(source)


def discover(notify: Notify) -> list[Device]:
    """Return the event cameras that are plugged in, then the webcams; ``notify`` gets why some can't be found."""
    from livesnn.events.cameras import discovery as cameras
    from livesnn.video.webcam import webcams

    try:
        found = cameras.discover()
    except SourceError as error:
        notify(str(error))
        found = []
    return [*found, *webcams()]


def open_source(
    uri: str | Path,
    *,
    notify: Notify = no_notice,
    progress: Progress = no_progress,
    at_once: bool = False,
    sensor: SensorSettings | None = None,
    pictures: bool = False,
) -> Source:
    """Open a SOURCE of the command line: the path of a recording or a video, or a live source.

    Parameters
    ----------
    uri
        A path, or the name of a shipped clip, as ``arm_roll``; ``camera``, ``camera:SERIAL``,
        ``camera:metavision:SERIAL``; ``webcam``, ``webcam:NUMBER``; ``tcp://HOST:PORT``; ``ros2:/TOPIC``;
        ``simulate:gestures[:SEED]``, ``simulate:digits[:SEED]`` (frames, for a model of video).
    notify
        Gets a line when a live source is lost and when it is back; called in the thread that iterates.
    progress
        Reports how much of a recording has been read, where opening it takes reading all of it.
    at_once
        Don't wait until a recording without an index has been read; see `open_recording`.
    sensor
        How an event camera's sensor is set up; None: as its driver does.
    pictures
        A webcam gives its pictures themselves, as a model of video reads them; otherwise events made of them.

    Raises
    ------
    SourceError
        When there is no such file, camera or stream, or the source isn't supported yet; or ``sensor`` is given for
        anything but a camera, or isn't for this one.
    FormatError
        When the file isn't a recording or video of a known format, or is damaged beyond use.
    """
    if not isinstance(uri, str | Path):
        raise SourceError(f"a source must be text or a path, not {uri!r}: give the path of a recording")
    name = str(uri)
    if not name.strip():
        raise SourceError("the source is empty: give the path of a recording, or camera")
    live = isinstance(uri, str) and is_live(name)
    if sensor is not None and not (live and name.startswith("camera")):
        raise SourceError(f"{name} has no sensor to set up: leave --bias out, or give an event camera")
    if live:
        return _open_live(name, notify, sensor, pictures=pictures)
    if name.startswith(("unix://", "http://", "https://", "rtsp://")):
        raise SourceError(f"{name}: {name.split(':')[0]} sources are not supported: give a recording or a camera")
    if name.startswith("file://"):
        raise SourceError(f"{name}: file:// isn't supported: give the path without it")
    path = expanded(shipped_clip(name))
    if os.path.isdir(path):
        from livesnn.weights import WEIGHTS

        if (path / WEIGHTS).is_file():
            raise SourceError(f"{name}: this is a model: give it as --model {name}")
    return _open_file(path, progress, at_once=at_once)


def shipped_clip(name: str) -> str:
    """Return the path of the shipped clip of that name; the name itself, if a file has it or no clip does."""
    clip = recordings_dir() / f"{name}.aedat4"
    is_clip = clip.parent == recordings_dir() and os.path.isfile(clip) and not os.path.lexists(name)
    return str(clip) if is_clip else name


def open_events(path: Path, *, stream: str | None = None, progress: Progress = no_progress) -> Recording:
    """Open a recording as `open_recording` does; of a video, events that are made of its pictures."""
    if is_video(path):
        from livesnn.video.emulate import open_video_events

        return open_video_events(path, stream, progress)
    from livesnn.events.recording import open_recording

    return open_recording(path, stream=stream, progress=progress)


def describe(path: Path, progress: Progress = no_progress) -> RecordingInfo:
    """Read a whole recording or video and return what is in it; raises as `open_source` does, and as ``progress``."""
    if is_video(path):
        from livesnn.video.video_file import describe_video

        return describe_video(path, progress)
    from livesnn.events import recording

    return recording.describe(path, progress)


def event_source(source: Source) -> EventSource:
    """Return a source of events; raises SourceError, and closes it, where it is a video."""
    if isinstance(source, FrameSource):
        source.close()
        raise source.no_events()
    return source


def _open_file(path: Path, progress: Progress, *, at_once: bool) -> Source:
    """Open a recording of events, or a video; a video's stream is of events."""
    from livesnn.events.formats.registry import parse_recording_path

    named = parse_recording_path(path)
    if not is_video(named.file):
        from livesnn.events.recording import open_recording

        return open_recording(path, progress=progress, at_once=at_once)
    if named.stream is not None:
        return open_events(named.file, stream=named.stream, progress=progress)
    from livesnn.video.video_file import open_video

    return open_video(path, progress)


def _open_live(name: str, notify: Notify, sensor: SensorSettings | None, *, pictures: bool) -> Source:
    if name.startswith("tcp://"):
        from livesnn.events.cameras.network import open_stream

        return open_stream(name, notify=notify)
    if name.startswith("ros2:"):
        from livesnn.events.cameras.ros2 import open_topic

        return open_topic(name, notify=notify)
    if name.startswith("simulate:"):
        from livesnn.simulate.sources import open_simulation

        return open_simulation(name)
    if name.startswith("webcam"):
        from livesnn.video.webcam import open_webcam

        return open_webcam(name, pictures=pictures, notify=notify)
    from livesnn.events.cameras.discovery import open_camera

    return open_camera(name, notify=notify, settings=sensor)
