"""The commands for events and decisions, from run to simulate. Not here: the window (window.py), models (lab.py)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from livesnn.cli.deciding import AS_USUAL, Decisions
from livesnn.cli.turned import AS_IT_COMES, Turned
from livesnn.console import say, share_done, write, write_json
from livesnn.errors import SourceError
from livesnn.files import expanded
from livesnn.progress import Progress

if TYPE_CHECKING:
    from livesnn.outputs.lines import Row, Summary

READING_S = 2.0  # that takes longer is shown

Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]


def run(
    source: Source,
    /,
    *,
    model: str | None = None,
    engine: Literal["auto", "onnx", "spike", "torch"] = "auto",
    state: Literal["carry", "reset"] = "carry",
    every: Literal["window", "frame"] = "window",
    decisions: Decisions = AS_USUAL,
    seconds: float | None = None,
    denoise: bool = False,
    turned: Turned = AS_IT_COMES,
    json: bool = False,
) -> int:
    """Decide without a window: one line a window (or frame), then a summary.

    "–" stands for no decision, with the likeliest class behind it.

    Parameters
    ----------
    source
        Recording, as fast as it can be read; or camera, camera:SERIAL, webcam (events are made of its pictures),
        tcp://HOST:PORT, simulate:gestures or simulate:digits, until Ctrl-C.
    model
        Name of a shipped model, or a model folder; default: gestures, of simulate:digits mnist-seq2.
    engine
        What runs the network; auto: spike where it can and is compiled, else onnx; torch needs livesnn[train].
    state
        Carry the membranes from window to window, or reset them.
    every
        One line a window, or one a frame once the first window is full.
    seconds
        End after so long: in a recording's own time, or in real time.
    denoise
        Drop noise first: hot pixels (learned in the first second), a refractory time of 0.2 ms, and events without
        a neighbour's in the last 10 ms. The summary says how many.
    json
        JSON lines.
    """
    from livesnn.app.player import GESTURES, own_model
    from livesnn.infer.decide import Decider
    from livesnn.outputs.lines import decide_all

    rows = decide_all(
        source,
        model or own_model(source) or GESTURES,
        engine=engine,
        state=state,
        every=every,
        decider=decisions.wanted.decider(Decider()),
        seconds=seconds,
        denoise=denoise,
        orientation=turned.upright,
        notify=notice("run"),
        reading=reading("run", source),
    )
    for row in rows:
        described("run", row, json=json)
    return 0


def described(command: str, row: Row | Summary, *, json: bool) -> None:
    """Write a decision, or the summary, whose warnings go to stderr."""
    from livesnn.cli.words import describe_row, describe_summary
    from livesnn.outputs.lines import Summary

    if isinstance(row, Summary):
        for warning in row.warnings:
            say(f"livesnn {command}: {warning}")
        write_json({"summary": row}) if json else write(describe_summary(row))
    else:
        write_json(row) if json else write(describe_row(row))


def record(
    source: Source,
    out: tyro.conf.Positional[Path],
    /,
    *,
    seconds: float | None = None,
    turned: Turned = AS_IT_COMES,
) -> int:
    """Write a camera, a stream or another recording to an .aedat4 file, until Ctrl-C or for so long.

    Always with its noise (livesnn convert --denoise makes a file without), and as it comes, unless it is turned here:
    a file is upright, and is played as it is.

    Parameters
    ----------
    source
        camera, camera:SERIAL, webcam, tcp://HOST:PORT, simulate:gestures, or a recording.
    out
        The .aedat4 file to write; never one that exists.
    seconds
        Of a live source, by the clock; of a recording, of its own time.
    """
    from livesnn.events.recorder import record as capture
    from livesnn.events.recording import Recording
    from livesnn.sources import event_source, open_source

    orientation = turned.upright
    with reading("record", source) as progress:
        opened = event_source(open_source(source, notify=notice("record"), progress=progress))
    left_out = opened.streams_left_out() if isinstance(opened, Recording) else []
    begun_s = time.perf_counter()
    done = capture(opened, expanded(out), seconds=seconds, orientation=orientation)
    for warning in (*left_out, *opened.warnings):
        say(f"livesnn record: {warning}")
    clock = f" ({time.perf_counter() - begun_s:.1f} s by the clock)" if opened.live else ""
    say(
        f"{done.events:,} events in {done.seconds:.1f} s{clock} written to {done.path}, {done.dropped:,} dropped"
    )
    return 0


def devices(*, json: bool = False) -> int:
    """List the cameras that are plugged in; webcams on Linux alone. The exit code is 1 where one can't be looked for.

    Parameters
    ----------
    json
        As JSON.
    """
    from livesnn.sources import discover

    why: list[str] = []
    found = discover(why.append)
    for line in why:
        say(f"livesnn devices: {line}")
    if json:
        write_json([asdict(device) for device in found])
    elif found:
        write("\n".join(f"{device.uri:<24} {device.name}" for device in found))
    elif not why:
        say("livesnn devices: no camera found: plug one in, and check its cable and USB permissions")
    return int(bool(why))


def info(file: tyro.conf.Positional[str], /, *, json: bool = False) -> int:
    """Say what is in a recording: streams, counts, times, sums, warnings.

    Parameters
    ----------
    file
        Recording of any format that livesnn reads. What the columns of a text table are, and the unit of t, may stand
        behind its name, here and wherever a recording is given: 'FILE?columns=t_us,x,y,p'. Where a file has several
        event streams, other commands take the first, or that of 'FILE?stream=NAME'.
    json
        As JSON.
    """
    from livesnn.cli.words import describe_recording
    from livesnn.sources import describe, is_live

    if is_live(file):
        raise SourceError(f"{file}: info reads files: give a recording, or try livesnn run {file}")
    with reading("info", file) as progress:
        described = describe(expanded(file), progress)
    if json:
        write_json(described)
    else:
        write(describe_recording(described))
    return 0


def convert(
    recording: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="IN")],
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")],
    /,
    *,
    stream: str | None = None,
    overwrite: bool = False,
    denoise: bool = False,
) -> int:
    """Write a recording of any format as .aedat4 or .npz, with exactly its events; then a line of JSON.

    The labels beside it, NAME.labels.csv, go along.

    Parameters
    ----------
    recording
        Recording of any format that livesnn reads; or a video, whose pictures are made events of, as of a webcam.
    out
        The file to write, of suffix .aedat4 or .npz.
    stream
        Name of the event stream, as livesnn info tells it, or of its camera; default: the first.
    overwrite
        Replace a file that exists, once the new one is complete, and its labels.
    denoise
        Leave out its noise, as livesnn run --denoise does; the JSON says how much.
    """
    from livesnn.events.convert import convert as write_as
    from livesnn.sources import is_live, open_events

    if is_live(recording):
        raise SourceError(f"{recording}: convert reads files: give a recording, or try livesnn record")
    with share_done(f"livesnn convert: {recording} to {out}") as progress:
        done = write_as(
            expanded(recording),
            expanded(out),
            stream=stream,
            overwrite=overwrite,
            denoise=denoise,
            progress=progress,
            opener=open_events,
        )
    for warning in done.warnings:
        say(f"livesnn convert: {warning}")
    noise = None if done.denoise is None else done.denoise.summary()
    write_json(asdict(done) | {"out": str(done.out), "denoise": noise})
    return 0


def simulate(
    out: tyro.conf.Positional[Path],
    /,
    *,
    scene: str = "gestures",
    sensor: Annotated[str, tyro.conf.arg(metavar="WxH")] = "",
    seed: int = 0,
    seconds: float = 5.0,
) -> int:
    """Make a recording without a camera: a drawn person's gestures, or a drawn digit in saccades.

    Parameters
    ----------
    out
        The .aedat4 file to write.
    scene
        "gestures" (one after another), one of them, such as "hand_clapping", one that no model knows yet ("flap",
        "push", "wander", "wave_both", "circle_both"), "idle", "walking", "nobody", or "digit-0" to "digit-9".
    sensor
        Its width and height, such as 346x260, of a scene with people; default: 128x128. Pictures are 4 ms apart, in
        which an edge moves by up to two pixels at the default, and by more the larger the sensor is.
    seed
        The same seed gives the same events.
    seconds
        How long.
    """
    from livesnn.events.formats.aedat4_writer import Aedat4Writer
    from livesnn.simulate.scenes import check_scene, scene_resolution, simulate_scene

    check_scene(scene, seed=seed, seconds=seconds)
    resolution = scene_resolution(scene, sensor)
    out = expanded(out)
    count = 0
    writer = Aedat4Writer(out, resolution, f"simulated {scene}, seed {seed}")
    try:
        with writer:
            for events in simulate_scene(scene, seed=seed, seconds=seconds, resolution=resolution):
                writer.write(events)
                count += len(events)
    except BaseException:  # such as Ctrl-C: an unfinished file would be in the way next time
        out.unlink(missing_ok=True)
        raise
    say(f"{count} events of {scene} written to {out}")
    return 0


def notice(command: str) -> Callable[[str], None]:
    """Return what tells a person that a live source is lost, or back."""
    return lambda line: say(f"livesnn {command}: {line}")


def reading(command: str, source: str) -> AbstractContextManager[Progress]:
    """Return what shows how much of a recording has been read, once that takes long."""
    return share_done(f"livesnn {command}: reading {source}", after_s=READING_S)
