"""Results as lines for people. Not here: JSON, and printing (cli.py)."""

from __future__ import annotations

from livesnn.events.describe import RecordingInfo
from livesnn.infer.headless import Row, Summary


def describe_row(row: Row) -> str:
    """Return one decision as a line: time, label or what it might be, confidence."""
    likeliest = max(row.probabilities, key=row.probabilities.__getitem__)
    decision = row.decision or f"– ({likeliest}?)"
    return f"{row.t / 1e6:14.3f} s  {decision:<28} {row.confidence:6.1%}" + ("  state reset" * row.reset)


def describe_summary(summary: Summary) -> str:
    """Return the summary, a line a figure."""
    latency = summary.latency_ms
    lines = {
        "majority": summary.majority or "none",
        "windows": f"{summary.windows} of {summary.frames} frames",
        "events": f"{summary.events:,}, {summary.dropped:,} dropped",
        "network": f"{latency['p50']:.2f} ms a frame (p95 {latency['p95']:.2f}, p99 {latency['p99']:.2f})",
        "engine": summary.engine,
        "density": f"{summary.density:.1%} of hidden neurons spike in a step",
        "operations": f"{summary.synops_per_frame / 1e6:.2f} million synaptic a frame",
        "time": f"{summary.seconds:.2f} s",
    }
    return _table(lines)


def describe_recording(info: RecordingInfo) -> str:
    """Return what is in a recording, a line a property."""
    size = "×".join(map(str, info.resolution)) if info.resolution else "unknown size"
    lines = {"format": info.format, "camera": f"{info.camera or 'unknown'}, {size}"}
    lines["duration"] = f"{info.duration_us / 1e6:.3f} s"
    for name, stream in info.streams.items():
        times = f", {stream.t0} to {stream.t1} µs" if stream.t0 is not None else ""
        on = f" ({stream.on / stream.n:.0%} ON)" if stream.n else ""
        lines[name] = f"{stream.n:,}{on}{times}"
    others = {"frames": info.frames, "IMU samples": info.imu, "triggers": info.triggers}
    lines["also"] = (
        ", ".join(f"{count:,} {what}" for what, count in others.items() if count) or "nothing else"
    )
    lines["warnings"] = "; ".join(info.warnings) or "none"
    return _table(lines)


def _table(lines: dict[str, str]) -> str:
    return "\n".join(f"{name:>14}  {text}" for name, text in lines.items())
