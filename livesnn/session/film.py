"""A film of a recording: the picture of events with the decision below it, and the writers of .mp4 and .gif."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import SourceError
from livesnn.events.packet import Resolution
from livesnn.events.recorder import require_room
from livesnn.infer.decide import ADVICE
from livesnn.infer.run import Result
from livesnn.session.class_names import CLASSES_ON_DARK, CLASSES_ON_LIGHT, readable
from livesnn.session.event_picture import Palette, Rgb
from livesnn.session.showing import GIF, MP4, PICTURES_PER_S
from livesnn.video.video_file import silence

Picture = npt.NDArray[np.uint8]
"""uint8 [H, W, 3], RGB."""

STALE_US = 1_000_000
"""A decision that is older isn't shown any more."""
NOTHING_YET, NO_EVENTS, NOT_SURE = "Nothing yet", "No events", "Not sure"
_LONGEST_SIDE = {MP4: 960, GIF: 480}  # pixels, of a picture that is made larger; a GIF's is made smaller too
GIF_BYTES = 200_000_000
"""OpenCV holds all pictures of a GIF in memory, at last twice: this is 16 s of 480×420."""
_CHECK_EVERY = 30  # pictures between two looks at the disk's room


class Caption(NamedTuple):
    """What stands below a picture."""

    words: str
    why: str = ""  # a sentence in small letters
    confidence: float = 0.0  # 0..1
    decided: int | None = None  # number of the decided class


def caption(result: Result | None, card: ModelCard, t_us: int) -> Caption:
    """Return what to say at a time about the newest result; None: there is none."""
    if result is None or not result.window_seen:
        return Caption(NOTHING_YET)
    if t_us - result.t > STALE_US:
        return Caption(NO_EVENTS)
    if result.decision is None:
        why = "" if result.reason is None else ADVICE[result.reason]
        return Caption(NOT_SURE, why[:1].upper() + why[1:], result.confidence)
    return Caption(readable(result.decision), "", result.confidence, card.classes.index(result.decision))


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
        self._classes = [_rgb(name) for name in (CLASSES_ON_DARK if dark else CLASSES_ON_LIGHT)]
        self._strip = np.empty((1, self.size[0], 3), np.uint8)
        self._strip[:] = self._mixed(0.12)
        self._drawn_to = 0  # of the strip, pixels

    def draw(self, picture: Picture, said: Caption, seconds: float, share: float) -> Picture:
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
        drawn[: self._shown[1], left : left + self._shown[0]] = cv2.resize(
            picture, self._shown, interpolation=way
        )
        self._draw_caption(drawn, said, seconds)
        self._draw_strip(drawn, said.decided, share)
        return drawn

    def _draw_caption(self, drawn: Picture, said: Caption, seconds: float) -> None:
        unit, width = self._unit, self.size[0]
        top = self._shown[1] + unit // 3
        edge = unit // 2
        colour = (
            self._mixed(0.6) if said.decided is None else self._classes[said.decided % len(self._classes)]
        )
        drawn[top : top + unit, edge : edge + unit // 6] = colour
        left = edge + unit // 6 + unit // 3
        clock = f"{seconds:.1f} s"
        percent = f"{100 * said.confidence:.0f} %" if said.confidence else ""
        room = width - left - edge - 2 * unit
        ink = self._mixed(0.6 if said.decided is None else 1.0)
        base = top + round(unit * (0.52 if said.why else 0.78))
        _write(drawn, said.words, (left, base), unit * 0.58, ink, room, bold=said.decided is not None)
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


def _rgb(name: str) -> Rgb:
    return int(name[1:3], 16), int(name[3:5], 16), int(name[5:7], 16)


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


class FilmWriter(Protocol):
    """A file that pictures are written to."""

    def write(self, picture: Picture) -> None:
        """Add a picture of the film's size."""

    def close(self) -> None:
        """Complete the file; raises SourceError where it isn't complete, or OSError."""

    def abandon(self) -> None:
        """Let go of the file, which isn't needed. Safe to call twice, and after `close`."""


def open_film(path: Path, size: tuple[int, int], pictures: int) -> FilmWriter:
    """Return a writer of a film of so many pictures; its suffix says the format, .mp4 or .gif.

    Raises
    ------
    SourceError
        The film can't be made here, or would be too long.
    OSError
        The file can't be made.
    """
    return (_Mp4 if path.suffix.lower() == MP4 else _Gif)(path, size, pictures)


class _Mp4:
    """MPEG-4 video, which OpenCV's FFmpeg always has: H.264 isn't in it, and VP9 takes fifty times as long."""

    def __init__(self, path: Path, size: tuple[int, int], pictures: int) -> None:
        silence()
        path.touch(exist_ok=False)  # says why where OpenCV wouldn't, as does the next line
        require_room(path)
        self._path = path
        self._count = 0
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        self._file = cv2.VideoWriter(os.path.abspath(path), cv2.CAP_FFMPEG, codec, PICTURES_PER_S[MP4], size)
        if not self._file.isOpened():
            raise SourceError(f"{path}: this OpenCV can't write .mp4: pip install opencv-python-headless")

    def write(self, picture: Picture) -> None:
        """Add a picture."""
        if self._count % _CHECK_EVERY == 0:
            require_room(self._path)
        self._file.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self._count += 1

    def close(self) -> None:
        """Complete the file and look whether it is: OpenCV says nothing of a full disk."""
        self._file.release()
        written = cv2.VideoCapture(os.path.abspath(self._path), cv2.CAP_FFMPEG)
        count = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if count != self._count:
            raise SourceError(
                f"{self._path}: only {count} of {self._count} pictures were written: check the free space"
            )

    def abandon(self) -> None:
        """Let go of the file."""
        self._file.release()


class _Gif:
    """A GIF that repeats for ever. It is in memory until `close`."""

    def __init__(self, path: Path, size: tuple[int, int], pictures: int) -> None:
        if not hasattr(cv2, "imencodeanimation"):
            raise SourceError(
                f"{path}: OpenCV {cv2.__version__} can't write .gif: pip install -U opencv-python-headless, "
                "or choose .mp4"
            )
        picture_bytes = 3 * size[0] * size[1]
        if pictures * picture_bytes > GIF_BYTES:
            most_s = math.floor(GIF_BYTES / picture_bytes / PICTURES_PER_S[GIF])
            raise SourceError(f"{path}: a GIF takes {most_s} s of this film at most: choose .mp4, or less")
        path.touch(exist_ok=False)  # before the work, not after it
        self._path = path
        self._pictures: list[Picture] = []

    def write(self, picture: Picture) -> None:
        """Add a picture."""
        self._pictures.append(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False))

    def close(self) -> None:
        """Write the file."""
        animation = cv2.Animation()
        animation.frames = self._pictures
        animation.durations = [1000 // PICTURES_PER_S[GIF]] * len(self._pictures)
        # 3: as many colours as a GIF can have, without dithering; other values change the colour of the ground.
        _, octets = cv2.imencodeanimation(GIF, animation, [cv2.IMWRITE_GIF_DITHER, 3])
        self._path.write_bytes(octets.tobytes())

    def abandon(self) -> None:
        """Let go of the pictures."""
        self._pictures.clear()
