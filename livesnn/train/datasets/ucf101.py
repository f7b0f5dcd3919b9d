"""UCF-101 (Soomro et al. 2012) in its official layout: UCF-101/<class>/v_<class>_gNN_cNN.avi, and its lists."""

from __future__ import annotations

import re
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
TAKES = "UCF101.rar and its TrainTestSplits from www.crcv.ucf.edu/data/UCF101.php, unpacked in {data}"
LISTS = ("ucfTrainTestlist", "ucf101_splits", ".")
_FILE = re.compile(r"(?P<label>[^/]+)/(?P<file>v_\w+_(?P<group>g\d+)_c\d+\.avi)")


def listing(data: Path, protocol: str, part: Part) -> Official:
    """Return the videos of an official list; see `video_sets.Listing`."""
    root = _root(data)
    lists = next((root / name for name in LISTS if (root / name / "classInd.txt").is_file()), None)
    if lists is None:
        raise DataError(
            f"no official splits in {root}: unpack UCF101TrainTestSplits-RecognitionTask.zip there "
            f"({LISTS[0]}/classInd.txt, trainlist01.txt …)"
        )
    known = [line.split()[1] for line in _lines(lists / "classInd.txt") if len(line.split()) == 2]
    videos = root / "UCF-101"
    number = PROTOCOLS.index(protocol) + 1
    listed = []
    path = lists / f"{part}list0{number}.txt"
    for row, line in enumerate(_lines(path), 1):
        found = _FILE.match(line)
        if found is None:
            raise DataError(
                f"{path}, line {row}: {line[:60]!r} names no video of UCF-101: unpack the lists again"
            )
        group = f"{found['label']}/{found['group']}"
        listed.append(Listed(found["label"], videos / found["label"] / found["file"], group))
    return Official(listed, tuple(known), videos)


def _root(data: Path) -> Path:
    for folder in (data, data / "ucf101"):
        if (folder / "UCF-101").is_dir():
            return folder
    raise DataError(f"no UCF-101 in {data}: expected {data}/UCF-101/<class>/*.avi (unpack UCF101.rar there)")


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read ({error}): unpack the official splits again") from error
    return [line for line in text.splitlines() if line.strip()]


_VIDEOS = VideoSet("ucf101", listing)
load_parts, load_split, check = _VIDEOS.load_parts, _VIDEOS.load_split, _VIDEOS.check
