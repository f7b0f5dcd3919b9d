"""The commands for recordings: info, convert, simulate; what a recording holds, in words; and teach, from them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

from livesnn.card import ModelCard
from livesnn.cli.options import AS_IT_COMES, Model, Mounting
from livesnn.cli.parser import Flag, UsageError
from livesnn.console import one_line, say, share_done, write, write_json
from livesnn.errors import SourceError
from livesnn.files import expanded
from livesnn.paths import own_models_dir
from livesnn.progress import Progress
from livesnn.teach.recordings import Recordings, recordings_of
from livesnn.teach.report import Resemblance, describe

if TYPE_CHECKING:
    from livesnn.events.recording import RecordingInfo

LONG_S = 2.0  # Reading or converting that takes longer shows how much is done


def info(file: str, /, *, json: bool = False) -> int:
    """Show what a recording holds.

    It lists the streams with their event counts, times and share of ON events, and warns about damage.

    Parameters
    ----------
    file
        A recording in any format that livesnn reads. 'FILE?columns=t_us,x,y,p' names the columns of a text table and
        the unit of its times. 'FILE?stream=NAME' chooses an event stream; every command understands both.
    json
        Print JSON.
    """
    from livesnn.sources import describe, is_live, shipped_clip

    if is_live(file):
        raise SourceError(f"{file}: info only reads files: give a recording, or use livesnn run {file}")
    with reading("info", file) as progress:
        described = describe(expanded(shipped_clip(file)), progress)
    write_json(described) if json else write(describe_recording(described))
    return 0


def convert(
    recording: Annotated[str, Flag("IN")],
    out: Path,
    /,
    *,
    from_s: Annotated[float, Flag("SECONDS", ("from",))] = 0.0,
    to_s: Annotated[float | None, Flag("SECONDS", ("to",))] = None,
    model: Model = None,
    speed: Annotated[float, Flag("TIMES")] = 1.0,
    stream: str | None = None,
    overwrite: bool = False,
    denoise: bool = False,
) -> int:
    """Convert a recording to another format, a video or a table of decisions.

    An .aedat4 or .npz holds exactly the same events. Labels beside the recording (NAME.labels.csv) are copied with
    it. A video, .mp4, shows the events with the decisions below them. A .csv has one line for each frame. A
    line of JSON says what was written.

    Parameters
    ----------
    recording
        A recording in any format that livesnn reads, or a video, whose pictures are converted to events.
    out
        The file to write. Its name ends in .aedat4, .npz, .mp4 or .csv.
    from_s
        Start this many seconds after the first event.
    to_s
        Stop this many seconds after the first event. Default: at the end of the recording.
    model
        Model that decides in a video or a table, by name or folder. Default: gestures.
    speed
        Speed of a video; 0.25 is slow motion.
    stream
        Name of the event stream, as livesnn info prints it, or of its camera. Default: the first.
    overwrite
        Replace an existing file and its labels, once the new file is complete.
    denoise
        Drop noise, as livesnn run --denoise does. The JSON says how much was dropped.
    """
    from livesnn.events.filters import Stretch
    from livesnn.sources import is_live, shipped_clip

    if is_live(recording):
        raise SourceError(f"{recording}: convert only reads files: give a recording, or use livesnn record")
    recording = shipped_clip(recording)
    stretch = Stretch(from_s, math.inf if to_s is None else to_s)
    shows = out.suffix.lower() in (".mp4", ".csv")
    if not shows and out.suffix.lower() not in (".aedat4", ".npz"):
        raise SourceError(
            f"{out}: the name doesn't say the format: choose one that ends in .aedat4, .npz, .mp4 or .csv"
        )
    if not shows and (model is not None or speed != 1.0):
        raise SourceError(f"{out}: --model and --speed are for a video or a table: choose .mp4 or .csv")
    with share_done(f"livesnn convert: {recording} to {out}", after_s=LONG_S) as progress:
        how: dict[str, Any] = {"stretch": stretch, "overwrite": overwrite, "denoise": denoise, "progress": progress}
        written = (
            _shown(recording, expanded(out), stream, model, speed, **how)
            if shows
            else _converted(recording, expanded(out), stream, **how)
        )
    for warning in written["warnings"]:
        say(f"livesnn convert: {warning}")
    write_json(written)
    return 0


def _converted(recording: str, out: Path, stream: str | None, **how: Any) -> dict[str, Any]:
    from livesnn.events.convert import convert as write_as
    from livesnn.sources import open_events

    done = write_as(expanded(recording), out, stream=stream, opener=open_events, **how)
    noise = None if done.denoise is None else done.denoise.summary()
    return asdict(done) | {"out": str(done.out), "denoise": noise}


def _shown(
    recording: str, out: Path, stream: str | None, model: str | None, speed: float, *, denoise: bool, **how: Any
) -> dict[str, Any]:
    from livesnn.infer.load import DEFAULT_MODEL
    from livesnn.session.control import Choices
    from livesnn.session.export import ExportSpec, export

    if not 0 < speed < math.inf:
        raise SourceError(f"--speed can't be {speed:g}: give more than 0, such as 0.25")
    source = expanded(recording) if stream is None else f"{expanded(recording)}?stream={stream}"
    spec = ExportSpec(model or DEFAULT_MODEL, choices=Choices(speed=speed, denoise=denoise))
    done = export(source, out, spec, **how)
    return asdict(done) | {"out": str(done.out)}


MOST_IMAGE_S = 60.0  # All events of an image's recording are in memory at once


def simulate(
    out: Path,
    /,
    *,
    scene: str = "gestures",
    image: Path | None = None,
    sensor: Annotated[str, Flag("WxH")] = "",
    seed: int = 0,
    seconds: Annotated[float, Flag("SECONDS")] = 5.0,
) -> int:
    """Simulate a recording of gestures, a digit or a picture.

    A drawn person performs gestures, a drawn digit moves in saccades, or a picture moves on a screen. No camera is
    needed.

    Parameters
    ----------
    out
        The .aedat4 file to write.
    scene
        gestures shows one gesture after another. Other scenes are a single gesture such as hand_clapping, idle,
        walking, nobody, a movement such as throw or swipe, and digit-0 to digit-9. docs/recordings.md lists all.
    image
        A picture to record instead of a scene, as CIFAR10-DVS was: its centre, reduced to 32x32 pixels.
    seconds
        Length of the recording.
    sensor
        Width and height of the sensor for a scene with people, such as 346x260. Default: 128x128.
    seed
        The same seed gives the same events.
    """
    from livesnn.events.formats.aedat4_writer import Aedat4Writer
    from livesnn.events.labels import labels_file
    from livesnn.files import exists_already
    from livesnn.simulate.sources import check_scene, scene_resolution, simulate_scene

    check_scene(scene, seed=seed, seconds=seconds)
    resolution, shown = scene_resolution(scene, sensor), scene
    if image is None:
        made = simulate_scene(scene, seed=seed, seconds=seconds, resolution=resolution)
    else:
        from livesnn.simulate.saccades import DVS128, recording_of_file

        if scene != "gestures" or sensor:
            raise SourceError("--image is recorded by a DVS128 instead of a scene: leave --scene and --sensor out")
        if seconds > MOST_IMAGE_S:
            raise SourceError(f"--seconds can't be {seconds:g} with --image: give at most {MOST_IMAGE_S:g}")
        resolution, shown = DVS128, image.name
        made = iter([recording_of_file(expanded(image), seed=seed, seconds=seconds)])
    out = expanded(out)
    if os.path.lexists(table := labels_file(out)):
        raise exists_already(table)
    count = 0
    writer = Aedat4Writer(out, resolution, f"simulated {shown}, seed {seed}")
    try:
        with writer:
            for events in made:
                writer.write(events)
                count += len(events)
    except BaseException:  # such as Ctrl-C: an unfinished file would be in the way next time
        out.unlink(missing_ok=True)
        raise
    say(f"{count} events of {shown} written to {out}")
    return 0


def reading(command: str, source: str) -> AbstractContextManager[Progress]:
    return share_done(f"livesnn {command}: reading {source}", after_s=LONG_S)


def describe_recording(info: RecordingInfo) -> str:
    from livesnn.video.video_file import VideoInfo

    lines = {"format": info.format, "camera": f"{info.camera or 'unknown'}, {_size(info)}"}
    rate = f" at {info.fps:g} frames/s" if isinstance(info, VideoInfo) else ""
    lines["duration"] = f"{info.duration_us / 1e6:.3f} s{rate}"
    for name, stream in info.streams.items():
        times = f", {stream.t0} to {stream.t1} µs" if stream.t0 is not None else ""
        on = f" ({stream.on / stream.n:.0%} ON)" if stream.n else ""
        lines[name] = f"{stream.n:,}{on}{times}"
    others = {"frames": info.frames, "IMU samples": info.imu, "triggers": info.triggers}
    if any(others.values()):
        lines["also"] = ", ".join(f"{count:,} {what}" for what, count in others.items() if count)
    if info.labels:
        lines["labels"] = ", ".join(f"{label.label} {label.start:.3f} to {label.end:.3f} s" for label in info.labels)
    lines["warnings"] = "; ".join(info.warnings) or "none"
    return table(lines)


def _size(info: RecordingInfo) -> str:
    """Return the sensor's size, or the one that is assumed when the recording is played."""
    if info.resolution:
        return "×".join(map(str, info.resolution))
    held = {
        name: f"{stream.xmax + 1}×{stream.ymax + 1}"
        for name, stream in info.streams.items()
        if stream.xmax is not None and stream.ymax is not None
    }
    if len(info.streams) > 1:
        held = {name: f"{size} for {name}" for name, size in held.items()}
    return f"unknown size ({', '.join(held.values())} is assumed, which holds all events)" if held else "unknown size"


def table(lines: dict[str, str]) -> str:
    return "\n".join(f"{name:>14}  {one_line(text)}" for name, text in lines.items())


IfKnown = Literal["ask", "go-on", "stop", "alias"]


def teach(
    gesture: str,
    sources: Annotated[tuple[str, ...], Flag("SOURCE")] = (),
    /,
    *,
    model: str = "gestures",
    out: Path | None = None,
    seconds: Annotated[float, Flag("SECONDS")] = 10.0,
    others: Annotated[tuple[str, ...], Flag("RECORDING")] = (),
    denoise: bool = False,
    if_known: IfKnown = "ask",
    again: bool = False,
    rename: str = "",
    remove: bool = False,
    mounting: Mounting = AS_IT_COMES,
    json: bool = False,
) -> int:
    """Teach a model a gesture of your own from a few seconds of it.

    The model that knows the gesture is written to a new folder.

    Parameters
    ----------
    gesture
        Name of the gesture. If the model was taught it before, it learns more of it, for example from another person.
    sources
        Recordings that show the gesture for four seconds or more, all the time or where a label GESTURE says so. Or
        a live source: camera, camera:SERIAL, webcam, tcp://HOST:PORT, simulate:flap. livesnn then says when
        to stand still and when to perform. Record several people if the model should recognise others than you.
    model
        Name of a model, or a model folder. A model that was taught before can learn another gesture.
    others
        Recordings without the gesture, such as of yourself standing still. A model that wasn't trained on simulated
        people also needs some of the gestures it knows.
    seconds
        Time to use from each source. Of a labelled recording, all the labelled time is used.
    out
        The new model folder. Default: MODEL-GESTURE among your own models, which --model then finds by name.
    denoise
        Drop noise first, as livesnn run --denoise does. Use it if you will run the model with --denoise.
    if_known
        What to do if the model already recognises the gesture as another one. ask goes on if there is no terminal.
        stop learns nothing, and with --json prints what was recognised. alias learns nothing either, but makes
        GESTURE the new name of the one that was recognised.
    again
        Forget earlier lessons of this gesture. Without SOURCE, it is learned again from the recordings of these
        lessons and of what it isn't, together with --others.
    rename
        Learn nothing, and give a gesture that the model knows this name.
    remove
        Learn nothing, and remove a gesture that was taught.
    json
        Print JSON.
    """
    from livesnn.events.filters import Orientation
    from livesnn.sources import event_source, is_live, open_source
    from livesnn.teach.learn import LEAST_WINDOWS
    from livesnn.teach.learn import teach as learn
    from livesnn.teach.lesson import Take, read_takes, record_lesson
    from livesnn.teach.model import as_taught, check_lesson, check_out, own_folder
    from livesnn.teach.recordings import forget, lessons_dir, new_recording
    from livesnn.teach.report import AlreadyRecognisedError

    gesture = as_taught(gesture, model)
    folder = own_folder(model, gesture, rename) if out is None else expanded(out)
    if rename or remove:
        if sources or others or again or (rename and remove):
            raise UsageError("--rename NAME and --remove learn nothing: give GESTURE and --model only")
        return _change(gesture, rename, model, folder, json=json)
    if again and not sources:
        known = _recorded(gesture, model)
        sources, others, denoise = known.shown, (*known.others, *others), denoise or known.denoise
    card = check_lesson(gesture, model, others=bool(others))
    check_out(folder)
    _check_sources(gesture, sources, others)
    least_s = LEAST_WINDOWS * card.input.window_s
    if not math.isfinite(seconds) or (all(map(is_live, sources)) and len(sources) * seconds < least_s):
        raise UsageError(f"{gesture} can't be learned from --seconds {seconds:g}: give {least_s:g} or more")
    decided = if_known

    def read(file: str, **of: Any) -> list[Take]:
        upright = expanded(file).absolute().parent == lessons_dir().absolute()
        turned = Orientation() if upright else mounting.upright
        return read_takes(file, card.input, orientation=turned, denoise=denoise, tell=_tell, **of)

    def go_on(known_as: Resemblance) -> bool:
        nonlocal decided
        decided = _asked(known_as) if if_known == "ask" and not json else if_known
        return decided not in ("stop", "alias")

    with ExitStack() as unless_learned:
        not_it = [take.clip for source in others for take in read(source, unless=_label(source, gesture, card))]
        takes: list[Take] = []
        files: list[str] = []
        for source in sorted(sources, key=is_live):  # nobody performs for nothing where a file can't be read
            file = source
            if is_live(source):
                file = str(path := new_recording(gesture))
                opened = event_source(open_source(source, sensor=mounting.sensor))
                record_lesson(opened, path, gesture, seconds=seconds, orientation=mounting.upright, tell=_tell)
                unless_learned.callback(forget, path)
            files.append(file)
            takes += read(file, seconds=seconds, label=_label(source, gesture, card))
        try:
            with share_done("livesnn teach: simulating the gestures that the model knows", after_s=1.0) as progress:
                report = learn(
                    gesture,
                    takes,
                    model,
                    folder,
                    others=not_it,
                    recordings=Recordings(_absolute(files), _absolute(others), denoise),
                    again=again,
                    progress=progress,
                    go_on=go_on,
                )
        except AlreadyRecognisedError as error:
            if decided == "alias":
                return _change(error.resemblance.label, gesture, model, folder, json=json)
            if not json:
                raise
            write_json({"recognised": asdict(error.resemblance)})
            return 0
        unless_learned.pop_all()
    if json:
        write_json(asdict(report) | {"poor": report.poor, "recordings": files})
    else:
        write("\n".join([*describe(report), *(f"the recording is {file}" for file in files if file not in sources)]))
        turned = [*(["--rotate", str(mounting.rotate)] if mounting.rotate else []), *["--mirror"] * mounting.mirror]
        _say_where(folder, next(filter(is_live, sources), "SOURCE"), turned)
    return 0


def _absolute(files: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(expanded(each).absolute()) for each in files)


def _say_where(folder: Path, source: str = "SOURCE", flags: Iterable[str] = ()) -> None:
    write(f"the model is {folder}")
    name = folder.name if folder.parent == own_models_dir() else str(folder)
    write(" ".join(["livesnn gui", quote(source), *flags, "--model", quote(name)]))


def _change(gesture: str, name: str, model: str, folder: Path, *, json: bool) -> int:
    """Rename a class, or remove it if there is no name."""
    from livesnn.teach.correct import change_class

    change_class(gesture, model, folder, name=name)
    if json:
        write_json({"folder": str(folder), "gesture": gesture, "name": name or None})
    else:
        write(f"{gesture} is now called {name}" if name else f"{gesture} is removed")
        _say_where(folder)
    return 0


def _recorded(gesture: str, model: str) -> Recordings:
    """Return the recordings of a gesture's earlier lessons that are still there, and of what it isn't."""
    from livesnn.infer.load import model_folder

    known = recordings_of(model_folder(model)).get(gesture, Recordings())
    there = known.there
    for file in {*known.shown, *known.others} - {*there.shown, *there.others}:
        _tell(f"{file} isn't there any more, so it isn't learned from")
    if not there.shown:
        raise SourceError(f"{model} has no recordings of {gesture}: give some, or teach it live again")
    return there


def _label(source: str, gesture: str, card: ModelCard) -> str:
    """Return what labels of a recording call a gesture: as the model does, or as it did when it was taught."""
    from livesnn.events.labels import read_labels
    from livesnn.sources import is_live

    first = card.renamed.get(gesture, gesture)
    if is_live(source) or first == gesture:
        return gesture
    return first if any(each.label == first for each in read_labels(expanded(source))) else gesture


def _tell(line: str) -> None:
    say(f"livesnn teach: {line}")


def _asked(known_as: Resemblance) -> IfKnown:
    """Ask what to do with a gesture that is known already."""
    if sys.stdin is None or not sys.stdin.isatty():
        _tell(f"{known_as.question} Yes, since there is no terminal to answer in (--if-known stop)")
        return "go-on"
    _tell(f"{known_as.question} [y: yes, N: no, a: no, but call {known_as.label} by the new name]")
    answer = sys.stdin.readline().strip().casefold()
    return "alias" if answer in ("a", "alias") else "go-on" if answer in ("y", "yes") else "stop"


def _check_sources(gesture: str, sources: tuple[str, ...], others: tuple[str, ...]) -> None:
    from livesnn.events.formats.registry import parse_recording_path
    from livesnn.events.labels import labels_file
    from livesnn.sources import is_live

    if not sources:
        first = ", after the name of the gesture" if is_live(gesture) or expanded(gesture).exists() else ""
        raise SourceError(f"no source shows {gesture}: give recordings of it, or camera{first}")
    for number, source in enumerate(sources):
        if source in sources[:number]:
            raise SourceError(f"{source} is given twice: give each source once")
        if source in others and not labels_file(parse_recording_path(expanded(source)).file).exists():
            raise SourceError(f"{source} is also among --others: give it once, or label where it shows {gesture}")
    if live := [source for source in others if is_live(source)]:
        raise SourceError(f"--others {live[0]} is a live source: give recordings, which livesnn record makes")
