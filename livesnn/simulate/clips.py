"""The first frames of one simulated person, for learning. Not here: data sets of them (train/datasets)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events.packet import Events, Packet
from livesnn.events.slicer import Slicer
from livesnn.simulate.gestures import RESOLUTION, WARM_UP_US, Use, gesture_clip, gesture_stream
from livesnn.simulate.motions import IDLE, NOTHING

LAMP_SHARE = 0.4
"""Of those who perform nothing, in a lamp's flickering light: it must not be taken for a gesture."""

POSE_S = (0.3, 2.0)
"""How long they keep a pose: a stream's decisions on idle people were all on the change from one to another."""

LONGEST_S = 60.0
"""Most that is simulated for one clip."""


def clip_frames(name: str, seed: int, spec: InputSpec, use: Use, windows: int = 1) -> npt.NDArray[np.uint8]:
    """Return the first frames of a person, uint8 [windows · window, C, H, W]; DataError if they take too long.

    ``name``: one of `motions.PEOPLE`.
    """
    count = windows * spec.window
    seconds = count * (spec.slice.delta_t_us or 0) * 1e-6 + 0.1  # the first event comes a little late
    while seconds < LONGEST_S:
        events = (
            nothing_clip(name, seed, seconds, use)
            if name in NOTHING
            else gesture_clip(name, seed, seconds, use=use)
        )
        frames = Slicer(spec.slice, RESOLUTION, spec).push(Packet(events))
        if len(frames) >= count:
            return np.stack([frame.data for frame in frames[:count]])
        seconds *= 2
    raise DataError(
        f"{count} frames of {spec.slice} take more than {LONGEST_S:g} s of {name}: give shorter frames"
    )


def nothing_clip(name: str, seed: int, seconds: float, use: Use) -> Events:
    """Return the events of a person who performs nothing; one who stands idle doesn't for long in one pose."""
    packets = []
    kept_s = POSE_S if name == IDLE else (LONGEST_S, LONGEST_S)
    for take in gesture_stream(seed, use=use, gestures=(name,), segment_s=kept_s, lamp_share=LAMP_SHARE):
        packets.append(take.events)
        if take.end_us >= seconds * 1e6 + WARM_UP_US:
            break
    events = np.concatenate(packets)
    events = events[events["t"] >= WARM_UP_US]
    events["t"] -= WARM_UP_US
    return events
