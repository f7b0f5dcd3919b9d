"""CIFAR-10's images in CIFAR10-DVS's closed loop: what the recordings are like, and how they become a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from livesnn.__main__ import main
from livesnn.card import Split
from livesnn.errors import DataError
from livesnn.events.recording import open_recording
from livesnn.events.slicer import stack_clip
from livesnn.simulate.saccades import CIFAR10_DVS, DVS128, LOOP_US, loop_recording
from livesnn.train.datasets.cifar10_dvs_sim import INPUT, check, load_cifar10, recorded
from livesnn.train.datasets.registry import data_set
from livesnn.train.resolve import resolve
from tests import trees
from tests.trees import configured

QUIET = replace(
    CIFAR10_DVS, pixel=replace(CIFAR10_DVS.pixel, leak_hz=0.0, noise_hz=0.0, hot_fraction=0.0), shift=(0, 0)
)


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    return trees.cifar10(tmp_path / "data", train=2)


def striped() -> np.ndarray:
    """Return an image of dark and bright columns, eight pixels wide."""
    return np.tile(np.where(np.arange(32) // 8 % 2, 200, 60).astype(np.uint8)[:, None], (32, 1, 3))


def test_edges_make_events_twice_a_loop_each_way_and_the_picture_of_a_screen_sixty_times_a_second() -> None:
    events = loop_recording(striped(), np.random.default_rng(2), QUIET, duration_us=5 * LOOP_US)
    rate = np.bincount(events["t"] // 1000, minlength=1000)
    spectrum = np.abs(np.fft.rfft(rate - rate.mean()))  # one line a Hz: the recording lasts a second
    assert spectrum[60] > 5 * np.median(spectrum)
    phase, counts = rate.reshape(5, -1), []
    for loop in phase[1:]:
        counts.append(np.corrcoef(loop, phase[0])[0, 1])
    assert min(counts) > 0.8
    by_x = np.bincount(events["x"], minlength=128)
    edges = 64 + (np.array([8, 16, 24]) - 16) * 128 / 32 * np.mean(CIFAR10_DVS.scale)
    for edge in edges.astype(int):
        assert by_x[edge - 6 : edge + 7].sum() > 5 * by_x[edge - 19 : edge - 6].sum()


def test_an_image_without_contrast_is_silent_and_the_same_state_gives_the_same_events() -> None:
    assert loop_recording(np.full((32, 32, 3), 90, np.uint8), np.random.default_rng(0), QUIET).size == 0
    one, again = (loop_recording(striped(), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert 0 < one["t"].min() < one["t"].max() < 1_300_000
    with pytest.raises(DataError, match=r"image uint8 \(32, 32\): give one uint8 \[h, w, 3\] image"):
        loop_recording(striped()[..., 0], np.random.default_rng(0))


def test_recordings_have_as_many_events_as_the_real_set_s(data_dir: Path) -> None:
    if not (data_dir / "cifar10").is_dir():
        pytest.skip(f"needs cifar10 in {data_dir}")
    images = load_cifar10(data_dir, test=True).images[::40]
    events = [recorded(image) for image in images]
    # 205,071 on average (github.com/jackd/stsc); the standard error of fifty is 13,000
    assert np.mean([each.size for each in events]) == pytest.approx(205_071, rel=0.15)
    assert np.mean([each["p"].mean() for each in events]) == pytest.approx(0.5, abs=0.05)


def test_clips_are_windows_of_the_recordings_and_the_validation_images_never_change(cifar10: Path) -> None:
    config = configured(dataset="cifar10-dvs-sim", data=cifar10, validation=0.25, windows=2)
    parts = data_set("cifar10-dvs-sim").load_parts(config)
    assert parts.split == Split(0.25, 0, windows=2, drawn_from=20)
    assert (len(parts.training), len(parts.validation)) == (30, 10)
    image = load_cifar10(cifar10, test=False).images[int(parts.validation.recordings[0].rpartition("/")[2])]
    events = recorded(image)
    frames = stack_clip(events, DVS128, INPUT, len(events) // 1000)
    windows = frames[: len(frames) // 10 * 10].reshape(-1, 10, *frames.shape[1:])
    shown = [int(np.flatnonzero((windows == clip).all(axis=(1, 2, 3, 4)))[0]) for clip in parts.validation.frames[:2]]
    assert shown == [len(windows) // 4, len(windows) * 3 // 4]
    fewer = data_set("cifar10-dvs-sim").load_parts(replace(config, images=10))
    assert len(fewer.training) == 20
    assert set(fewer.training.recordings) <= set(parts.training.recordings)
    assert fewer.validation.names == parts.validation.names
    card = replace(config.card(parts.training.classes), split=parts.split)
    load = data_set("cifar10-dvs-sim").load_split
    assert load(cifar10, "validation", card).names == parts.validation.names
    assert set(load(cifar10, "test", card).labels.tolist()) == set(range(10))
    assert not set(load(cifar10, "test", card).names) & set(parts.training.names)


def test_the_official_binary_files_and_jpeg_files_are_read(cifar10: Path, tmp_path: Path) -> None:
    for test, names in ((False, [f"data_batch_{k}.bin" for k in range(1, 6)]), (True, ["test_batch.bin"])):
        jpeg = load_cifar10(cifar10, test=test)
        folder = tmp_path / "official" / "cifar-10-batches-bin"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            np.append(np.uint8(label), image.transpose(2, 0, 1))
            for image, label in zip(jpeg.images, jpeg.labels, strict=True)
        ]
        for name, part in zip(names, np.array_split(np.array(rows, np.uint8), len(names)), strict=True):
            part.tofile(folder / name)
        binary = load_cifar10(tmp_path / "official", test=test)
        np.testing.assert_array_equal(binary.images, jpeg.images)
        np.testing.assert_array_equal(binary.labels, jpeg.labels)
    assert [found.there for found in check(tmp_path / "official")] == [20, 10]


def test_damaged_files_are_said_in_one_line(cifar10: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "test_batch.bin").write_bytes(bytes(1000))
    with pytest.raises(DataError, match=r"test_batch.bin is damaged or not CIFAR-10's: unpack the archive again"):
        load_cifar10(tmp_path, test=True)
    with pytest.raises(DataError, match=r"data_batch_1.bin: No such file"):
        load_cifar10(tmp_path, test=False)
    file = cifar10 / "cifar10.npz"
    with np.load(file) as archive:
        arrays = dict(archive)
    arrays["jpeg"][arrays["offsets"][0] : arrays["offsets"][1]] = 0
    np.savez(file, **arrays)
    with pytest.raises(DataError, match=r"cifar10.npz can't be read \(an image can't be decoded\): get cifar-10"):
        load_cifar10(cifar10, test=False)
    file.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"cifar10.npz can't be read"):
        load_cifar10(cifar10, test=False)


def test_the_input_s_side_and_the_stem_are_flags_and_come_with_the_model_of_init() -> None:
    small = configured(dataset="cifar10-dvs-sim", side=32, stem_pool_stride=1)
    card = small.card(("cat", "dog"))
    assert (card.input.width, card.input.height) == (32, 32)
    assert card.layer_shapes()["block1.1.first"] == (64, 16, 16)
    real = resolve({"dataset": "cifar10-dvs", "init": Path("small")}, start=card)
    assert (real.side, real.stem_pool_stride) == (32, 1)
    assert real.card(("cat", "dog")).layer_shapes() == card.layer_shapes()
    assert resolve({"dataset": "cifar10-dvs", "init": Path("small"), "side": 64}, start=card).side == 64


def test_a_picture_of_one_s_own_is_recorded_by_livesnn_simulate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = tmp_path / "cat.png", tmp_path / "cat.aedat4"
    assert cv2.imwrite(str(picture), cv2.resize(striped(), (320, 200), interpolation=cv2.INTER_NEAREST))
    assert main(["simulate", str(out), "--image", str(picture), "--seconds", "0.3"]) == 0
    with open_recording(out) as recording:
        assert recording.resolution == DVS128
        assert sum(packet.events.size for packet in recording) > 5000
    (tmp_path / "text.png").write_text("no picture")
    for more, says in (
        (("--scene", "idle"), "leave --scene and --sensor out"),
        (("--seconds", "90"), "--seconds can't be 90 with --image: give at most 60"),
        (("--image", str(tmp_path / "none.png")), "none.png can't be read (No such file or directory)"),
        (("--image", str(tmp_path / "text.png")), "text.png isn't a picture that livesnn reads"),
    ):
        assert main(["simulate", str(tmp_path / "out.aedat4"), "--image", str(picture), *more]) == 1
        assert says in capsys.readouterr().err
