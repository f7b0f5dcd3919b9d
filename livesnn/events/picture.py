"""How events become a picture: palettes, the accumulator that paints it, and the display that makes it when due."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from livesnn.events.packet import EVENTS_DTYPE, Events, Packet, Resolution, require_usual_size
from livesnn.events.slicer import Frame
from livesnn.threads import Latest

Rgb = tuple[int, int, int]
LIFT = 0.8  # exponent that lifts faint pixels out of the background


@dataclass(frozen=True)
class Palette:
    """Colours, 0..255."""

    name: str
    # background, on, off: colours without events, and of an ON and an OFF event at full brightness
    background: Rgb
    on: Rgb
    off: Rgb
    between: tuple[Rgb, ...] = ()  # colours in between for both, from faint to bright, evenly spaced

    def shades(self, level: npt.NDArray[np.float64], *, on: bool) -> npt.NDArray[np.float64]:
        """Return the colours [..., 3], 0..255, of levels [...], 0 nothing .. 1 full brightness."""
        stops = np.array([self.background, *self.between, self.on if on else self.off], np.float64)
        at = np.linspace(0.0, 1.0, len(stops))
        return np.stack([np.interp(level**LIFT, at, stops[:, channel]) for channel in range(3)], axis=-1)

    @property
    def tells_polarity(self) -> bool:
        return self.on != self.off

    @property
    def ink(self) -> Rgb:
        return (0, 0, 0) if sum(self.background) > 384 else (255, 255, 255)


# The first is the default. Its orange and sky blue, as well as the darker pair of "white background", follow
# Okabe & Ito (2008) and stay apart in every colour blindness; "red and green", as in jAER, do not. In each
# palette ON and OFF differ in brightness too. "recency" is viridis (matplotlib, CC0) above a dark background.
PALETTES = {
    palette.name: palette
    for palette in (
        Palette("blue and orange", background=(11, 14, 20), on=(255, 176, 58), off=(72, 163, 245)),
        Palette("white and grey", background=(11, 14, 20), on=(245, 247, 250), off=(98, 110, 128)),
        Palette("red and green", background=(0, 0, 0), on=(40, 235, 60), off=(240, 35, 35)),
        Palette("white background", background=(252, 252, 250), on=(213, 94, 0), off=(0, 84, 158)),
        Palette(
            "recency",
            background=(11, 14, 20),
            between=((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98)),
            on=(253, 231, 37),
            off=(253, 231, 37),
        ),
    )
}
DEFAULT_PALETTE = next(iter(PALETTES.values()))


ViewMode = Literal["decay", "accumulate"]
Bytes = npt.NDArray[np.uint8]
NEVER_US = -(1 << 62)  # before any event, see TIME_LIMIT_US
FULL_COUNT = 2  # events of a pixel that make it as bright as it gets
FADE_US = 30_000  # Time constant of what fades, and how long an event counts
AGE_BITS = 6  # a step of age, 64 µs: less than a level of 255
AGES = 2953  # of these steps from an event to nothing, 6.3 times FADE_US: exp(−6.3) is less than half a level
LONGEST_PAUSE_S = 0.1  # between pictures that take long, because other programs are busy too
OFTEN_PAUSE_S = 0.026  # between those of a large sensor: 30 a second and more, for the least of the events' time


@dataclass(frozen=True)
class ViewSpec:
    """How events are shown.

    Raises ValueError if there is no such view.
    """

    # "decay": each pixel's last event, brightness exp(−age / FADE_US). "accumulate": its ON and OFF events
    # of the last FADE_US, counted; FULL_COUNT of them are as bright as it gets.
    mode: ViewMode = "decay"
    palette: str = DEFAULT_PALETTE.name  # a name in PALETTES

    def __post_init__(self) -> None:
        for what, name, known in (("view", self.mode, get_args(ViewMode)), ("palette", self.palette, PALETTES)):
            if name not in known:
                raise ValueError(f"there is no {what} {name!r}: choose one of {', '.join(known)}")


class Accumulator:
    """Keeps the last event of each pixel and the packets of the last FADE_US, and paints either.

    Events outside the sensor are ignored here; the source counts them. Raises SourceError if the sensor is so large
    that a picture would fill the memory.
    """

    def __init__(self, resolution: Resolution, view: ViewSpec = ViewSpec()) -> None:
        require_usual_size(resolution)
        self._last = np.empty((resolution.height, resolution.width), np.int64)  # 2 t + p
        self._recent: deque[Events] = deque()
        self._keeping = threading.Lock()  # guards these: another thread may ask for a picture
        self.clear()
        self.set_view(view)

    @property
    def view(self) -> ViewSpec:
        return self._view_and_tables[0]

    def set_view(self, view: ViewSpec) -> None:
        """Paint another view from the next picture on. May be called from any thread and takes microseconds."""
        self._view_and_tables = (view, _tables(view.palette))

    def clear(self) -> None:
        """Forget every event, as after a seek: the old ones may lie in the future."""
        self._last.fill(2 * NEVER_US)
        with self._keeping:
            self._recent.clear()

    def add(self, packet: Events) -> None:
        if not packet.size:
            return
        _kernels()[_note_times](packet, self._last)
        newest_us = packet["t"][-1]
        with self._keeping:
            self._recent.append(packet)
            while not 0 <= newest_us - self._recent[0]["t"][-1] <= FADE_US:
                self._recent.popleft()

    def picture(self, now_us: int) -> Bytes:
        """Return uint8 [H, W, 3], a fresh array, as seen at ``now_us``."""
        view, (by_age, by_count) = self._view_and_tables
        rgb = np.empty((*self._last.shape, 3), np.uint8)
        if view.mode == "decay":
            _kernels()[_paint_ages](self._last, now_us, by_age, rgb)
        else:
            with self._keeping:
                recent = list(self._recent)
            counts = np.zeros((*self._last.shape, 2), np.uint8)  # OFF and ON
            for packet in recent:
                _kernels()[_count_events](packet, now_us - FADE_US, counts)
            _kernels()[_paint_counts](counts, by_count, rgb)
        return rgb


@dataclass(frozen=True)
class Picture:
    """A picture of the newest events, or a frame of a video."""

    rgb: npt.NDArray[np.uint8]  # uint8 [H, W, 3]; its receiver may change it
    t_us: int  # time of its newest event, from the start of the recording or the first event of a live source
    arrived_s: float  # when that event arrived, by `time.perf_counter`; 0: the picture has nothing new
    jumps: int = 0  # requests for another place before it


class Display:
    """Makes pictures of the packets as they arrive, independently of the network.

    `add` is for the thread that reads the source, and `begin` is called before that starts. The rest may be called
    from any thread: a picture that has half of a packet does no harm. ``every_s`` is the least real time between two
    pictures; 0: one for each packet. It is longer where a picture takes long: the network goes first. ``fades`` says
    whether the picture fades by the clock while nothing comes, as a live source's does.
    """

    def __init__(
        self, resolution: Resolution, pictures: Latest[Picture], *, every_s: float, fades: bool = True
    ) -> None:
        self._accumulator = Accumulator(resolution)
        self._accumulator.add(np.zeros(1, EVENTS_DTYPE))  # compiles, which would delay the first picture
        self._accumulator.picture(0)
        self._accumulator.clear()
        self._pictures = pictures
        self._every_s, self._fades = every_s, fades
        self._showing = threading.Lock()
        self._shown_s = 0.0
        self._pause_s = every_s  # until the next picture
        self._jumps = 0
        self._start_us = self._newest_us = 0
        self._arrived_s = 0.0  # of the newest event; 0: there is none yet

    def begin(self, jumps: int = 0) -> None:
        """Forget every event before a new pass, after so many jumps to another place."""
        self._jumps = jumps
        self._forget()

    def _forget(self) -> None:
        self._accumulator.clear()
        self._arrived_s = 0.0

    def add(self, packet: Packet, start_us: int) -> None:
        """Add a packet, and make a picture if one is due; that takes microseconds, a picture milliseconds.

        A jump back in time clears the picture. Pictures count their time from ``start_us``.
        """
        events, arrived_s = packet.events, packet.arrived_s or time.perf_counter()
        if not (events.size or self._fades):
            return
        self._start_us = start_us
        if events.size:
            newest_us = int(events["t"][-1])
            if self._arrived_s and newest_us < self._newest_us:
                self._forget()
            self._accumulator.add(events)
            self._newest_us, self._arrived_s = newest_us, arrived_s
        if arrived_s - self._shown_s >= self._pause_s:
            self._shown_s = arrived_s
            quiet_us = 0 if events.size else round(1e6 * (arrived_s - self._arrived_s))
            self._show(self._newest_us + quiet_us, arrived_s if events.size else 0.0)

    def show_frame(self, frame: Frame, start_us: int) -> None:
        """Show the frame of a video, uint8 [1 or 3, H, W], as the network sees it."""
        self._pictures.put(Picture(video_picture(frame.data), frame.t - start_us, frame.arrived_s, self._jumps))

    def show(self) -> None:
        self._show(self._newest_us, 0.0)

    def set_view(self, view: ViewSpec) -> None:
        self._accumulator.set_view(view)
        self.show()

    def _show(self, t_us: int, arrived_s: float) -> None:
        if not self._arrived_s:
            return
        with self._showing:
            begun_s = time.perf_counter()
            rgb = self._accumulator.picture(t_us)
            took_s = time.perf_counter() - begun_s
            if self._every_s:
                self._pause_s = max(self._every_s, min(24 * took_s, OFTEN_PAUSE_S), min(3 * took_s, LONGEST_PAUSE_S))
            self._pictures.put(Picture(rgb, t_us - self._start_us, arrived_s, self._jumps))


def video_picture(data: Bytes) -> Bytes:
    """Return the picture of a video's frame, uint8 [H, W, 3], from its data [1 or 3, H, W]."""
    return np.ascontiguousarray(np.broadcast_to(data, (3, *data.shape[1:])).transpose(1, 2, 0))


def count_colours(palette: Palette) -> Bytes:
    """Return the colours of counts, uint8 [FULL_COUNT + 1 OFF, FULL_COUNT + 1 ON, 3]."""
    return _tables(palette.name)[1]


@cache
def _tables(palette: str) -> tuple[npt.NDArray[np.uint32], Bytes]:
    """Return colours by age, uint32 [2, AGES + 1] (OFF, ON), and by counts, uint8 [FULL_COUNT + 1 OFF, … ON, 3].

    Those by age are 0xBBGGRR: one number is looked up twice as fast as three.
    """
    colours = PALETTES[palette]
    levels = np.exp(-(np.arange(AGES + 1) << AGE_BITS) / FADE_US)
    levels[-1] = 0.0
    by_age = np.stack([colours.shades(levels, on=on) for on in (False, True)])
    off, on = np.meshgrid(*[np.linspace(0.0, 1.0, FULL_COUNT + 1)] * 2, indexing="ij")
    total = np.minimum(off + on, 1.0)
    share = (on / np.maximum(off + on, 1e-9))[..., None]
    by_count = share * colours.shades(total, on=True) + (1 - share) * colours.shades(total, on=False)
    packed = (np.rint(by_age).astype(np.uint32) << np.array([0, 8, 16], np.uint32)).sum(-1, dtype=np.uint32)
    return packed, np.rint(by_count).astype(np.uint8)


def _note_times(packet: Events, last: npt.NDArray[np.int64]) -> None:
    height, width = last.shape
    pixels, row = last.reshape(-1), np.uint64(width)  # unsigned indexes are never from the end
    for index in range(packet.size):
        event = packet[index]
        if event.x < width and event.y < height:
            pixels[event.y * row + event.x] = 2 * event.t + event.p


def _count_events(packet: Events, from_us: int, counts: Bytes) -> None:
    """Count the events since a time in place, to FULL_COUNT at most."""
    height, width, _ = counts.shape
    each_count, row = counts.reshape(-1), np.uint64(width)
    for index in range(packet.size):
        event = packet[index]
        if event.t > from_us and event.x < width and event.y < height:
            at = np.uint64(2) * (event.y * row + event.x) + np.uint64(event.p)
            count = each_count[at]
            each_count[at] = count + (count < FULL_COUNT)


def _paint_ages(last: npt.NDArray[np.int64], now_us: int, colours: npt.NDArray[np.uint32], rgb: Bytes) -> None:
    pixels, octets = last.reshape(-1), rgb.reshape(-1)
    for index in range(pixels.size):
        event = pixels[index]
        step = min(max(now_us - (event >> 1), 0) >> AGE_BITS, AGES)
        colour = colours[np.uint64(event & 1), np.uint64(step)]
        octet = np.uint64(3 * index)
        octets[octet] = colour & 255
        octets[octet + np.uint64(1)] = colour >> 8 & 255
        octets[octet + np.uint64(2)] = colour >> 16 & 255


def _paint_counts(counts: Bytes, colours: Bytes, rgb: Bytes) -> None:
    height, width, _ = counts.shape
    for y in range(height):
        for x in range(width):
            for channel in range(3):
                rgb[y, x, channel] = colours[counts[y, x, 0], counts[y, x, 1], channel]


@cache
def _kernels() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Compile the functions above on first use, for any packet, strided or read-only too; they release the GIL."""
    import numba  # 0.5 s: not before the window is up

    from livesnn.compiled import njit

    packet = numba.types.Array(numba.from_dtype(EVENTS_DTYPE), 1, "A", readonly=True)
    whole, none = numba.int64, numba.void
    last, picture, colours = numba.int64[:, ::1], numba.uint8[:, :, ::1], numba.uint32[:, ::1]
    signatures: dict[Callable[..., Any], Any] = {
        _note_times: none(packet, last),
        _count_events: none(packet, whole, picture),
        _paint_ages: none(last, whole, colours, picture),
        _paint_counts: none(picture, picture, picture),
    }
    return {function: njit(kind, nogil=True, cache=True)(function) for function, kind in signatures.items()}
