"""What a part of the simulator contributes: train on people simulated without it, and validate with it.

    python tests/benchmarks/leave_out.py PART FLAG...

The flags are those of ``livesnn train --dataset gestures-sim``. Without a part, its values are the means of the usual
ones, noise is almost zero, or there are no lamps. Validation always has all parts. The model's name is without-PART.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from livesnn.__main__ import main
from livesnn.simulate import body, gestures, motions
from livesnn.simulate.body import IMAGE, Array, Beat, Limbs, _scaled, draw_beat
from livesnn.simulate.gestures import practice_frames
from livesnn.simulate.scene import Scatter, Scene, draw_scene
from livesnn.train.datasets import gestures_sim

LEFT_OUT = "LIVESNN_LEFT_OUT"
"""Environment variable with the name of the part."""


def _texture(scene: Scene) -> Scene:
    """Give cloth and skin one texture, and make the wall plain."""
    plain = np.full_like(scene.background, scene.body.wall)
    return replace(scene, body=replace(scene.body, texture=0.32, texture_period=5.0), background=plain)


def _light(scene: Scene) -> Scene:
    """Give skin, hair, shirt and wall one brightness each and light from one side, without a lamp."""
    wall = scene.background * np.float32(0.6 / scene.body.wall)
    body = replace(scene.body, skin=0.5, hair=0.22, shirt=0.35, wall=0.6, shading=0.28, light=0.0)
    return replace(scene, body=body, background=wall, lamp=None)


def _framing(scene: Scene) -> Scene:
    """Place everybody in the middle, at one distance."""
    sizes = _scaled(scene.body, 21.0 / scene.body.half_shoulders)
    return replace(scene, body=replace(scene.body, centre_x=IMAGE / 2, shoulder_y=70.0, distance=285.0, **sizes))


def _sensor(scene: Scene) -> Scene:
    """Give everybody the same sensor: thresholds, mismatch, low pass, refractory time, dark current."""
    of_all = {"threshold_on": 0.14, "threshold_off": 0.14, "mismatch": 0.01, "refractory_us": 850.0}
    return replace(scene, pixel=replace(scene.pixel, cutoff_hz=71.0, dark_luminance=0.05, **of_all))


def _noise(scene: Scene) -> Scene:
    """Leave only the shot noise of the quietest sensor; without any, an empty scene gives no frame."""
    quiet = replace(scene.pixel, noise_hz=0.02, leak_hz=0.0, hot_fraction=0.0)
    return replace(scene, pixel=quiet, scatter=Scatter(0.0, scene.scatter.pixels))


def _still(limbs: Limbs) -> Limbs:
    """Keep trunk and head still."""
    return limbs._replace(trunk=np.zeros_like(limbs.trunk), head=np.zeros_like(limbs.head))


def _one_tempo(times_s: Array, rng: np.random.Generator, fastest_s: float, slowest_s: float) -> Beat:
    mean = float(np.sqrt(fastest_s * slowest_s))
    return draw_beat(times_s, rng, mean, mean)


def _drawn_as(change: Callable[[Scene], Scene]) -> Any:
    return patch.object(gestures, "draw_scene", lambda *of: change(draw_scene(*of)))


PARTS: dict[str, Any] = {
    "nothing": _drawn_as(lambda scene: scene),
    "texture": _drawn_as(_texture),
    "light": _drawn_as(_light),
    "framing": _drawn_as(_framing),
    "sensor": _drawn_as(_sensor),
    "noise": _drawn_as(_noise),
    "trunk": patch.object(gestures, "perform", lambda *of: _still(motions.perform(*of))),
    "tempo": patch.object(body, "draw_beat", _one_tempo),
}


@contextmanager
def left_out(part: str) -> Iterator[None]:
    """Leave a part out of all training streams of this process, and cache these under its name."""

    def frames_without(*of: Any) -> Any:
        with PARTS[part]:
            return practice_frames(*of)

    with (
        patch.object(gestures_sim, "practice_frames", frames_without),
        patch.object(gestures_sim, "STREAMS", f"{gestures_sim.STREAMS}-without-{part}"),
    ):
        yield


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PARTS:
        sys.exit(f"give the part to leave out: {', '.join(PARTS)}")
    os.environ[LEFT_OUT] = sys.argv[1]
    name = f"without-{sys.argv[1]}"
    # The last value of a flag counts. With more devices, another device's process would leave nothing out.
    sys.argv[1:] = ["train", "--dataset", "gestures-sim", "--name", name, *sys.argv[2:], "--devices", "1"]
if __name__ in ("__main__", "__mp_main__"):  # also in the processes that simulate
    until_the_end = ExitStack()
    until_the_end.enter_context(left_out(os.environ[LEFT_OUT]))
if __name__ == "__main__":
    sys.exit(main())
