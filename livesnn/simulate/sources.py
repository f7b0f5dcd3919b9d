"""What is simulated by name: recordings of a scene; live sources, a person who gestures and digits that turn."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.packet import Closing, Events, EventSource, Packet, Resolution, SourceCounters
from livesnn.simulate import DIGITS_URI, GESTURES_URI, digits, gestures, saccades
from livesnn.simulate.digits import TurningDigits
from livesnn.simulate.gestures import RESOLUTION, Segment, Use, gesture_stream
from livesnn.simulate.motions import GESTURES, PEOPLE, names_like
from livesnn.simulate.scene import LAMP_SHARE
from livesnn.video.frame_source import FrameSource

_SEEDS = {GESTURES_URI: 19, DIGITS_URI: 1}
"""Seeds used when none is given: a well-lit person whom the model recognises, and a clear digit."""

PACKET_US = 10_000


def open_simulation(uri: str) -> EventSource | FrameSource:
    """Open "simulate:gestures", "simulate:digits" or "simulate:NAME", NAME one of `PEOPLE`; each may end in ":SEED".

    Raises SourceError if the address is none of these.
    """
    found = re.fullmatch(r"(simulate:(\w+))(?::([0-9]{1,18}))?", uri, re.ASCII)
    if found is None or (found[1] not in _SEEDS and found[2] not in PEOPLE):
        raise SourceError(
            f"no simulated source {uri!r}: give {GESTURES_URI}, {DIGITS_URI} or simulate:NAME. A seed may "
            f"follow, as in {GESTURES_URI}:7. NAME is one of {names_like(uri.partition(':')[2])}"
        )
    seed = _SEEDS.get(found[1], 0) if found[3] is None else int(found[3])
    if found[1] == DIGITS_URI:
        return TurningDigits(seed)
    return SimulatedPerson(seed) if found[1] == GESTURES_URI else SimulatedPerson(seed, gestures=(found[2],))


class SimulatedPerson(Closing):
    """A live `EventSource`: one person performing one gesture after another.

    ``seed`` draws the person, the sensor and the movements. The person stops after ``duration_us``; None: never.
    Where it is ``paced``, by the monotonic seconds of ``clock``, a late reader gets the waiting packets at once, and
    none is dropped; otherwise packets come as fast as they are made. ``lamp_share``: probability of a flickering
    lamp.
    """

    live = True
    name = ""
    resolution = RESOLUTION
    warnings = ()

    def __init__(
        self,
        seed: int,
        *,
        use: Use = "show",
        gestures: tuple[str, ...] = GESTURES,
        duration_us: int | None = None,
        paced: bool = True,
        lamp_share: float = LAMP_SHARE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.segments: list[Segment] = []  # performed so far, the current one last
        self.counters = SourceCounters()
        self._stream = gesture_stream(seed, use=use, gestures=gestures, lamp_share=lamp_share)
        self._duration_us = duration_us
        self._paced = paced
        self._clock = clock
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Packet]:
        """Yield a packet each 10 ms of the person's time until `close`. A source can be iterated once."""
        begun_s: float | None = None
        begun_us = 0
        for take in self._stream:
            if begun_s is None:  # only now: compiling takes seconds, which must not be caught up on
                begun_s = self._clock()
            if self.segments[-1:] != [take.segment]:
                self.segments.append(take.segment)
            ends = np.arange(begun_us, take.end_us, PACKET_US) + PACKET_US
            packets = np.split(take.events, np.searchsorted(take.events["t"], ends[:-1]))
            for packet, end_us in zip(packets, ends, strict=True):
                left_s = begun_s + end_us * 1e-6 - self._clock() if self._paced else 0.0
                if self._closed.wait(max(left_s, 0.0)):
                    return
                self.counters.events += packet.size
                yield Packet(packet, time.perf_counter(), min(int(end_us), take.end_us))
            begun_us = take.end_us
            if self._duration_us is not None and begun_us >= self._duration_us:
                return

    def close(self) -> None:
        self._closed.set()


ALL_GESTURES = "gestures"
DIGITS = tuple(f"digit-{digit}" for digit in range(10))
SCENES = (ALL_GESTURES, *PEOPLE, *DIGITS)
SIDES = (16, 1280)
"""Fewest and most pixels of a sensor's side: smaller sensors show nothing, and HD cameras have the most."""


def check_scene(scene: str, *, seed: int, seconds: float) -> None:
    """Raise SourceError for an unknown scene, a negative seed, or an impossible length."""
    if scene not in SCENES:
        more = f"{ALL_GESTURES}, {DIGITS[0]} to {DIGITS[-1]}"
        raise SourceError(f"no scene {scene!r} to simulate: give one of {more}, {names_like(scene)}")
    if seed < 0:
        raise SourceError(f"--seed can't be {seed}: give 0 or more")
    if not 0 < seconds <= 3600:
        raise SourceError(f"--seconds can't be {seconds:g}: give more than 0, and at most 3600")


def scene_resolution(scene: str, sensor: str = "") -> Resolution:
    """Return the size of the sensor that sees a scene: ``sensor``, such as "346x260", or the scene's default.

    People fill the shorter side. Digits have only N-MNIST's sensor. Raises SourceError if the size can't be read, is
    outside `SIDES`, or isn't that of digits.
    """
    own = saccades.RESOLUTION if scene in DIGITS else gestures.RESOLUTION
    if not sensor:
        return own
    found = re.fullmatch(r"([0-9]{1,9})[x×]([0-9]{1,9})", sensor.lower(), re.ASCII)
    least, most = SIDES
    if found is None or not all(least <= int(side) <= most for side in found.groups()):
        raise SourceError(
            f"{sensor!r} isn't a sensor size: give width and height from {least} to {most}, such as 346x260"
        )
    wanted = Resolution(*map(int, found.groups()))
    if scene in DIGITS and wanted != own:
        raise SourceError(
            f"the scene {scene} always has N-MNIST's {own.width}x{own.height} pixels: leave --sensor out"
        )
    return wanted


def simulate_scene(
    scene: str, *, seed: int, seconds: float, resolution: Resolution | None = None
) -> Iterator[Events]:
    """Yield the events of one scene, which `check_scene` lets pass. The same seed and sensor give the same events.

    ``resolution`` comes from `scene_resolution`; None is the scene's default.
    """
    if scene in DIGITS:
        yield digits.digit_recording(DIGITS.index(scene), np.random.default_rng(seed), seconds)
        return
    wanted = GESTURES if scene == ALL_GESTURES else (scene,)
    end_us = round(seconds * 1e6)
    sensor = resolution or scene_resolution(scene)
    for take in gestures.gesture_stream(seed, use="show", gestures=wanted, resolution=sensor):
        yield take.events[take.events["t"] < end_us]
        if take.end_us >= end_us:
            return
