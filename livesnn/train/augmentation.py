"""Augmentation: what may happen to a training's clips, as flags. Not here: doing it (augment.py)."""

from __future__ import annotations

from dataclasses import dataclass

from livesnn.errors import TrainError


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a clip of the training: ranges drawn from uniformly, once a clip; 0 turns one off."""

    shift_pixels: float = 2.0
    """Moved by up to so many pixels of the input, either way and along either side."""
    rotate_degrees: float = 10.0
    """Turned by up to so many degrees, either way."""
    scale: float = 0.1
    """Larger or smaller by up to this fraction, along either side."""
    shear: float = 0.1
    """Sheared by up to this fraction of the picture's width."""
    drop: float = 0.2
    """Up to this fraction of the events, or of a video's brightness, is taken away."""
    gain: float = 0.0
    """Each channel, a video's colours or the events' polarities, brighter or darker by up to this fraction."""
    mirror: float = 0.0
    """Share of clips that are mirrored left to right, and labelled as what they then show."""

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
