"""The commands for recordings: info, convert, simulate; and what a recording holds, in words."""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from livesnn.cli.options import Model
from livesnn.cli.parser import Flag
from livesnn.console import one_line, say, share_done, write, write_json
from livesnn.errors import SourceError
from livesnn.files import expanded
from livesnn.progress import Progress

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
        if seconds > 60:  # all its events are in memory at once
            raise SourceError(f"--seconds can't be {seconds:g} with --image: give at most 60")
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
