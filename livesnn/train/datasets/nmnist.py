"""N-MNIST (Orchard et al. 2015) in its official layout: <Train|Test>/<digit>/NNNNN.bin, 34×34, three saccades."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livesnn.card import InputSpec
from livesnn.errors import DataError
from livesnn.events import Resolution
from livesnn.events.formats.nmnist import read_nmnist
from livesnn.events.frames import stack_clip
from livesnn.train.datasets import Clips

CLASSES = tuple("0123456789")
SENSOR = Resolution(34, 34)
OFFICIAL = {"Train": 60_000, "Test": 10_000}


def find_root(data: Path) -> Path:
    """Return the folder that holds Train/ or Test/: ``data`` itself, or the N-MNIST folder in it."""
    for folder in (data, data / "nmnist", data / "N-MNIST"):
        if any((folder / part).is_dir() for part in OFFICIAL):
            return folder
    raise DataError(
        f"no N-MNIST in {data}: expected {data}/Train/<digit>/NNNNN.bin (unpack Train.zip and Test.zip there)"
    )


def load_nmnist(data: Path, part: str, input_spec: InputSpec) -> Clips:
    """Read one official part as clips of one window.

    Parameters
    ----------
    data
        See `find_root`.
    part
        "Train" or "Test".

    Raises
    ------
    DataError
        The folder is missing, has no recordings, or one of them is damaged.
    """
    folder = find_root(data) / part
    paths = [(path, label) for label in range(10) for path in sorted((folder / str(label)).glob("*.bin"))]
    if not paths:
        raise DataError(f"no recordings in {folder}: expected {folder}/<digit 0..9>/NNNNN.bin")
    frames = np.stack(
        [
            stack_clip(read_nmnist(path), input_spec.slice, SENSOR, input_spec, input_spec.window)
            for path, _ in paths
        ]
    )
    labels = np.array([label for _, label in paths], dtype=np.int64)
    return Clips(frames, labels, tuple(f"{part}/{label}/{path.name}" for path, label in paths), CLASSES)
