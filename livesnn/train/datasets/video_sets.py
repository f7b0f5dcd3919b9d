"""What UCF-101 and HMDB-51 share: folders of videos, one a class, read and split by groups. Not here: their lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError, LivesnnError
from livesnn.train.datasets import Finding, Parts, SplitName, counted
from livesnn.train.datasets.asked import Asked
from livesnn.train.datasets.clips import Clips, Frames, wanted_split
from livesnn.train.datasets.recorded import Recording, load_recordings

INPUT = InputSpec(
    64, 64, SliceRule(delta_t_us=80_000), kind="video", channels=3, count_max=255, scale=1 / 128
)
SENSOR = None
MIRRORED: dict[str, str] = {}
PROTOCOLS = ("split1", "split2", "split3")
Part = Literal["train", "test"]


class Listed(NamedTuple):
    """A video of an official list: its class, its file, and the group of videos it was cut from."""

    label: str
    path: Path
    group: str


class Official(NamedTuple):
    """An official list: all its videos, there or not; all classes in their order; the folder of their folders."""

    videos: list[Listed]
    classes: tuple[str, ...]
    folder: Path


class Listing(Protocol):
    """How a data set lists its videos: ``protocol`` is one of PROTOCOLS. Raises DataError without the lists."""

    def __call__(self, data: Path, protocol: str, part: Part) -> Official: ...  # noqa: D102


@dataclass(frozen=True)
class VideoSet:
    """A data set of listed videos: what a `DataSet` does, which its module offers under the same names."""

    name: str
    listing: Listing

    def load_parts(self, asked: Asked, before: ModelCard | None = None) -> Parts:
        """Return the training list of an official split, some of it kept for validation by seed (`Clips.draw`)."""
        official = self.listing(asked.data, asked.protocol, "train")
        only, absent = (asked.only, ()) if asked.only else _with_videos(official)
        if len(only) == 1 and absent:
            raise DataError(
                f"{self.name} has one class to train on, {only[0]}; {absent[0]}: unpack some of it"
            )
        listed, classes = _chosen(official, only, self.name)
        clips = _load(self.name, listed, classes, asked.input, asked.windows)
        clips = replace(clips, skipped=absent + clips.skipped)
        split = clips.draw(wanted_split(asked, before), before.classes if before else ())
        training, validation = clips.split_by_group(split)
        return Parts(training, validation, split=split)

    def load_split(self, data: Path, split: SplitName, card: ModelCard) -> Clips:
        """Return the official test list, or the part of the training list that the card's split kept or left."""
        if card.split is None or card.split.protocol not in PROTOCOLS:
            raise DataError(
                f"the card of {card.name} (of {card.dataset or 'no data set'}) names no split of {self.name}: "
                "choose a model that was trained on one"
            )
        part: Part = "test" if split == "test" else "train"
        listed, classes = _chosen(self.listing(data, card.split.protocol, part), card.classes, self.name)
        most = None if split == "test" else card.split.windows
        clips = _load(self.name, listed, classes, card.input, most)
        if split == "test":
            return clips
        return clips.split_by_group(card.split)[split == "validation"]

    def check(self, data: Path) -> list[Finding]:
        """Say what is there of each class in the three official splits; every video is read to its end."""
        parts: tuple[Part, ...] = ("train", "test")
        lists = [self.listing(data, protocol, part) for protocol in PROTOCOLS for part in parts]
        listed = {video.path: video for official in lists for video in official.videos}.values()
        findings = []
        for label in lists[0].classes:
            videos = [video for video in listed if video.label == label]
            there = [video for video in videos if video.path.is_file()]
            findings += [Finding("damaged", fault) for video in there if (fault := _fault(video))]
            findings.append(counted(label, len(there), len(videos), "videos"))
        return findings


def _fault(video: Listed) -> str:
    """Return what keeps a video from being read; "": nothing."""
    from livesnn.video.video_file import video_clips

    try:
        video_clips(video.path, INPUT)
    except LivesnnError as error:
        return str(error)
    return ""


def _with_videos(official: Official) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes of which a listed video is there; and a line on each other one that has a folder."""
    there = {video.label for video in official.videos if video.path.is_file()}
    folders = [label for label in official.classes if (official.folder / label).is_dir()]
    absent = tuple(
        f"{label}: no video of it that the list names is there" for label in folders if label not in there
    )
    return tuple(label for label in folders if label in there), absent


def _chosen(official: Official, only: Sequence[str], name: str) -> tuple[list[Listed], tuple[str, ...]]:
    """Return the videos and the classes to use, in their official order: ``only`` those, or all with a folder.

    Raises
    ------
    DataError
        One of ``only`` isn't known or has no folder, or there are fewer than two.
    """
    known, folder = official.classes, official.folder
    if not known:
        raise DataError(f"the official list of {name}'s classes is empty: unpack it again")
    if strange := [label for label in only if label not in known]:
        raise DataError(f"{name} has no class {strange[0]!r}: give --only names of its {len(known)} classes")
    if len(set(only)) < len(only):
        raise DataError(f"--only {' '.join(only)} names a class twice: name each once")
    if absent := [label for label in only if not (folder / label).is_dir()]:
        raise DataError(f"no folder {folder / absent[0]}: unpack that class, or leave it out of --only")
    if len(only) == 1:
        raise DataError(f"--only {only[0]} is one class: give two or more")
    classes = tuple(label for label in known if (folder / label).is_dir() and (not only or label in only))
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} of {name}'s classes are in {folder}: expected two or more of {folder}/<class>/*.avi"
        )
    return [video for video in official.videos if video.label in classes], classes


def _load(
    name: str, listed: Sequence[Listed], classes: tuple[str, ...], spec: InputSpec, most: int | None
) -> Clips:
    """Return the windows of the videos that are there; the others are counted among `Clips.skipped`."""
    if not listed:
        raise DataError(
            f"the official list of {name} names no video of {', '.join(classes)}: unpack the lists again"
        )
    recordings = [
        Recording(video.path, classes.index(video.label), f"{video.label}/{video.path.name}", video.group)
        for video in listed
        if video.path.is_file()
    ]
    if not recordings:
        raise DataError(
            f"none of the {len(listed)} videos of the list are there: the first would be {listed[0].path}"
        )
    clips = load_recordings(name, recordings, classes, spec, read=_windows, most=most)
    missing = tuple(
        f"{video.label}/{video.path.name}: isn't there" for video in listed if not video.path.is_file()
    )
    return replace(clips, skipped=clips.skipped + missing)


def _windows(recording: Recording, spec: InputSpec) -> Frames:
    from livesnn.video.video_file import video_clips

    return video_clips(recording.path, spec)
