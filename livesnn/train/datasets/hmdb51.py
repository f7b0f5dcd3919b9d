"""HMDB51 (Kuehne et al. 2011) in its official layout: hmdb51_org/<class>/*.avi, and testTrainMulti_7030_splits."""

from __future__ import annotations

from pathlib import Path

from livesnn.errors import DataError
from livesnn.train.datasets.video_sets import (
    INPUT,
    MIRRORED,
    PROTOCOLS,
    SENSOR,
    Listed,
    Official,
    Part,
    VideoSet,
)

__all__ = ["INPUT", "MIRRORED", "PROTOCOLS", "SENSOR", "TAKES", "check", "load_parts", "load_split"]
TAKES = (
    "hmdb51_org.rar and test_train_splits.rar from serre-lab.clps.brown.edu, unpacked to "
    "{data}/hmdb51_org/<class>/ and {data}/testTrainMulti_7030_splits/"
)
LISTS = "testTrainMulti_7030_splits"
_USE = {"train": "1", "test": "2"}  # of a line "<file> 0|1|2"


def listing(data: Path, protocol: str, part: Part) -> Official:
    """Return the videos of an official list; see `video_sets.Listing`.

    A group is the film a clip was cut from: what its name has before the class. Unused clips ("0") are left out.
    """
    root = _root(data)
    lists, videos = root / LISTS, root / "hmdb51_org"
    suffix = f"_test_{protocol}.txt"
    known = sorted(path.name.removesuffix(suffix) for path in lists.glob(f"*{suffix}"))
    if not known:
        raise DataError(f"no official splits in {lists}: unpack test_train_splits.rar there (*{suffix})")
    listed = []
    for label in known:
        for file, use in _rows(lists / f"{label}{suffix}"):
            if use == _USE[part]:
                film = file.rpartition(f"_{label}_")[0]
                listed.append(Listed(label, videos / label / file, f"{label}/{film}"))
    return Official(listed, tuple(known), videos)


def _rows(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read ({error}): unpack the official splits again") from error
    rows = []
    for number, line in enumerate(lines, 1):
        file, _, use = line.strip().rpartition(" ")
        if line.strip() and (not file or use not in ("0", "1", "2")):
            raise DataError(
                f'{path}, line {number}: {line[:60]!r} isn\'t "<file> 0|1|2": unpack the lists again'
            )
        if file:
            rows.append((file, use))
    return rows


def _root(data: Path) -> Path:
    for folder in (data, data / "hmdb51"):
        if (folder / "hmdb51_org").is_dir():
            return folder
    raise DataError(
        f"no HMDB51 in {data}: expected {data}/hmdb51_org/<class>/*.avi (unpack hmdb51_org.rar and its classes there)"
    )


_VIDEOS = VideoSet("hmdb51", listing)
load_parts, load_split, check = _VIDEOS.load_parts, _VIDEOS.load_split, _VIDEOS.check
