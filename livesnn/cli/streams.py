"""The commands that show sources, decide on them, or record one: gui, run, record. Serving one is in serving.py."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from livesnn.cli import options as flags
from livesnn.cli.parser import Flag
from livesnn.cli.recordings import reading, table
from livesnn.console import json_line, say, share_done, write, write_json
from livesnn.errors import LivesnnError, SourceError
from livesnn.files import expanded

if TYPE_CHECKING:
    from livesnn.outputs.lines import Row, RunOptions, Summary
    from livesnn.outputs.many import File


@dataclass(frozen=True)
class ManyFlags:
    """Many recordings."""

    out: Annotated[Path | None, Flag("FILE")] = None
    """Write a row for each recording to this file: FILE.jsonl or FILE.csv. Recordings that have a row
    there are skipped, so an interrupted run goes on."""

    jobs: int | None = None
    """Decide on this many recordings at once. Default: one for each processor."""

    shard: Annotated[str | None, Flag("K/N")] = None
    """Decide only on part K of N, from 1/N to N/N, as for a job array. FILE becomes FILE-KofN."""

    dask: Annotated[str | None, Flag("ADDRESS")] = None
    """Use the workers of this Dask scheduler, such as tcp://HOST:8786. Needs livesnn[cluster]."""


ONE = ManyFlags()


def gui(
    sources: Annotated[tuple[str, ...], Flag("SOURCE")] = (),
    /,
    *,
    model: flags.Model = None,
    compare: flags.Model = None,
    engine: flags.Engine | None = None,
    decisions: flags.DecisionFlags = flags.AS_USUAL,
    pre_roll: flags.Seconds = None,
    mounting: flags.Mounting = flags.AS_IT_COMES,
    stage: bool = False,
    kiosk: bool = False,
    json: bool = False,
) -> int:
    """Open the window.

    An option that you leave out keeps the value that you last chose in the window.

    Parameters
    ----------
    sources
        A recording, a clip that comes with livesnn (arm_roll), a video, camera, camera:SERIAL, webcam, tcp://HOST:PORT,
        ros2:/TOPIC or simulate:gestures. simulate:digits is for a model that reads videos. Several open as tabs.
        Default: the demo.
    model
        Name of a model, or a model folder.
    compare
        A second model, whose decisions are shown beside the first one's.
    pre_roll
        Start each recording this many seconds before the record button is pressed.
    engine
        What runs the network.
    stage
        Fill the screen with the picture and the decision. F11 or Esc exits.
    kiosk
        The same for an exhibition: no menus, no shortcuts, no cursor. A source that fails is started again. To exit,
        hold Ctrl+Shift+Q for two seconds.
    json
        Print a summary as JSON when the window closes.
    """
    from livesnn.app.application import QUIT_AFTER, run_app
    from livesnn.sources import shipped_clip

    sources = tuple(map(shipped_clip, sources))
    summary = run_app(
        sources[0] if sources else None,
        model,
        engine=engine,
        decisions=decisions.given,
        pre_roll_s=pre_roll,
        orientation=mounting.orientation,
        sensor=mounting.sensor,
        beside=sources[1:],
        compare=compare,
        stage=stage,
        kiosk=kiosk,
    )
    if json or os.environ.get(QUIT_AFTER):  # a program that closes the window wants to know
        write_json(summary)
    return 0


def run(
    source: str,
    more: Annotated[tuple[str, ...], Flag("SOURCE")] = (),
    /,
    *,
    model: flags.Model = None,
    engine: flags.Engine = "auto",
    state: Literal["carry", "reset"] = "carry",
    every: Literal["window", "frame"] = "window",
    decisions: flags.DecisionFlags = flags.AS_USUAL,
    seconds: flags.Seconds = None,
    denoise: bool = False,
    actions: flags.ActionFlags = flags.NO_ACTION,
    mounting: flags.Mounting = flags.AS_IT_COMES,
    many: ManyFlags = ONE,
    json: bool = False,
) -> int:
    """Print decisions about a camera, a stream or a recording.

    It prints one line for each window of frames, then a summary. "–" means no decision, and the likeliest class
    follows in brackets. With --out, it decides on many recordings, and writes a table.

    Parameters
    ----------
    source
        A recording or a clip that comes with livesnn (arm_roll), which is read as fast as possible. Or a source that
        runs until Ctrl-C: camera, camera:SERIAL, webcam, tcp://HOST:PORT, ros2:/TOPIC, simulate:gestures or
        simulate:digits.
    more
        More recordings, for --out. A pattern in quotation marks names them too: 'FOLDER/**/*.aedat4'.
    model
        Name of a model, or a model folder. Default: the shipped model that fits the source, gestures for most.
    seconds
        Stop after this much time of the recording, or of the clock for a live source.
    denoise
        Drop noise first: events of hot pixels, of a pixel within 0.2 ms of its last event, or without a neighbour
        within 10 ms.
    json
        Print JSON lines.

    Other Parameters
    ----------------
    every
        Print a line for each window, or for each frame once the first window is full.
    state
        Carry the membrane potentials from window to window, or reset them.
    engine
        What runs the network. auto uses spike if that is compiled for the model, else onnx. torch needs
        livesnn[train].
    """
    from livesnn.events.filters import check_seconds
    from livesnn.infer.decide import Decider
    from livesnn.outputs.lines import RunOptions, decide_all
    from livesnn.sources import is_live

    decider = Decider().merge(decisions.given)
    options = RunOptions(model, engine, state, every, decider, seconds, denoise, mounting.upright)
    if many != ONE or more or _is_pattern(source):  # a table of recordings, not one source
        if actions != flags.NO_ACTION or mounting.bias is not None:
            raise SourceError("--on-decision and --bias are for one source: leave them out")
        check_seconds(seconds)
        return run_many((source, *more), options, many, json=json)
    with actions.following(notice("run"), live=is_live(source)) as see:
        opening = reading("run", source)
        for row in decide_all(
            source, options, sensor=mounting.sensor, see=see, notify=notice("run"), reading=opening
        ):
            write_decision("run", row, json=json)
    return 0


def write_decision(command: str, row: Row | Summary, *, json: bool) -> None:
    from livesnn.outputs.lines import Summary

    if isinstance(row, Summary):
        for warning in row.warnings:
            say(f"livesnn {command}: {warning}")
        write_json({"summary": row}) if json else write(describe_summary(row))
    else:
        write_json(row) if json else write(describe_row(row))


def record(
    source: str, out: Path, /, *, seconds: flags.Seconds = None, mounting: flags.Mounting = flags.AS_IT_COMES
) -> int:
    """Record a camera or a stream to an .aedat4 file.

    Noise is kept; livesnn convert --denoise removes it. --rotate and --mirror apply to the file, too. SOURCE can also
    be a recording.

    Parameters
    ----------
    source
        camera, camera:SERIAL, webcam, tcp://HOST:PORT, ros2:/TOPIC, simulate:gestures, or a recording.
    out
        The .aedat4 file to write. A file that exists is never replaced.
    seconds
        Stop after this much time of the clock or of the recording. Default: record until Ctrl-C.
    """
    from livesnn.events.recorder import record as capture
    from livesnn.events.recording import Recording
    from livesnn.sources import event_source, open_source

    orientation = mounting.upright
    with reading("record", source) as progress:
        opened = event_source(open_source(source, notify=notice("record"), progress=progress, sensor=mounting.sensor))
    left_out = opened.streams_left_out() if isinstance(opened, Recording) else []
    begun_s = time.perf_counter()
    done = capture(opened, expanded(out), seconds=seconds, orientation=orientation)
    for warning in (*left_out, *opened.warnings):
        say(f"livesnn record: {warning}")
    clock = f" ({time.perf_counter() - begun_s:.1f} s by the clock)" if opened.live else ""
    say(f"{done.events:,} events in {done.seconds:.1f} s{clock} written to {done.path}, {done.dropped:,} dropped")
    return 0


def notice(command: str) -> Callable[[str], None]:
    return lambda line: say(f"livesnn {command}: {line}")


def describe_row(row: Row) -> str:
    likeliest = max(row.probabilities, key=row.probabilities.__getitem__)
    decision = row.decision or f"– ({likeliest}?)"
    notes = ["state reset"] * row.reset + [f"{row.dropped:,} events dropped"] * (row.dropped > 0)
    if row.silence_s is not None:
        decision = "–"
        notes.append(f"no events for {row.silence_s:.0f} s")
    elif row.reason is not None:
        notes.append(row.reason.replace("_", " "))
    return "  ".join([f"{row.t / 1e6:14.3f} s", f"{decision:<28} {row.confidence:6.1%}", *notes])


def describe_summary(summary: Summary) -> str:
    video = summary.frames and not summary.events and not summary.dropped
    ordered = f", {summary.out_of_order:,} sorted by time" if summary.out_of_order else ""
    outside = f", {summary.out_of_bounds:,} outside the sensor ignored" if summary.out_of_bounds else ""
    noise, engine = "", summary.engine
    if counts := summary.denoise:
        reasons = ", ".join(f"{counts[reason]:,} {reason}" for reason in ("hot", "refractory", "isolated"))
        share = (counts["events"] - counts["kept"]) / max(counts["events"], 1)
        noise = f"{share:.1%} dropped ({reasons}), {counts['kept']:,} kept"
    if (switched := summary.engine_switched_at_frame) is not None:
        frames = ", ".join(f"{count:,} on {name}" for name, count in summary.engine_frames.items())
        engine += f" ({frames}; switched at frame {switched})"
    network = "{p50:.2f} ms a frame (p95 {p95:.2f}, p99 {p99:.2f})".format(**summary.latency_ms)
    lines = {
        "majority": summary.majority or "none",
        "windows": f"{summary.windows}, in {summary.frames} frames",
        "events": "" if video else f"{summary.events:,}, {summary.dropped:,} dropped{ordered}{outside}",
        "noise": noise,
        "network": network if summary.frames else "",
        "engine": engine,
        "density": f"{summary.density:.1%} of hidden neurons spike in a step",
        "operations": f"{summary.synops_per_frame / 1e6:.2f} million SynOps"
        f" and {summary.macs_per_frame / 1e6:.2f} million MACs a frame",
        "energy": f"{summary.energy_estimate_uj_per_frame:.2f} µJ a frame, an estimate ({summary.energy_constants})",
        "time": f"{summary.seconds:.2f} s",
    }
    return table({name: text for name, text in lines.items() if text})


def run_many(sources: Sequence[str], options: RunOptions, many: ManyFlags, *, json: bool) -> int:
    """Decide on each recording that has no row yet; return 1 if any has failed."""
    from livesnn.outputs.many import in_processes, on_cluster, open_table, prepare

    begun_s = time.monotonic()
    part, parts = _shard(many.shard)
    files = [*_files(sources)][part - 1 :: parts]
    if many.out is None:
        raise SourceError("several recordings need a table for their decisions: add --out decisions.jsonl")
    out = expanded(many.out)
    if many.shard is not None:
        out = out.with_stem(f"{out.stem}-{part}of{parts}")
    jobs = _jobs(many)
    if options.model is not None and expanded(options.model).is_dir():  # a worker's folder is another one
        options = replace(options, model=str(expanded(options.model).absolute()))
    options.check()
    failed = decided = 0
    with closing(open_table(out)) as table:
        ours = json_line(options).decode().rstrip()
        if any(theirs != ours for theirs in table.done.values()):
            raise LivesnnError(f"--out {out} has rows of other options, such as another --model: give another file")
        missing = [file for file in files if file.name not in table.done]
        if missing and many.dask is None:
            prepare(options, notice("run"))
        outcomes = (
            in_processes(missing, options, jobs)
            if many.dask is None
            else on_cluster(many.dask, missing, options, notice("run"))
        )
        doing = f"livesnn run: {len(missing):,} recordings to {out}"
        with closing(outcomes), share_done(doing, after_s=0.0) as show:
            show(0.0)
            for file, outcome in outcomes if missing else ():
                if isinstance(outcome, str):
                    failed += 1
                    about = "" if file.path in outcome else f"{file.name}: "
                    say(f"livesnn run: {about}{outcome}")
                else:
                    decided += 1
                    table.add(outcome)
                show((decided + failed) / len(missing))
    skipped = len(files) - len(missing)
    if json:
        seconds = time.monotonic() - begun_s
        counts = {"recordings": len(files), "decided": decided, "skipped": skipped, "failed": failed}
        write_json({"summary": counts | {"out": str(out), "seconds": seconds}})
    else:
        write(f"{decided:,} decided, {skipped:,} skipped, {failed:,} failed: {out}")
    return int(failed > 0)


def _is_pattern(source: str) -> bool:
    """Return whether a source names several files; FILE?stream=NAME doesn't, nor does a file with such a name."""
    return any(sign in source for sign in "*[") and not expanded(source).exists()


def _files(sources: Sequence[str]) -> Iterator[File]:
    """Yield each recording once, those of a pattern in order of their names. Raises SourceError."""
    from livesnn.outputs.many import File
    from livesnn.sources import is_live, shipped_clip

    seen = set()
    for source in sources:
        names = [shipped_clip(source)]
        if _is_pattern(source):
            names = _matches(expanded(source))
            if not names:
                raise SourceError(f"{source}: no file matches: check the pattern")
        elif is_live(source):
            raise SourceError(f"{source} never ends: give recordings, or run it without --out")
        for name in names:
            path = str(expanded(name).absolute())
            if path not in seen:
                yield File(_one_line_name(name), path)
            seen.add(path)


def _one_line_name(name: str) -> str:
    r"""Return a file's name for a table, a line of UTF-8: other octets as ``\udcff``, line breaks as ``\n``."""
    text = str(Path(name)).encode(errors="backslashreplace").decode()
    return "".join(sign if sign >= " " else repr(sign)[1:-1] for sign in text)


def _matches(pattern: Path) -> list[str]:
    """Return what a pattern names, in order. ``**`` enters no linked or hidden folder."""
    found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    given = {*pattern.parts}
    return sorted(str(each) for each in found if not any(part[0] == "." for part in {*each.parts} - given))


def _shard(text: str | None) -> tuple[int, int]:
    numbers = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text or "1/1")
    part, parts = map(int, numbers.groups()) if numbers else (0, 0)
    if not 1 <= part <= parts:
        raise LivesnnError(f"--shard can't be {text!r}: give K/N, from 1/N to N/N")
    return part, parts


def _jobs(many: ManyFlags) -> int:
    from livesnn.subprocesses import MOST_PROCESSES
    from livesnn.threads import usable_processors

    if many.jobs is None:
        return min(MOST_PROCESSES, usable_processors())
    if many.dask is not None:
        raise LivesnnError("--jobs and --dask can't be combined: leave one out")
    if not 1 <= many.jobs <= MOST_PROCESSES:
        raise LivesnnError(f"--jobs can't be {many.jobs}: give 1 to {MOST_PROCESSES}")
    return many.jobs
