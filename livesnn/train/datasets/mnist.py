"""MNIST from Keras's mnist.npz, in its original order. What is made of the digits is elsewhere (see sequences)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import DAMAGED_ARRAY, DataError

_Arrays = dict[str, npt.NDArray[np.uint8]]


class Mnist(NamedTuple):
    """Images are uint8 [N, 28, 28], white (255) on black; labels are int64 [N], the digits 0..9."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


def load_mnist(path: Path) -> Mnist:
    """Read mnist.npz: ``path`` is the file, or the folder it lies in.

    Raises
    ------
    DataError
        The file is missing, damaged, or something else.
    """
    file = path / "mnist.npz" if path.is_dir() else path
    if not file.is_file():
        folder = file.parent if file.suffix == ".npz" else file
        raise DataError(f"no MNIST at {file}: livesnn data get mnist-still --data {folder} downloads it")
    arrays = _read(file)
    for part in ("train", "test"):
        if wrong := _fault(arrays[f"x_{part}"], arrays[f"y_{part}"]):
            raise DataError(f"{file} is not MNIST, its {part} part has {wrong}: give Keras's mnist.npz")
    train_labels, test_labels = (arrays[name].astype(np.int64) for name in ("y_train", "y_test"))
    return Mnist(arrays["x_train"], train_labels, arrays["x_test"], test_labels)


def _read(file: Path) -> _Arrays:
    """Return the four arrays of ``file`` as they are."""
    try:
        with file.open("rb") as opened, np.lib.npyio.NpzFile(opened) as archive:
            return {name: archive[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    except DAMAGED_ARRAY as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file} can't be read as mnist.npz ({reason}): get Keras's file anew") from error


def _fault(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> str:
    """Return what keeps ``images`` and ``labels`` from being MNIST's, or nothing."""
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        return f"images {images.dtype} {list(images.shape)}, not uint8 [N, 28, 28]"
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        return f"labels {labels.dtype} {list(labels.shape)} to {len(images)} images"
    if not len(labels) or labels.min() < 0 or labels.max() > 9:
        return "labels other than 0 to 9" if len(labels) else "no images"
    return ""
