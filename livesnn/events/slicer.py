"""The slicer: THE one way events become frames, live and in training.

Clipping and scaling of the counts happen in the network (`ModelCard.input`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.card import SliceRule as SliceRule  # docs/api.md names it here
from livesnn.errors import ModelError, SourceError
from livesnn.events.packet import DISORDER_US, EVENTS_DTYPE, TIME_LIMIT_US, Events, Packet, PacketStream, Resolution

GAP_FIXED_COUNT_US = 1_000_000
"""Fixed count: silence longer than this ends the stream. (Fixed Δt: longer than a window.)"""

SEEN_FLICKER = 0.05
"""Flicker is reported from this mean count a pixel and frame on. Less comes from single frames."""

LIFT_MOST, LIFT_RELEASE = 8.0, 0.1
"""The greatest multiplier of counts, and the share of the way by which it rises again in each frame."""

NEVER = int(np.iinfo(np.int64).max)
FAR = 1 << 29  # The place of a column or row outside the crop: beyond every cell, whatever is added
READ_ALL, SLICE_ENDED, TIME_JUMPED = 0, 1, 2


@dataclass(frozen=True)
class Frame:
    """The histogram of one slice.

    Attributes
    ----------
    t
        Stream time at which the frame is complete, µs: the end of its slice, or when a video's picture is shown.
    data
        uint8 [C, H, W], saturating; channel 0 = OFF, 1 = ON; scaled by area to the model's own sensor
        (`Slicer`). Of a video: RGB, or grey.
    n_events
        Events in the slice that fell inside the crop, including a light's flicker.
    arrived_s
        `time.perf_counter()` when the packet that ended the slice arrived; 0 when unknown.
    start
        True when the frame doesn't follow on from the one before (first frame, time jump). The
        state of a network is reset then.
    light_flicker
        Events that were subtracted from each pixel as a light's flicker, OFF and ON together (`without_flicker`). 0
        if the model's input keeps the flicker.
    lift
        By how much the counts were multiplied because there were few (`lift`), 1 to `LIFT_MOST`.
    epoch
        Of the packet that ended the slice (`Packet.epoch`).
    """

    t: int
    data: npt.NDArray[np.uint8]
    n_events: int
    arrived_s: float = 0.0
    start: bool = False
    light_flicker: int = 0
    epoch: int = 0
    lift: float = 1.0

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.data.shape))
        return f"Frame(t={self.t} µs, {shape}, {self.n_events:,} events{', start' * self.start})"


class Slicer:
    """Cuts a stream of packets into frames, causally; how the packets were split changes nothing.

    Fixed Δt: slices are [t0 + k·Δt, t0 + (k+1)·Δt), t0 the time of the first event (inside the crop or not).
    A slice ends with the first event at or after its end, or when a packet says that the time has passed.
    Silence of at most a window (``input.window``·Δt) becomes empty frames. Each event of a thinned packet counts for
    those left out (`Packet.one_of`). Fixed count: a slice ends with its n-th event inside the crop, whose time is
    the frame's; events outside the crop are not counted.

    Order: an event older than the newest one by at most `DISORDER_US` is read as if it came at the newest's
    time, so it is counted in the current slice. An event older than that, or later than the newest by more
    than a window (fixed Δt) or `GAP_FIXED_COUNT_US` (fixed count), ends the stream: the unfinished slice is
    dropped, the event is the first of a new stream, and the next frame has ``start`` True. The unfinished
    slice at the end of a recording is never a frame.

    Parameters
    ----------
    sensor
        Resolution of the packets' coordinates. Its largest centred rectangle of the model's aspect is
        rescaled to the model's input in integers, ``(x - left) * width // crop_width`` and likewise for y.
        Events outside it, or outside the sensor, only move the time on. Raises SourceError where it can't be.
        Fixed Δt: counts are scaled by area, as many pixels as ``input.cell_pixels`` a cell, and rounded
        (why: docs/models.md#other-sensors).
    input
        Width, height and window of the model, where slices end, and what is done to the counts before they
        saturate: a light's flicker is taken from what was scaled, and what is left is lifted (fixed Δt). Raises
        ModelError when its channels aren't OFF and ON.
    """

    def __init__(self, sensor: Resolution, input: InputSpec) -> None:  # noqa: A002 (the card's name)
        rule = input.slice
        if input.kind != "events" or input.channels != 2:
            raise ModelError(
                f"the model takes {input.channels} channel(s) of {input.kind}, but events make 2 (OFF, ON): "
                f"choose a model for events"
            )
        if not 1 <= min(sensor) <= max(sensor) <= 1 << 16:
            raise SourceError(f"a sensor can't be {sensor[0]}×{sensor[1]}: check the recording's resolution")
        self._shape = (2, input.height, input.width)
        crop_width, crop_height = input.cropped(*sensor)
        self._columns = _scale_axis(sensor[0], crop_width, input.width, 1)
        self._rows = _scale_axis(sensor[1], crop_height, input.height, input.width)
        self._delta_t_us = rule.delta_t_us
        self._count = NEVER if rule.n_events is None else rule.n_events
        self._longest_gap_us = GAP_FIXED_COUNT_US if rule.delta_t_us is None else input.window * rule.delta_t_us
        self._gain = count_gain(input, *sensor)
        self._without_flicker = input.without_flicker
        self._lift_to = None if rule.delta_t_us is None else input.lift_to
        self._n_events = 0
        self._epoch = 0
        self.reset()

    def reset(self) -> None:
        """Drop the unfinished slice, as after a seek; the next event is the first of a new stream."""
        self._running = False  # an event has been seen since
        self._start = True  # no frame has come out since
        self._level: float | None = None  # see `lift`
        self._newest_us = 0
        self._end_us = NEVER
        self._clear()

    def push(self, packet: Packet) -> list[Frame]:
        """Return the frames that end in ``packet``, oldest first.

        Raises SourceError when a time is beyond TIME_LIMIT_US. Another epoch than the last packet's ends the stream.

        With fixed Δt, ``packet.now_us`` ends slices without an event, in a quiet scene. A jump forward by more than a
        window ends the stream, as an event's would; an older time changes nothing. It never starts a stream. Fixed
        count ignores it.
        """
        if packet.epoch != self._epoch:
            self._epoch = packet.epoch
            self.reset()
        events = packet.events
        ended: list[Frame] = []
        position = 0
        while position < events.size:
            position, why = self._read(events, position, packet.one_of)
            if why == SLICE_ENDED:
                ended.append(self._finish(packet))
            elif why == TIME_JUMPED:
                self.reset()
        if packet.now_us is not None and self._running and self._delta_t_us is not None:
            if packet.now_us - self._newest_us > self._longest_gap_us:
                self.reset()
            else:
                self._newest_us = max(self._newest_us, packet.now_us)
            while self._newest_us >= self._end_us:
                ended.append(self._finish(packet))
        return ended

    def _read(self, events: Events, position: int, one_of: int) -> tuple[int, int]:
        if not self._running:
            first_us = int(events["t"][position])
            if abs(first_us) >= TIME_LIMIT_US:  # no later event gets there but by a jump, and so through here
                raise SourceError(f"an event's time of {first_us} µs is impossible: check the source of the events")
            self._running = True
            self._newest_us = first_us
            if self._delta_t_us is not None:
                self._end_us = self._newest_us + self._delta_t_us
        position, why, self._newest_us, self._n_events = _kernel()(
            events, position, self._columns, self._rows, self._counts,
            self._newest_us, self._end_us, self._longest_gap_us, self._n_events, self._count,
            1 if self._delta_t_us is None else one_of,
        )  # fmt: skip
        return position, why

    def _finish(self, packet: Packet) -> Frame:
        t = self._newest_us if self._delta_t_us is None else self._end_us
        counts = self._counts[:-1].reshape(self._shape)
        scaled = counts if self._gain == 1.0 else np.rint(counts * self._gain)
        flicker = 0
        if self._without_flicker:
            scaled, taken = without_flicker(scaled)
            flicker = int(taken.sum())
        gain = 1.0
        if self._lift_to is not None:
            self._level, gain = lift(self._level, float(scaled.mean()), self._lift_to)
            scaled = scaled if gain == 1.0 else np.rint(scaled * gain)
        data = np.minimum(scaled, 255).astype(np.uint8)
        frame = Frame(t, data, self._n_events, packet.arrived_s, self._start, flicker, packet.epoch, gain)
        if self._delta_t_us is not None:
            self._end_us += self._delta_t_us
        self._start = False
        self._clear()
        return frame

    def _clear(self) -> None:
        self._counts = np.zeros(math.prod(self._shape) + 1, np.uint16)  # the last: of what is outside the crop
        self._n_events = 0


def lift(level: float | None, mean: float, target: float) -> tuple[float, float]:
    """Return the level that a stream's mean counts have reached lately, and the gain, which brings it to ``target``.

    This is automatic gain control for low light. ``level`` is that of the frame before, None: there is none. With the
    mean count c of the frame that just ended::

        level = max(c, level + LIFT_RELEASE · (c − level))
        gain = min(max(target / level, 1), LIFT_MOST)

    So the gain falls at once with more events, and rises slowly with fewer. It never thins a frame.
    """
    level = mean if level is None else max(mean, level + LIFT_RELEASE * (mean - level))
    return level, min(max(target / level, 1.0), LIFT_MOST) if level else LIFT_MOST


def frames(packets: PacketStream, input: InputSpec) -> Iterator[Frame]:  # noqa: A002
    """Yield the frames of packets until they end. The last, unfinished slice is dropped."""
    slicer = Slicer(packets.resolution, input)
    for packet in packets:
        yield from slicer.push(packet)


def stack_clip(
    events: Events,
    sensor: Resolution,
    input: InputSpec,  # noqa: A002
    n_frames: int,
) -> npt.NDArray[np.uint8]:
    """Return the first frames of a clip as one array, uint8 [n_frames, C, H, W]: the same frames as live.

    ``events`` is the whole clip; ``sensor`` and ``input`` are as for `Slicer`. A longer clip is cut, a shorter one is
    followed by empty frames. Its last, unfinished slice is dropped as everywhere.
    """
    slicer = Slicer(sensor, input)
    stack = np.zeros((n_frames, input.channels, input.height, input.width), np.uint8)
    for index, frame in enumerate(slicer.push(Packet(events))[:n_frames]):
        stack[index] = frame.data
    return stack


def count_gain(spec: InputSpec, width: int, height: int) -> float:
    """Return what the counts of a sensor are multiplied by: the training sensor's pixels a cell over this one's.

    1 with slices of a fixed count, and where the card doesn't record the training's sensor.
    """
    if spec.cell_pixels is None or spec.slice.delta_t_us is None:
        return 1.0
    return spec.cell_pixels / spec.pixels_a_cell(width, height)


def _scale_axis(sensor_size: int, crop_size: int, size: int, step: int) -> npt.NDArray[np.int32]:
    """Return each coordinate's cell × step, [sensor_size]; FAR outside the crop."""
    offset = np.arange(sensor_size) - (sensor_size - crop_size) // 2
    inside = (offset >= 0) & (offset < crop_size)
    return np.where(inside, offset * size // crop_size * step, FAR).astype(np.int32)


def _fill(  # type: ignore[no-untyped-def]
    events, position, columns, rows, counts, newest_us, end_us, longest_gap_us, n_events, stop_at, each
):
    """Add ``each`` to ``counts`` (flat [C*H*W + 1]) for events until the slice ends or time jumps.

    What is outside the crop is counted last: a branch that no processor can foresee takes as long as all the rest.
    """
    channel_size = counts.size // 2
    nowhere = counts.size - 1
    for index in range(position, events.size):
        event = events[index]
        elapsed_us = event.t - newest_us
        if elapsed_us > longest_gap_us or elapsed_us < -DISORDER_US:
            return index, TIME_JUMPED, newest_us, n_events
        newest_us += max(elapsed_us, 0)
        if newest_us >= end_us:
            return index, SLICE_ENDED, newest_us, n_events
        if event.x >= columns.size or event.y >= rows.size:
            continue
        place = rows[event.y] + columns[event.x]
        inside = place < channel_size
        cell = np.uint64((place if inside else nowhere) + (channel_size if inside & event.p else 0))
        counts[cell] = min(counts[cell] + each, 0xFFFF)
        n_events += inside
        if n_events == stop_at:
            return index + 1, SLICE_ENDED, newest_us, n_events
    return events.size, READ_ALL, newest_us, n_events


@cache
def _kernel() -> Callable[..., tuple[int, int, int, int]]:
    """Compile `_fill` on first use, for any packet, strided or read-only too; it releases the GIL."""
    import numba

    from livesnn.compiled import njit

    packet = numba.types.Array(numba.from_dtype(EVENTS_DTYPE), 1, "A", readonly=True)
    table = numba.types.Array(numba.int32, 1, "C", readonly=True)
    whole = numba.int64
    signature = numba.types.UniTuple(whole, 4)(
        packet, whole, table, table, numba.uint16[::1], whole, whole, whole, whole, whole, whole
    )
    return njit(signature, nogil=True, cache=True)(_fill)


Count = TypeVar("Count", np.uint8, np.uint16, np.float64)


def without_flicker(counts: npt.NDArray[Count]) -> tuple[npt.NDArray[Count], npt.NDArray[Count]]:
    """Return frames with each channel's lower median subtracted, and these medians; no count falls below 0.

    Lamps on mains flicker a hundred times a second or more, and in their light each pixel counts about as many events
    in each frame, up to dozens: more than a network's greatest count, so that what moves can't be told from what
    doesn't. In steady light most pixels have none, and nothing is taken. Neither is a light that reaches less than
    half of the picture. Other things that make most pixels count are taken as well: strong noise, a camera that moves
    over texture.

    ``counts`` [..., H, W], not empty, are whole numbers from 0. They aren't changed, and are returned themselves
    where there is nothing to take. The medians are [...].
    """
    planes = counts.reshape(-1, counts.shape[-2] * counts.shape[-1])
    taken = np.zeros(len(planes), counts.dtype)
    lit = np.flatnonzero(2 * np.count_nonzero(planes, axis=1) > planes.shape[1])
    if lit.size:
        middle = (planes.shape[1] - 1) // 2
        taken[lit] = np.partition(planes[lit], middle, axis=1)[:, middle]
        counts = (planes - np.minimum(planes, taken[:, None])).reshape(counts.shape)
    return counts, taken.reshape(counts.shape[:-2])
