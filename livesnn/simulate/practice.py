"""Streams of simulated people to train on: gestures, other movements and rests, short and long, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.packet import Packet
from livesnn.events.slicer import Frame, Slicer
from livesnn.simulate.body import LEFT, RIGHT, Array, Limbs, Random, log_uniform, unit
from livesnn.simulate.everyday import MOVEMENTS
from livesnn.simulate.gestures import (
    ATTEMPTS,
    DENOISED_SHARE,
    LONGEST_S,
    RESOLUTION,
    Segment,
    Turn,
    gesture_random,
    is_seen,
    person_scene,
    rounds,
    takes,
)
from livesnn.simulate.motions import (
    CURTAIN,
    EVERYDAY,
    GESTURES,
    IDLE,
    NOBODY,
    OBJECTS,
    PAN,
    RAISING,
    SHAKE,
    TWO_PEOPLE,
    WALKING,
    perform,
)
from livesnn.simulate.recorded import Movement
from livesnn.simulate.scene import LAMP_SHARE

NOTHING_SHARE = 0.12  # Share of those who practise who perform nothing

NOTHING_SHARES = {
    WALKING: 0.3, IDLE: 0.16, TWO_PEOPLE: 0.14, OBJECTS: 0.12, SHAKE: 0.12, PAN: 0.06, CURTAIN: 0.06, NOBODY: 0.04,
}  # fmt: skip
"""What these do."""

_OFTEN = sum(movement.weight for movement in MOVEMENTS.values())
PRACTISED = {
    **dict.fromkeys(GESTURES[:-1], 0.06), **dict.fromkeys(EVERYDAY, 0.2 / len(EVERYDAY)), RAISING: 0.05,
    **{name: 0.15 * (each.weight / _OFTEN) + 0.2 / len(EVERYDAY) for name, each in MOVEMENTS.items()},
}  # fmt: skip
"""What the others perform, apart from rests, and how often."""

PERFORMED_S, SWIFT_S, SLOW_S, LONG_S = (0.5, 4.0), (0.2, 0.8), (0.3, 1.8), (60.0, 60.0)
"""How long (log-uniform), how long the change to it takes (log-uniform: swift or slow), and how long nothing is
performed."""

REST_SHARE, REST_S = 0.45, (0.2, 1.5)  # How often a rest follows, and how long it is

SLOW_SHARE, TURNED_SHARE, EARLY = 0.6, 0.6, 0.4
"""Share of slow changes, share of those in which joints turn and hands don't go straight, and how differently early
the upper arm and the forearm do (`Limbs.turned`; deviation of the exponent's logarithm)."""

HELD_SHARE, HELD_S = (
    0.2,
    (0.08, 1.2),
)  # How often one or both arms are raised and held, and for how long (log-uniform)
STRETCHED_SHARE = 0.35  # Share of these in which they are stretched, as of who greets, points or asks

RECORDED_PEOPLE, RECORDED_SHARE, RECORDED_GESTURES = 0.5, 0.5, 0.35
"""Where movements of real people are given: share of simulated people who move so, how often they do, and how much of
that is a gesture."""
RECORDED_S, TEMPO = (0.7, 5.0), (0.75, 1.4)  # For how long, and how fast; log-uniform


def practice_frames(
    seed: int, spec: InputSpec, count: int, movements: Sequence[Movement] = ()
) -> tuple[npt.NDArray[np.uint8], list[str | None]]:
    """Return frames of a wide person who practises. Some people perform nothing at all.

    Returns uint8 [count, C, H, W], and what is performed in the middle of each frame, one of `motions.PEOPLE` or
    `recorded.OTHERS`; None on the way from one performance to the next. ``movements`` of real people are mixed in.
    Raises DataError if the frames take too long.
    """
    filtered = gesture_random("train", seed).spawn(1)[0].random() < DENOISED_SHARE
    for attempt in range(ATTEMPTS):
        rng = gesture_random("train", seed, None, attempt)
        nothing = str(rng.choice([*NOTHING_SHARES], p=[*NOTHING_SHARES.values()]))
        performs = rng.random() >= NOTHING_SHARE
        scene = person_scene(() if performs else (nothing,), rng, RESOLUTION, LAMP_SHARE, "wide")
        theirs = movements if rng.random() < RECORDED_PEOPLE else ()
        turns = _practice(rng, theirs, scene.body.arm) if performs else rounds((nothing,), LONG_S, rng)
        slicer, noise = Slicer(RESOLUTION, spec), DenoiseState(RESOLUTION)
        frames: list[Frame] = []
        segments: list[Segment] = []
        events = 0
        for take in takes(scene, turns, rng, "wide", SLOW_S[1]):
            if take.end_us > LONGEST_S * 1e6:
                raise DataError(f"{count} frames of {spec.slice} take more than {LONGEST_S:g} s: give shorter slices")
            packets: Iterable[Packet] = (Packet(take.events, now_us=take.end_us),)
            for packet in denoise_packets(packets, noise) if filtered else packets:
                frames += slicer.push(packet)
            events += take.events.size
            segments += [take.segment] * (take.segment not in segments[-1:])
            if len(frames) >= count:
                break
        if not performs or is_seen(events, scene, take.end_us / 1e6):
            break
    ends = [frame.t for frame in frames[:count]]
    middles = [(begin + end) / 2 for begin, end in pairwise([0, *ends])]
    performed = [
        next((each.gesture for each in segments if each.start_us <= at < each.end_us), None) for at in middles
    ]
    return np.stack([frame.data for frame in frames[:count]]), performed


def _practice(rng: Random, movements: Sequence[Movement], arm: float) -> Iterator[Turn]:
    rested = True
    while True:
        change_s = log_uniform(rng, *(SLOW_S if rng.random() < SLOW_SHARE else SWIFT_S))
        early = float(np.exp(rng.normal(0, EARLY))) if rng.random() < TURNED_SHARE else None
        rested = not rested and rng.random() < REST_SHARE
        if rested:
            yield Turn(IDLE, change_s, rng.uniform(*REST_S), early=early)
        elif movements and rng.random() < RECORDED_SHARE:
            yield _recorded(movements, arm, rng)._replace(change_s=change_s, early=early)
        elif rng.random() < HELD_SHARE:
            yield Turn(RAISING, change_s, log_uniform(rng, *HELD_S), partial(_held, rng=rng), early)
        else:
            performed = str(rng.choice([*PRACTISED], p=[*PRACTISED.values()]))
            yield Turn(performed, change_s, log_uniform(rng, *PERFORMED_S), early=early)


def _held(times_s: Array, rng: Random) -> Limbs:
    """Hold one or both arms as in a gesture, or stretched, while the other one rests."""
    limbs = perform(IDLE, times_s, rng, "wide")
    pose = perform(GESTURES[rng.integers(len(GESTURES) - 1)], times_s[:2], rng, "wide").part(0, 1)
    both, one, stretched = rng.random() < 1 / 3, rng.integers(2), rng.random() < STRETCHED_SHARE
    for arm in (RIGHT, LEFT):
        if both or arm == one:
            place, elbow = pose.wrist[0, arm], pose.elbow[0, arm]
            if stretched:
                way = unit(np.array([rng.uniform(-0.2, 0.6), rng.uniform(-0.1, 1.0), rng.uniform(0.0, 0.9)]))
                place, elbow = rng.uniform(0.7, 0.99) * way, np.array([0.5, -0.6, -0.3])
            limbs.wrist[:, arm] += place - limbs.wrist[0, arm]
            limbs.elbow[:, arm], limbs.hand[:, arm] = elbow, pose.hand[0, arm]
    return limbs


def _recorded(movements: Sequence[Movement], arm: float, rng: Random) -> Turn:
    """Return a part of what a real person did, as it was or in a mirror, slower or faster, once in place."""
    wanted = rng.random() < RECORDED_GESTURES
    some = [each for each in movements if (each.label in GESTURES) == wanted] or movements
    movement = some[int(rng.integers(len(some)))]
    movement = movement.mirrored() if rng.random() < 0.5 else movement
    held_s, tempo = log_uniform(rng, *RECORDED_S), log_uniform(rng, *TEMPO)
    first_s = rng.uniform(0, max(movement.seconds - held_s * tempo, 0))

    def performed(times_s: Array) -> Limbs:
        moments_s = first_s + (times_s - times_s[0]) * tempo
        there_and_back = movement.seconds - np.abs(moments_s % (2 * movement.seconds) - movement.seconds)
        return movement.limbs(there_and_back, arm, rng)

    return Turn(movement.label, 0.0, held_s, performed)
