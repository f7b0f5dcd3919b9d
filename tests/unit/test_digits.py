"""Drawn digits look like digits, and the saccades that move them match N-MNIST's recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.errors import DataError
from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.simulate.digits import STYLES, HandSpec, digit_recording, draw_digit
from livesnn.simulate.saccades import CYCLE_US, MOVES, SaccadeSpec, saccade_recording

pytestmark = pytest.mark.slow

NO_JITTER = SaccadeSpec(
    black=(0.152, 0.152),
    threshold=(1.0, 1.0),
    pixel=replace(SaccadeSpec().pixel, hot_fraction=0.0),
    shift=(0.0, 0.0),
    amplitude=(1.0, 1.0),
    start_ms=(0.0, 0.0),
    speed=(1.0, 1.0),
    scale=(1.0135, 1.0135),
    rotation_degrees=(0.9, 0.9),
)


def drawn(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.stack([draw_digit(i % 10, np.random.default_rng([seed, i])) for i in range(count)])


@pytest.fixture(scope="module")
def recordings() -> list[Events]:
    images = drawn(100)
    return [saccade_recording(image, np.random.default_rng([0, index])) for index, image in enumerate(images)]


def counts(events: Events, bin_us: int, bins: int) -> npt.NDArray[np.float64]:
    """Return events a bin, polarity and pixel: [bins, 2, 34, 34]."""
    inside = events[events["t"] < bin_us * bins]
    where = (inside["t"] // bin_us * 2 + inside["p"]) * 34 * 34 + inside["y"].astype(int) * 34 + inside["x"]
    return np.bincount(where, minlength=bins * 2 * 34 * 34).reshape(bins, 2, 34, 34).astype(float)


@pytest.mark.parametrize("digit", range(10))
def test_every_digit_is_inked_and_inside_the_frame(digit: int) -> None:
    for seed in range(30):
        image = draw_digit(digit, np.random.default_rng(seed))
        assert image.shape == (28, 28)
        assert image.dtype == np.uint8
        assert image.max() == 255
        assert 0.04 < np.count_nonzero(image > 127) / image.size < 0.35
        assert image[[0, -1]].max() == 0
        assert image[:, [0, -1]].max() == 0


def test_digits_of_a_class_are_nearer_to_each_other_than_to_other_classes() -> None:
    known, asked = drawn(300, seed=1).reshape(300, -1) / 255, drawn(100, seed=2).reshape(100, -1) / 255
    distance = ((asked[:, None] - known[None]) ** 2).sum(-1)
    assert np.mean(distance.argmin(1) % 10 == np.arange(100) % 10) >= 0.85


def test_a_steady_hand_draws_each_style_of_a_digit_once() -> None:
    steady = HandSpec((0.1, 0.1), (0, 0), (0.8, 0.8), (2, 2), bend=0, tremor=0)
    for digit, styles in STYLES.items():
        seen = {draw_digit(digit, np.random.default_rng(seed), steady).tobytes() for seed in range(40)}
        assert len(seen) == len(styles)


def test_a_digit_that_does_not_exist_and_an_image_of_another_type_are_refused() -> None:
    with pytest.raises(DataError, match="choose 0 to 9"):
        draw_digit(10, np.random.default_rng(0))
    with pytest.raises(DataError, match="one grey uint8"):
        saccade_recording(np.zeros((28, 28), np.float32), np.random.default_rng(0))  # type: ignore[arg-type]


def test_recordings_are_in_order_on_a_sensor_of_34_by_34(recordings: list[Events]) -> None:
    for events in recordings:
        assert events.dtype == EVENTS_DTYPE
        assert np.all(np.diff(events["t"]) >= 0)
        assert events["t"][0] > 0
        assert events["t"][-1] < CYCLE_US
        assert events["x"].max() < 34
        assert events["y"].max() < 34


def test_a_recording_depends_only_on_the_image_and_the_random_state() -> None:
    (image,) = drawn(1)
    first, again, other = (saccade_recording(image, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(other, first)


def test_the_moves_of_a_cycle_end_where_they_began() -> None:
    moves = np.array(MOVES)
    np.testing.assert_allclose(moves[:, 2:].sum(0), 0, atol=1e-9)
    assert np.all(moves[:, 0] + moves[:, 1] < CYCLE_US / 1000)


def test_three_saccades_make_three_humps_of_events(recordings: list[Events]) -> None:
    rate = sum(np.bincount(e["t"] // 15_000, minlength=21) for e in recordings[:20])
    humps, rests = rate[[3, 10, 16]], rate[[0, 6, 14, 20]]
    assert humps.min() > 3 * rests.max()


def test_event_counts_and_on_share_are_those_of_the_real_recordings(recordings: list[Events]) -> None:
    # The first 1,000 real ones: 1,112 to 7,152 events, mean 4,133, standard deviation 1,154; ON 50.0 %.
    sizes = np.array([len(events) for events in recordings])
    assert 3000 < sizes.mean() < 5000
    assert sizes.min() > 900
    assert sizes.max() < 8500
    assert np.mean([events["p"].mean() for events in recordings]) == pytest.approx(0.5, abs=0.02)


def test_without_ink_there_is_only_background_as_in_the_real_recordings() -> None:
    # Real pixels that no ink comes near: 0.41 Hz, 94 % of it ON (leak).
    blank = np.zeros((28, 28), np.uint8)
    events = saccade_recording(blank, np.random.default_rng(0), NO_JITTER, repeat=30)
    assert len(events) / (34 * 34 * 30 * CYCLE_US * 1e-6) == pytest.approx(0.42, rel=0.05)
    assert events["p"].mean() == pytest.approx(0.96, abs=0.03)


def test_every_repetition_looks_like_the_first() -> None:
    quiet = replace(NO_JITTER, pixel=replace(NO_JITTER.pixel, leak_hz=0.0, noise_hz=0.0))
    events = saccade_recording(drawn(4)[3], np.random.default_rng(0), quiet, repeat=3)
    cycles = counts(events, 35_000, 27).reshape(3, -1)
    assert np.corrcoef(cycles)[0, 1:].min() > 0.97


def test_a_recording_of_a_digit_is_as_long_as_asked() -> None:
    events = digit_recording(7, np.random.default_rng(0), seconds=1.0)
    assert 950_000 < events["t"][-1] < 1_000_000
    np.testing.assert_array_equal(events, digit_recording(7, np.random.default_rng(0), seconds=1.0))


def test_simulated_recordings_match_the_real_ones_of_the_same_digits(data_dir: Path) -> None:
    mnist, folder = data_dir / "mnist" / "mnist.npz", data_dir / "nmnist" / "Train"
    if not (mnist.is_file() and folder.is_dir()):
        pytest.skip(f"needs mnist/mnist.npz and nmnist/Train in {data_dir}")
    with np.load(mnist) as arrays:
        images, labels = arrays["x_train"][:100], arrays["y_train"][:100]
    alike, sizes = [], []
    for index in range(100):
        real = _read_nmnist(folder / str(labels[index]) / f"{index + 1:05d}.bin")
        simulated = saccade_recording(images[index], np.random.default_rng([0, index]), NO_JITTER)
        frames = [counts(events, 30_000, 10).ravel() for events in (real, simulated)]
        alike.append(np.corrcoef(frames)[0, 1])
        sizes.append((len(real), len(simulated)))
    assert np.mean(alike) > 0.88  # measured: 0.909
    real_sizes, simulated_sizes = np.array(sizes).T
    assert np.corrcoef(real_sizes, simulated_sizes)[0, 1] > 0.95
    assert simulated_sizes.mean() == pytest.approx(real_sizes.mean(), rel=0.1)


def _read_nmnist(path: Path) -> Events:
    """Read one .bin, without the one pixel of the real sensor that fires by itself (45 Hz at x 18, y 30)."""
    record = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.int64)
    events = np.empty(len(record), EVENTS_DTYPE)
    events["x"], events["y"], events["p"] = record[:, 0], record[:, 1], record[:, 2] >> 7
    events["t"] = (record[:, 2] & 127) << 16 | record[:, 3] << 8 | record[:, 4]
    return events[(events["x"] != 18) | (events["y"] != 30)]
