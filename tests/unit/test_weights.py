"""Weights that can't be read are an error of one line. Not here: what engines make of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from livesnn.errors import ModelError
from livesnn.infer.model import model_folder
from livesnn.weights import load_card, load_weights


def written(path: Path, kind: str, size: int) -> Path:
    """Write a tensor of two numbers of so many bytes each as a safetensors file, which carries no card."""
    header = json.dumps({"weight": {"dtype": kind, "shape": [2], "data_offsets": [0, 2 * size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(2 * size))
    return path


@pytest.mark.parametrize(
    ("kind", "size", "says"),
    [
        ("F32", 4, "carries no model card"),
        ("BF16", 2, "the data type BF16, which isn't supported"),
        ("F8_E4M3", 1, "the data type F8_E4M3"),
        ("F33", 4, "can't be read as safetensors"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, kind: str, size: int, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        load_weights(written(tmp_path / "model.safetensors", kind, size))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        load_weights(tmp_path / "model.safetensors")


def test_a_card_is_read_without_the_weights() -> None:
    file = model_folder("gestures") / "model.safetensors"
    assert load_card(file) == load_weights(file)[1]
