"""The commands that show a source, decide on it, record it, or pass it on: gui, run, record, publish."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from livesnn.cli.options import (
    AS_IT_COMES,
    AS_USUAL,
    NO_ACTION,
    Actions,
    Decisions,
    Engine,
    Model,
    Mounting,
    Out,
    Port,
    Seconds,
    Source,
)
from livesnn.cli.recordings import reading, table
from livesnn.console import say, write, write_json
from livesnn.errors import SourceError
from livesnn.files import expanded

if TYPE_CHECKING:
    from livesnn.events.filters import Orientation
    from livesnn.events.packet import EventSource
    from livesnn.events.pipeline import See
    from livesnn.outputs.lines import Row, Summary
    from livesnn.outputs.tcp import PublishedDecisions
    from livesnn.video.frame_source import FrameSource

DECISIONS_PORT = 7780


def gui(
    sources: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = (),
    /,
    *,
    model: Model = None,
    compare: Model = None,
    engine: Engine | None = None,
    decisions: Decisions = AS_USUAL,
    pre_roll: Seconds = None,
    mounting: Mounting = AS_IT_COMES,
    stage: bool = False,
    kiosk: bool = False,
    json: bool = False,
) -> int:
    """Open the window.

    An option that you leave out keeps the value that you last chose in the window.

    Parameters
    ----------
    sources
        A recording, a video, camera, camera:SERIAL, webcam, tcp://HOST:PORT or simulate:gestures. simulate:digits is
        for a model that reads videos. Several open as tabs. Default: the demo.
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
        tour=not json,
    )
    if json or os.environ.get(QUIT_AFTER):  # a program that closes the window wants to know
        write_json(summary)
    return 0


def run(
    source: Source,
    /,
    *,
    model: Model = None,
    engine: Engine = "auto",
    state: Literal["carry", "reset"] = "carry",
    every: Literal["window", "frame"] = "window",
    decisions: Decisions = AS_USUAL,
    seconds: Seconds = None,
    denoise: bool = False,
    actions: Actions = NO_ACTION,
    mounting: Mounting = AS_IT_COMES,
    json: bool = False,
) -> int:
    """Print decisions about a camera, a stream or a recording.

    It prints one line for each window of frames, then a summary. "–" means no decision, and the likeliest class
    follows in brackets.

    Parameters
    ----------
    source
        A recording, which is read as fast as possible. Or a live source, which runs until Ctrl-C: camera,
        camera:SERIAL, webcam, tcp://HOST:PORT, simulate:gestures or simulate:digits.
    model
        Name of a model, or a model folder. Default: gestures; mnist-seq2 for simulate:digits.
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
    from livesnn.infer.decide import Decider
    from livesnn.infer.model import DEFAULT_MODEL, only_model_for
    from livesnn.outputs.lines import decide_all
    from livesnn.sources import is_live

    with actions.following(notice("run"), live=is_live(source)) as see:
        rows = decide_all(
            source,
            model or only_model_for(source) or DEFAULT_MODEL,
            engine=engine,
            state=state,
            every=every,
            decider=Decider().merge(decisions.given),
            seconds=seconds,
            denoise=denoise,
            orientation=mounting.upright,
            sensor=mounting.sensor,
            see=see,
            notify=notice("run"),
            reading=reading("run", source),
        )
        for row in rows:
            write_decision("run", row, json=json)
    return 0


def write_decision(command: str, row: Row | Summary, *, json: bool) -> None:
    """Write a decision or the summary to stdout, and the summary's warnings to stderr."""
    from livesnn.outputs.lines import Summary

    if isinstance(row, Summary):
        for warning in row.warnings:
            say(f"livesnn {command}: {warning}")
        write_json({"summary": row}) if json else write(describe_summary(row))
    else:
        write_json(row) if json else write(describe_row(row))


def record(
    source: Source,
    out: Out,
    /,
    *,
    seconds: Seconds = None,
    mounting: Mounting = AS_IT_COMES,
) -> int:
    """Record a camera or a stream to an .aedat4 file.

    The file keeps its noise, which livesnn convert --denoise removes. The flags for the camera's mounting turn the
    events upright in the file. A recording can be a source too.

    Parameters
    ----------
    source
        camera, camera:SERIAL, webcam, tcp://HOST:PORT, simulate:gestures, or a recording.
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
        opened = event_source(
            open_source(source, notify=notice("record"), progress=progress, sensor=mounting.sensor)
        )
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


def notice(command: str) -> Callable[[str], None]:
    """Return a function that says what a person must know while the command goes on."""
    return lambda line: say(f"livesnn {command}: {line}")


def publish(
    source: Source,
    /,
    *,
    decisions_port: Port = None,
    events_port: Port = None,
    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1",
    model: Model = None,
    engine: Engine = "auto",
    decisions: Decisions = AS_USUAL,
    seconds: Seconds = None,
    denoise: bool = False,
    mounting: Mounting = AS_IT_COMES,
    json: bool = False,
) -> int:
    """Send decisions, events or both to other programs over TCP.

    The other program may be a robot, or a livesnn window on another computer.

    Parameters
    ----------
    source
        camera, camera:SERIAL, webcam, tcp://HOST:PORT, simulate:gestures or simulate:digits, until Ctrl-C; or a
        recording of events, at its own speed.
    model
        Name of a model, or a model folder. Default: gestures; mnist-seq2 for simulate:digits.
    decisions_port
        Send one line of JSON for each frame here, the same as livesnn run --json --every frame prints. Default: 7780,
        or none if only --events-port is given. Try it: nc localhost 7780
    events_port
        Send events here in dv-processing's network format; livesnn gui tcp://HOST:PORT shows them. Given without
        --decisions-port, nothing is decided and no model is loaded.
    host
        Listen at this address of the computer. 0.0.0.0 or * lets any other computer connect.
    seconds
        Stop after this time.
    denoise
        Drop noise before deciding, as livesnn run --denoise does. The events that are sent keep their noise.
    json
        Print the summary at the end as JSON.

    Other Parameters
    ----------------
    engine
        What runs the network. auto uses spike if that is compiled for the model, else onnx. torch needs
        livesnn[train].
    """
    from livesnn.infer.decide import Decider
    from livesnn.infer.model import DEFAULT_MODEL, only_model_for
    from livesnn.outputs.lines import decide_all

    if seconds is not None and not seconds > 0:  # before anybody is let in
        raise SourceError(f"--seconds can't be {seconds:g}: give more than 0, or leave it out")
    if events_port is not None and decisions_port is None:
        if model is not None or engine != "auto" or denoise or decisions != AS_USUAL:
            raise SourceError(
                "--events-port without --decisions-port sends only events: add --decisions-port, or leave out "
                "--model, --engine, --denoise and the flags for decisions"
            )
        with _Publisher(source, host, events_port, mounting.upright) as publisher:
            return _publish_events(source, publisher, mounting, seconds, json)
    if events_port and events_port == decisions_port:
        raise SourceError(
            f"--events-port and --decisions-port are both {events_port}: give two different ports"
        )
    name = model or only_model_for(source) or DEFAULT_MODEL
    with _Publisher(source, host, events_port, mounting.upright, name, decisions_port) as publisher:
        rows = decide_all(
            source,
            name,
            engine=engine,
            every="frame",
            decider=Decider().merge(decisions.given),
            seconds=seconds,
            denoise=denoise,
            orientation=mounting.upright,
            sensor=mounting.sensor,
            paced=True,
            listen=publisher.listen,
            notify=publisher.notify,
            reading=reading("publish", source),
        )
        for row in rows:
            publisher.tell(row)
    write_decision("publish", row, json=json)
    return 0


class _Publisher(ExitStack):
    """What is published of a source once it is open; at its end the servers are closed.

    ``model``: name of the model that decides; None publishes only events.
    """

    def __init__(
        self,
        name: str,
        host: str,
        events_port: int | None,
        orientation: Orientation,
        model: str | None = None,
        decisions_port: int | None = None,
    ) -> None:
        super().__init__()
        self._name, self._orientation, self._model = name, orientation, model
        self._host = "0.0.0.0" if host == "*" else host
        self._events_port = events_port
        self._decisions_port = DECISIONS_PORT if decisions_port is None else decisions_port
        self._decisions: PublishedDecisions | None = None

    def listen(self, source: EventSource | FrameSource) -> See | None:
        """Listen for programs; return what sends them each packet of events, or None."""
        from livesnn.events.cameras.server import Address, EventServer
        from livesnn.events.recording import Recording
        from livesnn.infer.model import read_card
        from livesnn.outputs.tcp import PublishedDecisions
        from livesnn.sources import event_source

        if not source.live and not isinstance(source, Recording):
            raise SourceError(
                f"{self._name}: a video file can't be published: give a camera, a stream or a recording of events"
            )
        if isinstance(source, Recording) and source.empty:
            raise SourceError(f"{self._name}: the recording has no events: give another one")
        send: See | None = None
        listening = []
        if self._events_port is not None:
            events = event_source(source)
            resolution = self._orientation.resolution(events.resolution)
            server = EventServer(Address(self._host, self._events_port), resolution, events.name)
            self.enter_context(server)
            send = server.send_packet
            listening.append(f"events at {server.address}")
        if self._model is not None:
            address = Address(self._host, self._decisions_port)
            decisions = PublishedDecisions(address, self._name, read_card(self._model))
            self._decisions = self.enter_context(decisions)
            listening.append(f"decisions at {self._decisions.address}")
        for line in listening:  # once nothing can fail any more
            say(f"livesnn publish: {line}")
        return send

    def notify(self, line: str) -> None:
        """Say, and tell the programs, that a live source is lost or comes back."""
        notice("publish")(line)
        if self._decisions is not None:
            self._decisions.notice(line)

    def tell(self, row: Row | Summary) -> None:
        """Send a decision or the summary to the programs."""
        assert self._decisions is not None  # it is there before the first row
        self._decisions.tell(row)


def _publish_events(
    source: str, publisher: _Publisher, mounting: Mounting, seconds: float | None, json: bool
) -> int:
    """Publish only events, until they end or Ctrl-C."""
    from livesnn.events.pipeline import open_pipeline
    from livesnn.events.playback_clock import PlaybackClock
    from livesnn.events.recording import Recording
    from livesnn.sources import event_source, open_source
    from livesnn.threads import ending_sets

    with reading("publish", source) as progress:
        opened = event_source(
            open_source(source, notify=publisher.notify, progress=progress, sensor=mounting.sensor)
        )
    stop = threading.Event()
    with closing(opened), ending_sets(stop) if opened.live else nullcontext():
        pipeline = open_pipeline(
            opened,
            clock=None if opened.live else PlaybackClock(),
            seconds=seconds,
            stop=stop,
            orientation=mounting.upright,
            record=publisher.listen(opened),
            policy=None,
        )
        for _ in pipeline:
            pass
        others = opened.streams_left_out() if isinstance(opened, Recording) else []
        counted, warnings = pipeline.counters, (*others, *opened.warnings)
    for warning in warnings:
        say(f"livesnn publish: {warning}")
    if json:
        write_json({"summary": {"events": counted.events, "dropped": counted.dropped, "warnings": warnings}})
    else:
        write(f"{counted.events:,} events, {counted.dropped:,} dropped")
    return 0


def describe_row(row: Row) -> str:
    """Return one decision as a line: time, class or likeliest class, confidence."""
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
    """Return the summary, one line for each figure."""
    latency = summary.latency_ms
    lines = {
        "majority": summary.majority or "none",
        "windows": f"{summary.windows}, in {summary.frames} frames",
        "events": f"{summary.events:,}, {summary.dropped:,} dropped{_corrected(summary)}",
        "noise": _noise(summary.denoise or {}),
        "network": f"{latency['p50']:.2f} ms a frame (p95 {latency['p95']:.2f}, p99 {latency['p99']:.2f})",
        "engine": _engines(summary),
        "density": f"{summary.density:.1%} of hidden neurons spike in a step",
        "operations": f"{summary.synops_per_frame / 1e6:.2f} million SynOps"
        f" and {summary.macs_per_frame / 1e6:.2f} million MACs a frame",
        "energy": f"{summary.energy_estimate_uj_per_frame:.2f} µJ a frame, an estimate ({summary.energy_constants})",
        "time": f"{summary.seconds:.2f} s",
    }
    if not summary.frames:
        del lines["network"]
    elif not summary.events and not summary.dropped:  # a video
        del lines["events"]
    if summary.denoise is None:
        del lines["noise"]
    return table(lines)


def _corrected(summary: Summary) -> str:
    ordered = f", {summary.out_of_order:,} sorted by time" if summary.out_of_order else ""
    outside = f", {summary.out_of_bounds:,} outside the sensor ignored" if summary.out_of_bounds else ""
    return ordered + outside


def _noise(counts: dict[str, int]) -> str:
    """Return what the noise filters have dropped; "" if there were none."""
    if not counts:
        return ""
    reasons = ", ".join(f"{counts[reason]:,} {reason}" for reason in ("hot", "refractory", "isolated"))
    share = (counts["events"] - counts["kept"]) / max(counts["events"], 1)
    return f"{share:.1%} dropped ({reasons}), {counts['kept']:,} kept"


def _engines(summary: Summary) -> str:
    """Return the engine in use at the end, and when it replaced another one."""
    if summary.engine_switched_at_frame is None:
        return summary.engine
    frames = ", ".join(f"{count:,} on {engine}" for engine, count in summary.engine_frames.items())
    return f"{summary.engine} ({frames}; switched at frame {summary.engine_switched_at_frame})"
