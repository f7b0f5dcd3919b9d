"""A film of a recording: pictures at an even pace, each with the decision below it, written as .mp4."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import SourceError
from livesnn.events.denoise import DenoiseState
from livesnn.events.filters import Orientation
from livesnn.events.packet import Packet, Resolution
from livesnn.events.picture import PALETTES, Accumulator, Palette, Rgb, video_picture
from livesnn.events.pipeline import open_pipeline
from livesnn.events.recorder import require_room
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.decide import STALE_US
from livesnn.infer.model import Model
from livesnn.infer.run import Result, run_frames
from livesnn.session.control import Choices
from livesnn.session.verdict import CLASSES_ON_DARK, CLASSES_ON_LIGHT, NO_EVENTS, NOTHING_YET, Verdict, verdict_of
from livesnn.video.frame_source import FrameSource
from livesnn.video.video_file import silence

Picture = npt.NDArray[np.uint8]  # uint8 [H, W, 3], RGB

PICTURES_PER_S = 30
LONGEST_FILM_H = 24
_LONGEST_SIDE = 960  # pixels, of a picture that is made larger
_CHECK_EVERY = 30  # pictures between two looks at the disk's room
_CAPITAL = 21.0  # pixels of the capital letters' height at scale 1


def write_film(
    path: Path,
    source: Recording | FrameSource,
    model: Model,
    choices: Choices,
    orientation: Orientation,
    stretch_us: tuple[int, int],
    reached: Callable[[int], None],
) -> int:
    """Write a new film of the time in ``stretch_us``, and return how many pictures it has.

    The network runs from the recording's start; ``reached`` is told the times up to which it is done.
    """
    spec = model.card.input
    if isinstance(source, FrameSource):
        sensor, start_us = Resolution(spec.width, spec.height), 0  # of a picture that the network sees
    else:
        sensor, start_us = orientation.resolution(source.resolution), source.t_start
    film = Film(model.card, choices, sensor, start_us, stretch_us, reached)
    if (hours := film.pictures / PICTURES_PER_S / 3600) > LONGEST_FILM_H:
        raise SourceError(
            f"{path}: the video would last {hours:,.0f} hours, and {LONGEST_FILM_H} are the most: choose a higher "
            "speed or a shorter section"
        )
    if isinstance(source, FrameSource):
        source.require_upright(orientation)
        frames = _frames_of_video(source, spec, film)
    else:
        frames = _frames_of_events(source, spec, choices, orientation, film)
    with _mp4(path, film.scene.size, film.pictures) as film.write:
        for result in run_frames(frames, model, state=choices.state_mode, decider=choices.decider_of(model.card)):
            film.newest = result
            reached(result.t)
    return film.pictures


class Film:
    """Takes the pictures of a film when they are due: at the end of each part of the stretch.

    ``newest`` is the result that their captions are about.
    """

    write: Callable[[Picture], None]  # of the film's file, once that is open

    def __init__(
        self,
        card: ModelCard,
        choices: Choices,
        sensor: Resolution,
        start_us: int,
        stretch_us: tuple[int, int],
        reached: Callable[[int], None],
    ) -> None:
        speed = choices.speed if math.isfinite(choices.speed) else 1.0
        self._step_us = 1e6 * speed / PICTURES_PER_S
        self._start_us, (self._from_us, self._to_us) = start_us, stretch_us
        self.pictures = max(round((self._to_us - self._from_us) / self._step_us), 1)
        self.newest: Result | None = None
        self._taken = 0
        self._card, self._reached = card, reached
        self.scene = Scene(sensor, PALETTES[choices.view.palette], mirrored=choices.mirrored)

    @property
    def complete(self) -> bool:
        return self._taken == self.pictures

    def _due_us(self, number: int) -> int:
        return min(self._from_us + round((number + 1) * self._step_us), self._to_us)

    def split(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """Yield packets cut where pictures are due, so that each is taken before what follows is seen."""
        cuts = 0
        for packet in packets:
            events = packet.events
            while cuts < self.pictures and events.size and self._due_us(cuts) <= events["t"][-1]:
                before, events = np.split(events, [np.searchsorted(events["t"], self._due_us(cuts))])
                yield packet._replace(events=before)
                cuts += 1
            yield packet._replace(events=events)

    def take_until(self, until_us: float, seen: Callable[[int], Picture]) -> None:
        """Take each picture that is due up to a time; ``seen`` returns what is seen then."""
        while not self.complete and (due_us := self._due_us(self._taken)) <= until_us:
            self._taken += 1
            seconds = (due_us - self._start_us) / 1e6
            self.write(self.scene.draw(seen(due_us), self._verdict(due_us), seconds))
            self._reached(due_us)

    def _verdict(self, t_us: int) -> Verdict:
        """Return what to say at a time about the newest result."""
        if self.newest is None or not self.newest.window_seen:
            return Verdict(NOTHING_YET)
        if t_us - self.newest.t > STALE_US:
            return Verdict(NO_EVENTS)
        verdict = verdict_of(self.newest, self._card.classes)
        return verdict if self.newest.decision is None else verdict._replace(why="")


def _frames_of_events(
    recording: Recording, spec: InputSpec, choices: Choices, orientation: Orientation, film: Film
) -> Iterator[Frame]:
    """Yield frames until all pictures are taken, each of the events before it."""
    sensor, newest_us = orientation.resolution(recording.resolution), recording.t_start
    seen = Accumulator(sensor, choices.view)

    def show(packet: Packet) -> None:
        nonlocal newest_us
        if packet.events.size:
            first_us, last_us = packet.events["t"][[0, -1]].tolist()
            if first_us < newest_us:
                seen.clear()  # a jump back: what was seen lies in the future
            film.take_until(first_us, seen.picture)
            newest_us = last_us
            seen.add(packet.events)

    slicer = Slicer(sensor, spec)
    for packet in open_pipeline(
        recording,
        orientation=orientation,
        gate=film.split,
        noise=DenoiseState(sensor) if choices.denoise else None,
        show=show,
        policy=None,
    ):
        if film.complete:
            return
        yield from slicer.push(packet)
    film.take_until(math.inf, seen.picture)


def _frames_of_video(video: FrameSource, spec: InputSpec, film: Film) -> Iterator[Frame]:
    """Yield frames until all pictures are taken, each of the newest frame."""
    newest: Frame | None = None

    def seen(_: int) -> Picture:
        assert newest is not None
        return video_picture(newest.data)

    for frame in itertools.chain(video.frames(spec), [None]):
        if newest is not None:
            film.take_until(math.inf if frame is None else frame.t - 1, seen)
        if film.complete or frame is None:
            return
        newest = frame
        yield frame


class Scene:
    """Draws pictures with their captions, all of one ``size`` (width, height), both even."""

    def __init__(self, resolution: Resolution, palette: Palette, *, mirrored: bool) -> None:
        scale = max(_LONGEST_SIDE // max(resolution), 1)
        self._shown = (resolution.width * scale, resolution.height * scale)
        self._unit = max(min(*self._shown, 720) // 9, 32)  # height of the caption's largest line, pixels
        width = max(self._shown[0], 8 * self._unit)
        self.size = (width + width % 2, (self._shown[1] + 2 * self._unit) // 2 * 2)
        self._mirrored = mirrored
        self._palette = palette
        dark = palette.ink == (255, 255, 255)
        self._classes = [tuple(bytes.fromhex(name[1:])) for name in (CLASSES_ON_DARK if dark else CLASSES_ON_LIGHT)]

    def draw(self, picture: Picture, verdict: Verdict, seconds: float) -> Picture:
        """Return a picture with its caption; ``seconds``: its time in the recording."""
        width, height = self.size
        drawn = np.empty((height, width, 3), np.uint8)
        drawn[:] = self._palette.background
        if self._mirrored:
            picture = picture[:, ::-1]
        left = (width - self._shown[0]) // 2
        enlarged = cv2.resize(picture, self._shown, interpolation=cv2.INTER_NEAREST)
        drawn[: self._shown[1], left : left + self._shown[0]] = enlarged
        self._draw_caption(drawn, verdict, seconds)
        return drawn

    def _draw_caption(self, drawn: Picture, verdict: Verdict, seconds: float) -> None:
        unit, width, decided = self._unit, self.size[0], verdict.number is not None
        top = self._shown[1] + unit // 3
        edge = unit // 2
        colour = self._mixed(0.6) if verdict.number is None else self._classes[verdict.number % len(self._classes)]
        drawn[top : top + unit, edge : edge + unit // 6] = colour
        left = edge + unit // 6 + unit // 3
        room = width - left - edge - 2 * unit
        ink = self._mixed(1.0 if decided else 0.6)
        base = top + round(unit * (0.52 if verdict.why else 0.78))
        _write(drawn, verdict.words, (left, base), unit * 0.58, ink, room, bold=decided)
        if verdict.why:
            _write(drawn, verdict.why, (left, top + round(unit * 0.98)), unit * 0.28, self._mixed(0.6), room)
        percent = f"{100 * verdict.confidence:.0f} %" if verdict.confidence else ""
        for words, line in ((percent, 0.42), (f"{seconds:.1f} s", 0.92)):
            size = unit * 0.36
            at = width - edge - _width(words, size, bold=False)
            _write(drawn, words, (at, top + round(unit * line)), size, self._mixed(0.7), 2 * unit)

    def _mixed(self, share: float) -> Rgb:
        """Return so much of the ink on the palette's ground."""
        ground, ink = self._palette.background, self._palette.ink
        red, green, blue = (round(a + share * (b - a)) for a, b in zip(ground, ink, strict=True))
        return red, green, blue


def _face(pixels: float, *, bold: bool) -> tuple[int, int]:
    """Return font and thickness. From OpenCV 5 on, a font for many languages takes the place of these."""
    thickness = max(round(pixels / 14), 1)
    return (cv2.FONT_HERSHEY_DUPLEX, thickness + 1) if bold else (cv2.FONT_HERSHEY_SIMPLEX, thickness)


def _width(words: str, pixels: float, *, bold: bool) -> int:
    face, thickness = _face(pixels, bold=bold)
    return int(cv2.getTextSize(words, face, pixels / _CAPITAL, thickness)[0][0])


def _write(
    drawn: Picture, words: str, at: tuple[int, int], pixels: float, ink: Rgb, room: int, *, bold: bool = False
) -> None:
    """Write words from a place on, smaller where there is too little room."""
    pixels *= min(room / max(_width(words, pixels, bold=bold), 1), 1.0)
    face, thickness = _face(pixels, bold=bold)
    cv2.putText(drawn, words, at, face, pixels / _CAPITAL, ink, thickness, cv2.LINE_AA)


@contextmanager
def _mp4(path: Path, size: tuple[int, int], pictures: int) -> Iterator[Callable[[Picture], None]]:
    """Yield what adds a picture to MPEG-4 video: FFmpeg in OpenCV has no H.264, and VP9 takes fifty times as long."""
    silence()
    path.touch(exist_ok=False)  # says why where OpenCV wouldn't, as does the next line
    require_room(path)
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    file = cv2.VideoWriter(os.path.abspath(path), cv2.CAP_FFMPEG, codec, PICTURES_PER_S, size)
    if not file.isOpened():
        raise SourceError(f"{path}: this OpenCV can't write .mp4: pip install opencv-python-headless")
    written = itertools.count()

    def write(picture: Picture) -> None:
        if next(written) % _CHECK_EVERY == 0:
            require_room(path)
        file.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    try:
        yield write
    finally:
        file.release()
    read = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)  # OpenCV says nothing of a full disk
    complete = int(read.get(cv2.CAP_PROP_FRAME_COUNT)) if read.isOpened() else 0
    read.release()
    if complete != pictures:
        raise SourceError(f"{path}: only {complete} of {pictures} pictures were written: check the free space")
