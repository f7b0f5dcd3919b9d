"""Video files: open one, read its frames, sample them for a model, and describe it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import FormatError, ModelError, SourceError, reason_of
from livesnn.events.packet import Closing, Resolution
from livesnn.events.recording import RecordingInfo
from livesnn.events.slicer import Frame
from livesnn.files import file_head
from livesnn.progress import Progress, no_progress
from livesnn.video.frame_source import HEAD_BYTES, NO_LIMIT, FrameSource, Limit, container_of

Picture = npt.NDArray[np.uint8]

REWRITE = "write it again with ffmpeg, such as `ffmpeg -i IN -r 30 OUT.mp4`"

_LATEST_MS = 1e10  # a later time is none
_BEFORE = 3  # frames to seek before the one that is wanted, because a later one may come
_FIRST = 3  # frames that show how late all times are: in UCF-101's .avi files by a frame, except the first


class Reading(Closing):
    """One reading of a video, from any frame on: OpenCV, only by FFmpeg and in one thread.

    Only by FFmpeg: others take "%" in a name for a row of pictures. In one thread: with more, what is decoded
    before damage depends on how many; and it is as fast (1080p: 1.4 ms MPEG-4, 4.2 ms VP9 a frame).
    """

    def __init__(self, path: Path, fps: Fraction) -> None:
        silence()
        self._path = path
        self._interval_ms = 1000 / float(fps)
        self.next_frame = 0  # its number
        self.uneven_s = 0.0  # how far a frame's own time was from an even row's
        self._capture = _capture(path)

    def get(self, property_id: int) -> float:
        return self._capture.get(property_id)

    def skip_to(self, frame: int) -> None:
        """Go on at a frame, or some before it; at the first, where there is no telling which one would come."""
        for _ in range(_FIRST):
            self.grab()
        late_ms = self._own_ms() - (self.next_frame - 1) * self._interval_ms
        sought = self._capture.set(cv2.CAP_PROP_POS_FRAMES, frame - _BEFORE) and self._capture.grab()
        own_ms = self._own_ms() if sought else 0.0
        self.next_frame = round((own_ms - late_ms) / self._interval_ms) + 1 if own_ms else 0
        if not 0 < self.next_frame <= frame:
            self._capture.release()
            self._capture, self.next_frame = _capture(self._path), 0

    def grab(self) -> bool:
        """Decode the next frame; False at the end, and at damage."""
        if not self._capture.grab():
            return False
        if own_ms := self._own_ms():
            self.uneven_s = max(self.uneven_s, abs(own_ms - self.next_frame * self._interval_ms) / 1000)
        self.next_frame += 1
        return True

    def _own_ms(self) -> float:
        """Return when the frame grabbed last is to be shown, as the file says; 0 where it doesn't."""
        own_ms: float = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return own_ms if 0 < own_ms < _LATEST_MS else 0.0

    def retrieve(self) -> Picture | None:
        """Return the frame just grabbed, BGR [H, W, 3], upright; None when it can't be decoded."""
        try:
            done, image = self._capture.retrieve()
        except cv2.error:  # such as too little memory
            return None
        return np.asarray(image, np.uint8) if done and image is not None and image.ndim == 3 else None

    def close(self) -> None:
        self._capture.release()


def _capture(path: Path) -> cv2.VideoCapture:
    try:
        capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    except (cv2.error, UnicodeError) as error:
        raise SourceError(f"{str(path)!r}: can't be opened ({reason_of(error)}): rename it") from error
    if not capture.isOpened():
        raise FormatError(
            f"{path}: no video in it can be decoded: it is damaged, or of a kind that isn't known: get it "
            f"again, or {REWRITE}"
        )
    return capture


@cache
def silence() -> None:
    """Stop OpenCV and FFmpeg from writing to stdout and stderr, unless the user's environment asks for it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; OpenCV reads it with every opening
    if "OPENCV_LOG_LEVEL" not in os.environ:
        set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # of OpenCV 4, of 5
        set_level(0)


_MIN_FPS, _MAX_FPS = 0.1, 1000.0  # less than the latter: FFmpeg gives it for times in ms and no rate
_MAX_SIDE, _MAX_PIXELS = 16_384, 1 << 26  # twice 8K; 200 MB a picture
_MISSING = 2  # a whole file may claim so many frames too many: seen in UCF-101 and HMDB51
_ESTIMATE_S = 0.5  # Matroska's number of frames is made of its length, which may be its sound's
_NEAR_S = 2  # what lies no further in is read from the start
_UNEVEN_S = 0.5  # a frame's own time may be off by this much before the frames count as uneven


@dataclass(eq=False)
class Video(FrameSource):
    """A video file, as `open_video` makes it, read as fast as its frames are taken; none is dropped.

    Nothing is held open between readings. Picture j is shown from `time_us(j)` to `time_us(j + 1)`: by the
    container's frame rate, taken as constant.
    """

    live = False

    # The file, and its container: avi, mp4, mov, matroska or webm
    path: Path
    format: str
    fps: Fraction  # Pictures a second
    resolution: Resolution  # Of the upright pictures; pixels are taken as square
    claimed: int  # Number of pictures, as the file says; below 1: it doesn't
    progress: Progress  # Gets 0 again and again while all of it is read: how much is done can't be known
    # What is damaged or was assumed, one line each; known once the video has been read to its end
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        return str(self.path)

    @cached_property
    def duration_us(self) -> int:
        """As the file says; where it doesn't, or says more frames than it has bytes, all of it is read."""
        believable = 0 < self.claimed <= self.path.stat().st_size
        return self.time_us(self.claimed if believable else self.count_frames())

    def time_us(self, frame: int) -> int:
        """Return when a frame is first shown, from the start, rounded down."""
        return frame * 1_000_000 * self.fps.denominator // self.fps.numerator

    def frames(self, input: InputSpec, from_us: int = 0, limit: Limit = NO_LIMIT) -> Iterator[Frame]:  # noqa: A002
        """Yield what the video shows at 0, Δt, 2·Δt, …, as the model takes it; data shown for longer is shared.

        From the first of these times at or after ``from_us`` on; where that is beyond the end, there are none.

        Frame k is the newest picture at k·Δt, as if the video were live; there is one for each k·Δt before the end of
        the last picture. The video is read up to the first damage that can be seen, and `warnings` says so; of an
        .avi that is cut short, the last picture may be half of one, and is left out. Raises ModelError if the model
        doesn't take videos, and FormatError if not one whole frame can be read.
        """
        delta_t_us = check_takes_video(
            input,
            self.path.name,
            "choose a model for video (ucf6), or make events of it: "
            f"livesnn convert {shlex.quote(str(self.path))} EVENTS.aedat4",
        )
        first_us = due_us = -(-max(from_us, 0) // delta_t_us) * delta_t_us

        def is_due(frame: int) -> bool:
            return due_us < self.time_us(frame + 1)

        for frame, image in self._whole_frames(is_due, int(first_us * self.fps / 1_000_000)):
            if image is None:
                continue
            picture = fit(image, input)
            for t in range(due_us, self.time_us(frame + 1), delta_t_us):
                if t >= limit.end_us:
                    return
                due_us = t + delta_t_us
                yield Frame(t, picture, 0, start=t == 0)
        if due_us == first_us == 0:
            raise FormatError(f"{self.path}: not one whole frame can be read: it is damaged, copy it again")

    def pictures(self) -> Iterator[tuple[int, Picture]]:
        """Yield each whole picture as decoded, BGR uint8 [H, W, 3], and when it is first shown, µs; see `frames`."""
        for frame, image in self._whole_frames(lambda frame: True):
            if image is not None:
                yield self.time_us(frame), image

    def count_frames(self) -> int:
        """Read the whole video and return how many frames it has."""
        count = 0
        for _ in self._whole_frames(lambda frame: False):
            count += 1
            self.progress(0.0)
        return count

    def _whole_frames(
        self, wanted: Callable[[int], bool], from_frame: int = 0
    ) -> Iterator[tuple[int, Picture | None]]:
        """Yield frames' numbers from ``from_frame`` on or before it, and their pictures as decoded where wanted."""
        failed = False
        newest: tuple[int, Picture | None] | None = None
        with Reading(self.path, self.fps) as reading:
            if from_frame > _NEAR_S * self.fps:
                reading.skip_to(from_frame)
            count = reading.next_frame
            while not failed and reading.grab():
                if newest is not None:  # whole, since another follows
                    yield newest
                image = None
                if wanted(count):
                    image = reading.retrieve()
                    failed = image is None
                newest = None if failed else (count, image)
                count += not failed
        cut_short = False
        if self.format == "avi":  # whose head says how long it is
            size = 8 + int.from_bytes(file_head(self.path, HEAD_BYTES)[4:8], "little")
            cut_short = size > self.path.stat().st_size
        if newest is not None and not cut_short:
            yield newest
        self._note_end(count - cut_short, failed or cut_short, reading.uneven_s)

    def _note_end(self, count: int, damaged: bool, uneven_s: float) -> None:
        tolerated = _MISSING + (self.fps * _ESTIMATE_S if self.format in ("matroska", "webm") else 0)
        warnings = []
        if damaged or self.claimed - count > tolerated:
            of = f" of {self.claimed:,}" if self.claimed > 0 else ""
            warnings.append(f"{self.path.name} is cut short or damaged: {count:,}{of} frames can be read")
        if uneven_s > max(_UNEVEN_S, float(5 / self.fps)):
            warnings.append(
                f"the frames of {self.path.name} come at uneven times, up to {uneven_s:.1f} s off, and are read as "
                f"{float(self.fps):g} a second: {REWRITE}"
            )
        self.warnings = tuple(warnings)


def open_video(path: str | Path, progress: Progress = no_progress) -> Video:
    """Open a video file and look at its first frame; raises SourceError, or FormatError where it can't be decoded."""
    path = Path(path)
    container = container_of(file_head(path, HEAD_BYTES, "video"))
    if container is None:
        raise FormatError(
            f"{path}: not a video that livesnn reads (AVI, MP4, MOV, Matroska, WebM), or its beginning is damaged: "
            f"give another, or {REWRITE}"
        )
    with Reading(path, Fraction(1)) as reading:
        fps = _checked_fps(reading.get(cv2.CAP_PROP_FPS), path)
        _check_size(reading.get(cv2.CAP_PROP_FRAME_WIDTH), reading.get(cv2.CAP_PROP_FRAME_HEIGHT), path)
        first = reading.retrieve() if reading.grab() else None
        if first is None:
            raise FormatError(f"{path}: it has no frame that can be decoded: copy it again, or {REWRITE}")
        _check_size(first.shape[1], first.shape[0], path)
        claimed = reading.get(cv2.CAP_PROP_FRAME_COUNT)
    height, width = first.shape[:2]
    frames = int(claimed) if 0 < claimed < 1e9 else 0
    return Video(path, container, fps, Resolution(width, height), frames, progress)


def video_clips(path: str | Path, input: InputSpec) -> Picture:  # noqa: A002 (the card's name)
    """Return the consecutive windows of a video as one array, for training: the same frames as live.

    It is uint8 [N, window, C, H, W], N ≥ 1. What is left after the last whole window isn't in it, but of a video
    shorter than one window the last frame is repeated to fill one. ``input`` is of the model's card; its
    ``slice.delta_t_us`` is from frame to frame.

    Raises LivesnnError as `open_video` and `Video.frames` do.
    """
    pictures = [frame.data for frame in open_video(path).frames(input)]
    pictures += [pictures[-1]] * (input.window - len(pictures))
    count = len(pictures) // input.window
    return np.stack(pictures[: count * input.window]).reshape(count, input.window, *pictures[0].shape)


def check_takes_video(input: InputSpec, name: str, otherwise: str) -> int:  # noqa: A002
    """Return a model's Δt, µs; ModelError, with what to do ``otherwise``, if it doesn't take the video of a name."""
    if input.kind != "video":
        raise ModelError(f"{name} is a video, but the model reads {input.kind}: {otherwise}")
    if input.channels not in (1, 3) or input.slice.delta_t_us is None:
        raise ModelError(
            f"a video has 3 channels (RGB) or 1 (grey) at a fixed delta_t_us, but the model takes "
            f"{input.channels} by {input.slice}: correct the model's card"
        )
    return input.slice.delta_t_us


def fit(image: Picture, input: InputSpec) -> Picture:  # noqa: A002
    """Return an image as a model takes it: its largest centred part of that aspect, rescaled by area (OpenCV's).

    ``image`` is uint8 [H, W, 3], BGR. The result is uint8 [C, height, width], with C = 3 for RGB, or 1 for grey
    (BT.601), and owns its memory.
    """
    height, width = image.shape[:2]
    crop_width, crop_height = input.cropped(width, height)
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    part = image[top : top + crop_height, left : left + crop_width]
    colour = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY if input.channels == 1 else cv2.COLOR_BGR2RGB)
    scaled = cv2.resize(colour, (input.width, input.height), interpolation=cv2.INTER_AREA)
    return np.array(scaled.reshape(input.height, input.width, -1).transpose(2, 0, 1), np.uint8, order="C")


def _checked_fps(fps: float, path: Path) -> Fraction:
    if not _MIN_FPS <= fps < _MAX_FPS:  # NaN too
        raise FormatError(f"{path}: a frame rate of {fps:g} a second can't be used: {REWRITE}")
    return Fraction(fps).limit_denominator(1_000_000)  # as in the file: 30000/1001


def _check_size(width: float, height: float, path: Path) -> None:
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE and width * height <= _MAX_PIXELS):
        raise FormatError(f"{path}: frames of {width:g}×{height:g} pixels can't be read: it is damaged, or {REWRITE}")


@dataclass(frozen=True)
class VideoInfo(RecordingInfo):
    """What is in a video: no streams, and ``frames`` at ``fps`` a second, which together last ``duration_us``."""

    fps: float


def describe_video(path: Path, progress: Progress = no_progress) -> VideoInfo:
    """Read a whole video and return what is in it; raises as `open_video` does, and as ``progress``."""
    video = open_video(path, progress)
    count = video.count_frames()
    return VideoInfo(
        format=video.format,
        camera="",
        resolution=video.resolution,
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
