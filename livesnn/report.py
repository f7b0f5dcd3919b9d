"""Results as lines for people, and writing to stdout and stderr. Not here: which line when (cli/)."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from livesnn.errors import LivesnnError
from livesnn.progress import Progress, untold

if TYPE_CHECKING:  # the command line's errors need this module at once
    from livesnn.events.describe import RecordingInfo
    from livesnn.infer.headless import Row, Summary
    from livesnn.teach import Lesson


def one_line(text: str) -> str:
    """Return the text as one line that a terminal can show: blanks collapsed, control characters escaped."""
    collapsed = " ".join(text.split())
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in collapsed
    )


def describe_row(row: Row) -> str:
    """Return one decision as a line: time, label or what it might be, confidence."""
    likeliest = max(row.probabilities, key=row.probabilities.__getitem__)
    decision = row.decision or f"– ({likeliest}?)"
    notes = ["state reset"] * row.reset + [f"{row.dropped:,} events dropped"] * (row.dropped > 0)
    return "  ".join([f"{row.t / 1e6:14.3f} s", f"{decision:<28} {row.confidence:6.1%}", *notes])


def describe_summary(summary: Summary) -> str:
    """Return the summary, a line a figure."""
    latency = summary.latency_ms
    lines = {
        "majority": summary.majority or "none",
        "windows": f"{summary.windows}, in {summary.frames} frames",
        "events": f"{summary.events:,}, {summary.dropped:,} dropped{_put_right(summary)}",
        "noise": _noise(summary.denoise or {}),
        "network": f"{latency['p50']:.2f} ms a frame (p95 {latency['p95']:.2f}, p99 {latency['p99']:.2f})",
        "engine": _engines(summary),
        "density": f"{summary.density:.1%} of hidden neurons spike in a step",
        "operations": f"{summary.synops_per_frame / 1e6:.2f} million synaptic a frame"
        f", {summary.macs_per_frame / 1e6:.2f} million MACs",
        "energy": f"{summary.energy_estimate_uj_per_frame:.2f} µJ a frame, an estimate ({summary.energy_constants})",
        "time": f"{summary.seconds:.2f} s",
    }
    if not summary.frames:
        del lines["network"]
    elif not summary.events and not summary.dropped:  # a video
        del lines["events"]
    if summary.denoise is None:
        del lines["noise"]
    return _table(lines)


def _put_right(summary: Summary) -> str:
    ordered = f", {summary.out_of_order:,} put in order of time" if summary.out_of_order else ""
    outside = f", {summary.out_of_bounds:,} outside the sensor left out" if summary.out_of_bounds else ""
    return ordered + outside


def _noise(counts: dict[str, int]) -> str:
    """Return what the noise filters have dropped; "" of none."""
    if not counts:
        return ""
    reasons = ", ".join(f"{counts[reason]:,} {reason}" for reason in ("hot", "refractory", "isolated"))
    share = (counts["events"] - counts["kept"]) / max(counts["events"], 1)
    return f"{share:.1%} dropped ({reasons}), {counts['kept']:,} kept"


def _engines(summary: Summary) -> str:
    """Return the engine in use at the end, and when another one was left."""
    if summary.engine_switched_at_frame is None:
        return summary.engine
    frames = ", ".join(f"{count:,} on {engine}" for engine, count in summary.engine_frames.items())
    return f"{summary.engine} ({frames}; switched at frame {summary.engine_switched_at_frame})"


def describe_lesson(lesson: Lesson) -> list[str]:
    """Return what a model has learned, how well, and what that may have cost, as clauses; the first one is short."""
    words = [
        f"{lesson.gesture} {'is not learned well' if lesson.poor else 'is learned'}",
        f"learned from {lesson.windows} windows",
        f"{lesson.right} of the last {lesson.kept_aside}, kept aside at first, were decided right",
        f"{lesson.taken} of {lesson.known} windows of all else were taken for it",
    ]
    if lesson.poor:
        words.append(
            "that is too few: show it again, for longer, or so that it differs more from what is known"
        )
    if lesson.at_rest:
        words.append(
            "hardly anything moves in it, as of people at rest: who stands still may be taken for it"
        )
    if 2 * lesson.resembling > lesson.windows and lesson.resembles not in ("other", lesson.gesture):
        words.append(
            f"before, {lesson.resembling} of the {lesson.windows} were decided as {lesson.resembles}: it is that or "
            f"looks like it, and whoever does {lesson.resembles} so may now be said to do {lesson.gesture}"
        )
    return words


def describe_recording(info: RecordingInfo) -> str:
    """Return what is in a recording, a line a property."""
    from livesnn.events.describe import VideoInfo

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
        lines["labels"] = ", ".join(
            f"{label.label} {label.start:.3f} to {label.end:.3f} s" for label in info.labels
        )
    lines["warnings"] = "; ".join(info.warnings) or "none"
    return _table(lines)


def _size(info: RecordingInfo) -> str:
    """Return the sensor's size, or which one is assumed when the recording is played."""
    if info.resolution:
        return "×".join(map(str, info.resolution))
    held = {
        name: f"{stream.xmax + 1}×{stream.ymax + 1}"
        for name, stream in info.streams.items()
        if stream.xmax is not None and stream.ymax is not None
    }
    if len(info.streams) > 1:
        held = {name: f"{size} for {name}" for name, size in held.items()}
    return (
        f"unknown size ({', '.join(held.values())} holds all events, and is assumed)"
        if held
        else "unknown size"
    )


def _table(lines: dict[str, str]) -> str:
    return "\n".join(f"{name:>14}  {one_line(text)}" for name, text in lines.items())


def accept_any_text() -> None:
    """Let stdout and stderr show "?" for what they can't encode, such as "µ" and "–", rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def write(text: str) -> None:
    """Write to stdout; raises LivesnnError if it takes no more, BrokenPipeError if nobody reads it any longer."""
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_output()
        raise LivesnnError(f"can't write the output ({error.strerror})") from error


def write_json(value: object) -> None:
    """Write a value of plain data or dataclasses as one line of JSON to stdout; raises as `write` does."""
    write(json_line(value).decode().rstrip())


def json_line(value: object) -> bytes:
    """Return a value of plain data or dataclasses as one line of JSON, with its end.

    "?" stands for what UTF-8 can't say, as in names of files that aren't.
    """
    try:
        octets = msgspec.json.encode(value)
    except UnicodeEncodeError:
        octets = msgspec.json.encode(_sayable(msgspec.to_builtins(value)))
    return octets + b"\n"


def _sayable(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_sayable(key): _sayable(each) for key, each in value.items()}
    return [*map(_sayable, value)] if isinstance(value, list | tuple) else value


@contextlib.contextmanager
def share_done(
    doing: str, *, after_s: float = 0.0, clock: Callable[[], float] = time.monotonic
) -> Iterator[Progress]:
    """Yield what is to be told how much is done: on stderr, a line, and below it on a terminal a bar.

    Parameters
    ----------
    after_s
        Nothing is shown of what is done so soon after it was first told of.
    """
    begun_s: float | None = None
    show: Progress | None = None

    def tell(share: float) -> None:
        nonlocal begun_s, show
        if show is None:
            now_s = clock()
            begun_s = now_s if begun_s is None else begun_s
            if now_s - begun_s < after_s:
                return
            show = shown.enter_context(_bar(doing))
        show(share)

    with contextlib.ExitStack() as shown:
        if not after_s:
            tell(0.0)
        yield tell


@contextlib.contextmanager
def _bar(doing: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    say(doing)
    if not console.is_terminal:
        yield untold
        return
    with Bars(console=console, transient=True) as bars:
        bar = bars.add_task("", total=1.0)
        yield lambda share: bars.update(bar, completed=share)


def discard_output() -> None:
    """Send stdout nowhere from now on, and what is buffered too: Python would fail on it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def say(message: str) -> None:
    """Write one line to stderr; where that can't be written, there is nobody to tell."""
    if sys.stderr is None:  # closed by the shell
        return
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{one_line(message)}\n")  # at once: two threads may say something
        sys.stderr.flush()
