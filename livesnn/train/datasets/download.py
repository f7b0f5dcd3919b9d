"""Downloads a data set from a stable address with a known checksum, or says what to download by hand."""

from __future__ import annotations

from pathlib import Path

from livesnn.errors import DataError
from livesnn.train.datasets import data_set
from livesnn.train.datasets.mnist import load_mnist

MNIST = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
"""From Keras (`keras.datasets.mnist`)."""


def download(name: str, data: Path) -> Path | None:
    """Put a data set's file into a folder, unless it is there; return it, or None if the data set needs no files.

    Raises
    ------
    DataError
        A program can't download it (the message says what to put where), the file there is damaged, the server can't
        be reached or sends something else, or the folder can't be written.
    """
    takes = data_set(name).TAKES
    if takes is None:
        return None
    if takes:
        raise DataError(f"livesnn can't download {name}: get {takes.format(data=data)}")
    file = data / "mnist.npz"
    if file.exists():
        load_mnist(file)
        return file
    import pooch
    from requests import RequestException

    try:
        pooch.retrieve(MNIST, f"sha256:{MNIST_SHA256}", file.name, data)
    except (RequestException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{MNIST}: {reason}: try again, or put the file into {data} yourself") from error
    except OSError as error:
        raise DataError(
            f"{data} can't be written: {error.strerror or error}: choose another folder"
        ) from error
    return file
