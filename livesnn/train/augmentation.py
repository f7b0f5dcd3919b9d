"""Augmentation: what may happen to a training's clips, as flags. Not here: doing it (augment.py)."""

from __future__ import annotations

from dataclasses import dataclass

from livesnn.errors import TrainError


@dataclass(frozen=True)
class Augmentation:
    """Ranges drawn uniformly, once a clip: ± pixels, ± degrees, ± fraction, up to a fraction of events.

    ``gain``: ± fraction of each channel's values on its own, the colours of a video or the polarities of events.
    ``mirror``: the share of clips that are mirrored, and labelled as what they then show.
    """

    shift_pixels: float = 2.0
    rotate_degrees: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    drop: float = 0.2
    gain: float = 0.0
    mirror: float = 0.0

    def __post_init__(self) -> None:
        largest = {
            "shift_pixels": 1e3,
            "rotate_degrees": 360,
            "scale": 0.99,
            "shear": 10,
            "drop": 1,
            "gain": 1,
            "mirror": 1,
        }
        for name, high in largest.items():
            if not 0 <= getattr(self, name) <= high:
                flag = f"--augmentation.{name.replace('_', '-')}"
                raise TrainError(f"{flag} is {getattr(self, name)}: give a number from 0 to {high:g}")


STILL = Augmentation(0, 0, 0, 0, 0)
"""Nothing is moved, nothing dropped."""
