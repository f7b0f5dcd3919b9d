"""Small data sets in exactly their official layouts, for tests of reading them and of training on them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.simulate.digits import draw_digit
from livesnn.simulate.motions import GESTURES
from livesnn.train.configuration import Configuration
from livesnn.train.datasets.cifar10_dvs import CLASSES
from livesnn.train.resolve import resolve
from tests.aedat3_writer import header, polarity
from tests.format_files import MADE_FILES

SENSOR = Resolution(128, 128)
GESTURE_S = 1.2  # two windows of ten frames of 50 ms
USERS = {"train": (1, 2, 3), "test": (24,)}


def some_events(count: int, seconds: float, seed: int = 0) -> Events:
    """Return events of a DVS128 anywhere at any time."""
    rng = np.random.default_rng(seed)
    events = np.zeros(count, EVENTS_DTYPE)
    events["t"] = np.sort(rng.integers(0, round(seconds * 1e6), count))
    events["x"], events["y"] = rng.integers(0, 128, (2, count))
    events["p"] = rng.random(count) < 0.5
    return events


def a_gesture(label: int) -> Events:
    """Return events in one column, which tells the label."""
    events = np.zeros(600, EVENTS_DTYPE)
    events["t"] = np.arange(600) * round(GESTURE_S * 1e6) // 600
    events["x"], events["y"] = 10 * label + 4, np.arange(600) % 128
    return events


def cifar10(root: Path, train: int = 4) -> Path:
    """Write smooth random pictures as CIFAR-10's JPEG files in one .npz: so many a class, and one to test."""
    import cv2

    rng = np.random.default_rng(0)
    label = np.tile(np.arange(10, dtype=np.uint8), train + 1)
    coarse = rng.integers(0, 256, (len(label), 9, 9, 3)).astype(np.uint8)
    files = [cv2.imencode(".jpg", cv2.resize(each, (32, 32), interpolation=cv2.INTER_CUBIC))[1] for each in coarse]
    offsets = np.cumsum([0, *map(len, files)])
    is_test = np.arange(len(label)) >= 10 * train
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "cifar10.npz", jpeg=np.concatenate(files), offsets=offsets, label=label, test=is_test)
    return root


def cifar10_dvs(root: Path, numbers: tuple[int, ...] = (0, 1, 2, 3, 699, 700, 999)) -> Path:
    """Write CIFAR10-DVS with so many recordings a class."""
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in numbers:
            path, events = root / name / f"cifar10_{name}_{number}.aedat", some_events(400, 0.5, label)
            MADE_FILES["aedat2"].write(path, iter([events]))
    return root


def lab(root: Path) -> Path:
    """Write a lab's folder: two gestures, three people, two recordings of two windows each."""
    for label in ("nod", "shake"):
        for session in ("ann", "bob", "cem"):
            for number in range(2):
                path = root / label / session / f"{number}.aedat4"
                path.parent.mkdir(parents=True, exist_ok=True)
                with Aedat4Writer(path, SENSOR) as writer:
                    writer.write(some_events(3000, 1.05, number))
    return root


def _video(path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (32, 24))
    for k in range(50):
        video.write(np.full((24, 32, 3), 4 * k, np.uint8))
    video.release()


def ucf101(root: Path) -> Path:
    """Write two of three classes of UCF-101, five groups each, and its lists: group 1 is the test part."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 Archery\n2 Biking\n3 Surfing\n")
    names = {
        group: [f"{label}/v_{label}_g{group:02d}_c01.avi" for label in ("Archery", "Surfing")]
        for group in range(1, 6)
    }
    for name in chain(*names.values()):
        _video(root / "UCF-101" / name)
    train = ["Biking/v_Biking_g02_c01.avi", *chain(*(names[group] for group in range(2, 6)))]
    for fold in (1, 2, 3):
        (lists / f"trainlist0{fold}.txt").write_text("\n".join(f"{name} 1" for name in train))
        (lists / f"testlist0{fold}.txt").write_text("\n".join(names[1]))
    return root


def hmdb51(root: Path) -> Path:
    """Write two classes of HMDB51: three films to train on, one to test, one not used."""
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for label in ("wave", "golf"):
        uses = {"Alien": 1, "Brazil_2": 1, "Casablanca": 1, "Dune": 2, "Evita": 0}
        files = {f"{film}_{label}_f_nm_np1_fr_med_0.avi": use for film, use in uses.items()}
        for file in files:
            _video(root / "hmdb51_org" / label / file)
        for fold in (1, 2, 3):
            rows = "".join(f"{file} {use} \n" for file, use in files.items())
            (lists / f"{label}_test_split{fold}.txt").write_text(rows)
    return root


def dvs_gesture(root: Path) -> Path:
    """Write IBM's archive: four people with every gesture, one after the other, half a second between."""
    step_us, long_us = (round(seconds * 1e6) for seconds in (GESTURE_S + 0.5, GESTURE_S))
    archive = root / "DvsGesture"
    archive.mkdir(parents=True)
    starts_us = [70_000 + label * step_us for label in range(len(GESTURES))]
    labels = "".join(f"{label + 1},{start},{start + long_us}\n" for label, start in enumerate(starts_us))
    events = np.concatenate([a_gesture(label) for label in range(len(GESTURES))])
    events["t"] += np.repeat(starts_us, 600)
    for part, users in USERS.items():
        names = [f"user{user:02d}_led" for user in users]
        for name in names:
            packets = [polarity(packet) for packet in np.array_split(events, 50)]
            (archive / f"{name}.aedat").write_bytes(header() + b"".join(packets))
            (archive / f"{name}_labels.csv").write_text(f"class,startTime_usec,endTime_usec\n{labels}")
        (archive / f"trials_to_{part}.txt").write_text("".join(f"{name}.aedat\n" for name in names))
    return root


def dvs_gesture_copies(root: Path) -> Path:
    """Write the same people's gestures as the .npy copies that circulate."""
    for folder, users in (("ibmGestureTrain", USERS["train"]), ("ibmGestureTest", USERS["test"])):
        for user in users:
            for label in range(len(GESTURES)):
                path = root / folder / f"user{user:02d}_led" / f"{label}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                events = a_gesture(label)
                columns = [events["x"], events["y"], events["p"], events["t"] // 1000]
                np.save(path, np.stack(columns, axis=1).astype(np.float64))
    return root


def mnist(root: Path) -> Path:
    """Write an mnist.npz of drawn digits, six to train on and two to test of each."""
    root.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, count in (("train", 6), ("test", 2)):
        labels = np.arange(10 * count, dtype=np.uint8) % 10
        digits = [draw_digit(int(label), np.random.default_rng([k, count])) for k, label in enumerate(labels)]
        arrays |= {f"x_{part}": np.stack(digits), f"y_{part}": labels}
    np.savez(root / "mnist.npz", **arrays)
    return root


def configured(**given: object) -> Configuration:
    """Return the configuration of a training with these flags."""
    return resolve(given)
