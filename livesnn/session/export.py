"""What a source shows, written to a file: a film of a recording (.mp4, .gif), or a table of the decisions (.csv).

For a recording the network runs from its start, as in `livesnn run`, and as fast as it can. Stretches of events are
written by events/convert.py.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import SourceError
from livesnn.events.convert import written_whole
from livesnn.events.denoise import DenoiseState
from livesnn.events.filters import Orientation, Stretch
from livesnn.events.packet import Packet, Resolution
from livesnn.events.pipeline import open_pipeline
from livesnn.events.recorder import require_room
from livesnn.events.recording import Recording
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.decide import STALE_US
from livesnn.infer.model import Model, load_model
from livesnn.infer.run import FrameStream, Result, run_frames
from livesnn.infer.switching_engine import in_use
from livesnn.progress import Progress, no_progress, share_of_time
from livesnn.session.control import Control
from livesnn.session.event_picture import PALETTES, Accumulator, Palette, Rgb, video_picture
from livesnn.session.showing import (
    AEDAT4,
    CLASSES_ON_DARK,
    CLASSES_ON_LIGHT,
    FILMS_AND_TABLES,
    GIF,
    MP4,
    NO_EVENTS,
    NOTHING_YET,
    PICTURES_PER_S,
    DecisionRow,
    Exported,
    Said,
    Showing,
    said_of,
    write_rows,
)
from livesnn.sources import is_live, open_source
from livesnn.threads import WAKE_S
from livesnn.video import FrameSource
from livesnn.video.video_file import silence

Picture = npt.NDArray[np.uint8]  # uint8 [H, W, 3], RGB

_LONGEST_SIDE = {MP4: 960, GIF: 480}  # pixels, of a picture that is made larger; a GIF's is made smaller too
GIF_BYTES = 200_000_000
"""OpenCV holds all pictures of a GIF in memory, at last twice: this is 16 s of 480×420."""
_CHECK_EVERY = 30  # pictures between two looks at the disk's room

LONGEST_FILM_H = 24


def export(
    source: str | Path,
    out: Path,
    showing: Showing,
    *,
    stretch: Stretch = Stretch(),  # noqa: B008 (frozen)
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Exported:
    """Write a film of a recording or a video, or a table of its decisions: all of it, or nothing after an error.

    The suffix of ``out`` says the format, see `FILMS_AND_TABLES`. Raises LivesnnError if ``source`` or the model
    can't be opened or don't fit each other, ``out`` can't be written or exists, or there is nothing in ``stretch``.
    """
    suffix = out.suffix.lower()
    if suffix not in FILMS_AND_TABLES:
        raise SourceError(
            f"{out}: the name doesn't say the format: choose one that ends in {', '.join(FILMS_AND_TABLES)}"
        )
    if is_live(str(source)):
        raise SourceError(f"{source}: a live source has no past to write: record it first")
    with (
        written_whole(out, Path(source), overwrite=overwrite) as part,
        in_use(load_model(showing.model, showing.engine)) as model,
        closing(open_source(source, progress=progress)) as opened,
    ):
        assert isinstance(opened, Recording | FrameSource)  # it isn't live
        if isinstance(opened, FrameSource):
            start_us, end_us = 0, opened.duration_us or 0
        else:
            start_us, end_us = opened.t_start, opened.t_end
        span = _Span(start_us, *stretch.times_us(start_us, end_us), progress)
        write = _write_film if suffix in PICTURES_PER_S else _write_table
        count = write(part, opened, model, showing, span)
        if not count:
            window = model.card.input.window
            raise SourceError(
                f"{source}: there is no decision {stretch.words}: the first one follows after {window} frames, so "
                "choose a longer section"
            )
        return Exported(out, suffix[1:], count, tuple(opened.warnings))


class _Span(NamedTuple):
    """When a recording starts, and a stretch of it begins and ends, µs; and what is told how far the work is."""

    start_us: int
    from_us: int
    to_us: int
    progress: Progress

    def reached(self, t_us: int) -> None:
        self.progress(share_of_time(t_us, self.start_us, self.to_us))


class _Film:
    """Takes the pictures of a film when they are due: at the end of each part of the stretch.

    ``newest`` is the result that their captions are about.
    """

    write: Callable[[Picture], None]  # of the film's file, once that is open

    def __init__(self, suffix: str, card: ModelCard, showing: Showing, sensor: Resolution, span: _Span) -> None:
        choices = showing.choices
        speed = choices.speed if math.isfinite(choices.speed) else 1.0
        self._step_us = 1e6 * speed / PICTURES_PER_S[suffix]
        self.pictures = max(round((span.to_us - span.from_us) / self._step_us), 1)
        self.newest: Result | None = None
        self._taken = 0
        self._card, self._span = card, span
        self.scene = Scene(sensor, PALETTES[choices.view.palette], suffix, mirrored=choices.mirrored)

    @property
    def complete(self) -> bool:
        return self._taken == self.pictures

    def _due_us(self, number: int) -> int:
        return min(self._span.from_us + round((number + 1) * self._step_us), self._span.to_us)

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
            said = caption(self.newest, self._card, due_us)
            seconds, share = (due_us - self._span.start_us) / 1e6, self._taken / self.pictures
            self.write(self.scene.draw(seen(due_us), said, seconds, share))
            self._span.reached(due_us)


def _filmed_events(recording: Recording, spec: InputSpec, showing: Showing, film: _Film) -> Iterator[Frame]:
    """Yield frames until all pictures are taken, each of the events before it."""
    sensor, newest_us = showing.orientation.resolution(recording.resolution), recording.t_start
    seen = Accumulator(sensor, showing.choices.view)

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
        orientation=showing.orientation,
        gate=film.split,
        noise=DenoiseState(sensor) if showing.choices.denoise else None,
        show=show,
        policy=None,
    ):
        if film.complete:
            return
        yield from slicer.push(packet)
    film.take_until(math.inf, seen.picture)


def _filmed_video(video: FrameSource, spec: InputSpec, film: _Film) -> Iterator[Frame]:
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


def _write_film(path: Path, source: Recording | FrameSource, model: Model, showing: Showing, span: _Span) -> int:
    """Return how many pictures were written."""
    suffix, spec, choices = path.suffix.lower(), model.card.input, showing.choices
    if isinstance(source, FrameSource):
        sensor = Resolution(spec.width, spec.height)  # of a picture that the network sees
    else:
        sensor = showing.orientation.resolution(source.resolution)
    film = _Film(suffix, model.card, showing, sensor, span)
    if (hours := film.pictures / PICTURES_PER_S[suffix] / 3600) > LONGEST_FILM_H:
        raise SourceError(
            f"{path}: the video would last {hours:,.0f} hours, and {LONGEST_FILM_H} are the most: choose a higher "
            "speed or a shorter section"
        )
    if isinstance(source, FrameSource):
        source.require_upright(showing.orientation)
        frames = _filmed_video(source, spec, film)
    else:
        frames = _filmed_events(source, spec, showing, film)
    with _WRITERS[suffix](path, film.scene.size, film.pictures) as film.write:
        for result in run_frames(frames, model, state=choices.state_mode, decider=choices.decider_of(model.card)):
            film.newest = result
            span.reached(result.t)
    return film.pictures


def _write_table(path: Path, source: Recording | FrameSource, model: Model, showing: Showing, span: _Span) -> int:
    """Return how many rows were written: one a frame, once the first window is full."""
    choices = showing.choices
    denoise = choices.denoise and not isinstance(source, FrameSource)
    frames = FrameStream(source, model.card.input, orientation=showing.orientation, denoise=denoise)
    decider = choices.decider_of(model.card)

    def rows() -> Iterator[DecisionRow]:
        for result in run_frames(frames, model, state=choices.state_mode, decider=decider):
            if result.t >= span.to_us:
                return
            span.reached(result.t)
            if result.t >= span.from_us and result.window_seen:
                yield DecisionRow.of(result)

    return write_rows(path, model.card.classes, rows())


def export_last(
    control: Control, out: Path, showing: Showing, *, overwrite: bool = False, progress: Progress = no_progress
) -> int:
    """Write a live source's last seconds, which the pre-roll keeps: a film, or a recording of events (.aedat4).

    Returns how many pictures or events were written. Raises as `export`, and SourceError where nothing is kept.
    """
    with written_whole(out, None, overwrite=overwrite) as part:
        film = out.suffix.lower() in PICTURES_PER_S
        events = part.with_suffix(AEDAT4) if film else part
        try:
            count = _record_last(control, events, out, progress)
            if film:
                upright = replace(showing, orientation=Orientation())  # they are already
                count = export(events, part, upright, progress=progress).count
            return count
        finally:
            if film:
                events.unlink(missing_ok=True)


def _record_last(control: Control, path: Path, out: Path, progress: Progress) -> int:
    """Return how many events were written to ``path``; errors name ``out``."""
    recorder = control.record_last(path)
    if recorder is None:
        raise SourceError(f"{out}: no live source is open: open it again")
    try:
        while not recorder.wait(WAKE_S):
            progress(0.0)
    finally:
        recorder.close()
    if recorder.error is not None:
        raise SourceError(str(recorder.error).replace(str(path), str(out))) from recorder.error
    if not recorder.recorded.events:
        raise SourceError(f"{out}: no event came in the last seconds: wait for some")
    return recorder.recorded.events


# A picture of a film


def caption(result: Result | None, card: ModelCard, t_us: int) -> Said:
    """Return what to say at a time about the newest result; None: there is none."""
    if result is None or not result.window_seen:
        return Said(NOTHING_YET)
    if t_us - result.t > STALE_US:
        return Said(NO_EVENTS)
    said = said_of(result, card.classes)
    return said if result.decision is None else said._replace(why="")


class Scene:
    """Draws pictures with their captions, all of one ``size`` (width, height), both even.

    Below the caption is a strip from the film's start to its end, in the colour of the class that was decided when.
    """

    def __init__(self, resolution: Resolution, palette: Palette, suffix: str, *, mirrored: bool) -> None:
        longest, most = max(resolution), _LONGEST_SIDE[suffix]
        scale: float = max(most // longest, 1)
        if suffix == GIF:
            scale = min(scale, most / longest)
        self._shown = (round(resolution.width * scale), round(resolution.height * scale))
        self._unit = max(min(*self._shown, 720) // 9, 32)  # height of the caption's largest line, pixels
        width = max(self._shown[0], 8 * self._unit)
        self.size = (width + width % 2, (self._shown[1] + 2 * self._unit) // 2 * 2)
        self._mirrored = mirrored
        self._palette = palette
        dark = palette.ink == (255, 255, 255)
        self._classes = [tuple(bytes.fromhex(name[1:])) for name in (CLASSES_ON_DARK if dark else CLASSES_ON_LIGHT)]
        self._strip = np.empty((1, self.size[0], 3), np.uint8)
        self._strip[:] = self._mixed(0.12)
        self._drawn_to = 0  # of the strip, pixels

    def draw(self, picture: Picture, said: Said, seconds: float, share: float) -> Picture:
        """Return a picture with its caption.

        ``seconds``: its time in the recording; ``share``: how much of the film is over with it, 0..1.
        """
        width, height = self.size
        drawn = np.empty((height, width, 3), np.uint8)
        drawn[:] = self._palette.background
        if self._mirrored:
            picture = picture[:, ::-1]
        smaller = self._shown[0] < picture.shape[1]
        way = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
        left = (width - self._shown[0]) // 2
        drawn[: self._shown[1], left : left + self._shown[0]] = cv2.resize(picture, self._shown, interpolation=way)
        self._draw_caption(drawn, said, seconds)
        self._draw_strip(drawn, said.number, share)
        return drawn

    def _draw_caption(self, drawn: Picture, said: Said, seconds: float) -> None:
        unit, width = self._unit, self.size[0]
        top = self._shown[1] + unit // 3
        edge = unit // 2
        colour = self._mixed(0.6) if said.number is None else self._classes[said.number % len(self._classes)]
        drawn[top : top + unit, edge : edge + unit // 6] = colour
        left = edge + unit // 6 + unit // 3
        clock = f"{seconds:.1f} s"
        percent = f"{100 * said.confidence:.0f} %" if said.confidence else ""
        room = width - left - edge - 2 * unit
        ink = self._mixed(0.6 if said.number is None else 1.0)
        base = top + round(unit * (0.52 if said.why else 0.78))
        _write(drawn, said.words, (left, base), unit * 0.58, ink, room, bold=said.number is not None)
        if said.why:
            _write(drawn, said.why, (left, top + round(unit * 0.98)), unit * 0.28, self._mixed(0.6), room)
        for words, line in ((percent, 0.42), (clock, 0.92)):
            size = unit * 0.36
            at = width - edge - _width(words, size, bold=False)
            _write(drawn, words, (at, top + round(unit * line)), size, self._mixed(0.7), 2 * unit)

    def _draw_strip(self, drawn: Picture, decided: int | None, share: float) -> None:
        until = round(min(max(share, 0.0), 1.0) * self.size[0])
        if decided is not None:
            self._strip[0, self._drawn_to : until] = self._classes[decided % len(self._classes)]
        self._drawn_to = until
        height = max(self._unit // 6, 4)
        drawn[-height:] = self._strip
        drawn[-height:, until:] = self._mixed(0.06)

    def _mixed(self, share: float) -> Rgb:
        """Return so much of the ink on the palette's ground."""
        ground, ink = self._palette.background, self._palette.ink
        red, green, blue = (round(a + share * (b - a)) for a, b in zip(ground, ink, strict=True))
        return red, green, blue


_CAPITAL = 21.0  # pixels of the capital letters' height at scale 1


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


# Its file


def _rgb_to_bgr(picture: Picture) -> Picture:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)


@contextmanager
def _mp4(path: Path, size: tuple[int, int], pictures: int) -> Iterator[Callable[[Picture], None]]:
    """Yield what adds a picture to MPEG-4 video: FFmpeg in OpenCV has no H.264, and VP9 takes fifty times as long."""
    silence()
    path.touch(exist_ok=False)  # says why where OpenCV wouldn't, as does the next line
    require_room(path)
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    file = cv2.VideoWriter(os.path.abspath(path), cv2.CAP_FFMPEG, codec, PICTURES_PER_S[MP4], size)
    if not file.isOpened():
        raise SourceError(f"{path}: this OpenCV can't write .mp4: pip install opencv-python-headless")
    written = itertools.count()

    def write(picture: Picture) -> None:
        if next(written) % _CHECK_EVERY == 0:
            require_room(path)
        file.write(_rgb_to_bgr(picture))

    try:
        yield write
    finally:
        file.release()
    read = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)  # OpenCV says nothing of a full disk
    complete = int(read.get(cv2.CAP_PROP_FRAME_COUNT)) if read.isOpened() else 0
    read.release()
    if complete != pictures:
        raise SourceError(f"{path}: only {complete} of {pictures} pictures were written: check the free space")


@contextmanager
def _gif(path: Path, size: tuple[int, int], pictures: int) -> Iterator[Callable[[Picture], None]]:
    """Yield what adds a picture to a GIF, which repeats for ever; it is in memory until the end."""
    if not hasattr(cv2, "imencodeanimation"):
        raise SourceError(
            f"{path}: OpenCV {cv2.__version__} can't write .gif: pip install -U opencv-python-headless, "
            "or choose .mp4"
        )
    picture_bytes = 3 * size[0] * size[1]
    if pictures * picture_bytes > GIF_BYTES:
        most_s = math.floor(GIF_BYTES / picture_bytes / PICTURES_PER_S[GIF])
        raise SourceError(f"{path}: a GIF takes {most_s} s of this video at most: choose .mp4, or a shorter section")
    path.touch(exist_ok=False)  # before the work, not after it
    frames: list[Picture] = []
    yield lambda picture: frames.append(_rgb_to_bgr(picture))
    animation = cv2.Animation()
    animation.frames = frames
    animation.durations = [1000 // PICTURES_PER_S[GIF]] * len(frames)
    # 3: as many colours as a GIF can have, without dithering; other values change the colour of the ground.
    _, octets = cv2.imencodeanimation(GIF, animation, [cv2.IMWRITE_GIF_DITHER, 3])
    path.write_bytes(octets.tobytes())


_WRITERS = {MP4: _mp4, GIF: _gif}
