"""UCF-101 and HMDB-51 in their official layouts: one folder of videos a class, and official lists that split them.

UCF-101/<class>/v_<class>_gNN_cNN.avi, ucfTrainTestlist/classInd.txt, trainlist01.txt …     Soomro et al. 2012
hmdb51_org/<class>/*.avi, testTrainMulti_7030_splits/<class>_test_split1.txt …              Kuehne et al. 2011
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError
from livesnn.train.datasets.clips import Clips, Frames, Parts
from livesnn.train.datasets.layout import Finding, absent, counted, damage, numbered_lines
from livesnn.train.datasets.recorded import Recording, load_recordings
from livesnn.train.datasets.request import DataRequest, SplitName, VideoName
from livesnn.train.datasets.split import split_by_group, split_clips

INPUT = InputSpec(64, 64, SliceRule(delta_t_us=80_000), kind="video", channels=3, count_max=255, scale=1 / 128)
PROTOCOLS = ("split1", "split2", "split3")
Part = Literal["train", "test"]


class OfficialList(NamedTuple):
    """All videos of an official list, there or not; all classes in order; the folder of the classes' folders."""

    videos: list[Recording]
    classes: tuple[str, ...]
    folder: Path


ReadList = Callable[[Path, str, Part], OfficialList]
"""Reads the official list of a folder, one of `PROTOCOLS` and a part; raises DataError without the lists."""


@dataclass(frozen=True)
class VideoSet:
    """A `DataSet` of listed videos."""

    name: VideoName
    TAKES: str
    read_list: ReadList
    INPUT = INPUT
    SENSOR = None
    PROTOCOLS = PROTOCOLS
    MIRRORED: ClassVar[dict[str, str]] = {}

    def load_parts(self, request: DataRequest, before: ModelCard | None = None) -> Parts:
        official = self.read_list(request.data, request.protocol, "train")
        only = request.only
        absent: tuple[str, ...] = ()
        if not only:
            there = {official.classes[video.label] for video in official.videos if video.path.is_file()}
            folders = [label for label in official.classes if (official.folder / label).is_dir()]
            only = tuple(label for label in folders if label in there)
            absent = tuple(f"{label}: none of its listed videos is there" for label in folders if label not in there)
        clips = _load(self.name, official, only, request.input, request.windows)
        return split_clips(replace(clips, skipped=absent + clips.skipped), request, before)

    def load_split(self, data: Path, split: SplitName, card: ModelCard) -> Clips:
        if card.split is None or card.split.protocol not in PROTOCOLS:
            raise DataError(
                f"the card of {card.name} (of {card.dataset or 'no data set'}) names no split of {self.name}: "
                "choose a model that was trained on one"
            )
        part: Part = "test" if split == "test" else "train"
        official = self.read_list(data, card.split.protocol, part)
        clips = _load(self.name, official, card.classes, card.input, None if split == "test" else card.split.windows)
        return clips if split == "test" else split_by_group(clips, card.split)[split == "validation"]

    def check(self, data: Path) -> list[Finding]:
        from livesnn.video.video_file import video_clips

        parts: tuple[Part, ...] = ("train", "test")
        lists = [self.read_list(data, protocol, part) for protocol in PROTOCOLS for part in parts]
        listed = dict.fromkeys(video.path for official in lists for video in official.videos)
        findings: list[Finding] = []
        for label in lists[0].classes:
            videos = [path for path in listed if path.parent.name == label]
            there = [path for path in videos if path.is_file()]
            findings += [found for path in there for found in damage(video_clips, path, INPUT)]
            findings.append(counted(label, len(there), len(videos), "videos"))
        return findings


def _chosen(official: OfficialList, only: Sequence[str], name: str) -> tuple[list[Recording], tuple[str, ...]]:
    """Return the videos and the classes to use, in their official order: those of ``only``, or all with a folder.

    Raises DataError if one of ``only`` isn't known or has no folder, or there are fewer than two classes.
    """
    known, folder = official.classes, official.folder
    if strange := [label for label in only if label not in known]:
        raise DataError(f"{name} has no class {strange[0]!r}: give --only names of its {len(known)} classes")
    if absent := [label for label in only if not (folder / label).is_dir()]:
        raise DataError(f"no folder {folder / absent[0]}: unpack that class, or leave it out of --only")
    classes = tuple(label for label in known if (folder / label).is_dir() and (not only or label in only))
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} of {name}'s classes to use in {folder}: expected two or more of {folder}/<class>/*.avi"
        )
    labels = {known.index(label): number for number, label in enumerate(classes)}
    videos = [video._replace(label=labels[video.label]) for video in official.videos if video.label in labels]
    return videos, classes


def _load(name: str, official: OfficialList, only: Sequence[str], spec: InputSpec, most: int | None) -> Clips:
    listed, classes = _chosen(official, only, name)
    if not listed:
        raise DataError(f"the official list of {name} names no video of {', '.join(classes)}: unpack the lists again")
    there = [video for video in listed if video.path.is_file()]
    if not there:
        raise DataError(
            f"none of the {len(listed)} videos of the list are there, such as {listed[0].path}: unpack them again"
        )
    clips = load_recordings(name, there, classes, spec, read=_windows, most=most)
    missing = tuple(f"{video.name}: isn't there" for video in listed if not video.path.is_file())
    return replace(clips, skipped=clips.skipped + missing)


def _windows(recording: Recording, spec: InputSpec) -> Frames:
    from livesnn.video.video_file import video_clips

    return video_clips(recording.path, spec)


UCF101_LISTS = ("ucfTrainTestlist", "ucf101_splits", ".")
_UCF101_VIDEO = re.compile(r"([^/]+)/(v_\w+_(g\d+)_c\d+\.avi)")


def _read_ucf101(data: Path, protocol: str, part: Part) -> OfficialList:
    root = _root(data, "ucf101", "UCF-101", "UCF-101")
    lists = next((root / name for name in UCF101_LISTS if (root / name / "classInd.txt").is_file()), None)
    if lists is None:
        raise DataError(
            f"no official splits in {root}: unpack UCF101TrainTestSplits-RecognitionTask.zip there "
            f"({UCF101_LISTS[0]}/classInd.txt, trainlist01.txt …)"
        )
    known = [line.split()[1] for _, line in _lines(lists / "classInd.txt") if len(line.split()) == 2]
    videos = root / "UCF-101"
    listed = []
    path = lists / f"{part}list0{PROTOCOLS.index(protocol) + 1}.txt"
    for row, line in _lines(path):
        found = _UCF101_VIDEO.match(line)
        if found is None:
            raise DataError(f"{path}, line {row}: {line[:60]!r} names no video of UCF-101: unpack the lists again")
        name, file, group = found.groups()
        if name in known:
            listed.append(Recording(videos / name / file, known.index(name), f"{name}/{file}", f"{name}/{group}"))
    return OfficialList(listed, tuple(known), videos)


HMDB51_LISTS = "testTrainMulti_7030_splits"
_HMDB51_USE = {"train": "1", "test": "2"}  # at the end of a line "<file> 0|1|2"; clips with 0 aren't used


def _read_hmdb51(data: Path, protocol: str, part: Part) -> OfficialList:
    """Read a list; a group is the film that a clip was cut from, which its name has before the class."""
    root = _root(data, "hmdb51", "HMDB51", "hmdb51_org")
    lists, videos = root / HMDB51_LISTS, root / "hmdb51_org"
    suffix = f"_test_{protocol}.txt"
    known = sorted(path.name.removesuffix(suffix) for path in lists.glob(f"*{suffix}"))
    if not known:
        raise DataError(f"no official splits in {lists}: unpack test_train_splits.rar there (*{suffix})")
    listed = []
    for label, name in enumerate(known):
        path = lists / f"{name}{suffix}"
        for number, line in _lines(path):
            file, _, use = line.rpartition(" ")
            if not file or use not in ("0", "1", "2"):
                raise DataError(f'{path}, line {number}: {line[:60]!r} isn\'t "<file> 0|1|2": unpack the lists again')
            if use == _HMDB51_USE[part]:
                film = file.rpartition(f"_{name}_")[0]
                listed.append(Recording(videos / name / file, label, f"{name}/{file}", f"{name}/{film}"))
    return OfficialList(listed, tuple(known), videos)


def _root(data: Path, name: VideoName, title: str, videos: str) -> Path:
    for folder in (data, data / name):
        if (folder / videos).is_dir():
            return folder
    raise absent(name, title, data, f"{videos}/<class>/*.avi", VIDEO_SETS[name].TAKES)


def _lines(path: Path) -> list[tuple[int, str]]:
    return numbered_lines(path, "unpack the official splits again")


VIDEO_SETS: dict[VideoName, VideoSet] = {
    "ucf101": VideoSet(
        "ucf101",
        "UCF101.rar (6.5 GB) and its TrainTestSplits from www.crcv.ucf.edu/data/UCF101.php, unpacked in {data}",
        _read_ucf101,
    ),
    "hmdb51": VideoSet(
        "hmdb51",
        "hmdb51_org.rar (2 GB) and test_train_splits.rar from serre-lab.clps.brown.edu, unpacked to "
        "{data}/hmdb51_org/<class>/ and {data}/testTrainMulti_7030_splits/",
        _read_hmdb51,
    ),
}
