"""Recordings, decisions and summaries in words, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livesnn.console import one_line

if TYPE_CHECKING:
    from livesnn.events.recording import RecordingInfo
    from livesnn.outputs.lines import Row, Summary


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


def describe_recording(info: RecordingInfo) -> str:
    """Return what is in a recording, a line a property."""
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
