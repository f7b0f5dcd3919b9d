"""MNIST from Keras's mnist.npz, and its download. The sequences made of it are in mnist_sequences.py."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError, reason_of
from livesnn.untrusted import DAMAGE

MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
"""From Keras (`keras.datasets.mnist`)."""


class Mnist(NamedTuple):
    """Images uint8 [N, 28, 28], white (255) on black; labels int64 [N], the digits 0 to 9."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


def load_mnist(path: Path) -> Mnist:
    """Read mnist.npz; ``path`` is the file, its folder, or a folder with that as mnist.

    Raises DataError if the file is missing, damaged, or something else than MNIST.
    """
    inner = path / "mnist"
    folder = inner if inner.is_dir() and not (path / "mnist.npz").is_file() else path
    file = folder / "mnist.npz" if folder.is_dir() else path
    if not file.is_file():
        folder = file.parent if file.suffix == ".npz" else file
        raise DataError(f"no MNIST at {file}: livesnn data get mnist-still --data {folder} downloads it")
    try:
        with file.open("rb") as opened, np.lib.npyio.NpzFile(opened) as archive:
            arrays = {name: archive[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    except DAMAGE as error:
        raise DataError(
            f"{file} can't be read as mnist.npz ({reason_of(error)}): download Keras's file again"
        ) from error
    for part in ("train", "test"):
        if wrong := _fault(arrays[f"x_{part}"], arrays[f"y_{part}"]):
            raise DataError(f"{file} is not MNIST, its {part} part has {wrong}: give Keras's mnist.npz")
    train_labels, test_labels = (arrays[name].astype(np.int64) for name in ("y_train", "y_test"))
    return Mnist(arrays["x_train"], train_labels, arrays["x_test"], test_labels)


def download_mnist(data: Path, url: str = MNIST_URL, sha256: str = MNIST_SHA256) -> Path:
    """Put mnist.npz into a folder, unless it is there; return it.

    Raises DataError if the file there is damaged, the server can't be reached or sends something else, or the folder
    can't be written.
    """
    file = data / "mnist.npz"
    if file.exists():
        load_mnist(file)
        return file
    import pooch
    from requests import RequestException

    try:
        pooch.retrieve(url, f"sha256:{sha256}", file.name, data)
    except (RequestException, ValueError) as error:
        raise DataError(f"{url}: {reason_of(error)}: try again, or put the file into {data} yourself") from error
    except OSError as error:
        raise DataError(f"{data} can't be written: {reason_of(error)}: choose another folder") from error
    return file


def _fault(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> str:
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        return f"images {images.dtype} {list(images.shape)}, not uint8 [N, 28, 28]"
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        return f"labels {labels.dtype} {list(labels.shape)} to {len(images)} images"
    if not len(labels) or labels.min() < 0 or labels.max() > 9:
        return "labels other than 0 to 9" if len(labels) else "no images"
    return ""
