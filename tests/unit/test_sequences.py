"""The MNIST sequences: what each frame shows, which way a digit turns, and that a batch's split changes nothing."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from livesnn.errors import DataError
from livesnn.train.datasets.mnist import load_mnist
from livesnn.train.datasets.mnist_frames import classes_of, make_sequences, randoms_needed
from livesnn.train.datasets.request import SequenceName

KINDS = get_args(SequenceName)
DIRECTED = [kind for kind in KINDS if len(classes_of(kind)) == 20]


def drawn(kind: str, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return digits (noise in every pixel, the edges' too), directions and random numbers."""
    chance = torch.Generator().manual_seed(KINDS.index(kind))
    digits = torch.randint(1, 256, (count, 28, 28), dtype=torch.uint8, generator=chance)
    directions = torch.arange(count) % 2
    return digits, directions, torch.rand(count, randoms_needed(kind), generator=chance)


def dot(x: int, y: int) -> Tensor:
    """Return a batch of one image, black but for a blot of nine pixels around (x, y)."""
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    image[0, y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


def made(kind: str, digits: Tensor, direction: int, random: list[float] | None = None) -> Tensor:
    """Return the frames [10, 28, 28] of one digit."""
    numbers = torch.tensor([random or []], dtype=torch.float64)
    return make_sequences(kind, digits, torch.tensor([direction]), numbers)[0, :, 0]


def by_hand(image: npt.NDArray[np.uint8], zoom: float, degrees: float) -> npt.NDArray[np.float64]:
    """Return the image zoomed and turned clockwise about its centre, pixel by pixel."""
    cos, sin = math.cos(math.radians(degrees)) / zoom, math.sin(math.radians(degrees)) / zoom
    around = np.pad(image.astype(np.float64), 130)
    result = np.zeros((28, 28))
    for row, column in np.ndindex(28, 28):
        x, y = column - 13.5, row - 13.5
        source_x, source_y = cos * x + sin * y + 143.5, cos * y - sin * x + 143.5
        left, top = math.floor(source_x), math.floor(source_y)
        right, down = source_x - left, source_y - top
        (a, b), (c, d) = around[top : top + 2, left : left + 2]
        result[row, column] = (a * (1 - right) + b * right) * (1 - down) + (c * (1 - right) + d * right) * down
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_a_digit_becomes_ten_frames_of_uint8(kind: str) -> None:
    digits, directions, random = drawn(kind, 6)
    before = digits.clone(), random.clone()
    frames = make_sequences(kind, digits, directions, random)
    assert frames.dtype == torch.uint8
    assert frames.shape == (6, 10, 1, 28, 28)
    assert torch.equal(digits, before[0])
    assert torch.equal(random, before[1])


@pytest.mark.parametrize("kind", KINDS)
def test_splitting_a_batch_changes_nothing(kind: str) -> None:
    digits, directions, random = drawn(kind, 80)
    whole = make_sequences(kind, digits, directions, random)
    for size in (1, 7, 64):
        parts = [part.split(size) for part in (digits, directions, random)]
        split = [make_sequences(kind, *part) for part in zip(*parts, strict=True)]
        assert torch.equal(torch.cat(split), whole)


@pytest.mark.parametrize("kind", DIRECTED)
def test_the_second_direction_is_the_first_played_backwards(kind: str) -> None:
    digits, _, random = drawn(kind, 8)
    first = make_sequences(kind, digits, torch.zeros(8, dtype=torch.int64), random)
    second = make_sequences(kind, digits, torch.ones(8, dtype=torch.int64), random)
    assert torch.equal(first.flip(1), second)
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    mixed = make_sequences(kind, digits, torch.arange(8) % 2, random)
    assert torch.equal(mixed, torch.stack([(first, second)[i % 2][i] for i in range(8)]))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in DIRECTED])
def test_a_kind_without_directions_does_not_look_at_them(kind: str) -> None:
    digits, directions, random = drawn(kind, 4)
    frames = make_sequences(kind, digits, directions, random)
    assert torch.equal(make_sequences(kind, digits, 1 - directions, random), frames)


def test_a_still_digit_is_the_digit_ten_times() -> None:
    digits = drawn("mnist-still", 1)[0]
    assert torch.equal(made("mnist-still", digits, 0), digits.expand(10, 28, 28))


def test_seq3_grows_from_half_to_the_digit() -> None:
    digits = drawn("mnist-seq3", 1)[0]
    frames = made("mnist-seq3", digits, 0)
    assert torch.equal(frames[9], digits[0])
    inside = torch.nn.functional.avg_pool2d(digits.double(), 2)[0]  # half the size: means of four pixels
    assert torch.equal(frames[0, 7:21, 7:21], (inside + 0.5).floor().to(torch.uint8))
    assert not frames[0, :7].any()
    assert not frames[0, :, 21:].any()


def test_seq2_turns_by_36_degrees_a_frame_from_the_digit_on() -> None:
    digits = drawn("mnist-seq2", 1)[0]
    frames = made("mnist-seq2", digits, 0)
    assert torch.equal(frames[0], digits[0])
    assert torch.equal(frames[5], torch.rot90(digits[0], 2))


def test_clockwise_goes_from_the_top_to_the_right() -> None:
    top, right = dot(14, 4), dot(23, 14)  # a quarter turn about (13.5, 13.5) takes (14, 4) to (23, 14)
    quarter = made("mnist-seq5-sorted", top, 0, [0.25] * 10)
    assert torch.equal(quarter, right.expand(10, 28, 28))
    assert classes_of("mnist-seq5-sorted")[0] == "0 clockwise"


ANGLES = [0.9, 0.1, 0.23, 0.8, 0.3, 0.7, 0.0, 0.4, 0.6, 0.5]


@pytest.mark.parametrize(
    ("kind", "random", "zooms", "degrees"),
    [
        ("mnist-seq1", [], [k / 9 for k in range(10)], [0] * 10),
        ("mnist-seq3", [], [0.5 + k / 18 for k in range(10)], [0] * 10),
        ("mnist-seq2", [], [1] * 10, [36 * k for k in range(10)]),
        # By a tenth of the angle at each frame, the first too
        *[
            ("mnist-seq5-total", [share], [1] * 10, [36 * share * k for k in range(1, 11)])
            for share in (0, 0.3, 0.97)
        ],
        ("mnist-seq5-sorted", ANGLES, [1] * 10, [360 * angle for angle in sorted(ANGLES)]),
    ],
)
def test_zooms_and_turns_are_bilinear_about_the_centre(
    kind: str, random: list[float], zooms: list[float], degrees: list[float]
) -> None:
    digits = drawn(kind, 1)[0]
    for frame, zoom, angle in zip(made(kind, digits, 0, random), zooms, degrees, strict=True):
        if zoom:  # else it is empty
            assert np.abs(frame.numpy() - by_hand(digits[0].numpy(), zoom, angle)).max() <= 0.5 + 1e-9


def test_seq4_hides_one_square_of_14_pixels_a_frame() -> None:
    digits, directions, random = drawn("mnist-seq4", 300)
    frames = make_sequences("mnist-seq4", digits, directions, random)[:, :, 0]
    hidden = frames == 0  # no digit here has a black pixel
    assert hidden.sum((2, 3)).unique().tolist() == [14 * 14]
    assert hidden.any(2).sum(2).unique().tolist() == [14]
    assert hidden.any(3).sum(2).unique().tolist() == [14]
    assert torch.equal(frames[~hidden], digits[:, None].expand_as(frames)[~hidden])


def test_seq4_puts_the_square_anywhere_inside_the_image_and_elsewhere_in_each_frame() -> None:
    digits, directions, random = drawn("mnist-seq4", 300)
    hidden = make_sequences("mnist-seq4", digits, directions, random)[:, :, 0] == 0
    left, top = (hidden.any(axis).int().argmax(2) for axis in (2, 3))
    for place in (left, top):
        counts = torch.bincount(place.flatten(), minlength=15)
        assert len(counts) == 15
        assert (counts - 200).abs().max() < 5 * 200**0.5
    both = torch.stack([left.flatten(), top.flatten()]).double()
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.1
    assert float((left[:, 1:] == left[:, :-1]).double().mean()) == pytest.approx(1 / 15, abs=0.03)


def test_seq4_takes_the_extreme_numbers_to_the_extreme_places() -> None:
    white = torch.full((2, 28, 28), 255, dtype=torch.uint8)
    random = torch.stack([torch.zeros(20), torch.full((20,), 1 - 2**-24)])
    frames = make_sequences("mnist-seq4", white, torch.zeros(2), random)[:, :, 0]
    assert not frames[0, :, :14, :14].any()
    assert not frames[1, :, 14:, 14:].any()
    left_only = torch.cat([torch.full((1, 10), 0.99), torch.zeros(1, 10)], dim=1)
    assert not make_sequences("mnist-seq4", white[:1], torch.zeros(1), left_only)[0, :, 0, :14, 14:].any()


def test_a_label_is_the_digit_or_ten_more_in_the_second_direction() -> None:
    assert classes_of("mnist-still") == classes_of("mnist-seq4") == tuple("0123456789")
    assert classes_of("mnist-seq1")[3::10] == ("3 growing", "3 shrinking")
    assert classes_of("mnist-seq5-total")[3::10] == ("3 clockwise", "3 counter-clockwise")
    for kind in KINDS:
        names = classes_of(kind)
        assert len(set(names)) == len(names)
        assert [name.split()[0] for name in names] == list("0123456789") * (len(names) // 10)


def test_another_number_of_random_numbers_is_refused() -> None:
    digits, directions, random = drawn("mnist-seq4", 2)
    with pytest.raises(ValueError, match=re.escape("random is [2, 20], not [2, 1]")):
        make_sequences("mnist-seq5-total", digits, directions, random)


def test_mnist_is_read_whole_from_its_file_or_its_folder(data_dir: Path) -> None:
    mnist = load_mnist(data_dir / "mnist" / "mnist.npz")
    assert mnist.train_images.shape == (60_000, 28, 28)
    assert mnist.test_images.shape == (10_000, 28, 28)
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert (mnist.train_labels.dtype, mnist.train_images.dtype) == (np.int64, np.uint8)
    again = load_mnist(data_dir / "mnist")
    assert all(np.array_equal(a, b) for a, b in zip(mnist, again, strict=True))


def test_a_missing_or_damaged_mnist_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    images, labels = np.zeros((20, 28, 28), np.uint8), np.zeros(20, np.uint8)
    whole = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}

    def refusal(name: str) -> str:
        with pytest.raises(DataError) as caught:
            load_mnist(tmp_path / name)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert (
        f"no MNIST at {tmp_path / 'none.npz'}: livesnn data get mnist-still --data {tmp_path} downloads"
        in refusal("none.npz")
    )
    (tmp_path / "folder").mkdir()
    assert f"no MNIST at {tmp_path / 'folder' / 'mnist.npz'}" in refusal("folder")
    np.savez(tmp_path / "whole.npz", **whole)
    assert len(load_mnist(tmp_path / "whole.npz").train_images) == 20
    (tmp_path / "both" / "mnist").mkdir(parents=True)
    np.savez(tmp_path / "both" / "mnist.npz", **whole)
    assert len(load_mnist(tmp_path / "both").train_images) == 20
    written = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(written[:-100])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "flipped.npz").write_bytes(written[:900] + b"\xff" + written[901:])
    for name in ("cut.npz", "empty.npz", "flipped.npz"):
        assert "can't be read as mnist.npz" in refusal(name)
    np.savez(tmp_path / "other.npz", x_train=images)
    assert "y_train" in refusal("other.npz")
    for name, change, fault in (
        ("shape", {"x_test": images[:, :14]}, r"test part has images uint8 \[20, 14, 28\]"),
        ("count", {"y_train": labels[:3]}, r"train part has labels uint8 \[3\] to 20 images"),
        ("label", {"y_train": labels + 10}, "labels other than 0 to 9"),
        ("none", {"x_test": images[:0], "y_test": labels[:0]}, "test part has no images"),
    ):
        np.savez(tmp_path / f"{name}.npz", **{**whole, **change})
        assert re.search(fault, refusal(f"{name}.npz"))
